"""What an engine has to do: due timers, open activities, and the list of both at its start."""

from __future__ import annotations

import pytest

from aion_core.contracts import DueReason, EventStore, OpenActivity, StoreWriter
from aion_core.ids import WorkflowId
from aion_core.testing.histories import Story, at, message, only, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["WorkCases"]

W = WorkflowId("w")


async def _due(store: EventStore, now: float = 0) -> dict[str, tuple[DueReason, ...]]:
    return {run.workflow_id: run.reasons for run in await store.due_work(at(now))}


class WorkCases(SuiteBase):
    """What is due is listed, in order, and nothing of a run that cannot go on."""

    @pytest.mark.trio
    async def test_an_empty_store_has_nothing_to_do(self, store: EventStore) -> None:
        assert list(await store.open_activities()) == []
        assert list(await store.expired_timers(at(0))) == []
        assert await store.next_timer() is None
        assert list(await store.due_work(at(0))) == []

    @pytest.mark.trio
    async def test_open_activities_come_by_workflow_then_by_start(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(name).started() for name in ("b", "a", "c")]
        for story in stories:
            for activity in ("z", "y", "x"):
                story.scheduled(activity)
        await write(writer, *stories)
        rows = await store.open_activities()
        assert [(row.workflow_id, row.activity.activity_id) for row in rows] == [
            (workflow, activity) for workflow in "abc" for activity in "zyx"
        ]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 2, 4, 9, 10])
    async def test_open_activities_come_in_pages(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        stories = [Story(name).started() for name in "abc"]
        for story in stories:
            story.scheduled("0").scheduled("1").scheduled("2")
        await write(writer, *stories)
        everything = list(await store.open_activities())
        assert len(everything) == 9
        paged: list[OpenActivity] = []
        after = None
        while page := await store.open_activities(after=after, limit=limit):
            assert len(page) <= limit
            paged += page
            after = (paged[-1].workflow_id, paged[-1].activity.scheduled_seq)
        assert paged == everything

    @pytest.mark.trio
    async def test_pages_of_activities_stay_while_activities_come_and_go(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = {name: Story(name).started().scheduled("a").scheduled("b") for name in "bcd"}
        await write(writer, *stories.values())
        first = await store.open_activities(limit=3)
        # Before the place of the last row, at it, and behind it.
        stories["b"].activity_completed("a")
        stories["c"].activity_completed("a")
        stories["d"].activity_completed("a").scheduled("c")
        await write(writer, Story("a").started().scheduled("a"), *stories.values())
        last = first[-1]
        second = await store.open_activities(after=(last.workflow_id, last.activity.scheduled_seq))
        found = [(row.workflow_id, row.activity.activity_id) for row in (*first, *second)]
        assert found == [
            ("b", "a"),
            ("b", "b"),
            ("c", "a"),
            ("c", "b"),
            ("d", "b"),
            ("d", "c"),
        ]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_page_without_activities_is_a_mistake(
        self, store: EventStore, limit: int
    ) -> None:
        with pytest.raises(ValueError, match="1"):
            await store.open_activities(limit=limit)

    @pytest.mark.trio
    async def test_a_timer_is_due_at_its_very_instant(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started(run_id="r").timer("t", at(1.000001)))
        assert list(await store.expired_timers(at(1))) == []
        row = only(await store.expired_timers(at(1.000001)))
        assert (row.run_id, row.timer.fire_at) == ("r", at(1.000001))

    @pytest.mark.trio
    async def test_due_timers_come_by_time_then_by_start(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        b = Story("b").started().timer("late", at(3)).timer("1", at(2))
        a = Story("a").started().signal().signal().timer("2", at(2)).timer("0", at(1))
        c = Story("c").started().timer("3", at(1))
        await write(writer, b, a, c)
        due = await store.expired_timers(at(2))
        assert [(row.workflow_id, row.timer.timer_id) for row in due] == [
            ("c", "3"),
            ("a", "0"),
            ("b", "1"),
            ("a", "2"),
        ]

    @pytest.mark.trio
    async def test_timers_of_one_time_and_start_come_by_workflow(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, *(Story(name).started().timer("t", at(1)) for name in "bca"))
        due = await store.expired_timers(at(1))
        assert [row.workflow_id for row in due] == ["a", "b", "c"]

    @pytest.mark.trio
    async def test_the_next_timer_is_the_earliest_later_than_asked(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().timer("b", at(2)).timer("a", at(1)))
        assert await store.next_timer() == at(1)
        assert await store.next_timer(at(0)) == at(1)
        assert await store.next_timer(at(1)) == at(2)
        assert await store.next_timer(at(2)) is None

    @pytest.mark.trio
    async def test_instants_of_any_age_are_kept_to_the_microsecond(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        early = at(0).replace(year=1, microsecond=1)
        late = at(0).replace(year=9999, microsecond=999_999)
        await write(writer, Story().started().timer("early", early).timer("late", late))
        assert [row.timer.fire_at for row in await store.expired_timers(late)] == [early, late]
        assert await store.next_timer(at(0)) == late

    @pytest.mark.trio
    async def test_a_paused_run_has_nothing_due(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a").timer("t", at(0)).paused())
        assert list(await store.open_activities()) == []
        assert list(await store.expired_timers(at(9))) == []
        assert await store.next_timer() is None
        assert list(await store.due_work(at(9))) == []

    @pytest.mark.trio
    async def test_a_resumed_run_has_its_rows_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").scheduled("b").timer("t", at(0)).timer("u", at(1))
        await write(writer, story.paused())
        # What is settled meanwhile does not come back.
        story.activity_completed("b").timer_cancelled("u")
        await write(writer, story.resumed())
        assert [row.activity.activity_id for row in await store.open_activities()] == ["a"]
        assert [row.timer.timer_id for row in await store.expired_timers(at(9))] == ["t"]
        assert await store.next_timer() == at(0)
        assert await _due(store) == {"w": (DueReason.TIMER, DueReason.ACTIVITY)}

    @pytest.mark.trio
    async def test_a_stuck_run_has_no_rows_due(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a").timer("t", at(0)))
        await writer.put_stuck(W, "no code")
        assert list(await store.open_activities()) == []
        assert list(await store.expired_timers(at(9))) == []
        assert await store.next_timer() is None

    @pytest.mark.trio
    async def test_a_run_that_is_stuck_no_more_has_its_rows_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a").timer("t", at(0)))
        await writer.put_stuck(W, "no code")
        await writer.put_stuck(W, None)
        assert len(await store.open_activities()) == 1
        assert len(await store.expired_timers(at(0))) == 1
        assert await store.next_timer() == at(0)

    @pytest.mark.trio
    async def test_the_reason_that_counts_is_the_last_one(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started())
        await writer.put_stuck(W, "no code")
        await writer.put_stuck(W, "other code")
        summary = await store.read_summary(W)
        assert summary is not None
        assert summary.stuck == "other code"

    @pytest.mark.trio
    async def test_a_stuck_run_records_no_event(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        await writer.put_stuck(W, "no code")
        assert list(await store.read_history(W)) == story.events
        await write(writer, story.signal())

    @pytest.mark.trio
    async def test_the_end_of_a_run_ends_its_being_stuck(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        await writer.put_stuck(W, "no code")
        await write(writer, story.terminated())
        summary = await store.read_summary(W)
        assert summary is not None
        assert summary.stuck is None
        assert list(await store.due_work(at(0))) == []

    @pytest.mark.trio
    async def test_a_successor_is_not_stuck(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started()
        await write(writer, story)
        await writer.put_stuck(W, "no code")
        await write(writer, story.continued("2"))
        summary = await store.read_summary(W)
        assert summary is not None
        assert summary.stuck is None

    @pytest.mark.trio
    async def test_neither_a_closed_nor_an_unknown_workflow_gets_stuck(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().completed()
        await write(writer, story)
        await writer.put_stuck(W, "no code")
        await writer.put_stuck(WorkflowId("nobody"), "no code")
        summary = await store.read_summary(W)
        assert summary is not None
        assert summary.stuck is None
        assert await store.read_summary(WorkflowId("nobody")) is None
        assert list(await store.due_work(at(0))) == []

    @pytest.mark.trio
    async def test_a_pending_message_is_due(self, store: EventStore, writer: StoreWriter) -> None:
        await write(writer, Story().started(), Story("idle").started())
        await store.post(message("m"))
        assert await _due(store) == {"w": (DueReason.MESSAGE,)}

    @pytest.mark.trio
    async def test_a_pending_message_is_due_whoever_it_is_for(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story("paused").started().paused(), Story("closed").started().completed()]
        await write(writer, *stories)
        for target in ("paused", "closed", "nobody"):
            await store.post(message(target, target))
        assert set(await _due(store)) == {"paused", "closed", "nobody"}

    @pytest.mark.trio
    async def test_a_timer_is_due_work_at_its_very_instant(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().timer("t", at(5)))
        assert await _due(store, 4.999999) == {}
        assert await _due(store, 5) == {"w": (DueReason.TIMER,)}

    @pytest.mark.trio
    async def test_a_planned_attempt_is_due_at_its_very_instant(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(
            writer, Story().started().scheduled("a").activity_failed("a", next_attempt_at=at(5))
        )
        assert await _due(store, 4.999999) == {}
        assert await _due(store, 5) == {"w": (DueReason.ACTIVITY,)}

    @pytest.mark.trio
    async def test_a_held_activity_is_not_due(self, store: EventStore, writer: StoreWriter) -> None:
        await write(writer, Story().started().scheduled("a").activity_failed("a", held=True))
        assert await _due(store) == {}

    @pytest.mark.trio
    @pytest.mark.parametrize("held", [True, False])
    async def test_a_waiting_activity_is_due_when_its_cancellation_is_asked_for(
        self, store: EventStore, writer: StoreWriter, held: bool
    ) -> None:
        story = Story().started().scheduled("a")
        story.activity_failed("a", held=held, next_attempt_at=None if held else at(5))
        await write(writer, story.cancel_requested("a"))
        assert await _due(store) == {"w": (DueReason.ACTIVITY,)}

    @pytest.mark.trio
    async def test_a_stuck_run_is_due_for_that_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a").timer("t", at(0)))
        await writer.put_stuck(W, "no code")
        assert await _due(store) == {"w": (DueReason.STUCK,)}

    @pytest.mark.trio
    async def test_all_reasons_are_named_in_order(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").scheduled("b").timer("t", at(0)).timer("u", at(0))
        await write(writer, story)
        await store.post(message("m"))
        await store.post(message("n"))
        assert await _due(store) == {"w": (DueReason.MESSAGE, DueReason.TIMER, DueReason.ACTIVITY)}

    @pytest.mark.trio
    async def test_due_work_comes_by_start_then_by_id(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        for name, second in (("b", 1), ("a", 1), ("old", 0), ("new", 2)):
            await write(writer, Story(name).started(at=at(second)).scheduled("a"))
        await store.post(message("m", "0 unknown"))
        assert list(await _due(store)) == ["old", "a", "b", "new", "0 unknown"]
