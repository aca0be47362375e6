"""Networks, per asset or one for all: what to fit, how, and what it scores. torch is imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute
from .optimizers import LBFGS, SGD, Adagrad, Adam, Optimizer, RMSprop, Rprop

if TYPE_CHECKING:
    from .blocks import (
        MLP,
        Concat,
        Convolution,
        FeatureAttention,
        LastStep,
        MeanStep,
        Memory,
        StepAttention,
        concatenated,
        layered,
    )
    from .causal import CausalAttention, Positions, Recurrent, Transformer
    from .criteria import BCE, MSE, Criterion, Huber, HuberWithSignPenalty, MSEWithSignPenalty, SignErrorRatio
    from .descent import Validation
    from .fitting import fit
    from .models import Models
    from .networks import LSTM
    from .pooled import Plateau, Pooled, fit_pooled, predict_pooled
    from .scoring import predict
    from .sequences import Sequences

__all__ = [
    "BCE",
    "LBFGS",
    "LSTM",
    "MLP",
    "MSE",
    "SGD",
    "Adagrad",
    "Adam",
    "CausalAttention",
    "Concat",
    "Convolution",
    "Criterion",
    "FeatureAttention",
    "Huber",
    "HuberWithSignPenalty",
    "LastStep",
    "MSEWithSignPenalty",
    "MeanStep",
    "Memory",
    "Models",
    "Optimizer",
    "Plateau",
    "Pooled",
    "Positions",
    "RMSprop",
    "Recurrent",
    "Rprop",
    "Sequences",
    "SignErrorRatio",
    "StepAttention",
    "Transformer",
    "Validation",
    "concatenated",
    "fit",
    "fit_pooled",
    "layered",
    "predict",
    "predict_pooled",
]

_MODULES = {
    "blocks": (
        "MLP",
        "Concat",
        "Convolution",
        "FeatureAttention",
        "LastStep",
        "MeanStep",
        "Memory",
        "StepAttention",
        "concatenated",
        "layered",
    ),
    "causal": (
        "CausalAttention",
        "Positions",
        "Recurrent",
        "Transformer",
    ),
    "criteria": (
        "BCE",
        "MSE",
        "Criterion",
        "Huber",
        "HuberWithSignPenalty",
        "MSEWithSignPenalty",
        "SignErrorRatio",
    ),
    "descent": ("Validation",),
    "fitting": ("fit",),
    "models": ("Models",),
    "networks": ("LSTM",),
    "pooled": (
        "Plateau",
        "Pooled",
        "fit_pooled",
        "predict_pooled",
    ),
    "scoring": ("predict",),
    "sequences": ("Sequences",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
