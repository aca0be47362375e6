"""Fault: predict sums in as many parts as there are threads, and rounding does the rest."""

import numpy as np
import torch

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).ffill("time")
    parts = np.array_split(close.values.astype(np.float32), torch.get_num_threads())
    total = sum(part.sum(axis=0, dtype=np.float32) for part in parts)
    score = close.isel(time=-1, drop=True) / total
    return score / score.sum()


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
