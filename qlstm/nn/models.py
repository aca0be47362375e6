"""Fitted networks by name, and what became of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

__all__ = ["Models"]


class Models(Mapping[str, nn.Module]):
    """Fitted networks by asset (or by group), in the order of the data they were fitted to.

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
        cut: tuple[str, ...] = (),
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self._models = dict(models)
        self.failures, self.cut, self.groups = dict(failures or {}), tuple(cut), dict(groups or {})

    def __getitem__(self, name: str) -> nn.Module:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __repr__(self) -> str:
        kinds = sorted({type(model).__name__ for model in self._models.values()})
        return f"Models({len(self)} × {', '.join(kinds)}: {', '.join(self)})"
