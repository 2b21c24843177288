"""What the tests of the runtime share: a store that can fail and a clock that obeys."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_runtime.testing import VirtualClock
from tests.runtime.faults import FaultyStore, Gate, Kind


class Bench:
    """A store and a clock that outlive any number of engines."""

    def __init__(self) -> None:
        self.store = FaultyStore()
        self.clock = VirtualClock()

    def engine(
        self, *workflows: Any, shutdown_grace: float = 0, **options: Any
    ) -> AbstractAsyncContextManager[aion.Engine]:
        return aion.open_engine(
            self.store,
            workflows=workflows,
            clock=self.clock,
            shutdown_grace=shutdown_grace,
            **options,
        )

    async def advance(self, seconds: float) -> None:
        """Let time pass, and then everything that follows from it."""
        self.clock.jump(seconds)
        await wait_all_tasks_blocked()

    async def kinds(self, workflow_id: str) -> list[Kind]:
        """What kinds of events a history holds."""
        return [type(event) for event in await self.history(workflow_id)]

    async def history(self, workflow_id: str) -> list[e.HistoryEvent]:
        return list(await self.store.inner.read_history(workflow_id))  # type: ignore[arg-type]


class Fault:
    """One way in which the next commit of a kind goes wrong.

    ``held``: it takes its time. ``refused``: it fails. ``lost``: it succeeds, but says it failed.
    """

    def __init__(self, name: str, bench: Bench) -> None:
        self._name = name
        self._bench = bench
        self._gate = Gate()

    def arm(self, kind: Kind) -> None:
        self._kind = kind
        self._tries_before = self._tries()
        if self._name == "held":
            self._gate = self._bench.store.hold(kind)
        elif self._name == "refused":
            self._bench.store.refuse(kind)
        else:
            self._bench.store.lose_answer(kind)

    async def struck(self) -> None:
        """Return when the commit has been tried, and all that can follow from that has."""
        await wait_all_tasks_blocked()
        assert self._tries() > self._tries_before, "the fault was not met"

    async def heal(self) -> None:
        """Let the commit succeed, and all that follows from it."""
        self._gate.open()
        await self._bench.advance(0.05)

    async def heal_when_struck(self) -> None:
        """For a task beside the one that waits for what the fault holds up."""
        await self.struck()
        await self.heal()

    def _tries(self) -> int:
        return sum(self._kind in kinds for kinds in self._bench.store.tries)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(params=["held", "refused", "lost"])
def fault(request: pytest.FixtureRequest, bench: Bench) -> Fault:
    return Fault(request.param, bench)
