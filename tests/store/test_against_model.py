"""Every store keeps the rows that `RunProjection` has, whatever valid history is appended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aion_core.contracts import EventStore, StoreWriter
from aion_core.history import RunProjection
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store

if TYPE_CHECKING:
    from tests.store.conftest import Kit, Story

STEPS = (
    "signal",
    "scheduled",
    "redelivered",
    "retried",
    "failed for good",
    "completed",
    "cancel requested",
    "cancelled",
    "timer",
    "fired",
    "timer cancelled",
    "end",
    "error",
)
# Which of the stories goes on, how, with which of its open rows, and whether it is appended now.
steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(STEPS), st.integers(0, 9), st.booleans()),
    max_size=60,
)


def go_on(story: Story, kit: Kit, step: str, choice: int) -> None:
    """Tell one more event that is valid where the story stands; perhaps none is."""
    state = RunProjection(story.workflow_id, story.events)
    if not state.is_open:
        story.started(started_at=kit.at(story.head), run_id=f"run-{story.head}")
        return
    if step in ("signal", "scheduled", "timer", "end", "error"):
        match step:
            case "signal":
                story.signal(id=f"s{choice}")
            case "scheduled":
                story.scheduled(f"activity:{story.head}")
            case "timer":
                story.timer(f"timer:{story.head}", kit.at(choice))
            case "end":
                story.completed()
            case "error":
                story.failed(kit.failure)
        return
    if step in ("fired", "timer cancelled"):
        timers = list(state.timers.values())
        if timers:
            timer = timers[choice % len(timers)]
            if step == "fired":
                story.fired(timer.timer_id, timer.started_seq)
            else:
                story.timer_cancelled(timer.timer_id)
        return
    activities = list(state.activities.values())
    if not activities:
        return
    row = activities[choice % len(activities)]
    match step:
        case "redelivered":
            story.redelivered(row.activity_id, row.attempt, row.delivery + 1)
        case "retried":
            story.activity_failed(row.activity_id, row.attempt, kit.at(choice))
        case "failed for good":
            story.activity_failed(row.activity_id, row.attempt)
        case "completed":
            story.activity_completed(row.activity_id, row.attempt)
        case "cancel requested":
            story.cancel_requested(row.activity_id)
        case "cancelled":
            story.activity_cancelled(row.activity_id)


async def assert_equal_to_projections(
    store: EventStore, stories: Sequence[Story], kit: Kit
) -> None:
    models = [RunProjection(story.workflow_id, story.events[: story.taken]) for story in stories]
    for story, model in zip(stories, models, strict=True):
        assert list(await store.read_history(story.workflow_id)) == story.events[: story.taken]
        expected = model.summary and attrs.evolve(model.summary, events=model.head)
        assert await store.read_summary(story.workflow_id) == expected
    activities = [(row.workflow_id, row.activity) for row in await store.open_activities()]
    assert activities == [
        (model.workflow_id, activity)
        for model in models
        for activity in sorted(model.activities.values(), key=lambda row: row.scheduled_seq)
    ]
    timers = {(row.workflow_id, row.timer) for row in await store.expired_timers(kit.at(99))}
    assert timers == {
        (model.workflow_id, timer) for model in models for timer in model.timers.values()
    }
    instants = [timer.fire_at for _, timer in timers]
    assert await store.next_timer() == min(instants, default=None)
    summaries = [model.summary for model in models if model.summary is not None]
    assert sorted(await kit.all_runs(store, 2)) == sorted(run.workflow_id for run in summaries)


@pytest.fixture(scope="module")
def numbers() -> itertools.count[int]:
    return itertools.count()


@given(steps=steps)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_equal_the_projection_of_the_history(
    tmp_path_factory: pytest.TempPathFactory,
    kit: Kit,
    numbers: itertools.count[int],
    steps: Sequence[tuple[int, str, int, bool]],
) -> None:
    path = tmp_path_factory.getbasetemp() / f"model-{next(numbers)}.db"

    async def drive() -> None:
        memory = MemoryStore()
        async with (
            open_store(f"sqlite:///{path}?durability=normal") as sqlite,
            memory.writer() as memory_writer,
            sqlite.writer() as sqlite_writer,
        ):
            writers: list[StoreWriter] = [memory_writer, sqlite_writer]
            stories = [kit.Story(name) for name in "abc"]
            for which, step, choice, append_now in steps:
                go_on(stories[which], kit, step, choice)
                if append_now:
                    appends = [s.append() for s in stories if s.head > s.taken]
                    for writer in writers:
                        assert list(await writer.append_many(appends)) == [None] * len(appends)
            for store in (memory, sqlite):
                await assert_equal_to_projections(store, stories, kit)
            assert await sqlite.list_runs() == attrs.evolve(await memory.list_runs())

    trio.run(drive)
