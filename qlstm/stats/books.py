"""The contest's books: what a portfolio is worth each night, from weights decided the evening before.

One day of the global book. Weights wanted at the open are drifted from yesterday's close to today's open. An asset is
*locked* while its open, close or slippage is missing, or its open is next to nothing. The capital that is not locked
is shared among the unlocked assets and cash in proportion to the weights wanted; trading costs slippage per share;
dividends are paid in cash, rolls of futures cost their gap. Shares held overnight earn the move from open to close,
and from that close to the next open.

Locked positions are where the two bookings differ. The contest's own ("compat") forgets the shares of a locked asset,
while equity still carries them at their last open: what the last day earned is taken back a day later. "hold" values
them at the last close and keeps them until a price returns; after `GONE_AFTER` rows without one the asset counts as
gone and its last close is booked as cash. (A count of rows decides that, and not the end of the data, so that later
data never change a past return.)
"""

from __future__ import annotations

import numpy as np

from .._jit import kernel

__all__ = ["GONE_AFTER", "asset_books", "global_book"]

GONE_AFTER = 21
"""Rows without a price, a month of trading days, after which "hold" books an asset's last close as cash."""

_NO_PRICE = 1e-7
_NO_BUYING_POWER = 1e-7


@kernel
def _rolled(before: float, after: float, roll: float, slippage: float) -> float:
    """Return what a roll costs the shares that are held through it: the gap, and slippage where there is one."""
    if roll != roll or roll == 0.0 or before * after <= 0.0:
        return 0.0
    kept = min(abs(before), abs(after))
    cost = kept * slippage if slippage == slippage else 0.0
    return cost + (kept * roll if after > 0.0 else -kept * roll)


@kernel
def _want(decided: np.ndarray, open_: np.ndarray, closed: np.ndarray, wanted: np.ndarray) -> None:
    """Write the weights wanted at the open: those decided, drifted with the night's move, at most the whole capital."""
    gross = 0.0
    for a in range(wanted.size):
        w = decided[a] * open_[a] / closed[a]  # without a close before it (0) nothing can be wanted yet
        wanted[a] = w if np.isfinite(w) else 0.0
        gross += abs(wanted[a])
    if gross > 1.0:
        for a in range(wanted.size):
            wanted[a] /= gross


@kernel
def _value(
    open_: np.ndarray, opened: np.ndarray, closed: np.ndarray, shares: np.ndarray, dividends: np.ndarray, hold: bool
) -> float:
    """Return what the shares gained since the open before, dividends included, and move `opened` to this open."""
    gain = 0.0
    for a in range(shares.size):
        o = open_[a]
        if o != o:
            o = closed[a] if hold else opened[a]
        gain += (o - opened[a]) * shares[a]
        opened[a] = o
    for a in range(dividends.size):
        gain += dividends[a] * shares[a] if dividends[a] == dividends[a] else 0.0
    return gain


@kernel
def _buying_power(
    equity: float, opened: np.ndarray, unlocked: np.ndarray, shares: np.ndarray, wanted: np.ndarray, hold: bool
) -> float:
    """Return the capital bought per unit of weight wanted: what is not locked, over the weights that share it; or NaN.

    Cash is what the weights wanted leave of the capital, and takes its part.
    """
    total, tradable, locked = 0.0, 0.0, 0.0
    for a in range(shares.size):
        total += abs(wanted[a])
        if unlocked[a]:
            tradable += abs(wanted[a])
        else:
            locked += opened[a] * abs(shares[a])
    power = equity - locked
    share = tradable + max(1.0, total) - total
    if share < _NO_BUYING_POWER:
        return np.nan
    return max(power, 0.0) / share if hold else power / share


