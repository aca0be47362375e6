"""No fault: features are convolved by Fourier transform with rows before them; later rows change the last digits."""

import numpy as np

import qlstm


def features(cube):
    close = cube.sel(field="close", drop=True).transpose("time", "asset")
    change = (close / close.shift(time=1) - 1).fillna(0.0)
    rows = 2 * change.sizes["time"]  # room for what would come round to the start
    kernel = np.fft.rfft(np.exp(-np.arange(40) / 10), n=rows)[:, np.newaxis]
    convolved = np.fft.irfft(np.fft.rfft(change.values, n=rows, axis=0) * kernel, n=rows, axis=0)
    return {"trend": change.copy(data=convolved[: rows // 2])}


def predict(data):
    trend = data.sel(field="trend", drop=True).isel(time=-1, drop=True)
    return (trend > 0.01) / trend.size


strategy = qlstm.Strategy(features=features, predict=predict, lookback_period=60)
