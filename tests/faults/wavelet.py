"""Fault: features are denoised over the whole series."""

import numpy as np

import qlstm


def features(cube):
    close = cube.sel(field="close", drop=True)
    waves = np.fft.rfft(close.values, axis=0)
    waves[len(waves) // 4 :] = 0
    smooth = close.copy(data=np.fft.irfft(waves, n=close.sizes["time"], axis=0))
    return {"trend": smooth / smooth.shift(time=5) - 1}


def predict(data, state):
    trend = data.sel(field="trend", drop=True)
    above = (trend > 0).astype(float)
    seen = [*(state or []), float(above.isel(time=-1).sum())][-5:]
    return above / above.sum("asset").clip(min=1.0), seen


strategy = qlstm.Strategy(
    features=features, predict=predict, lookback_period=60, retrain_interval=60, predict_each_day=False
)
