"""The figures at the top: what was earned, how sure that is, and what luck or no skill would have earned."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy.stats import norm

from .. import significance, stats
from ..dates import day
from ..errors import DataError, OutputError, QlstmError
from ..multipass import Result
from ..significance import Deflated, Interval, TrackRecord
from .parts import Card, number, percent
from .study import Study

__all__ = ["cards", "interval", "summary", "verdicts"]

_LEVEL = 0.95
_ROWS = {  # field -> label, scale, unit
    "equity": ("final equity (start = 1)", 1.0, ""),
    "mean_return": ("mean return", 100.0, " % a year"),
    "volatility": ("volatility", 100.0, " % a year"),
    "sharpe_ratio": ("Sharpe ratio", 1.0, ""),
    "max_drawdown": ("largest drawdown", 100.0, " %"),
    "avg_turnover": ("turnover", 100.0, " % a day"),
    "avg_holding_time": ("holding time", 1.0, " days"),
    "bias": ("bias on the last day (long − short)", 1.0, ""),
    "instruments": ("assets ever held", 1.0, ""),
}


def summary(result: Result) -> list[tuple[str, str]]:
    """Return what the statistics table shows: label and value with unit, for the whole period.

    Raises
    ------
    OutputError
        When the backtest was run without statistics.
    """
    if result.stats is None:
        raise OutputError("this backtest has no statistics; run it with analyze=True")
    times = result.weights["time"].values
    rows = [
        ("strategy", str(result.strategy.name)),
        ("contest", result.contest.name),
        ("period", f"{day(times[0])} to {day(times[-1])}, {len(times)} days"),
    ]
    last = result.stats.isel(time=-1)
    for field, (label, scale, unit) in _ROWS.items():
        value = float(last.sel(field=field)) * scale
        rows.append((label, f"{value:.0f}{unit}" if field == "instruments" else f"{value:.3f}{unit}"))
    return rows


def interval(returns: xr.DataArray, points: float) -> tuple[Interval, str]:
    """Return a 95 % interval of the Sharpe ratio, and how it was made.

    By the stationary bootstrap; without arch, from the standard error of independent returns (Mertens, 2002).

    Raises
    ------
    DataError
        Fewer than 20 returns, or all the same.
    """
    try:
        found = significance.sharpe_interval(returns.values, points, _LEVEL)
        return found, f"stationary bootstrap, blocks of {found.block:.1f} rows"
    except DataError:
        raise
    except QlstmError:
        record, year = TrackRecord.of(returns.values), math.sqrt(points)
        reach = float(norm.ppf(0.5 + _LEVEL / 2)) * record.spread / math.sqrt(record.rows - 1)
        low, high = (year * (record.sharpe + side * reach) for side in (-1, 1))
        found = Interval(year * record.sharpe, low, high, _LEVEL, block=1)
        return found, "normal approximation for independent returns; pip install 'qlstm[stats]' for the bootstrap"


def cards(study: Study) -> list[Card]:
    """Return the headline figures."""
    last = study.result.stats.isel(time=-1)  # type: ignore[union-attr]  # a study has statistics

    def value(field: str) -> float:
        return float(last.sel(field=field))

    years = len(study.days) / study.points
    found = [
        Card("Return a year", percent(value("mean_return")), f"{percent(value('equity') - 1, sign=True)} in all"),
        *_sharpe_cards(study, value("sharpe_ratio")),
        Card("Volatility a year", percent(value("volatility")), f"measured over {years:.1f} years"),
        Card("Largest drawdown", percent(value("max_drawdown")), f"{_longest_under_water(study)} rows under water"),
        Card("Turnover a day", percent(value("avg_turnover")), f"held {number(value('avg_holding_time'), 1)} days"),
    ]
    return found + _baseline_cards(study)


def _sharpe_cards(study: Study, sharpe: float) -> list[Card]:
    try:
        found, how = interval(study.returns, study.points)
    except DataError as error:
        return [Card("Sharpe ratio", number(sharpe), f"no interval: {error}")]
    label = f"arithmetic {found.sharpe:.2f}, {100 * found.level:g} %: {found.low:.2f} to {found.high:.2f} ({how})"
    sure = "gain" if found.low > 0 else "loss" if found.high < 0 else "warn"
    return [
        Card("Sharpe ratio", number(sharpe), label, sure),
        _chance_card(study),
    ]


def _chance_card(study: Study) -> Card:
    """Return the chance of a true ratio above 0 for a single trial; for several, above what luck gives their best."""
    alone = percent(significance.probabilistic_sharpe(study.returns.values))
    found = _deflated(study)
    if found is None:
        known = "one trial assumed" if study.earlier is None else f"{study.on_record} trials, all on earlier days"
        return Card("Chance that it is above 0", alone, f"probabilistic Sharpe ratio; {known}")
    detail = f"deflated Sharpe ratio, {found.trials} trials; {alone} above 0 if it were the only one"
    return Card("Chance that it is above luck", percent(found.probability), detail)


def _deflated(study: Study) -> Deflated | None:
    """Return what is left of the ratio after all trials; None where there is no number of them that picked it."""
    if study.trials is None:
        return None
    return significance.deflated_sharpe(study.returns.values, study.trials, study.points)


def _baseline_cards(study: Study) -> list[Card]:
    if study.baselines is None:
        return []
    ahead = study.performance.mean - study.measure(study.baselines[0]).mean
    beaten = sum(study.performance.sharpe > one.sharpe for one in study.luck)
    return [
        Card("Against 1/N", percent(ahead, sign=True), "a year, beside equal shares of the liquid assets"),
        Card("Luck", f"{beaten} of {len(study.luck)}", "random portfolios with a lower Sharpe ratio"),
    ]


def _longest_under_water(study: Study) -> int:
    """Return the longest run of rows below an earlier high."""
    depth = stats.calc_underwater(stats.calc_equity(study.returns)).values
    highs = np.flatnonzero(depth >= 0)
    return int(np.diff(np.append(highs, len(depth))).max()) - 1


def verdicts(study: Study) -> list[str]:
    """Return what the headline figures mean, one sentence each."""
    said = []
    try:
        found, _ = interval(study.returns, study.points)
    except DataError:
        return []
    if found.low <= 0 <= found.high:
        said.append(f"The interval of the Sharpe ratio holds 0: this record cannot be told from luck{_needed(study)}.")
    elif found.low > 0:
        said.append("The interval of the Sharpe ratio lies above 0, for a strategy that was not picked from several.")
    else:
        said.append("The interval of the Sharpe ratio lies below 0: it loses, and not by bad luck.")
    said.append(_tried(study, found))
    if study.baselines is not None:
        said += _against(study)
    return said


def _tried(study: Study, found: Interval) -> str:
    """Say what the number of trials makes of the ratio."""
    if study.earlier is not None:
        return (
            f"Trials on record: {study.on_record}, all on days up to {study.earlier}. This backtest is later, so "
            f"nothing is deflated. A second look at its days counts as a trial."
        )
    deflated = _deflated(study)
    if deflated is None:
        return "Taken as the only version ever tried; give the number of trials, and the ratio is deflated for them."
    return f"Trials made: {deflated.trials}, {deflated.beside(found.sharpe, study.points)}."


def _needed(study: Study) -> str:
    """Say how long a record must be; nothing where none is long enough, or this one has that length already."""
    rows = significance.minimum_track_record(study.returns.values)
    if not len(study.days) < rows < math.inf:
        return ""
    years = math.ceil(rows / study.points)
    return f"; a ratio of this size takes {years} year{'s' * (years != 1)} of data to be 95 % sure of"


def _against(study: Study) -> list[str]:
    assert study.baselines is not None
    equal = study.measure(study.baselines[0])
    ours = study.performance
    better = "higher" if ours.sharpe > equal.sharpe else "no higher"
    return [
        f"Its Sharpe ratio is {better} than that of equal shares of the same assets ({ours.sharpe:.2f} against "
        f"{equal.sharpe:.2f})."
    ]
