"""Networks per asset: what to fit, how to fit it, and what it scores. torch is imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute
from .optimizers import LBFGS, SGD, Adam, Optimizer, RMSprop

if TYPE_CHECKING:
    from .fitting import Models, fit
    from .networks import LSTM
    from .scoring import predict

__all__ = ["LBFGS", "LSTM", "SGD", "Adam", "Models", "Optimizer", "RMSprop", "fit", "predict"]

_HOMES = {"LSTM": "networks", "Models": "fitting", "fit": "fitting", "predict": "scoring"}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
