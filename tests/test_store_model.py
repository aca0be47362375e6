"""The store beside a plain dictionary: whatever is done to it, in whatever order, by whichever of two, or cut short."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qlstm import state
from qlstm.errors import StateError
from qlstm.state import Store
from qlstm.strategy import Memory

START, DAY = np.datetime64("2020-01-01", "ns"), np.timedelta64(1, "D")
CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "pwrite", "ftruncate", "unlink", "rmdir")
CONTENTS = st.integers(0, 3)
STORES = st.integers(0, 1)


class Crash(BaseException):
    """The process is gone: nothing more of it happens, cleaning up included."""


def crash_at(k: int, change: Callable[[], Any]) -> bool:
    """Make a change in a process that dies at its k-th system call; return whether it got that far."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:

            def dying(*args: Any, real: Any = getattr(os, name), **kwargs: Any) -> Any:  # noqa: B008
                nonlocal count
                count += 1
                if count > k:
                    raise Crash
                return real(*args, **kwargs)

            patch.setattr(os, name, dying)
        try:
            change()
        except Crash:
            return True
    return False


class StoreBesideADictionary(RuleBasedStateMachine):
    """Days are numbers; the model maps each to what was committed last."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[int, int] = {}
        self.root = Path(tempfile.mkdtemp())

    @initialize()
    def two_stores(self) -> None:
        self.stores = [Store(self.root / "mine"), Store(self.root / "mine")]

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def date(self, n: int) -> np.datetime64:
        return START + n * DAY

    def commit(self, which: int, n: int, content: int) -> None:
        store = self.stores[which]
        memory = Memory(START, {"A": np.full(3, content)}, {"day": n, "content": content})
        store.commit(self.date(n), memory, f"{n} {content}".encode(), parent=store.newest(before=self.date(n)))

    @rule(which=STORES, gap=st.integers(1, 3), content=CONTENTS)
    def a_later_day_is_added(self, which: int, gap: int, content: int) -> None:
        n = max(self.model, default=0) + gap
        self.commit(which, n, content)
        self.model[n] = content

    @precondition(lambda self: self.model)
    @rule(which=STORES, content=CONTENTS)
    def the_newest_day_is_run_again(self, which: int, content: int) -> None:
        n = max(self.model)
        self.commit(which, n, content)
        self.model[n] = content

    @precondition(lambda self: len(self.model) > 1)
    @rule(which=STORES, data=st.data())
    def an_earlier_day_is_run_again(self, which: int, data: st.DataObject) -> None:
        n = data.draw(st.sampled_from(range(min(self.model), max(self.model))))
        content = self.model.get(n, 0)
        # The oldest kept after pruning has lost its parent, so that its bytes are others.
        if n in self.model and n > min(self.model):
            self.commit(which, n, content)
        with pytest.raises(StateError, match="do not follow from this new"):
            self.commit(which, n, content + 1)

    @precondition(lambda self: self.model)
    @rule(which=STORES, data=st.data())
    def it_is_rolled_back(self, which: int, data: st.DataObject) -> None:
        n = data.draw(st.sampled_from(sorted(self.model)))
        removed = self.stores[which].rollback(self.date(n))
        assert removed == [self.date(later) for later in sorted(self.model) if later > n]
        self.model = {day: content for day, content in self.model.items() if day <= n}

    @precondition(lambda self: self.model)
    @rule(which=STORES, keep=st.integers(1, 4))
    def it_is_pruned(self, which: int, keep: int) -> None:
        self.stores[which].prune(keep)
        self.model = {day: self.model[day] for day in sorted(self.model)[-keep:]}

    @rule(which=STORES)
    def the_other_writes_while_one_holds_the_lock(self, which: int) -> None:
        with self.stores[which].lock(), pytest.raises(StateError, match=f"by process {os.getpid()}"):
            self.commit(1 - which, max(self.model, default=0) + 1, 0)

    @rule(gap=st.integers(0, 2), contents=st.tuples(CONTENTS, CONTENTS), ahead=st.floats(-0.002, 0.002))
    def two_processes_run_a_day_at_once(self, gap: int, contents: tuple[int, int], ahead: float) -> None:
        n = max(self.model, default=1) + gap
        start = time.perf_counter() + 0.004
        other = os.fork()
        if not other:
            os._exit(self.refused(start, 1, n, contents[1]))
        refused = self.refused(start + ahead, 0, n, contents[0]), os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
        assert refused in [(0, 0), (0, 1), (1, 0)]
        done = {content for content, not_done in zip(contents, refused, strict=True) if not not_done}
        content = self.found(self.stores[0])[n]
        assert content in done
        self.model[n] = content

    def refused(self, start: float, which: int, n: int, content: int) -> int:
        """Run a day as soon as it is time; return 0 when that was done, 1 when another process was writing."""
        while time.perf_counter() < start:
            pass
        try:
            self.commit(which, n, content)
        except StateError as error:
            return 1 if "is being written by process" in str(error) else 2
        except BaseException:  # the child of a fork must not get back into pytest
            return 3
        return 0

    @rule(which=STORES, k=st.integers(0, 25), gap=st.integers(0, 2), content=CONTENTS)
    def a_commit_crashes(self, which: int, k: int, gap: int, content: int) -> None:
        n = max(self.model, default=1) + gap
        before, after = dict(self.model), {**self.model, n: content}
        self.crash(k, partial(self.commit, which, n, content), [before], after)

    @precondition(lambda self: self.model)
    @rule(which=STORES, k=st.integers(0, 25), data=st.data())
    def a_rollback_crashes(self, which: int, k: int, data: st.DataObject) -> None:
        n = data.draw(st.sampled_from(sorted(self.model)))
        ends = [{d: c for d, c in self.model.items() if d <= last} for last in sorted(self.model) if last >= n]
        self.crash(k, partial(self.stores[which].rollback, self.date(n)), ends, ends[0])

    def crash(self, k: int, change: Callable[[], Any], before: list[dict[int, int]], after: dict[int, int]) -> None:
        """Let a change die; what is found then is one of the states on its way, and that is the truth from now on."""
        crashed = crash_at(k, change)
        self.stores = [Store(self.root / "mine"), Store(self.root / "mine")]
        found = self.found(self.stores[0])
        assert found in [*before, after] if crashed else found == after
        self.model = found

    def found(self, store: Store) -> dict[int, int]:
        found = {}
        for date in store.dates():
            kept = store.read(date).state
            assert self.date(kept["day"]) == date
            weights = (store.path(date) / "fractions.nc.gz").read_bytes()
            assert weights == f"{kept['day']} {kept['content']}".encode()
            found[kept["day"]] = kept["content"]
        return found

    @invariant()
    def both_stores_hold_what_the_dictionary_holds(self) -> None:
        for store in getattr(self, "stores", ()):
            assert self.found(store) == self.model
            assert store.newest() == (self.date(max(self.model)) if self.model else None)

    @invariant()
    def the_chain_is_whole(self) -> None:
        if self.model:
            assert state.verify(self.root / "mine").problems == ()


# A failing sequence has twenty steps at most; to shrink it, with a real process in many, takes minutes.
StoreBesideADictionary.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
TestTheStoreIsADictionary = StoreBesideADictionary.TestCase
