"""What a model and its inputs are worth: correlation with the label, ablation, attribution, and which loss to expect.

Models come in as plain functions, so anything that forecasts can be looked at. Features have dims ``(time, asset,
feature)``, labels and forecasts ``(time, asset)``, NaN where there is none.
"""

from __future__ import annotations

from .ablating import Ablation, ablation, squared_error
from .attribution import Attribution, integrated_gradients
from .expectations import TargetLoss, target_loss
from .labelling import LabelCorrelation, label_correlation

__all__ = [
    "Ablation",
    "Attribution",
    "LabelCorrelation",
    "TargetLoss",
    "ablation",
    "integrated_gradients",
    "label_correlation",
    "squared_error",
    "target_loss",
]
