"""Full garbage collections are put off while a long history is loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import RecoveryPlan
from aion_core.ids import WorkflowId
from aion_runtime import collecting, loading
from aion_runtime.collecting import NEVER, FullCollections
from aion_runtime.recovery.driver import MachineDriver
from tests.runtime.conftest import Bench
from tests.runtime.messaging import settled
from tests.runtime.test_seams import context_of

go = aion.Signal("go", int)


@aion.workflow
async def total(count: int) -> int:
    return sum([await go.receive() for _ in range(count)])


@aion.workflow
async def sleeper() -> int:
    await aion.sleep(1000)
    return 0


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


class Watching(MachineDriver):
    """Looks at the thresholds when it is asked."""

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
    ) -> RecoveryPlan:
        seen[len(history)] = gc.get_threshold()
        kept.append(history)
        return super().recovery_plan(workflow_id, history)


seen: dict[int, tuple[int, int, int]] = {}
kept: list[Sequence[e.HistoryEvent]] = []


async def loaded(bench: Bench, signals: int) -> tuple[int, int, int]:
    """The thresholds while a history is loaded."""
    seen.clear()
    kept.clear()
    async with bench.engine(total) as engine:
        handle = await engine.start(total, signals + 1, workflow_id="w")
        for _ in range(signals):
            await handle.signal(go, 1)
    async with bench.engine(total, recovery_driver=Watching(context_of(total))) as engine:
        await engine.get("w").signal(go, 1)
        assert await engine.get("w").result() == signals + 1
    return seen[signals + 1]


async def test_a_long_load_puts_full_collections_off_until_it_has_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LONG_HISTORY", 10)
    assert await loaded(bench, 20) == (700, 10, NEVER)
    assert gc.get_threshold() == (700, 10, 10)


async def test_a_short_load_leaves_them_alone(bench: Bench) -> None:
    assert await loaded(bench, 20) == (700, 10, 10)


async def test_a_driver_may_keep_the_history_that_it_was_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LONG_HISTORY", 10)
    await loaded(bench, 20)
    assert [event.seq for event in kept[0]] == list(range(1, 22))


async def test_a_load_that_fails_lets_them_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LONG_HISTORY", 2)
    async with bench.engine(total) as engine:
        handle = await engine.start(total, 9, workflow_id="w")
        await handle.signal(go, 1)
    async with bench.engine(sleeper) as engine:  # the code of the run is not there
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").result()
    assert gc.get_threshold() == (700, 10, 10)


def test_they_are_put_off_until_the_last_of_several_loads_has_ended() -> None:
    collections = FullCollections()
    collections.put_off()
    collections.put_off()
    collections.allow()
    assert gc.get_threshold() == (700, 10, NEVER)
    collections.allow()
    assert gc.get_threshold() == (700, 10, 10)


def test_two_engines_in_one_process_leave_the_thresholds_as_they_were() -> None:
    first, second = FullCollections(), FullCollections()
    first.put_off()
    second.put_off()
    first.allow()
    second.allow()
    assert gc.get_threshold() == (700, 10, 10)


def test_thresholds_that_are_set_meanwhile_stay() -> None:
    collections = FullCollections()
    collections.put_off()
    gc.set_threshold(500, 5, 5)
    collections.allow()
    assert gc.get_threshold() == (500, 5, 5)


def test_a_collector_that_is_switched_off_stays_off() -> None:
    gc.disable()
    try:
        collections = FullCollections()
        collections.put_off()
        collections.allow()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_they_are_not_put_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "LONGEST_S", 0)
    collections = FullCollections()
    collections.put_off()
    collections.look()
    assert gc.get_threshold() == (700, 10, 10)
    collections.allow()
    assert gc.get_threshold() == (700, 10, 10)


async def test_signals_that_nobody_receives_are_replayed_in_pieces(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LONGEST_SLICE_S", 0)
    signals = 50
    async with bench.engine(sleeper) as engine:
        handle = await engine.start(sleeper, workflow_id="w")
        for _ in range(signals):
            await handle.signal(go, 1)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with bench.engine(sleeper) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        engine._dispatcher.wake(WorkflowId("w"))
        await settled(engine)
        nursery.cancel_scope.cancel()
    # Each of them is read, replayed and freed.
    assert turns > 2 * signals
