"""NASDAQ-100, long only: `lstm_state` again, without its mistakes.

Idea      A small LSTM learns from the 12 calmest stocks whether what can be bought at the next open rises until the one
          after; hold those that it expects to.
State     The last weights and those before them, with their date: today's are averaged with yesterday's, and running a
          day twice gives the same weights. A stock that is no longer chosen goes by halves, at once when not liquid.
Source    The LSTM-state example of the Quantiacs contest; docs/systems.md compares the two.
Changed   The label is the return that can be traded, unknown on the last two rows (was: the move to the next open, over
          before the trade; the last row called a fall). Missing inputs are left out (were back-filled). A network runs
          over 100 rows and its last output counts (was: the last row alone, from an empty memory). One network
          learns from all chosen stocks by Adam (was: one for each, from 69 rows, by 20 steps of LBFGS without line
          search, which finds nothing even where something is planted). Scores are centred: what is not expected to rise
          is not held (all were near 0.5, so nearly 1/N). Weights are normalised before they are averaged (were raw for
          new stocks, which got almost twice the weight of old ones).
Backtest  qlstm backtest strategies/lstm_careful.py
Live      qlstm run strategies/lstm_careful.py
"""

import xarray as xr

import qlstm
from qlstm import exposure, labels, nn, portfolio, ta, universe

CALM_ASSETS = 12
VOLATILITY_WINDOW = 60  # rows
SMOOTHING = 10  # rows of the weighted average
LARGEST = 0.1  # share of capital in one asset
LENGTH = 100  # rows scored: always as many, for a network remembers where they began


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): one-row change of the smoothed close, in percent; NaN where unknown."""
    return ta.roc(ta.lwma(data.sel(field="close", drop=True), SMOOTHING), 1)


def train(data: xr.DataArray) -> nn.Models:
    """Fit one network to whether what each calm stock can earn next is a gain."""
    calm = data.sel(asset=calmest(data))
    rises = labels.direction(labels.executed_return(calm))
    return nn.fit(nn.LSTM(hidden=34), features(calm), rises, optimizer=nn.Adam(lr=0.01), epochs=60, groups="calm")


def calmest(data: xr.DataArray) -> list[str]:
    """Return the liquid assets that moved least, as of the last row."""
    chosen = universe.lowest_volatility(data, CALM_ASSETS, VOLATILITY_WINDOW).isel(time=-1)
    return data.asset.values[chosen.values > 0].tolist()


def score(models: nn.Models, data: xr.DataArray) -> xr.DataArray:
    """Return how much likelier than not each asset rises, dims (asset)."""
    known = {asset: group for asset, group in models.groups.items() if asset in data.asset}
    inputs = features(data.sel(asset=list(known)).isel(time=slice(-LENGTH, None)))
    return nn.predict(models, inputs, known).isel(time=-1, drop=True) - 0.5


def predict(models: nn.Models, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Hold what should rise in proportion to its score, averaged with yesterday's weights."""
    liquid = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True) > 0
    today = str(data.time.values[-1])
    new = portfolio.long_only(score(models, data), liquid).reindex(asset=data.asset, fill_value=0.0)
    before = None if state is None else state["before"] if state["date"] == today else state["weights"]
    if before is not None:
        new = (new + before.reindex(asset=data.asset, fill_value=0.0)) / 2
    new = exposure.cut_big_positions(new.where(liquid, 0.0), LARGEST)
    return new, {"date": today, "weights": new, "before": before}


strategy = qlstm.Strategy(
    train=train,
    predict=predict,
    contest="stocks_nasdaq100",
    train_period=100,
    lookback_period=155,  # holds 100 rows
    retrain_interval=180,
)
