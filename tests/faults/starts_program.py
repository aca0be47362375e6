"""Fault: predict has another program read the prices, and so tomorrow's."""

import subprocess
import sys

import qlstm


def predict(data):
    text = subprocess.check_output([sys.executable, "-S", "-c", "print(0.5)"], text=True)
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() * float(text) / close.size


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
