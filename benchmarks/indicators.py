"""Time every indicator against every peer that has it: medians, ours and peers taking turns in one run.

    python benchmarks/indicators.py [--only sma,ema] [--sizes 155x12,2520x100] [--seconds 0.2]

Numpy in and out, (asset, time) and contiguous, which suits every peer; pandas and polars get their own frames, made
beforehand; TA-Lib, which takes one series at a time, gets the rows one by one. Missing values are none, because most
peers cannot skip them. A figure behind a peer is its time divided by ours: above 1 it is slower. `turned` is ours on a
DataArray with dims (time, asset); `wrapper` is what a DataArray of the same layout costs on top of numpy, in µs.

Peers that are not installed are left out, with a line: pip install bottleneck numbagg pandas polars TA-Lib
"""

import argparse
import importlib
import os
import platform
import statistics
import time
import warnings
from datetime import date

import numba
import numpy as np
import pandas as pd
import xarray as xr

import qlstm.ta as ta

PEERS = ["bottleneck", "talib", "numbagg", "pandas", "polars"]
SIZES = ["155x12", "155x100", "2520x100", "5040x500"]  # times x assets
P = 20

# What ours is called with (o, h, l, c, v, d: another close), and the same of each peer that has it. `b` is bottleneck,
# `t` TA-Lib on one row, `n` numbagg; `p` and `s` are the frames of pandas and polars (columns are assets).
OURS = {
    "ad_line": lambda c: ta.ad_line(c),
    "ad_ratio": lambda c: ta.ad_ratio(c),
    "atr": lambda h, l, c: ta.atr(h, l, c, 14),
    "beta": lambda c, d: ta.beta(c, d, P),
    "bollinger": lambda c: ta.bollinger(c, P),
    "bottom_pivot_points": lambda l: ta.bottom_pivot_points(l, 5),
    "candle_change": lambda c: ta.candle_change(c, 4),
    "candle_range": lambda h, l, c: ta.candle_range(h, l, c, 4),
    "cci": lambda h, l, c: ta.cci(h, l, c, P),
    "chaikin_adl": lambda h, l, c, v: ta.chaikin_adl(h, l, c, v),
    "chaikin_osc": lambda v: ta.chaikin_osc(v, 3, 10),
    "change": lambda c: ta.change(c, 1),
    "correlation": lambda c, d: ta.correlation(c, d, P),
    "covariance": lambda c, d: ta.covariance(c, d, P),
    "dema": lambda c: ta.dema(c, P, standard=True),
    "dms": lambda h, l, c: ta.dms(h, l, c, 14, 14, 14),
    "ema": lambda c: ta.ema(c, P),
    "lwma": lambda c: ta.lwma(c, P),
    "ma_distance": lambda c: ta.ma_distance(c, P),
    "macd": lambda c: ta.macd(c),
    "mtm": lambda c: ta.mtm(c, 10),
    "obv": lambda c, v: ta.obv(c, v),
    "pivot_points": lambda c: ta.pivot_points(c, 5, 5),
    "realized_volatility": lambda c: ta.realized_volatility(c, P),
    "roc": lambda c: ta.roc(c, 1),
    "rolling_rank": lambda c: ta.rolling_rank(c, P),
    "rolling_zscore": lambda c: ta.rolling_zscore(c, P),
    "rsi": lambda c: ta.rsi(c, 14),
    "shift": lambda c: ta.shift(c, 1),
    "slow_stochastic": lambda h, l, c: ta.slow_stochastic(h, l, c, 5, 3, 3),
    "sma": lambda c: ta.sma(c, P),
    "smi": lambda h, l, c: ta.smi(h, l, c, 10, 3, 3),
    "sroc": lambda c: ta.sroc(c, 13, 21),
    "std": lambda c: ta.std(c, P),
    "stochastic": lambda h, l, c: ta.stochastic(h, l, c, 5, 3),
    "stochastic_k": lambda h, l, c: ta.stochastic_k(h, l, c, 14),
    "tema": lambda c: ta.tema(c, P, standard=True),
    "top_pivot_points": lambda h: ta.top_pivot_points(h, 5),
    "tr": lambda h, l, c: ta.tr(h, l, c),
    "trix": lambda c: ta.trix(c, 18),
    "variance": lambda c: ta.variance(c, P),
    "vwma": lambda c, v: ta.vwma(c, v, P),
    "wilder_ma": lambda c: ta.wilder_ma(c, 14),
    "wma": lambda c: ta.wma(c, np.arange(P, 0.0, -1)),
    "wvad": lambda o, h, l, c, v: ta.wvad(o, h, l, c, v, 24),
}
THEIRS = {
    "bottleneck": {
        "bollinger": lambda b, c: _bands(b.move_mean(c, P), b.move_std(c, P)),
        "candle_range": lambda b, h, l, c: (b.move_max(h, 4) - b.move_min(l, 4)) / c,
        "ma_distance": lambda b, c: c / b.move_mean(c, P) - 1,
        "rolling_rank": lambda b, c: b.move_rank(c, P),
        "rolling_zscore": lambda b, c: (c - b.move_mean(c, P)) / b.move_std(c, P),
        "sma": lambda b, c: b.move_mean(c, P),
        "std": lambda b, c: b.move_std(c, P),
        "stochastic_k": lambda b, h, l, c: _place(c, b.move_min(l, 14), b.move_max(h, 14)),
        "variance": lambda b, c: b.move_var(c, P),
    },
    "talib": {
        "atr": lambda t, h, l, c: t.ATR(h, l, c, 14),
        "beta": lambda t, c, d: t.BETA(d, c, P),
        "bollinger": lambda t, c: t.BBANDS(c, P, 2.0, 2.0),
        "cci": lambda t, h, l, c: t.CCI(h, l, c, P),
        "chaikin_adl": lambda t, h, l, c, v: t.AD(h, l, c, v),
        "change": lambda t, c: t.MOM(c, 1),
        "correlation": lambda t, c, d: t.CORREL(t.ROCP(c, 1), t.ROCP(d, 1), P),
        "dema": lambda t, c: t.DEMA(c, P),
        "dms": lambda t, h, l, c: [f(h, l, c, 14) for f in (t.PLUS_DI, t.MINUS_DI, t.ADX, t.ADXR)],
        "ema": lambda t, c: t.EMA(c, P),
        "lwma": lambda t, c: t.WMA(c, P),
        "macd": lambda t, c: t.MACD(c),
        "mtm": lambda t, c: t.MOM(c, 10),
        "obv": lambda t, c, v: t.OBV(c, v),
        "roc": lambda t, c: t.ROC(c, 1),
        "rsi": lambda t, c: t.RSI(c, 14),
        "slow_stochastic": lambda t, h, l, c: t.STOCH(h, l, c, 5, 3, 0, 3, 0),
        "sma": lambda t, c: t.SMA(c, P),
        "sroc": lambda t, c: t.ROC(t.EMA(c, 13), 21),
        "std": lambda t, c: t.STDDEV(c, P),
        "stochastic": lambda t, h, l, c: t.STOCHF(h, l, c, 5, 3, 0),
        "stochastic_k": lambda t, h, l, c: t.STOCHF(h, l, c, 14, 1, 0),
        "tema": lambda t, c: t.TEMA(c, P),
        "tr": lambda t, h, l, c: t.TRANGE(h, l, c),
        "trix": lambda t, c: t.TRIX(c, 18),
        "variance": lambda t, c: t.VAR(c, P),
    },
    "numbagg": {
        "correlation": lambda n, c, d: n.move_corr(c, d, window=P),
        "covariance": lambda n, c, d: n.move_cov(c, d, window=P),
        "ema": lambda n, c: n.move_exp_nanmean(c, alpha=2 / (P + 1)),
        "sma": lambda n, c: n.move_mean(c, window=P),
        "std": lambda n, c: n.move_std(c, window=P),
        "variance": lambda n, c: n.move_var(c, window=P),
        "wilder_ma": lambda n, c: n.move_exp_nanmean(c, alpha=1 / 14),
    },
    "pandas": {
        "change": lambda p, c: c.diff(1),
        "covariance": lambda p, c, d: c.rolling(P).cov(d, pairwise=False),
        "ema": lambda p, c: c.ewm(span=P, adjust=False).mean(),
        "mtm": lambda p, c: c.diff(10),
        "roc": lambda p, c: c.pct_change(1, fill_method=None),
        "rolling_rank": lambda p, c: c.rolling(P).rank(),
        "shift": lambda p, c: c.shift(1),
        "sma": lambda p, c: c.rolling(P).mean(),
        "std": lambda p, c: c.rolling(P).std(ddof=0),
        "variance": lambda p, c: c.rolling(P).var(ddof=0),
        "wilder_ma": lambda p, c: c.ewm(alpha=1 / 14, adjust=False).mean(),
    },
    "polars": {
        "change": lambda s, c: c.select(s.all().diff(1)),
        "ema": lambda s, c: c.select(s.all().ewm_mean(span=P, adjust=False)),
        "mtm": lambda s, c: c.select(s.all().diff(10)),
        "roc": lambda s, c: c.select(s.all().pct_change(1)),
        "rolling_rank": lambda s, c: c.select(s.all().rolling_rank(P)),
        "shift": lambda s, c: c.select(s.all().shift(1)),
        "sma": lambda s, c: c.select(s.all().rolling_mean(P)),
        "std": lambda s, c: c.select(s.all().rolling_std(P, ddof=0)),
        "variance": lambda s, c: c.select(s.all().rolling_var(P, ddof=0)),
        "wilder_ma": lambda s, c: c.select(s.all().ewm_mean(alpha=1 / 14, adjust=False)),
        "wma": lambda s, c: c.select(s.all().rolling_mean(P, weights=np.arange(1.0, P + 1).tolist())),
    },
}


