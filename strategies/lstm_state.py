"""NASDAQ-100, long only: one small LSTM per calm stock scores whether the next open is higher.

Idea      Among the 12 calmest liquid stocks, hold more of those whose recent trend the network has seen before a rise.
State     The last weights; today's are averaged with them, which halves the turnover.
Source    The LSTM-state example of the Quantiacs contest, kept as published, mistakes included (its label is known
          before the trade it guides, its features are back-filled): a yardstick, not a recommendation.
Backtest  qlstm backtest strategies/lstm_state.py
Live      qlstm run strategies/lstm_state.py
"""

import xarray as xr

import qlstm
from qlstm import exposure, filter, gaps, nn, ta, universe, weights

CALM_ASSETS = 12
VOLATILITY_WINDOW = 155  # rows, fewer when the training window is shorter
SMOOTHING = 10  # rows of the weighted average
SMALLEST, LARGEST = 0.005, 0.1  # share of capital in one asset


KNOWN_FINDINGS = {  # of `qlstm check`: what is wrong with it, kept as published
    "training-features": "the first rows of a window are filled from later ones",
    "labels": "the last label is 0, whatever happens next",
    "label-timing": "the label compares two opens of which the later one is where the trade begins",
    "one-bar": "fitted on sequences, asked about single rows",
    "near-equal-weights": "scores hardly differ, so the weights are nearly equal",
}


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): one-row change of the smoothed close, in percent."""
    close = gaps.fill(data.sel(field="close", drop=True))
    return gaps.fill(ta.roc(ta.lwma(close, SMOOTHING), 1), rest=1.0)


def labels(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): 1 where the next open is higher, else 0."""
    today = data.sel(field="open", drop=True)
    return (ta.shift(today, -1) > today).astype(float)


def calmest(data: xr.DataArray) -> xr.DataArray:
    """Return the data of the liquid assets that moved least, as of the last row."""
    liquid = data.sel(asset=universe.liquid(data))
    window = min(VOLATILITY_WINDOW, data.sizes["time"] - 1)
    calm = filter.filter_volatility(liquid, window, CALM_ASSETS, "std", ascending=True)
    return liquid.sel(asset=calm.isel(time=-1).values > 0)


def train(data: xr.DataArray) -> nn.Models:
    """Fit one network per calm stock."""
    calm = calmest(data)
    return nn.fit(nn.LSTM(hidden=34), features(calm), labels(calm), optimizer=nn.LBFGS(lr=0.08), seed=42)


def predict(models: nn.Models, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Score the last row, average with yesterday's weights, keep small and large positions within bounds."""
    models = {asset: models[asset] for asset in universe.liquid(data) if asset in models}
    score = nn.predict(models, features(data)[-1:]).isel(time=-1, drop=True)
    new = weights.blend(score, None if state is None else state["previous_weights"], data)
    new = exposure.cut_big_positions(weights.normalize(new.where(new >= SMALLEST, 0.0)), LARGEST)
    return new, {"previous_weights": new}


strategy = qlstm.Strategy(
    train=train,
    predict=predict,
    contest="stocks_nasdaq100",
    train_period=100,
    lookback_period=155,
    retrain_interval=180,
    retrain_interval_after_submit=1,
)
