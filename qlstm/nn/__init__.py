"""Networks per asset: what to fit, how to fit it, and what it scores. torch is imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute
from .optimizers import LBFGS, SGD, Adagrad, Adam, Optimizer, RMSprop, Rprop

if TYPE_CHECKING:
    from .descent import Validation
    from .fitting import fit
    from .models import Models
    from .networks import LSTM
    from .scoring import predict

__all__ = [
    "LBFGS",
    "LSTM",
    "SGD",
    "Adagrad",
    "Adam",
    "Models",
    "Optimizer",
    "RMSprop",
    "Rprop",
    "Validation",
    "fit",
    "predict",
]

_HOMES = {"LSTM": "networks", "Models": "models", "Validation": "descent", "fit": "fitting", "predict": "scoring"}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
