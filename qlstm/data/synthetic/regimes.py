"""P4: an index whose drift has two hidden states, and sectors, bonds and inverse bonds that load on it."""

from __future__ import annotations

import numpy as np

from .plan import Made, Plan, labels
from .planting import BAR, EXECUTED, NIGHT, Legs, bars
from .truth import drift_ceiling

__all__ = ["STAY", "filtered_state", "regimes"]

STAY = 0.98
"""Probability that a state is that of the day before."""
_DRIFT = 0.0015
_LOADINGS = {"INDEX": 1.0, "INVERSE": 0.5, "LONG": -0.5, "SECTOR": 1.0}
_BONDS = 5  # one asset in so many is a long bond, and one an inverse bond
_OWN = 0.5  # noise of all but the index, as a share of the index's


def regimes(plan: Plan) -> Made:
    """P4: a hidden state, +1 or -1, adds 15 bp times itself to the index's executed return.

    Other assets earn their loading of the index's return, and noise of their own. The signal is what the best filter of
    the index's past expects; the ceiling is that of the index for one who sees the state.
    """
    assets, groups, loading = _assets(plan.n_assets)
    state = _chain(plan)
    drift = _DRIFT * np.concatenate([[0.0], state[:-1]])
    index = {
        "night": NIGHT * plan.rng("night").standard_normal(plan.n_days),
        "bar": BAR * plan.rng("bar").standard_normal(plan.n_days) + drift,
    }
    own = np.where(assets == "INDEX", 0.0, _OWN)
    rng = plan.rng("extra")
    legs, deviations = [], []
    for part, sd in (("night", NIGHT), ("bar", BAR)):
        deviation = sd * np.hypot(loading, own)
        noise = sd * own * rng.standard_normal((plan.n_days, plan.n_assets))
        legs.append(index[part][:, np.newaxis] * loading + noise - deviation**2 / 2.0)
        deviations.append(deviation)
    filtered = filtered_state(index["night"] + index["bar"])
    return Made(
        bars(plan, Legs(legs[0], legs[1], deviations[1])),
        plan.daily(),
        assets,
        signal=_DRIFT * filtered[:, np.newaxis] * loading,
        strength=_DRIFT,
        unit="return a day",
        ceiling=drift_ceiling(_DRIFT / EXECUTED),
        facts={"state": state, "filtered_state": filtered, "stay": STAY, "loadings": dict(_LOADINGS)},
        groups=groups,
    )


def filtered_state(moves: np.ndarray) -> np.ndarray:
    """Return the expected state given all moves so far: Hamilton's filter (1989) with the true parameters.

    Parameters
    ----------
    moves : np.ndarray
        Log returns of the index from close to close, centred, shape (time,).

    Returns
    -------
    np.ndarray
        Shape (time,), from -1 to 1; the state at t is that which drives the move at t+1.
    """
    # For two normals of one variance the log odds gain 2 · drift · move / variance.
    evidence = 2.0 * _DRIFT * moves / EXECUTED**2
    expected, before = np.empty(len(moves)), 0.0
    for t, gain in enumerate(evidence):
        after = np.tanh(np.arctanh(before) + gain / 2.0)
        before = expected[t] = (2.0 * STAY - 1.0) * after
    return expected


def _chain(plan: Plan) -> np.ndarray:
    """Return the hidden states, +1 or -1, shape (time,)."""
    rng = plan.rng("signal")
    changes = rng.random(plan.n_days) > STAY
    start = rng.choice([-1.0, 1.0])
    return start * np.where(np.cumsum(changes) % 2 == 0, 1.0, -1.0)


def _assets(n_assets: int) -> tuple[np.ndarray, dict[str, str], np.ndarray]:
    """Return names, groups and loadings."""
    bonds = max(1, (n_assets - 1) // _BONDS)
    counts = {"INVERSE": bonds, "LONG": bonds, "SECTOR": n_assets - 1 - 2 * bonds}
    names = {"INDEX": "INDEX"} | {str(a): group for group, n in counts.items() for a in labels(group, n)}
    loading = np.array([_LOADINGS[group] for group in names.values()])
    groups = {asset: group.lower() for asset, group in names.items()}
    return np.array(list(names)), groups, loading
