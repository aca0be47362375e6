"""Scalers: fitted on training rows, kept with the models as a plain dictionary, only applied to later rows.

`columns` says for every feature how it is scaled, and refuses one that nobody thought of: a single raw column among
scaled ones is enough to make gradients explode. What `fit` returns holds numbers, strings and numpy arrays only, so a
state file keeps it as it is.
"""

from __future__ import annotations

from .fitted import Columns, Scaler, fit, fit_labels, inverse, transform
from .kinds import KINDS

__all__ = ["KINDS", "Columns", "Scaler", "fit", "fit_labels", "inverse", "transform"]