def _bands(middle, deviation):
    return middle + 2 * deviation, middle, middle - 2 * deviation


def _place(close, low, high):
    return 100 * (close - low) / (high - low)


def market(times, assets):
    """Return random prices and volumes by letter, (asset, time)."""
    rng = np.random.default_rng(0)
    c = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (assets, times)), axis=1))
    o, d = c * np.exp(rng.normal(0, 0.005, c.shape)), c * np.exp(rng.normal(0, 0.02, c.shape))
    h, l = np.maximum(o, c) * 1.002, np.minimum(o, c) * 0.998
    return {"o": o, "h": h, "l": l, "c": c, "v": rng.integers(1, 10_000, c.shape) * 100.0, "d": d}


def letters(function, module=False):
    return function.__code__.co_varnames[int(module) : function.__code__.co_argcount]


def arrays(data, dims):
    """Return DataArrays with dims in the given order, contiguous in it."""
    assets, times = data["c"].shape
    coords = {"asset": [f"A{i:03}" for i in range(assets)], "time": pd.date_range("2000-01-01", periods=times)}
    whole = {key: xr.DataArray(values, dims=("asset", "time"), coords=coords) for key, values in data.items()}
    return {key: array.transpose(*dims).copy() for key, array in whole.items()}


def prepared(data, peers):
    """Return, per peer, the data in the form that it takes."""
    forms = dict.fromkeys(peers, data)
    if "pandas" in peers:
        forms["pandas"] = {key: pd.DataFrame(values.T.copy()) for key, values in data.items()}
    if "polars" in peers:
        polars = peers["polars"]
        forms["polars"] = {key: polars.DataFrame({str(i): row for i, row in enumerate(x)}) for key, x in data.items()}
    return forms


