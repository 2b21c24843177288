"""An engine is killed at every append that what a client asks for leads to, before it and after it.

The client goes on waiting. What it is told, and what is recorded, is as if nothing had been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError
from aion_runtime.testing import test_engine
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter
from aion_store_memory.store import MemoryStore
from tests.crash.serving import add, collecting, number, seen

APPENDS = 8
"""How many the story below makes."""


class DeadlyStore(WrappedStore):
    """Calls for a kill at one append; what was under way then returns no more.

    Args:
        place: of the append, from 0.
        is_written: whether it is in the store when the engine is killed.
    """

    def __init__(self, inner: EventStore, place: int, *, is_written: bool) -> None:
        super().__init__(inner)
        self.is_written = is_written
        self.left: int | None = place
        self.kill: Callable[[], None] = lambda: None

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return DeadlyWriter(self, writer)


class DeadlyWriter(WrappedWriter):
    def __init__(self, store: DeadlyStore, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._store = store

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        store = self._store
        if store.left is None:
            return await super().append_many(appends)
        store.left -= 1
        if store.left >= 0:
            return await super().append_many(appends)
        store.left = None
        if store.is_written:
            await super().append_many(appends)
        store.kill()
        await trio.sleep_forever()
        raise AssertionError("nobody wakes it")


async def story(client: aion.Client) -> list[object]:
    run = await client.start(collecting, 4, workflow_id="w")
    await run.signal(number, 1, signal_id="s1")
    await run.signal(number, 2, signal_id="s2")
    told: list[object] = [await run.update(add, 3, update_id="u")]
    told.append(await run.query(seen))
    try:
        await client.get("nobody").cancel()
    except aion.WorkflowNotFoundError as error:
        told.append(str(error))
    await run.signal(number, 4, signal_id="s4")
    told.append(await run.result())
    return told


def kinds_of(history: Sequence[e.HistoryEvent]) -> Counter[str]:
    # The attempt of an activity is handed out once more after a kill.
    kinds = Counter(type(event).__name__ for event in history)
    del kinds["ActivityStarted"]
    return kinds


@pytest.mark.parametrize("is_written", [False, True], ids=["lost", "written"])
@pytest.mark.parametrize("place", range(APPENDS))
async def test_a_client_does_not_notice_that_the_engine_was_killed(
    place: int, is_written: bool
) -> None:
    inner = MemoryStore()
    store = DeadlyStore(inner, place, is_written=is_written)
    async with (
        trio.open_nursery() as nursery,
        test_engine(store, workflows=[collecting]) as engine,
        aion.open_client(inner) as client,
    ):
        store.kill = lambda: nursery.start_soon(engine.crash)
        told = await story(client)
        assert store.left is None, "it was not killed"
        assert told == [
            3,
            [1, 2, 3],
            "no workflow has the id 'nobody'; check it against list_runs()",
            [1, 2, 3, 4],
        ]
        assert kinds_of(await client.get("w").history()) == {
            "WorkflowStarted": 1,
            "SignalReceived": 3,
            "UpdateAccepted": 1,
            "ActivityScheduled": 1,
            "ActivityCompleted": 1,
            "UpdateCompleted": 1,
            "WorkflowCompleted": 1,
        }
    assert [each async for each in inner.all_messages()] == []


async def test_every_append_of_the_story_is_tried() -> None:
    store = DeadlyStore(MemoryStore(), 100, is_written=False)
    async with test_engine(store, workflows=[collecting]), aion.open_client(store.inner) as client:
        await story(client)
    assert store.left == 100 - APPENDS
