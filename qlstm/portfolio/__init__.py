"""From scores to the weights of one day: pure functions (scores, liquid, previous) -> weights, all with dims (asset,).

What holds for every function here:

- Assets are matched by label. An asset whose score is NaN or that is not liquid gets 0, unless the function says so.
- The sum of absolute weights is at most 1; the rest is cash.
- Ties are broken by label, so the order of the assets does not matter.
- Scores of 0 everywhere hold nothing, and each function says what else they mean; `equal_weight` is 1/N, by name.
- A cap comes last: `exposure.cut_big_positions`, as in `long_only`. What it cuts off stays in cash.
"""

from __future__ import annotations

from .choices import equal_weight, group_rotation, long_only, single_name, top_bottom
from .levels import ladder, long_flat_short, long_short, nuanced

__all__ = [
    "equal_weight",
    "group_rotation",
    "ladder",
    "long_flat_short",
    "long_only",
    "long_short",
    "nuanced",
    "single_name",
    "top_bottom",
]
