"""A crash at every append of a family of runs: every message is taken once, and none is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import aion_runtime as aion
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.ids import WorkflowId
from aion_runtime.testing import VirtualClock, test_engine
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.crash.story import Moment, MortalStore
from tests.runtime.faults import FaultyStore
from tests.runtime.messaging import settled

go = aion.Signal("go", int)
note = aion.Signal("note", str)

FAMILY = ("parent", "child", "grandchild", "left", "stopped", "late", "pair")

Opener = Callable[[int], AbstractAsyncContextManager[EventStore]]


@aion.workflow
async def grandchild(value: int) -> int:
    await note.send("late", "from the grandchild")
    return 2 * value


@aion.workflow
async def child(value: int) -> int:
    doubled = await grandchild.options(workflow_id="grandchild")(value)
    return doubled + await go.receive()


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def late() -> list[str]:
    return [await note.receive(), await note.receive()]


@aion.workflow
async def refusing() -> None:
    raise aion.ApplicationError("no", type="Refused")


@aion.workflow
async def parent(generation: int, log: list[str]) -> list[str]:
    if generation == 0:
        await waiting.options(workflow_id="stopped", on_parent_close="terminate").spawn()
        handle = await child.options(workflow_id="child").spawn(20)
        await handle.signal(go, 2)
        log = [*log, f"child {await handle.result()}"]
        parent.continue_as_new(1, log)
    try:
        await refusing.options(workflow_id="pair")()
    except aion.ChildWorkflowError as error:
        log = [*log, error.failure.type]
    await note.send("late", "from the parent")
    log = [*log, *await late.options(workflow_id="late")()]
    await waiting.options(workflow_id="left", on_parent_close="cancel").spawn()
    return log


RESULT = ["child 42", "Refused", "from the grandchild", "from the parent"]
STATUSES = {
    "parent": "Completed",
    "child": "Completed",
    "grandchild": "Completed",
    "left": "Cancelled",
    "stopped": "Terminated",
    "late": "Completed",
    "pair": "Failed",
}


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the store of a number, again if there is one."""
    memories: defaultdict[int, MemoryStore] = defaultdict(MemoryStore)

    @asynccontextmanager
    async def opened(number: int) -> AsyncIterator[EventStore]:
        yield memories[number]

    if request.param == "memory":
        return opened
    return lambda number: open_store(f"sqlite:///{tmp_path}/{number}.db")


async def live(store: MortalStore, clock: VirtualClock) -> list[str] | None:
    """One engine's life: the parent's result, or None when the store died before."""
    result: list[str] | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with, store, nursery.cancel_scope)
        async with aion.open_engine(
            store, workflows=[parent], clock=clock, shutdown_grace=0
        ) as engine:
            handle = await engine.start(parent, 0, [], workflow_id="parent")
            result = await handle.result()
            await settled(engine)
        nursery.cancel_scope.cancel()
    return None if store.died.is_set() else result


async def _end_with(store: MortalStore, scope: trio.CancelScope) -> None:
    await store.died.wait()
    scope.cancel()


async def kinds(store: EventStore) -> dict[str, Sequence[str]]:
    return {
        name: [type(event).__name__ for event in await store.read_history(WorkflowId(name))]
        for name in FAMILY
    }


async def check(store: EventStore) -> None:
    statuses = {}
    for name in FAMILY:
        summary = await store.read_summary(WorkflowId(name))
        statuses[name] = None if summary is None else summary.status.value
    assert statuses == STATUSES
    assert [stored.message async for stored in store.all_messages()] == []


async def undisturbed() -> dict[str, Sequence[str]]:
    store = MortalStore(MemoryStore(), None, "before the commit")
    assert await live(store, VirtualClock()) == RESULT
    await check(store)
    return await kinds(store)


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_a_crash_at_any_append_of_a_family_changes_nothing(
    opener: Opener, moment: Moment
) -> None:
    expected = await undisturbed()
    crashes = 0
    # How many appends there are depends on what happens to be written together.
    for lives in count(1 if moment == "after the commit" else 0):
        clock = VirtualClock()
        async with opener(lives) as inner:
            result = await live(MortalStore(inner, lives, moment), clock)
        if result is not None:
            break
        crashes += 1
        async with opener(lives) as inner:
            assert await live(MortalStore(inner, None, moment), clock) == RESULT
            await check(inner)
            assert await kinds(inner) == expected, f"after {lives} appends"
    assert crashes > 10


async def test_a_crash_after_each_append_in_turn_changes_nothing(opener: Opener) -> None:
    expected = await undisturbed()
    clock = VirtualClock()
    for _ in range(100):
        async with opener(0) as inner:
            result = await live(MortalStore(inner, 1, "after the commit"), clock)
        if result is not None:
            break
    async with opener(0) as inner:
        assert await live(MortalStore(inner, None, "after the commit"), clock) == RESULT
        await check(inner)
        assert await kinds(inner) == expected


class FlakyStore(FaultyStore):
    """Its commits go wrong as they are told, one after the other; then all go well."""

    def __init__(self, inner: EventStore, faults: Sequence[str]) -> None:
        super().__init__(inner)
        self._faults = iter(faults)

    async def commit(
        self, inner: StoreWriter, appends: Sequence[Append]
    ) -> Sequence[StoreError | None]:
        fault = next(self._faults, "none")
        if fault == "refused":
            raise StoreUnavailableError("the disk is on fire")
        result = await inner.append_many(appends)
        if fault == "lost":
            raise StoreError("the answer was lost; read before trying again")
        return result


async def _live_with(faults: Sequence[str], resident_bytes: int) -> dict[str, Sequence[str]]:
    inner = MemoryStore()
    async with test_engine(
        FlakyStore(inner, faults), workflows=[parent], resident_bytes=resident_bytes
    ) as engine:
        handle = await engine.start(parent, 0, [], workflow_id="parent")
        assert await handle.result() == RESULT
        # What the last appends had for others may still be on its way, or be tried again later.
        await engine.clock.advance(60)
        assert len(engine._dispatcher._in_hand) == 0
    await check(inner)
    return await kinds(inner)


@given(
    st.lists(st.sampled_from(["none", "none", "refused", "lost"]), max_size=40),
    st.sampled_from([0, 1 << 30]),
)
@settings(max_examples=60, deadline=None)
def test_a_family_comes_through_whatever_becomes_of_its_appends(
    faults: list[str], resident_bytes: int
) -> None:
    expected = trio.run(undisturbed)
    assert trio.run(_in_time, faults, resident_bytes) == expected


async def _in_time(faults: Sequence[str], resident_bytes: int) -> dict[str, Sequence[str]]:
    with trio.fail_after(10):
        return await _live_with(faults, resident_bytes)
