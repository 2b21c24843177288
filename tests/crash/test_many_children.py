"""A thousand children of one parent, through crashes, and through appends that go wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EventStore
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus
from aion_runtime.testing import VirtualClock
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.crash.story import Moment, MortalStore

CHILDREN = 1_000
PARENT = WorkflowId("parent")
SUM = sum(2 * number for number in range(CHILDREN))

LIVES: list[tuple[int, Moment]] = [
    (1, "after the commit"),
    (1, "before the commit"),
    (2, "after the commit"),
    (3, "before the commit"),
    (5, "after the commit"),
]
"""After how many commits the engines are killed, one after the other."""


@aion.workflow
async def doubling(value: int) -> int:
    return 2 * value


@aion.workflow
async def parent(count: int) -> int:
    """Starts them all in one step, and adds up what they return."""
    return sum(await aion.gather(*(doubling(number) for number in range(count))))


@asynccontextmanager
async def opened(kind: str, memory: MemoryStore, directory: Path) -> AsyncIterator[EventStore]:
    if kind == "memory":
        yield memory
        return
    async with open_store(f"sqlite:///{directory}/s.db") as store:
        yield store


async def live(store: MortalStore) -> int | None:
    """One engine's life: the parent's result, or None when the store died before."""
    result: int | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with, store, nursery.cancel_scope)
        async with aion.open_engine(
            store, workflows=[parent], clock=VirtualClock(), shutdown_grace=0
        ) as engine:
            handle = await engine.start(parent, CHILDREN, workflow_id=PARENT)
            result = await handle.result()
        nursery.cancel_scope.cancel()
    return result


async def _end_with(store: MortalStore, scope: trio.CancelScope) -> None:
    await store.died.wait()
    scope.cancel()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_thousand_children_start_and_answer_once_whatever_is_killed(
    kind: str, tmp_path: Path
) -> None:
    memory = MemoryStore()
    deaths = 0
    for commits, moment in LIVES:
        async with opened(kind, memory, tmp_path) as inner:
            deaths += await live(MortalStore(inner, commits, moment)) is None
    # The children of all that come at once share their commits: the last may come to the end.
    assert deaths >= 3
    async with opened(kind, memory, tmp_path) as inner:
        assert await live(MortalStore(inner, None, "before the commit")) == SUM
        kinds = Counter(type(event) for event in await inner.read_history(PARENT))
        assert kinds == {
            e.WorkflowStarted: 1,
            e.ChildWorkflowStarted: CHILDREN,
            e.ChildWorkflowCompleted: CHILDREN,
            e.WorkflowCompleted: 1,
        }
        children = set(await inner.list_workflow_ids()) - {PARENT}
        assert len(children) == CHILDREN
        for child in children:
            summary = await inner.read_summary(child)
            assert summary is not None
            assert (summary.status, summary.events) == (WorkflowStatus.COMPLETED, 2)
        assert [stored async for stored in inner.all_messages()] == []
