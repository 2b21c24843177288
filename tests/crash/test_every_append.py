"""A crash at every append: the result and the history are those of an undisturbed run.

The engine is dropped, and the store opened again. Kills of real processes are in `test_sigkill`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from aion_core import events as e
from aion_core.contracts import EventStore
from aion_core.ids import ActivityId
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.crash.story import RESULT, WORKFLOW_ID, Moment, MortalStore, Story, comparable

APPENDS = 12
"""How many an undisturbed run takes; a test below counts them."""

Opener = Callable[[], AbstractAsyncContextManager[EventStore]]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    memory = MemoryStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[EventStore]:
        yield memory

    return opened if request.param == "memory" else lambda: open_store(f"sqlite:///{tmp_path}/s.db")


async def undisturbed() -> list[e.HistoryEvent]:
    store = MortalStore(MemoryStore(), None, "before the commit")
    assert await Story().live(store) == RESULT
    return comparable(await store.read_history(WORKFLOW_ID))


async def test_the_matrix_has_a_row_for_every_append() -> None:
    store = MortalStore(MemoryStore(), None, "before the commit")
    await Story().live(store)
    assert store.commits == APPENDS


async def test_the_story_has_every_kind_of_event_that_an_engine_writes_for_one_run() -> None:
    kinds = {type(event) for event in await undisturbed()}
    assert kinds == {
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
        e.ActivityFailed,
        e.ActivityCancelRequested,
        e.ActivityCancelled,
        e.TimerStarted,
        e.TimerFired,
        e.TimerCancelled,
        e.SignalReceived,
        e.WorkflowCompleted,
    }


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
@pytest.mark.parametrize("lives", range(APPENDS))
async def test_a_crash_at_any_append_changes_nothing(
    opener: Opener, lives: int, moment: Moment
) -> None:
    story = Story()
    if moment == "after the commit":
        lives += 1
    async with opener() as inner:
        assert await story.live(MortalStore(inner, lives, moment)) is None
    async with opener() as inner:
        stored = await inner.read_history(WORKFLOW_ID)
        executed_before = len(story.executions)
        assert await story.live(MortalStore(inner, None, moment)) == RESULT
        history = await inner.read_history(WORKFLOW_ID)
    assert comparable(history) == await undisturbed()
    assert history[: len(stored)] == stored
    again = {activity_id for activity_id, _ in story.executions[executed_before:]}
    assert not again & completed(stored)


async def test_a_crash_after_each_append_in_turn_changes_nothing(opener: Opener) -> None:
    """Every engine lives for two appends only: what it finds, and one step on."""
    story = Story()
    engines = 0
    result = None
    while result is None:
        engines += 1
        assert engines <= 2 * APPENDS, "the run makes no progress"
        async with opener() as inner:
            result = await story.live(MortalStore(inner, 2, "after the commit"))
    assert result == RESULT
    async with opener() as inner:
        assert comparable(await inner.read_history(WORKFLOW_ID)) == await undisturbed()


def completed(history: object) -> set[ActivityId]:
    return {event.activity_id for event in history if isinstance(event, e.ActivityCompleted)}  # type: ignore[attr-defined]