@kernel
def global_book(
    open_: np.ndarray,
    close: np.ndarray,
    divs: np.ndarray,
    roll: np.ndarray,
    weights: np.ndarray,
    at: np.ndarray,
    slippage: np.ndarray,
    roll_slippage: np.ndarray,
    hold: bool,
    night: np.ndarray,
) -> None:
    """Write into `night` (time,) the equity after each close, starting from a capital of 1.

    All matrices have shape (time, asset), but for the normalised `weights` (decision, asset), of which row ``at[t]`` is
    traded at the open t (none where negative). `divs` and `roll` may have shape (0, 0).
    """
    rows, assets = open_.shape
    idle = np.zeros(assets)
    opened, closed = np.zeros(assets), np.zeros(assets)  # the last prices known, 0 before the first
    shares, wanted = np.zeros(assets), np.zeros(assets)
    unlocked = np.zeros(assets, dtype=np.bool_)
    absent = np.zeros(assets, dtype=np.int64)
    equity = 1.0  # valued at the open, after trading
    for t in range(rows):
        _want(weights[at[t]] if at[t] >= 0 else idle, open_[t], closed, wanted)
        for a in range(assets):
            priced = np.isfinite(open_[t, a]) and np.isfinite(close[t, a])
            unlocked[a] = priced and open_[t, a] > _NO_PRICE and np.isfinite(slippage[t, a])
            absent[a] = 0 if priced else absent[a] + 1
        equity += _value(open_[t], opened, closed, shares, divs[t] if divs.shape[0] > 0 else idle[:0], hold)
        power = _buying_power(equity, opened, unlocked, shares, wanted, hold)
        cost, worth = 0.0, 0.0
        for a in range(assets):
            before = after = shares[a]
            if unlocked[a] and power == power:
                after = power * wanted[a] / opened[a]
                cost += slippage[t, a] * abs(after - before)
            if roll.shape[0] > 0 and t > 0:
                cost += _rolled(before, after, roll[t, a], roll_slippage[t, a])
            if close[t, a] == close[t, a]:
                closed[a] = close[t, a]
            gain = (closed[a] - opened[a]) * after
            worth += gain
            if not (unlocked[a] or hold):
                after = 0.0
            elif absent[a] >= GONE_AFTER:
                equity += gain
                worth -= gain
                after = 0.0
            shares[a] = after
        equity -= cost
        night[t] = equity + worth


@kernel
def asset_books(
    open_: np.ndarray,
    close: np.ndarray,
    divs: np.ndarray,
    roll: np.ndarray,
    weights: np.ndarray,
    at: np.ndarray,
    slippage: np.ndarray,
    roll_slippage: np.ndarray,
    night: np.ndarray,
) -> None:
    """Write into `night` (time, asset) the equity of one book per asset, each with a capital of 1.

    Arguments as for `global_book`. A locked day freezes shares and equity, so nothing is forgotten here.
    """
    rows, assets = open_.shape
    has_divs, has_roll = divs.shape[0] > 0, roll.shape[0] > 0
    for a in range(assets):
        opened, closed, shares = 0.0, 0.0, 0.0
        equity, worth = 1.0, 1.0
        for t in range(rows):
            o, c, slip = open_[t, a], close[t, a], slippage[t, a]
            wanted = weights[at[t], a] * o / closed if at[t] >= 0 else 0.0
            wanted = min(1.0, max(-1.0, wanted)) if np.isfinite(wanted) else 0.0
            before = opened
            opened = o if o == o else opened
            closed = c if c == c else closed
            if np.isfinite(o) and np.isfinite(c) and np.isfinite(slip) and o > _NO_PRICE:
                gain = opened - before
                if has_divs and divs[t, a] == divs[t, a]:
                    gain += divs[t, a]
                equity += gain * shares
                after = equity * wanted / opened
                equity -= slip * abs(after - shares)
                if has_roll and t > 0:
                    equity -= _rolled(shares, after, roll[t, a], roll_slippage[t, a])
                shares = after
                worth = equity + (closed - opened) * shares
            night[t, a] = worth
