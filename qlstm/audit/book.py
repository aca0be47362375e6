"""What a book rests on: the prices it earned from, a single trade or asset, the model's scores or 1/N."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from .. import ledger
from ..data import quality
from ..dates import day
from ..stats import calc_avg_points_per_year
from .findings import Finding, change
from .subject import Subject

__all__ = ["concentration", "near_equal_weights", "prices", "profit_from_faults", "restated"]

_FAMILY = "data"
_IMPOSSIBLE = 0.6  # a change of more in a day is a wrong price more often than news
_HEAVY, _TOO_HEAVY = 0.2, 0.5  # share of all gains that one trade or asset has
_FEWEST = 5  # assets, or trades, that gained: among fewer, one always has much
_NEAR_EQUAL = 0.2  # mean distance of a weight from 1/N, as a share of it
_EXACT = 1e-9
_NAMED = 3


def prices(subject: Subject) -> list[Finding]:
    """Look through the prices of the days that the strategy saw."""
    seen = subject.cube.sel(time=slice(None, subject.days[-1]))
    found = quality.examine(seen)
    findings = []
    for kind in ("frozen", "jump", "split"):
        some = found.of(kind)
        if some:
            first = some[0]
            named = "; ".join(map(str, some[:_NAMED])) + (
                f"; and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
            )
            findings.append(
                Finding.at(
                    "prices",
                    _FAMILY,
                    "warning",
                    "data",
                    f"{len(some)} {_KINDS[kind]}: {named}",
                    date=first.start,
                    asset=first.asset,
                    value=f"{first.value:.6g}",
                    fix=_FIXES[kind],
                )
            )
    return findings


_KINDS = {
    "frozen": "runs of at least 10 equal closes",
    "jump": "changes beyond 60 % or 15 median deviations",
    "split": "changes that look like splits",
}
_FIXES = {
    "frozen": "leave the asset out where it does not trade: is_liquid 0, or NaN prices",
    "jump": "compare with another source; set the row to NaN if it is wrong",
    "split": "adjust the prices before, or take adjusted ones",
}


def profit_from_faults(subject: Subject) -> list[Finding]:
    """Find trades across a price that cannot be right, whose gain carries the result."""
    trades = _ledger(subject).trades
    gains = float(trades["contribution"].clip(lower=0.0).sum())
    suspects = quality.examine(subject.traded).of("jump", "split")
    found = []
    for one in suspects:
        move = one.value if one.kind == "jump" else 1.0 / one.value - 1.0
        held = trades[(trades["asset"] == one.asset) & (trades["entry"] < one.start) & (trades["exit"] >= one.start)]
        for _, trade in held.iterrows():
            brought = (1.0 if trade["side"] == "long" else -1.0) * move * trade["size"]
            if gains > 0 and min(brought, trade["contribution"]) > _HEAVY * gains:
                impossible = one.kind == "split" or abs(move) > _IMPOSSIBLE
                found.append(_faulty(one, trade, gains, "fail" if impossible else "warning"))
    return found


def _faulty(one: quality.Suspect, trade: pd.Series, gains: float, severity: str) -> Finding:
    return Finding.at(
        "profit-from-faults",
        _FAMILY,
        severity,
        "weights",
        f"a {trade['side']} trade of {100 * trade['return']:+.0f} % has {trade['contribution'] / gains:.0%} of the gain"
        f", and holds the {one.kind} of {day(one.start)}",
        date=one.start,
        asset=one.asset,
        value=f"{one.value:.6g}",
        fix="mend that price, and look at the rest again",
    )


def _ledger(subject: Subject) -> ledger.Ledger:
    rules, data = subject.strategy.rules, subject.traded
    points = calc_avg_points_per_year(data, rules)
    return ledger.of_weights(subject.decided.weights, data, rules.slippage, points_per_year=points)


def concentration(subject: Subject) -> list[Finding]:
    """Leave out the best asset, and the best trade: what is left should still be a result."""
    book = _ledger(subject)
    if not len(book.trades):
        return []
    assets = book.concentration()["contribution"]
    trades = book.trades["contribution"]
    found = []
    for what, gains in (("asset", assets), ("trade", trades)):
        one = _heaviest(what, gains, book)
        if one is not None:
            found.append(one)
    return found


def _heaviest(what: str, gains: pd.Series, book: ledger.Ledger) -> Finding | None:
    won = gains[gains > 0]
    if len(won) < _FEWEST or won.max() <= _HEAVY * won.sum():
        return None
    share, rest = won.max() / won.sum(), gains.sum() - won.max()
    best = won.index[int(won.to_numpy().argmax())]
    its = book.trades[book.trades["asset"] == best] if what == "asset" else book.trades.loc[[best]]
    asset, entry = its["asset"].iloc[0], its["entry"].min()
    turns = gains.sum() > 0 >= rest
    return Finding.at(
        "concentration",
        _FAMILY,
        "fail" if share > _TOO_HEAVY and turns else "warning",
        "weights",
        f"the best {what} has {share:.0%} of all gains; without it {100 * rest:+.2f} % of the capital is left of "
        f"{100 * gains.sum():+.2f} %",
        date=day(entry),
        asset=asset,
        value=f"{100 * won.max():.2f} %",
        fix=f"judge the strategy without that {what}, and over more of them",
    )


def near_equal_weights(subject: Subject) -> list[Finding]:
    """Tell when a trained model's weights are almost 1/N: then its scores hardly matter."""
    if subject.strategy.train is None:
        return []
    book = subject.decided.weights.transpose("time", "asset")
    gross = abs(book)
    held = gross > 0
    count = held.sum("asset")
    days = (count > 1).values
    if not days.any():
        return []
    relative = abs(gross * count / gross.sum("asset").where(days) - 1).where(held).isel(time=days)
    distance = float(relative.mean())
    if not _EXACT < distance < _NEAR_EQUAL:
        return []
    first = relative.isel(time=0)
    return [
        Finding.at(
            "near-equal-weights",
            _FAMILY,
            "warning",
            "weights",
            f"weights differ from 1/N by {distance:.1%} of it in the mean: the model's scores hardly matter",
            date=relative["time"].values[0],
            asset=first["asset"].values[int(first.fillna(-1.0).values.argmax())],
            value=f"{float(first.max()):.1%} off",
            fix="compare with 1/N of the same assets; rank or centre the scores",
        )
    ]


def restated(subject: Subject) -> list[Finding]:
    """Hold the data against what was downloaded earlier: no day of then may be another, or new, or gone."""
    earlier = subject.earlier
    if earlier is None:
        return []
    then = subject.cube.sel(time=slice(*earlier["time"].values[[0, -1]]))
    fields = [field for field in earlier["field"].values if field in then["field"].values]
    one, other = xr.align(earlier.sel(field=fields), then.sel(field=fields), join="outer")
    one, other = (cube.transpose("time", "asset", "field") for cube in (one, other))
    same = np.isclose(one.values, other.values, rtol=1e-6, atol=0.0, equal_nan=True)
    if same.all():
        return []
    t, a, f = np.argwhere(~same)[0]
    days = int((~same).any(axis=(1, 2)).sum())
    return [
        Finding.at(
            "restated",
            _FAMILY,
            "fail",
            "data",
            f"{days} days were changed after {day(earlier['time'].values[-1])}, first {one['field'].values[f]}: a "
            "backtest knows these numbers before they were published",
            date=one["time"].values[t],
            asset=one["asset"].values[a],
            value=change(one.values[t, a, f], other.values[t, a, f]),
            fix="keep each day's download, or take point-in-time data",
        )
    ]
