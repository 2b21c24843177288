"""Rows that follow from events: summaries, open activities, open timers, rate limits."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from aion_core.contracts import EventStore, StoreWriter
from aion_core.events import ParentRef, ReopenedActivity
from aion_core.failures import Failure
from aion_core.history import ActivityRow, RateRow, RunProjection, TimerRow, WorkflowSummary
from aion_core.ids import ActivityId, ChildKey, RunId, TimerId, WorkflowId
from aion_core.policies import Limit
from aion_core.status import WorkflowStatus
from aion_core.testing.histories import FAILURE, Story, at, only, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["RowCases"]


async def _activity(store: EventStore) -> ActivityRow:
    row = only(await store.open_activities())
    return row.activity


async def _summary(store: EventStore, workflow_id: str = "w") -> WorkflowSummary:
    summary = await store.read_summary(WorkflowId(workflow_id))
    assert summary is not None
    return summary


class RowCases(SuiteBase):
    """Rows say what `RunProjection` says of the history."""

    @pytest.mark.trio
    async def test_a_started_workflow_is_running(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        parent = ParentRef(
            workflow_id=WorkflowId("p"), run_id=RunId("pr"), child_key=ChildKey("child:0")
        )
        story = Story().started(at=at(3), run_id="r", parent=parent, attributes={"a": 1})
        await write(writer, story.signal())
        assert await _summary(store) == WorkflowSummary(
            workflow_id=story.workflow_id,
            run_id=RunId("r"),
            workflow_type="order",
            status=WorkflowStatus.RUNNING,
            started_at=at(3),
            events=2,
            parent=parent,
            attributes={"a": 1},
        )

    @pytest.mark.trio
    @pytest.mark.parametrize(
        ("end", "status", "reason"),
        [
            (Story.completed, WorkflowStatus.COMPLETED, None),
            (Story.failed, WorkflowStatus.FAILED, "Declined: no money"),
            (Story.cancelled, WorkflowStatus.CANCELLED, "no longer wanted"),
            (Story.terminated, WorkflowStatus.TERMINATED, "in the way"),
            (Story.timed_out, WorkflowStatus.TIMED_OUT, "its run time was over"),
        ],
    )
    async def test_a_closed_workflow_has_its_end(
        self,
        store: EventStore,
        writer: StoreWriter,
        end: Callable[[Story], Story],
        status: WorkflowStatus,
        reason: str | None,
    ) -> None:
        story = Story().started()
        await write(writer, story)
        story.now = at(60)
        await write(writer, end(story))
        summary = await _summary(store)
        assert (summary.status, summary.closed_at) == (status, at(60))
        assert summary.failure_reason == reason

    @pytest.mark.trio
    async def test_a_further_run_takes_the_place_of_the_former(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1", attributes={"a": 1}).failed()
        await write(writer, story)
        await write(writer, story.started(at=at(9), run_id="2", continued_from="1"))
        assert await _summary(store) == WorkflowSummary(
            workflow_id=story.workflow_id,
            run_id=RunId("2"),
            workflow_type="order",
            status=WorkflowStatus.RUNNING,
            started_at=at(9),
            events=3,
        )

    @pytest.mark.trio
    async def test_attributes_are_merged_and_none_removes(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(attributes={"a": 1, "b": "x", "c": True})
        await write(writer, story)
        await write(writer, story.attributes(a=2.5, b=None, d=("x", "y"), e=at(1)))
        expected = {"a": 2.5, "c": True, "d": ("x", "y"), "e": at(1)}
        found = (await _summary(store)).attributes
        assert found == expected
        assert {name: type(value) for name, value in found.items()} == {
            name: type(value) for name, value in expected.items()
        }

    @pytest.mark.trio
    async def test_the_failed_activity_is_in_the_summary_while_it_matters(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").activity_failed("a", 5)
        await write(writer, story)
        assert (await _summary(store)).failed_activity == "a"
        error = Failure(type="ActivityError", message="a failed", cause=FAILURE)
        by_it, otherwise = Story("by it"), Story("otherwise")
        by_it.started().scheduled("a").activity_failed("a", 5).failed(error)
        otherwise.started().scheduled("a").activity_failed("a", 5).failed()
        await write(writer, by_it, otherwise)
        assert (await _summary(store, "by it")).failed_activity == "a"
        assert (await _summary(store, "otherwise")).failed_activity is None

    @pytest.mark.trio
    async def test_a_scheduled_activity_is_open_at_its_first_attempt(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started(run_id="r").scheduled("activity:0", type="charge"))
        row = only(await store.open_activities())
        assert row.activity == ActivityRow(
            activity_id=ActivityId("activity:0"), activity_type="charge", scheduled_seq=2
        )
        assert (row.workflow_id, row.run_id, row.heartbeat) == ("w", "r", None)

    @pytest.mark.trio
    async def test_a_rate_limit_is_on_its_activity(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a", limit=Limit("api", rate=(5, 60.5))))
        assert (await _activity(store)).rate == RateRow("api", 60.5)

    @pytest.mark.trio
    async def test_a_planned_attempt_has_its_time(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("activity:0").delivered("activity:0", 1, 2)
        await write(writer, story)
        assert (await _activity(store)).delivery == 2
        await write(writer, story.activity_failed("activity:0", next_attempt_at=at(7.25)))
        row = await _activity(store)
        assert (row.attempt, row.delivery, row.next_attempt_at) == (2, 1, at(7.25))

    @pytest.mark.trio
    async def test_a_delivered_attempt_waits_no_more(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").activity_failed("a", next_attempt_at=at(7))
        await write(writer, story.delivered("a", 2, 1))
        row = await _activity(store)
        assert (row.attempt, row.delivery, row.next_attempt_at) == (2, 1, None)

    @pytest.mark.trio
    async def test_a_held_activity_is_open_and_held(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a").activity_failed("a", 5, held=True))
        assert (await _activity(store)).held is True
        assert (await _summary(store)).failed_activity == "a"

    @pytest.mark.trio
    async def test_a_cancel_request_is_seen_on_the_activity(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("activity:0").cancel_requested("activity:0")
        await write(writer, story)
        assert (await _activity(store)).cancel_requested is True

    @pytest.mark.trio
    async def test_an_activity_with_an_outcome_is_gone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        for name in "abcd":
            story.scheduled(name)
        await write(writer, story)
        story.activity_completed("a").activity_failed("b", attempt=5).activity_cancelled("c")
        await write(writer, story)
        assert (await _activity(store)).activity_id == "d"

    @pytest.mark.trio
    async def test_a_fired_timer_is_gone(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started().timer("timer:0", at(5)).timer("timer:1", at(6))
        await write(writer, story)
        await write(writer, story.fired("timer:0", 2))
        row = only(await store.expired_timers(at(99)))
        assert row.timer.timer_id == "timer:1"
        assert await store.next_timer() == at(6)

    @pytest.mark.trio
    async def test_a_cancelled_timer_is_gone(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started().timer("timer:0", at(5)).timer("timer:1", at(6))
        await write(writer, story)
        await write(writer, story.timer_cancelled("timer:0"))
        row = only(await store.expired_timers(at(99)))
        assert row.timer.timer_id == "timer:1"
        assert await store.next_timer() == at(6)

    @pytest.mark.trio
    async def test_a_timer_settled_in_the_append_that_armed_it_never_was(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().timer("t", at(5)).timer_cancelled("t"))
        assert list(await store.expired_timers(at(99))) == []

    @pytest.mark.trio
    async def test_the_end_of_a_run_settles_its_timers(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        ending = Story("ending").started().timer("t", at(1)).timer("u", at(2))
        going_on = Story("going on").started().timer("t", at(3))
        await write(writer, ending, going_on)
        await write(writer, ending.completed())
        assert [row.workflow_id for row in await store.expired_timers(at(9))] == ["going on"]
        assert await store.next_timer() == at(3)

    @pytest.mark.trio
    async def test_the_end_of_a_run_settles_its_activities(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        ending = Story("ending").started().scheduled("a").scheduled("b")
        going_on = Story("going on").started().scheduled("a")
        await write(writer, ending, going_on)
        await write(writer, ending.terminated())
        assert [row.workflow_id for row in await store.open_activities()] == ["going on"]

    @pytest.mark.trio
    async def test_rows_of_a_successor_are_of_its_run(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1").scheduled("a").timer("t", at(1))
        await write(writer, story)
        await write(writer, story.continued("2").scheduled("a").timer("t", at(2)))
        activity = only(await store.open_activities())
        assert (activity.run_id, activity.activity.scheduled_seq) == ("2", 6)
        timer = only(await store.expired_timers(at(9)))
        assert (timer.run_id, timer.timer.fire_at) == ("2", at(2))

    @pytest.mark.trio
    async def test_equal_ids_of_two_workflows_are_two_rows(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(name).started().scheduled("a").timer("t", at(1)) for name in "vw"]
        await write(writer, *stories)
        await write(writer, stories[0].activity_completed("a").fired("t", 3))
        assert [row.workflow_id for row in await store.open_activities()] == ["w"]
        assert [row.workflow_id for row in await store.expired_timers(at(1))] == ["w"]

    @pytest.mark.trio
    async def test_a_reopened_run_has_the_rows_its_event_names_and_no_others(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="r").scheduled("a").scheduled("b")
        story.timer("t", at(5)).timer("u", at(6)).failed()
        await write(writer, story)
        activity = ReopenedActivity(
            activity_id=ActivityId("b"), activity_type="charge", scheduled_seq=3, attempt=4
        )
        timer = TimerRow(timer_id=TimerId("u"), started_seq=5, fire_at=at(6))
        await write(writer, story.reopened(6, [activity], [timer]))
        open_activity = only(await store.open_activities())
        assert (open_activity.run_id, open_activity.activity.attempt) == ("r", 4)
        assert open_activity.activity.activity_id == "b"
        due = only(await store.expired_timers(at(9)))
        assert (due.run_id, due.timer) == ("r", timer)
        summary = await _summary(store)
        assert (summary.status, summary.closed_at) == (WorkflowStatus.RUNNING, None)
        assert summary.failure_reason is None

    @pytest.mark.trio
    async def test_a_rich_history_has_the_rows_of_its_projection(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1", attributes={"a": 1}).scheduled("a").timer("t", at(1))
        story.attributes(b=2).activity_failed("a", next_attempt_at=at(3)).paused().resumed()
        story.continued("2").scheduled("a").scheduled("b").timer("t", at(4)).signal(id="s")
        story.delivered("a", 1, 2).activity_failed("b", 1).cancel_requested("a").attributes(c=3)
        while story.taken < story.head:
            story.taken += 1
            event = story.events[story.taken - 1]
            await writer.append(story.workflow_id, [event], story.taken - 1)
            projection = RunProjection(story.workflow_id, story.events[: story.taken])
            assert projection.summary is not None
            expected = attrs.evolve(projection.summary, events=story.taken)
            assert await _summary(store) == expected
            goes_on = expected.status is WorkflowStatus.RUNNING
            activities = [row.activity for row in await store.open_activities()]
            assert activities == (list(projection.activities.values()) if goes_on else [])
            timers = [row.timer for row in await store.expired_timers(at(99))]
            assert timers == (list(projection.timers.values()) if goes_on else [])

    @pytest.mark.trio
    async def test_starts_under_a_rate_limit_are_kept(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        limit, other = Limit("api", rate=(5, 60)), Limit("other", rate=(5, 60))
        one, two = Story("1").started(), Story("2").started()
        one.scheduled("a", limit=limit).scheduled("b", limit=other).scheduled("c")
        two.scheduled("a", limit=limit)
        for second, story in ((10, one), (20, two), (30, one)):
            story.now = at(second)
            story.delivered("a")
        one.delivered("b").delivered("c")
        await write(writer, one, two)
        assert list(await store.limit_starts("api", at(0))) == [at(10), at(20), at(30)]

    @pytest.mark.trio
    async def test_starts_under_a_rate_limit_are_listed_from_an_instant_on(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a", limit=Limit("api", rate=(5, 60)))
        for second in (1, 2, 3):
            story.now = at(second)
            story.delivered("a", 1, second)
        await write(writer, story)
        assert list(await store.limit_starts("api", at(2))) == [at(2), at(3)]
        assert list(await store.limit_starts("api", at(3.000001))) == []
        assert list(await store.limit_starts("ap", at(0))) == []

    @pytest.mark.trio
    async def test_starts_under_a_rate_limit_stay_when_their_activity_is_settled(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a", limit=Limit("api", rate=(5, 60)))
        story.delivered("a").activity_completed("a").completed()
        await write(writer, story)
        assert list(await store.limit_starts("api", at(0))) == [at(0)]

    @pytest.mark.trio
    async def test_starts_under_a_rate_limit_stay_when_their_workflow_is_purged(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a", limit=Limit("api", rate=(5, 60)))
        story.delivered("a").activity_completed("a").completed()
        await write(writer, story)
        await writer.purge([story.workflow_id])
        assert list(await store.limit_starts("api", at(0))) == [at(0)]

    @pytest.mark.trio
    async def test_starts_of_a_reopened_activity_are_kept(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a", limit=Limit("api", rate=(5, 60))).failed(FAILURE)
        again = ReopenedActivity(
            activity_id=ActivityId("a"),
            activity_type="charge",
            scheduled_seq=2,
            attempt=1,
            rate=RateRow("api", 60),
        )
        story.reopened(3, activities=[again]).delivered("a")
        await write(writer, story)
        assert list(await store.limit_starts("api", at(0))) == [at(0)]

    @pytest.mark.trio
    async def test_a_limit_without_a_rate_keeps_no_starts(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(
            writer,
            Story().started().scheduled("a", limit=Limit("api", concurrency=2)).delivered("a"),
        )
        assert list(await store.limit_starts("api", at(0))) == []
