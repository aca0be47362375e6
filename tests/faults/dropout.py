"""A warning: dropout is left on, and drops other inputs each day."""

import torch

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True)
    change = torch.tensor((close.isel(time=-1) / close.isel(time=-2)).values)
    score = close.isel(time=-1, drop=True).copy(data=torch.nn.Dropout(0.5)(change).numpy())
    return score / max(1.0, float(score.sum()))


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
