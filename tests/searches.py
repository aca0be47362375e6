"""What tests of the optimizer share: a small market, an idea to search over, and what a search found."""

import json

from toys import market

import qlstm

CUBE = market(days=150, assets=3)
DAYS = CUBE.time.values
PERIOD = {"start_date": DAYS[50], "end_date": DAYS[110], "progress": False}
IDEA = """
import numpy as np
import qlstm

LENGTH = 5
SIDE = 1.0
NOISE, PAUSE = 0.0, 0


def predict(data):
    if PAUSE:
        import time
        time.sleep(PAUSE)
    close = data.sel(field="close", drop=True)
    change = close.isel(time=-1, drop=True) / close.isel(time=-1 - LENGTH, drop=True) - 1
    return SIDE * (change > 0).astype(float) / 3 + NOISE * np.random.random(3)


strategy = qlstm.Strategy(predict=predict, lookback_period=40)
"""


def write(folder):
    path = folder / "idea.py"
    path.write_text(IDEA)
    return path


def make(length, side=1.0):
    def predict(data):
        close = data.sel(field="close", drop=True)
        return side * (close.isel(time=-1, drop=True) > close.isel(time=-1 - length, drop=True)).astype(float) / 3

    return qlstm.Strategy(predict=predict, lookback_period=40)


def outcome(found):
    """Return all that a search found but for clock times; NaN compares equal as text."""
    return [(t.arguments, {k: repr(v) for k, v in t.figures.items()}, t.error, t.seed) for t in found.trials]


def lines(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "at")} for row in rows]
