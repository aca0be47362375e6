"""Was the best try picked by luck: combinatorial purged cross-validation over the returns of all tries.

Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of Computational Finance 20
(2017). Time is cut into blocks; every half of them is a training set once. Where the try that is best in one half is
below the median in the other more often than not, the search has found noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError

__all__ = ["Overfitting", "overfitting_probability", "purged_splits"]

_MOST_SPLITS = 20_000  # 16 blocks have 12 870 halves
_STILL = 1e-12  # a variance below this share of the mean square is rounding
_CHUNK = 1024  # splits at a time: (1024, tries) numbers are held at once


@dataclass(frozen=True)
class Overfitting:
    """The outcome of `overfitting_probability`.

    Parameters
    ----------
    probability : float
        How often the best try of one half was at or below the median of the other.
    ranks : np.ndarray
        Shape (split,): its place in the other half, from 0 (worst) to 1.
    loss : float
        How often its Sharpe ratio there was below 0.
    """

    probability: float
    ranks: np.ndarray
    loss: float

    def __str__(self) -> str:
        return (
            f"probability of backtest overfitting {self.probability:.2f} over {len(self.ranks)} splits; "
            f"the pick lost money out of sample in {100 * self.loss:.0f} %"
        )


def purged_splits(
    rows: int, blocks: int = 16, test_blocks: int | None = None, purge: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every choice of test blocks, as the numbers of the training rows and of the test rows.

    Parameters
    ----------
    rows : int
        Rows of the data, in time's order.
    blocks : int
        Equal stretches they are cut into; the first blocks are a row longer where it does not come out even.
    test_blocks : int, optional
        Blocks in a test set; by default half of them.
    purge : int
        Training rows left out at each border with a test block: the window of the features plus the horizon of the
        labels, so that no training row has seen a test row.

    Yields
    ------
    training, test : np.ndarray
        Row numbers, ascending.

    Raises
    ------
    DataError
        Blocks that cannot be cut, or that purging empties.
    """
    edges, test_blocks = _edges(rows, blocks, blocks // 2 if test_blocks is None else test_blocks, purge)
    for chosen in itertools.combinations(range(blocks), test_blocks):
        test = np.zeros(rows, dtype=bool)
        near = np.zeros(rows, dtype=bool)
        for block in chosen:
            first, end = edges[block], edges[block + 1]
            test[first:end] = True
            near[max(0, first - purge) : end + purge] = True
        yield np.flatnonzero(~near), np.flatnonzero(test)


def overfitting_probability(returns: Any, blocks: int = 16, purge: int = 0) -> Overfitting:
    """Return the probability that the best of several tries is no better than the median elsewhere.

    Parameters
    ----------
    returns : array-like
        Shape (row, try): returns per row of every try made, over the same rows, in time's order.
    blocks : int
        An even number of equal stretches of time; all halves of them are compared.
    purge : int
        Training rows left out at each border with a test block; see `purged_splits`.

    Returns
    -------
    Overfitting
        Near 0 where the best try is best everywhere; about 0.5 where all are noise.

    Raises
    ------
    DataError
        Fewer than two tries, returns that are not finite, blocks that cannot be cut in halves, or a half in which
        a try never moves.
    """
    tries = np.asarray(returns, dtype=np.float64)
    if tries.ndim != 2 or tries.shape[1] < 2:
        raise DataError(f"returns must have shape (row, try) with at least 2 tries, got {tries.shape}")
    if not np.isfinite(tries).all():
        row, which = np.argwhere(~np.isfinite(tries))[0]
        raise DataError(f"returns of try {which} are not finite in row {row}; leave that try out, or mend it")
    if blocks % 2:
        raise DataError(f"blocks must be an even number to be cut in halves, got {blocks}")
    edges, half = _edges(len(tries), blocks, blocks // 2, purge)
    if math.comb(blocks, half) > _MOST_SPLITS:
        raise DataError(f"{blocks} blocks have {math.comb(blocks, half)} halves; use at most 16")
    sums = _Sums(tries, edges, purge)
    chosen = np.array(list(itertools.combinations(range(blocks), half)))
    tests = np.zeros((len(chosen), blocks), dtype=bool)
    np.put_along_axis(tests, chosen, True, axis=1)
    parts = [_ranks(sums, tests[k : k + _CHUNK]) for k in range(0, len(tests), _CHUNK)]
    ranks, ratios = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Overfitting(float(np.mean(ranks <= 0.5)), ranks, float(np.mean(ratios < 0)))


def _ranks(sums: _Sums, tests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place, and the ratio, that the best try of each training half has in the test half."""
    training, test = sums.sharpe(~tests), sums.sharpe(tests, purged=False)
    best = training.argmax(axis=1)[:, np.newaxis]
    ratio = np.take_along_axis(test, best, axis=1)
    below, equal = (test < ratio).sum(axis=1), (test == ratio).sum(axis=1)
    return (below + (equal + 1) / 2) / (test.shape[1] + 1), ratio[:, 0]


class _Sums:
    """Sums and sums of squares of each block and of its borders, from which those of any choice of blocks follow."""

    def __init__(self, tries: np.ndarray, edges: np.ndarray, purge: int) -> None:
        moments = np.stack([np.ones_like(tries), tries, tries**2])  # (moment, row, try)
        blocks = [moments[:, first:end] for first, end in itertools.pairwise(edges)]
        self._whole = np.stack([block.sum(axis=1) for block in blocks], axis=1)  # (moment, block, try)
        self._heads = np.stack([block[:, :purge].sum(axis=1) for block in blocks], axis=1)
        self._tails = np.stack([block[:, block.shape[1] - purge :].sum(axis=1) for block in blocks], axis=1)

    def sharpe(self, chosen: np.ndarray, purged: bool = True) -> np.ndarray:
        """Return the Sharpe ratio of each try over the blocks chosen: (split, block) -> (split, try)."""
        total = chosen.astype(np.float64) @ self._whole
        if purged:
            after, before = np.zeros_like(chosen), np.zeros_like(chosen)
            after[:, 1:] = chosen[:, 1:] & ~chosen[:, :-1]
            before[:, :-1] = chosen[:, :-1] & ~chosen[:, 1:]
            total = total - after.astype(np.float64) @ self._heads - before.astype(np.float64) @ self._tails
        count, first, second = total
        mean = first / count
        variance = (second / count - mean**2) * count / (count - 1)
        still = variance <= _STILL * second / count
        if still.any():
            raise DataError(f"try {int(np.argwhere(still)[0, 1])} never moves in one of the halves; leave it out")
        return mean / np.sqrt(variance)


def _edges(rows: int, blocks: int, test_blocks: int, purge: int) -> tuple[np.ndarray, int]:
    """Return the first row of each block and the end of the last one, and the blocks of a test set."""
    if not (2 <= blocks <= rows and 1 <= test_blocks < blocks):
        raise DataError(f"{rows} rows cannot be cut into {blocks} blocks of which {test_blocks} are tested")
    if not 0 <= 2 * purge < rows // blocks:
        raise DataError(f"purge must be from 0 to less than half a block of {rows // blocks} rows, got {purge}")
    sizes = np.full(blocks, rows // blocks)
    sizes[: rows % blocks] += 1
    return np.concatenate([[0], np.cumsum(sizes)]), test_blocks
