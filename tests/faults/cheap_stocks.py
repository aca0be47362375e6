"""A warning: holds what is cheap, by prices that later splits have made low."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    cheap = (close < 50).astype(float)
    return cheap / max(1.0, float(cheap.sum()))


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
