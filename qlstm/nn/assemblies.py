"""Ready-made networks of the parts in `blocks` and `attention`, with one output for each window."""

from __future__ import annotations

from torch import nn

from .attention import Positions, SelfAttention
from .blocks import MLP, Concat, Convolution, FeatureAttention, LastStep, MeanStep, Memory, StepAttention

__all__ = ["concatenated", "layered", "layered_transformer", "slim_transformer"]


def concatenated(input_dim: int, hidden: int = 16, dropout: float = 0.0) -> nn.Sequential:
    """Return a network of three extractors, an LSTM, a convolution and an attention, under one perceptron.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Units of each extractor and of the perceptron's hidden layer.
    dropout : float
        In the LSTM and the perceptron.

    Returns
    -------
    nn.Sequential
        ``(batch, time, feature) -> (batch,)``, one output for each window.
    """
    extractors = [
        nn.Sequential(Memory(input_dim, hidden, dropout=dropout), LastStep()),
        nn.Sequential(Convolution(input_dim, hidden), MeanStep()),
        nn.Sequential(StepAttention(input_dim), nn.Linear(input_dim, hidden)),
    ]
    return nn.Sequential(Concat(extractors), MLP(3 * hidden, (hidden,), dropout=dropout))


def layered(input_dim: int, hidden: int = 16, kernel: int = 3, dropout: float = 0.0) -> nn.Sequential:
    """Return a network of convolution, attention over features, LSTM, attention over time and perceptron, in a row.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Units of every layer.
    kernel : int
        Rows a filter of the convolution spans.
    dropout : float
        In the LSTM and the perceptron.

    Returns
    -------
    nn.Sequential
        ``(batch, time, feature) -> (batch,)``, one output for each window.
    """
    return nn.Sequential(
        Convolution(input_dim, hidden, kernel),
        FeatureAttention(hidden),
        Memory(hidden, hidden, dropout=dropout),
        StepAttention(hidden),
        MLP(hidden, (hidden,), dropout=dropout),
    )


def layered_transformer(
    input_dim: int,
    hidden: int = 16,
    heads: int = 2,
    positions: str = "learned",
    longest: int = 512,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return `layered` with one layer of a transformer in the LSTM's place, and filters of one row.

    Nothing before the attention over time looks at two rows, so that order is known from the positions alone.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Units of every layer, a multiple of `heads`.
    heads : int
        Attentions side by side.
    positions : {"learned", "sinusoidal", "none"}
        As for `Positions`.
    longest : int
        Rows of the longest window, for learned positions.
    dropout : float
        In the attention and the perceptron.

    Returns
    -------
    nn.Sequential
        ``(batch, time, feature) -> (batch,)``, one output for each window.
    """
    return nn.Sequential(
        Convolution(input_dim, hidden, 1),
        FeatureAttention(hidden),
        Positions(hidden, positions, longest),
        SelfAttention(hidden, heads, dropout),
        StepAttention(hidden),
        MLP(hidden, (hidden,), dropout=dropout),
    )


def slim_transformer(
    input_dim: int,
    hidden: int = 16,
    heads: int = 2,
    positions: str = "learned",
    longest: int = 512,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return `layered_transformer` without its attentions over features and over time: the last row is read.

    Parameters
    ----------
    input_dim, hidden, heads, positions, longest, dropout
        As for `layered_transformer`.

    Returns
    -------
    nn.Sequential
        ``(batch, time, feature) -> (batch,)``, one output for each window.
    """
    return nn.Sequential(
        Convolution(input_dim, hidden, 1),
        Positions(hidden, positions, longest),
        SelfAttention(hidden, heads, dropout),
        LastStep(),
        MLP(hidden, (hidden,), dropout=dropout),
    )
