"""Fitted networks by name, and what became of the others."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from typing import Any

from torch import nn

__all__ = ["Models"]


class Models(Mapping[str, nn.Module]):
    """Fitted networks by asset (or by group), in the order of the data they were fitted to.

    While a backtest trains ahead, a fit may still be to come: names and their number are known without it, since they
    are those with a complete row; taking a network, copying and pickling wait for it. A fit that then fails takes its
    name away, and what was done with the names before is done again.

    Parameters
    ----------
    models : mapping of str to nn.Module
        The networks.
    failures : mapping of str to str, optional
        Asset or group without a network -> why.
    cut : sequence of str, optional
        Those whose fit was stopped by `budget_s` before it was over; their networks are the best so far.
    groups : mapping of str to str, optional
        Asset -> the group whose network scores it, where networks were fitted by group.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        failures: Mapping[str, str] | None = None,
        cut: Sequence[str] = (),
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.groups = dict(groups or {})
        self._fit: Callable[[], None] | None = None
        self.looked_at = False
        self.settle(models, failures or {}, cut)

    @classmethod
    def to_come(cls, names: Sequence[str], groups: Mapping[str, str], fit: Callable[[], None]) -> Models:
        """Return models of these names whose networks `fit` makes, by calling `settle`, when one is first needed."""
        models = cls({}, groups=groups)
        models._names, models._fit = dict.fromkeys(names), fit
        return models

    def settle(self, models: Mapping[str, nn.Module], failures: Mapping[str, str], cut: Sequence[str]) -> None:
        """Take what the fit gave."""
        self._models, self._failures, self._cut = dict(models), dict(failures), tuple(cut)
        self._names, self._fit = dict.fromkeys(self._models), None

    @property
    def is_settled(self) -> bool:
        """Whether the networks are there."""
        return self._fit is None

    @property
    def failures(self) -> dict[str, str]:
        """Asset or group without a network -> why."""
        self._wait()
        return self._failures

    @property
    def cut(self) -> tuple[str, ...]:
        """Those whose fit was stopped before it was over."""
        self._wait()
        return self._cut

    def _wait(self) -> None:
        if self._fit is not None:
            self._fit()

    def _looked(self) -> dict[str, None]:
        self.looked_at = self.looked_at or self._fit is not None
        return self._names

    def __getitem__(self, name: str) -> nn.Module:
        self._wait()
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._looked())

    def __len__(self) -> int:
        return len(self._looked())

    def __contains__(self, name: object) -> bool:
        return name in self._looked()

    def items(self) -> ItemsView[str, nn.Module]:
        """Return names with their networks."""
        self._wait()
        return super().items()

    def values(self) -> ValuesView[nn.Module]:
        """Return the networks."""
        self._wait()
        return super().values()

    def __getstate__(self) -> dict[str, Any]:
        self._wait()
        return self.__dict__

    def __repr__(self) -> str:
        kinds = sorted({type(model).__name__ for model in self._models.values()}) or ["to come"]
        return f"Models({len(self._names)} × {', '.join(kinds)}: {', '.join(self._names)})"