def contenders(name, data, forms, peers, straight, turned):
    """Return a function without arguments per column of the table."""
    function = OURS[name]
    keys = letters(function)
    found = {"ours": lambda: function(*[data[key] for key in keys])}
    found["turned"] = lambda: function(*[turned[key] for key in keys])
    found["wrapped"] = lambda: function(*[straight[key] for key in keys])
    for peer, module in peers.items():
        theirs = THEIRS[peer].get(name)
        if theirs is None:
            continue
        given = [forms[peer][key] for key in letters(theirs, module=True)]
        if peer == "talib":
            found[peer] = lambda f=theirs, m=module, x=given: [f(m, *rows) for rows in zip(*x, strict=True)]
        else:
            found[peer] = lambda f=theirs, m=module, x=given: f(m, *x)
    return found


def medians(functions, seconds):
    """Return the median time of each function in seconds, all taking turns of a millisecond for `seconds` each."""
    turns, repeats = {name: [] for name in functions}, {}
    for name, function in functions.items():
        function()  # compiles
        repeats[name] = max(1, int(1e-3 / timed(function, 2)))
    end = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < end or len(turns["ours"]) < 5:
        for name, function in functions.items():
            turns[name].append(timed(function, repeats[name]))
    return {name: statistics.median(times) for name, times in turns.items()}


def timed(function, times):
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def installed():
    found = {}
    for peer in PEERS:
        try:
            found[peer] = importlib.import_module(peer)
        except ImportError:
            print(f"{peer} is not installed: left out")
    return found


def heading(peers):
    """Return what was measured on which day, where: date, processor, versions."""
    versions = [f"{name} {module.__version__}" for name, module in {"numba": numba, "numpy": np, **peers}.items()]
    return f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n" + (
        ", ".join(versions) + f"; medians; load average {os.getloadavg()[0]:.1f}"
    )


def table(size, names, peers, seconds):
    times, assets = map(int, size.split("x"))
    data = market(times, assets)
    straight, turned = arrays(data, ("asset", "time")), arrays(data, ("time", "asset"))
    forms = prepared(data, peers)
    print(f"\n{times} times × {assets} assets")
    heads = ["ours µs", "ns/value", "turned ns", "wrapper µs", *peers]
    print(f"{'':20}" + "".join(f"{head:>12}" for head in heads))
    for name in names:
        took = medians(contenders(name, data, forms, peers, straight, turned), seconds)
        ours, each = took["ours"], 1e9 / (times * assets)
        cells = [f"{ours * 1e6:.1f}", f"{ours * each:.2f}", f"{took['turned'] * each:.2f}"]
        cells.append(f"{(took['wrapped'] - ours) * 1e6:.0f}")
        cells += [f"x {took[peer] / ours:.2f}" if peer in took else "" for peer in peers]
        print(f"{name:20}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(OURS), help="indicators, separated by commas")
    parser.add_argument("--sizes", default=",".join(SIZES), help="TIMESxASSETS, separated by commas")
    parser.add_argument("--seconds", type=float, default=0.1, help="time for each cell")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # peers warn of divisions by zero and of what they will change
    peers = installed()
    print(heading(peers))
    for size in options.sizes.split(","):
        table(size, options.only.split(","), peers, options.seconds)


if __name__ == "__main__":
    main()
