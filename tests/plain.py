"""Every indicator of qlstm.ta once more, as plainly as Python allows: one series, lists, loops, no cleverness.

Each function takes 1-D sequences, in which NaN means not observed, and returns a list (or a tuple of lists).
"""

import functools
import math

NAN = math.nan

# What to call each indicator with: its inputs (open, high, low, close, volume, d = another close) and its arguments.
# Windows are short, so that short series fill them.
CASES = {
    "atr": ("hlc", (3,)),
    "beta": ("cd", (5,)),
    "bollinger": ("c", (4, 2.0)),
    "bottom_pivot_points": ("l", (2,)),
    "candle_change": ("c", (2,)),
    "candle_range": ("hlc", (3,)),
    "cci": ("hlc", (5,)),
    "chaikin_adl": ("hlcv", ()),
    "chaikin_osc": ("v", (2, 5)),
    "change": ("c", (2,)),
    "correlation": ("cd", (5,)),
    "covariance": ("cd", (4,)),
    "dema": ("c", (3,)),
    "dms": ("hlc", (3, 4, 2)),
    "ema": ("c", (4,)),
    "lwma": ("c", (4,)),
    "ma_distance": ("c", (4,)),
    "macd": ("c", (2, 4, 3)),
    "mtm": ("c", (3,)),
    "obv": ("cv", ()),
    "pivot_points": ("c", (2, 1)),
    "realized_volatility": ("c", (4, 252)),
    "roc": ("c", (2,)),
    "rolling_rank": ("c", (4,)),
    "rolling_zscore": ("c", (4,)),
    "rsi": ("c", (4,)),
    "shift": ("c", (2,)),
    "slow_stochastic": ("hlc", (4, 2, 3)),
    "sma": ("c", (4,)),
    "smi": ("hlc", (4, 2, 3)),
    "sroc": ("c", (3, 2)),
    "std": ("c", (4,)),
    "stochastic": ("hlc", (4, 2)),
    "stochastic_k": ("hlc", (4,)),
    "tema": ("c", (2,)),
    "top_pivot_points": ("h", (2,)),
    "tr": ("hlc", ()),
    "trix": ("c", (2,)),
    "variance": ("c", (4,)),
    "vwma": ("cv", (4,)),
    "wilder_ma": ("c", (4,)),
    "wma": ("c", ((0.5, 0.3, 0.1),)),
    "wvad": ("ohlcv", (4,)),
}


def observed(function):
    """Let a function of complete lists work on lists with NaN: cut them out (in all inputs), put the results back."""

    @functools.wraps(function)
    def wrapper(*arguments):
        series = [argument for argument in arguments if isinstance(argument, list)]
        rest = [argument for argument in arguments if not isinstance(argument, list)]
        where = [t for t in range(len(series[0])) if not any(math.isnan(one[t]) for one in series)]
        values = function(*[[one[t] for t in where] for one in series], *rest)
        result = [NAN] * len(series[0])
        for t, value in zip(where, values, strict=True):
            result[t] = value
        return result

    return wrapper


def each(function, *series):
    """Apply a function of numbers at every time."""
    return [function(*values) for values in zip(*series, strict=True)]


def divide(a, b):
    if b == 0:
        return NAN if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def windows(x, p):
    return [x[t - p + 1 : t + 1] if t >= p - 1 else None for t in range(len(x))]


def over_windows(x, p, function):
    return [NAN if window is None else function(window) for window in windows(x, p)]


def mean(values):
    return math.fsum(values) / len(values)


def spread(window):
    """Population variance; a constant window has none, whatever rounding makes of its mean."""
    if min(window) == max(window):
        return 0.0
    middle = mean(window)
    return mean([(value - middle) ** 2 for value in window])


# --- averages -------------------------------------------------------------------------------------------------------


@observed
def sma(x, p):
    return over_windows(x, p, mean)


@observed
def lwma(x, p):
    return over_windows(x, p, lambda w: math.fsum((i + 1) * v for i, v in enumerate(w)) / (p * (p + 1) / 2))


@observed
def wma(x, weights):
    newest_first = list(weights)
    return over_windows(
        x,
        len(newest_first),
        lambda w: math.fsum(a * b for a, b in zip(newest_first, w[::-1], strict=True)) / sum(newest_first),
    )


