"""Stateful, machine-learned trading strategies for contests.

A strategy is two pure functions over an asset×time cube, ``train(data)`` and ``predict(models, data, state)``. The same
file runs as a multi-pass backtest and as a daily single pass. Everything here is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._lazy import attribute

if TYPE_CHECKING:
    from . import (
        analysis,
        asof,
        audit,
        baselines,
        contests,
        data,
        exits,
        exposure,
        filter,
        forward_looking,
        garch,
        graph,
        labels,
        ledger,
        metrics,
        neutralization,
        nn,
        optimizer,
        output,
        portfolio,
        report,
        risk,
        scaling,
        schedule,
        significance,
        state,
        stats,
        ta,
        universe,
    )
    from .backtester import Result, backtest, backtest_ml
    from .contests import Contest
    from .runner import RunResult, run
    from .strategy import Memory, Strategy, load_strategy

__version__ = "0.1.0"

__all__ = [
    "Contest",
    "Memory",
    "Result",
    "RunResult",
    "Strategy",
    "__version__",
    "analysis",
    "asof",
    "audit",
    "backtest",
    "backtest_ml",
    "baselines",
    "contests",
    "data",
    "exits",
    "exposure",
    "filter",
    "forward_looking",
    "garch",
    "graph",
    "labels",
    "ledger",
    "load_strategy",
    "metrics",
    "neutralization",
    "nn",
    "optimizer",
    "output",
    "portfolio",
    "report",
    "risk",
    "run",
    "scaling",
    "schedule",
    "significance",
    "state",
    "stats",
    "ta",
    "universe",
]

_HOMES = {
    "Contest": "contests",
    "Memory": "strategy",
    "Result": "backtester",
    "RunResult": "runner",
    "Strategy": "strategy",
    "backtest": "backtester",
    "backtest_ml": "backtester",
    "load_strategy": "strategy",
    "run": "runner",
}
_HOMES |= {name: name for name in __all__ if name not in _HOMES and name != "__version__"}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return __all__
