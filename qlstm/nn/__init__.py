"""Networks, per asset or one for all: what to fit, how, and what it scores. torch is imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute
from .optimizers import LBFGS, SGD, Adagrad, Adam, Optimizer, RMSprop, Rprop

if TYPE_CHECKING:
    from .assemblies import concatenated, layered, layered_transformer, slim_transformer
    from .attention import CausalAttention, Positions, SelfAttention
    from .blocks import MLP, Concat, Convolution, FeatureAttention, LastStep, MeanStep, Memory, StepAttention
    from .causal import Recurrent, Transformer
    from .descent import Validation
    from .epochs import Plateau
    from .fitting import fit
    from .losses import BCE, MSE, Criterion, Huber, HuberWithSignPenalty, MSEWithSignPenalty, SignErrorRatio
    from .models import Models
    from .networks import LSTM
    from .pooled import Pooled, fit_pooled, predict_pooled
    from .scoring import advance, predict
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
    "SelfAttention",
    "Sequences",
    "SignErrorRatio",
    "StepAttention",
    "Transformer",
    "Validation",
    "advance",
    "concatenated",
    "fit",
    "fit_pooled",
    "layered",
    "layered_transformer",
    "predict",
    "predict_pooled",
    "slim_transformer",
]

_MODULES = {
    "assemblies": (
        "concatenated",
        "layered",
        "layered_transformer",
        "slim_transformer",
    ),
    "attention": (
        "CausalAttention",
        "Positions",
        "SelfAttention",
    ),
    "blocks": (
        "MLP",
        "Concat",
        "Convolution",
        "FeatureAttention",
        "LastStep",
        "MeanStep",
        "Memory",
        "StepAttention",
    ),
    "causal": (
        "Recurrent",
        "Transformer",
    ),
    "descent": ("Validation",),
    "epochs": ("Plateau",),
    "fitting": ("fit",),
    "losses": (
        "BCE",
        "MSE",
        "Criterion",
        "Huber",
        "HuberWithSignPenalty",
        "MSEWithSignPenalty",
        "SignErrorRatio",
    ),
    "models": ("Models",),
    "networks": ("LSTM",),
    "pooled": (
        "Pooled",
        "fit_pooled",
        "predict_pooled",
    ),
    "scoring": ("advance", "predict"),
    "sequences": ("Sequences",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
