"""What many of these strategies share: a label that can be traded, and the choice of the better half."""

from qlstm import ta


def labels(data):
    """Return what is earned from the next open to the one after, in percent."""
    later = data.sel(field="open", drop=True)
    return (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100


def upper_half(score):
    """Return equal weights of the assets whose score is above the median."""
    chosen = (score > score.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum()))
