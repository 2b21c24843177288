"""Rows that follow from events, by every store: summaries, open activities, open timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aion_core.contracts import EventStore, StoreWriter
from aion_core.failures import Failure
from aion_core.history import ActivityRow, TimerRow
from aion_core.status import WorkflowStatus

if TYPE_CHECKING:
    from tests.store.conftest import Kit, Story


async def _activity(store: EventStore) -> ActivityRow:
    (row,) = await store.open_activities()
    return row.activity


async def test_a_started_workflow_is_running(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started(started_at=kit.at(3), run_id="r", type="order").signal()
    await kit.write(writer, story)
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert summary.workflow_id == "w"
    assert summary.run_id == "r"
    assert summary.workflow_type == "order"
    assert summary.status is WorkflowStatus.RUNNING
    assert summary.started_at == kit.at(3)
    assert summary.closed_at is None
    assert summary.events == 2


async def test_a_completed_workflow_has_its_end(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started()
    story.now = kit.at(60)
    await kit.write(writer, story.completed())
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert (summary.status, summary.closed_at) == (WorkflowStatus.COMPLETED, kit.at(60))
    assert summary.failure_reason is None


async def test_a_failed_workflow_has_its_reason(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().failed(Failure(type="Declined", message="no 'money'"))
    await kit.write(writer, story)
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert summary.status is WorkflowStatus.FAILED
    assert summary.failure_reason == "Declined: no 'money'"


async def test_a_further_run_takes_the_place_of_the_former(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started(run_id="1").failed(kit.failure)
    await kit.write(writer, story)
    await kit.write(writer, story.started(started_at=kit.at(9), run_id="2"))
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert (summary.run_id, summary.status) == ("2", WorkflowStatus.RUNNING)
    assert (summary.closed_at, summary.failure_reason) == (None, None)
    assert (summary.started_at, summary.events) == (kit.at(9), 3)


async def test_a_scheduled_activity_is_open_at_its_first_attempt(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    await kit.write(writer, kit.Story().started().scheduled("activity:0", type="charge"))
    assert await _activity(store) == ActivityRow(
        activity_id="activity:0",  # type: ignore[arg-type]
        activity_type="charge",
        scheduled_seq=2,
    )


async def test_a_planned_attempt_has_its_time(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().scheduled("activity:0").redelivered("activity:0", 1, 2)
    await kit.write(writer, story)
    assert (await _activity(store)).delivery == 2
    await kit.write(writer, story.activity_failed("activity:0", next_attempt_at=kit.at(7.25)))
    row = await _activity(store)
    assert (row.attempt, row.delivery, row.next_attempt_at) == (2, 1, kit.at(7.25))


async def test_a_cancel_request_is_seen_on_the_activity(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().scheduled("activity:0").cancel_requested("activity:0")
    await kit.write(writer, story)
    assert (await _activity(store)).cancel_requested is True


async def test_an_activity_with_an_outcome_is_gone(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started()
    for name in "abcd":
        story.scheduled(name)
    await kit.write(writer, story)
    story.activity_completed("a").activity_failed("b", attempt=5).activity_cancelled("c")
    await kit.write(writer, story)
    assert (await _activity(store)).activity_id == "d"


async def test_a_fired_timer_is_gone(store: EventStore, writer: StoreWriter, kit: Kit) -> None:
    await _timer_is_gone(store, writer, kit, lambda story: story.fired("timer:0", 2))


async def test_a_cancelled_timer_is_gone(store: EventStore, writer: StoreWriter, kit: Kit) -> None:
    await _timer_is_gone(store, writer, kit, lambda story: story.timer_cancelled("timer:0"))


async def _timer_is_gone(store, writer, kit, settle) -> None:  # type: ignore[no-untyped-def]
    story: Story = kit.Story().started().timer("timer:0", kit.at(5)).timer("timer:1", kit.at(6))
    await kit.write(writer, story)
    assert await store.next_timer() == kit.at(5)
    settle(story)
    await kit.write(writer, story)
    assert await store.next_timer() == kit.at(6)
    assert [row.timer for row in await store.expired_timers(kit.at(99))] == [
        TimerRow(timer_id="timer:1", started_seq=3, fire_at=kit.at(6))  # type: ignore[arg-type]
    ]


async def test_the_end_of_a_run_settles_all_it_has(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    ending = kit.Story("ending").started().scheduled("a").scheduled("b").timer("t", kit.at(1))
    going_on = kit.Story("going on").started().scheduled("a").timer("t", kit.at(2))
    await kit.write(writer, ending, going_on)
    await kit.write(writer, ending.completed())
    assert [row.workflow_id for row in await store.open_activities()] == ["going on"]
    assert [row.workflow_id for row in await store.expired_timers(kit.at(9))] == ["going on"]


async def test_equal_ids_of_two_workflows_are_two_rows(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    stories = [kit.Story(name).started().scheduled("a").timer("t", kit.at(1)) for name in "vw"]
    await kit.write(writer, *stories)
    await kit.write(writer, stories[0].activity_completed("a").fired("t", 3))
    assert [row.workflow_id for row in await store.open_activities()] == ["w"]
    assert [row.workflow_id for row in await store.expired_timers(kit.at(1))] == ["w"]