@observed
def vwma(x, v, p):
    result = []
    for a, b in zip(windows(x, p), windows(v, p), strict=True):
        result.append(NAN if a is None else divide(math.fsum(i * j for i, j in zip(a, b, strict=True)), math.fsum(b)))
    return result


@observed
def ema(x, p, warm=None):
    warm = warm or p
    result = [NAN] * len(x)
    for t in range(warm - 1, len(x)):
        result[t] = mean(x[:warm]) if t == warm - 1 else result[t - 1] + (x[t] - result[t - 1]) * 2 / (p + 1)
    return result


def wilder_ma(x, p, warm=None):
    return ema(x, 2 * p - 1, warm or p)


def dema(x, p, warm=None):
    return ema(ema(x, p, warm), p, warm)


def tema(x, p, warm=None):
    return ema(dema(x, p, warm), p, warm)


# --- changes --------------------------------------------------------------------------------------------------------


@observed
def shift(x, p):
    return [x[t - p] if 0 <= t - p < len(x) else NAN for t in range(len(x))]


def change(x, p=1):
    return each(lambda a, b: a - b, x, shift(x, p))


mtm = change


def roc(x, p):
    return each(lambda a, b: 100 * (divide(a, b) - 1), x, shift(x, p))


# --- ranges ---------------------------------------------------------------------------------------------------------


def tr(h, l, c):
    def one(high, low, before):
        return NAN if math.isnan(high + low + before) else max(high, before) - min(low, before)

    return each(one, h, l, shift(c, 1))


def atr(h, l, c, p):
    return wilder_ma(tr(h, l, c), p)


def dms(h, l, c, di, adx_periods, lag):
    up, down = change(h), each(lambda v: -v, change(l))

    def dominant(move, other):
        return move if math.isnan(move) or (move > other and move > 0) else 0.0

    smooth = atr(h, l, c, di)
    plus = each(lambda m, r: 100 * divide(m, r), wilder_ma(each(dominant, up, down), di), smooth)
    minus = each(lambda m, r: 100 * divide(m, r), wilder_ma(each(dominant, down, up), di), smooth)
    adx = wilder_ma(each(lambda a, b: divide(100 * abs(a - b), a + b), plus, minus), adx_periods)
    return plus, minus, adx, each(lambda a, b: (a + b) / 2, adx, shift(adx, lag))


# --- oscillators ----------------------------------------------------------------------------------------------------


@observed
def stochastic_k(h, l, c, p):
    result = []
    for high, low, close in zip(windows(h, p), windows(l, p), c, strict=True):
        width = NAN if high is None else max(high) - min(low)
        result.append(100 * (close - min(low)) / width if width > 0 else NAN)
    return result


def stochastic(h, l, c, p, d):
    k = stochastic_k(h, l, c, p)
    return k, sma(k, d)


def slow_stochastic(h, l, c, p, k, d):
    slow = sma(stochastic_k(h, l, c, p), k)
    return slow, sma(slow, d)


def rsi(x, p):
    step = change(x)
    gains = wilder_ma(each(lambda v: v if math.isnan(v) else max(v, 0.0), step), p)
    losses = wilder_ma(each(lambda v: v if math.isnan(v) else max(-v, 0.0), step), p)
    return each(lambda up, down: 100 * (1 - 1 / (1 + divide(up, down))), gains, losses)


def macd(x, fast, slow, signal):
    line = each(lambda a, b: a - b, ema(x, fast), ema(x, slow))
    smooth = ema(line, signal)
    return line, smooth, each(lambda a, b: a - b, line, smooth)


def trix(x, p):
    return roc(tema(x, p), 1)


def sroc(x, p, n):
    return roc(ema(x, p), n)


def cci(h, l, c, p):
    def one(w):
        middle = mean(w)
        return divide(w[-1] - middle, 0.015 * mean([abs(v - middle) for v in w])) if min(w) < max(w) else NAN

    return observed(over_windows)(each(lambda a, b, d: (a + b + d) / 3, h, l, c), p, one)


def channel(h, l, c, p):
    """Highest high and lowest low over p times at which all three are observed."""
    highest = observed(lambda high, low, close: over_windows(high, p, max))(h, l, c)
    lowest = observed(lambda high, low, close: over_windows(low, p, min))(h, l, c)
    return highest, lowest


def smi(h, l, c, p, first, second):
    highest, lowest = channel(h, l, c, p)
    distance = each(lambda close, a, b: close - (a + b) / 2, c, highest, lowest)
    half = each(lambda a, b: (a - b) / 2, highest, lowest)
    return each(lambda a, b: divide(100 * a, b), ema(ema(distance, first), second), ema(ema(half, first), second))


# --- volumes --------------------------------------------------------------------------------------------------------


@observed
def running_total(x):
    return [math.fsum(x[: t + 1]) for t in range(len(x))]


def obv(c, v):
    return running_total(each(lambda step, volume: ((step > 0) - (step < 0)) * volume + 0 * step, change(c), v))


def chaikin_adl(h, l, c, v):
    return running_total(each(lambda a, b, d, e: divide(((d - b) - (a - d)) * e, a - b) if a != b else NAN, h, l, c, v))


def chaikin_osc(x, fast, slow):
    return each(lambda a, b: a - b, ema(x, fast), ema(x, slow))


def wvad(o, h, l, c, v, p):
    daily = each(lambda a, b, d, e, f: f * (e - a) / (b - d) if b != d else NAN, o, h, l, c, v)
    return observed(over_windows)(daily, p, math.fsum)


# --- pivots, moments, positions, candles ----------------------------------------------------------------------------


@observed
def top_pivot_points(x, p):
    def one(w):
        return float(all(w[p] > value for i, value in enumerate(w) if i != p))

    return over_windows(x, 2 * p + 1, one)


def bottom_pivot_points(x, p):
    return top_pivot_points(each(lambda v: -v, x), p)


def pivot_points(x, top, bottom):
    return each(lambda a, b: a - b, top_pivot_points(x, top), bottom_pivot_points(x, bottom))


@observed
def variance(x, p, late=1):
    return [NAN if t < p - 1 + late else spread(window) for t, window in enumerate(windows(x, p))]


def std(x, p, late=1):
    return each(math.sqrt, variance(x, p, late))


@observed
def covariance(x, y, p, late=1):
    result = []
    for t, (a, b) in enumerate(zip(windows(x, p), windows(y, p), strict=True)):
        if t < p - 1 + late:
            result.append(NAN)
        elif min(a) == max(a) or min(b) == max(b):
            result.append(0.0)
        else:
            result.append(mean([(i - mean(a)) * (j - mean(b)) for i, j in zip(a, b, strict=True)]))
    return result


def returns(x):
    return each(lambda v: v / 100, roc(x, 1))


def beta(x, y, p):
    return each(divide, covariance(returns(x), returns(y), p), variance(returns(y), p))


def correlation(x, y, p):
    both = each(lambda a, b: a * b, std(returns(x), p), std(returns(y), p))
    return each(divide, covariance(returns(x), returns(y), p), both)


def realized_volatility(x, p, per_year):
    squares = each(lambda a, b: math.log(a / b) ** 2, x, shift(x, 1))
    return each(lambda v: math.sqrt(per_year * v), sma(squares, p))


def bollinger(x, p, width):
    middle, deviation = sma(x, p), std(x, p, 0)
    upper = each(lambda m, s: m + width * s, middle, deviation)
    return upper, middle, each(lambda m, s: m - width * s, middle, deviation)


def ma_distance(x, p):
    return each(lambda a, b: divide(a, b) - 1, x, sma(x, p))


@observed
def rolling_rank(x, p):
    def one(w):
        below = sum(value < w[-1] for value in w[:-1])
        equal = sum(value == w[-1] for value in w[:-1])
        return (below + equal / 2) / (p - 1)

    return over_windows(x, p, one)


def rolling_zscore(x, p):
    return each(lambda v, m, s: divide(v - m, s) if s else NAN, x, sma(x, p), std(x, p, 0))


def candle_change(c, p):
    return each(divide, change(c, p), c)


def candle_range(h, l, c, p):
    highest, lowest = channel(h, l, c, p)
    return each(lambda a, b, close: divide(a - b, close), highest, lowest, c)
