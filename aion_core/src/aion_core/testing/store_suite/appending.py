"""Appends: what is written, what is refused, and what a refusal leaves."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
import trio

from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import SequenceConflictError, StoreError
from aion_core.events import SignalReceived, WorkflowStarted
from aion_core.history import changes
from aion_core.ids import WorkflowId
from aion_core.payloads import Payload
from aion_core.testing.histories import Story, at, only, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["AppendingCases"]

NO_DATES = (
    at(0).replace(tzinfo=None),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
)
"""Instants that stand nowhere in UTC."""


class AppendingCases(SuiteBase):
    """Every append is written as a whole, or refused alone."""

    @pytest.mark.trio
    async def test_events_come_back_as_they_were_written(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("activity:0").timer("timer:0", at(60))
        await write(writer, story)
        story.activity_failed("activity:0", next_attempt_at=at(9.000001)).signal(id="s-1")
        await write(writer, story)
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_another_head_is_a_conflict_that_names_both(self, writer: StoreWriter) -> None:
        story = Story().started().signals(2)
        await write(writer, story)
        with pytest.raises(SequenceConflictError) as caught:
            await writer.append(story.workflow_id, story.of([2, 3]), 1)
        assert (caught.value.expected, caught.value.found) == (1, 3)

    @pytest.mark.trio
    async def test_a_conflict_leaves_nothing(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started().signals(2)
        await write(writer, story)
        late = Story().started().timer("t", at(1)).scheduled("a")
        with pytest.raises(SequenceConflictError):
            await writer.append(late.workflow_id, late.of([2, 3]), 1)
        assert list(await store.read_history(story.workflow_id)) == story.events
        assert await store.next_timer() is None
        assert list(await store.open_activities()) == []

    @pytest.mark.trio
    async def test_a_workflow_cannot_be_created_twice(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started(run_id="first"))
        with pytest.raises(SequenceConflictError):
            await writer.append(WorkflowId("w"), Story().started(run_id="second").events, 0)
        summary = await store.read_summary(WorkflowId("w"))
        assert summary is not None
        assert summary.run_id == "first"

    @pytest.mark.trio
    async def test_an_append_to_an_absent_workflow_is_a_conflict(self, writer: StoreWriter) -> None:
        story = Story().started().signal()
        with pytest.raises(SequenceConflictError) as caught:
            await writer.append(story.workflow_id, story.of([2]), 1)
        assert (caught.value.expected, caught.value.found) == (1, 0)

    @pytest.mark.trio
    async def test_a_conflict_in_a_batch_fails_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        first, second, third = (Story(name).started() for name in "abc")
        await write(writer, second)
        stale = Append(second.workflow_id, second.events, 0)
        refusals = await writer.append_many([first.append(), stale, third.append()])
        assert [type(refusal) for refusal in refusals] == [
            type(None),
            SequenceConflictError,
            type(None),
        ]
        for story in (first, second, third):
            assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_changes_that_come_with_their_events_make_no_difference(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").scheduled("b").timer("t", at(1)).signal(id="s")
        story.activity_completed("a").attributes(n=1)
        told = [changes(event) for event in story.events]
        assert None in told
        assert list(await writer.append_many([attrs.evolve(story.append(), changes=told)])) == [
            None
        ]
        assert list(await store.read_history(story.workflow_id)) == story.events
        assert only(await store.open_activities()).activity.activity_id == "b"
        assert only(await store.expired_timers(at(1))).timer.timer_id == "t"
        assert list(await store.check()) == []

    @pytest.mark.trio
    async def test_another_number_of_changes_than_of_events_is_refused(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a")
        told = [changes(event) for event in story.of([1])]
        (refusal,) = await writer.append_many([attrs.evolve(story.append(), changes=told)])
        assert isinstance(refusal, StoreError)
        assert "2 events and 1 changes" in str(refusal)
        assert list(await store.read_history(story.workflow_id)) == []

    @pytest.mark.trio
    async def test_two_appends_to_one_workflow_in_a_batch_follow_each_other(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("activity:0")
        first = story.append()
        second = story.activity_completed("activity:0").append()
        assert list(await writer.append_many([first, second])) == [None, None]
        assert list(await store.read_history(story.workflow_id)) == story.events
        assert list(await store.open_activities()) == []

    @pytest.mark.trio
    async def test_an_append_behind_a_refused_one_of_its_workflow_is_taken(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        story.signals(2)
        late, right = Append(story.workflow_id, story.of([3]), 2), story.append()
        refusals = await writer.append_many([late, right])
        assert isinstance(refusals[0], SequenceConflictError)
        assert refusals[1] is None
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_the_second_of_two_creations_in_a_batch_is_a_conflict(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        one, other = Story().started(run_id="one"), Story().started(run_id="other").signal()
        refusals = await writer.append_many([one.append(), other.append()])
        assert refusals[0] is None
        assert isinstance(refusals[1], SequenceConflictError)
        assert list(await store.read_history(one.workflow_id)) == one.events

    @pytest.mark.trio
    @pytest.mark.parametrize("seqs", [[3], [1], [2, 4], [2, 2], [3, 2]])
    async def test_seqs_that_are_not_the_next_ones_are_refused(
        self, store: EventStore, writer: StoreWriter, seqs: list[int]
    ) -> None:
        story = Story().started()
        await write(writer, story)
        story.signals(3)
        with pytest.raises(StoreError) as caught:
            await writer.append(story.workflow_id, story.of(seqs), 1)
        assert type(caught.value) is StoreError
        assert list(await store.read_history(story.workflow_id)) == story.events[:1]

    @pytest.mark.trio
    async def test_no_events_at_the_right_head_change_nothing(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        before = await store.read_summary(story.workflow_id)
        await writer.append(story.workflow_id, [], 1)
        assert list(await store.read_history(story.workflow_id)) == story.events
        assert await store.read_summary(story.workflow_id) == before

    @pytest.mark.trio
    async def test_no_events_at_another_head_are_a_conflict(self, writer: StoreWriter) -> None:
        await write(writer, Story().started())
        with pytest.raises(SequenceConflictError):
            await writer.append(WorkflowId("w"), [], 2)

    @pytest.mark.trio
    async def test_no_events_create_no_workflow(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.append(WorkflowId("w"), [], 0)
        assert await store.read_summary(WorkflowId("w")) is None
        assert list(await store.list_workflow_ids()) == []
        await write(writer, Story().started())

    @pytest.mark.trio
    async def test_no_appends_are_no_error(self, writer: StoreWriter) -> None:
        assert list(await writer.append_many([])) == []

    @pytest.mark.trio
    async def test_events_of_another_workflow_are_refused(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        with pytest.raises(StoreError, match="'other'"):
            await writer.append(WorkflowId("w"), Story("other").started().events, 0)
        assert list(await store.read_history(WorkflowId("w"))) == []
        assert list(await store.read_history(WorkflowId("other"))) == []

    @pytest.mark.trio
    async def test_a_history_begins_with_a_start(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().signal().started()
        with pytest.raises(StoreError, match="WorkflowStarted"):
            await writer.append(story.workflow_id, story.events, 0)
        assert await store.read_summary(story.workflow_id) is None

    @pytest.mark.trio
    async def test_a_change_to_an_activity_that_is_not_open_is_refused_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        wrong = Story("wrong").started().timer("timer:0", at(1)).cancel_requested("activity:9")
        others = [Story(name).started().scheduled("activity:0") for name in "abc"]
        refusals = await writer.append_many(
            [others[0].append(), wrong.append(), others[1].append(), others[2].append()]
        )
        assert [type(refusal) for refusal in refusals] == [
            type(None),
            StoreError,
            *[type(None)] * 2,
        ]
        assert list(await store.read_history(wrong.workflow_id)) == []
        assert await store.read_summary(wrong.workflow_id) is None
        assert await store.next_timer() is None
        assert [row.workflow_id for row in await store.open_activities()] == ["a", "b", "c"]
        # Nor is it in the way of the right events.
        await writer.append(wrong.workflow_id, wrong.events[:2], 0)

    @pytest.mark.trio
    async def test_a_refused_append_leaves_the_rows_as_they_were(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("activity:0").timer("timer:0", at(5))
        await write(writer, story)
        before = await store.open_activities(), await store.expired_timers(at(9))
        story.activity_completed("activity:0").fired("timer:0", 3).cancel_requested("activity:0")
        (refusal,) = await writer.append_many([story.append()])
        assert refusal is not None
        assert (await store.open_activities(), await store.expired_timers(at(9))) == before
        assert list(await store.read_history(story.workflow_id)) == story.events[:3]

    @pytest.mark.trio
    async def test_a_value_without_a_stored_form_is_refused(self, writer: StoreWriter) -> None:
        story = Story().started()
        (start,) = story.events
        assert isinstance(start, WorkflowStarted)
        wrong: dict[str, Any] = {"since": object()}
        event = attrs.evolve(start, attributes=wrong)
        with pytest.raises(StoreError, match="event 1"):
            await writer.append(story.workflow_id, [event], 0)

    @pytest.mark.trio
    @pytest.mark.parametrize("instant", NO_DATES, ids=["naive", "too early", "too late"])
    @pytest.mark.parametrize("place", ["recorded_at", "run_deadline", "fire_at"])
    async def test_an_instant_that_could_not_be_read_back_is_refused_alone(
        self, store: EventStore, writer: StoreWriter, instant: datetime, place: str
    ) -> None:
        right, wrong = Story("right").started(), Story("wrong").started()
        if place == "fire_at":
            wrong.timer("timer:0", instant)
        else:
            fields: dict[str, Any] = {place: instant}
            wrong.events = [attrs.evolve(wrong.events[0], **fields)]
        refusals = await writer.append_many([wrong.append(), right.append()])
        assert [type(refusal) for refusal in refusals] == [StoreError, type(None)]
        assert await store.read_summary(wrong.workflow_id) is None
        assert await store.next_timer() is None

    @pytest.mark.trio
    async def test_workflows_do_not_see_each_other(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(name).started() for name in ("w", "W", "w ", "ẁ", "w1", "1", "01")]
        for turn in range(3):
            for story in stories:
                story.signal(json=f'"{story.workflow_id}{turn}"')
            await write(writer, *stories)
        for story in stories:
            assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_a_payload_of_one_mebibyte_comes_back(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().signal()
        data = bytes(range(256)) * 4096
        _, signal = story.events
        assert isinstance(signal, SignalReceived)
        binary = attrs.evolve(signal, payload=Payload("application/octet-stream", data))
        await writer.append(story.workflow_id, [story.events[0], binary], 0)
        assert list(await store.read_history(story.workflow_id)) == [story.events[0], binary]

    @pytest.mark.trio
    async def test_of_twenty_racers_on_one_head_one_wins(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        for head in range(1, 11):
            winners: list[int] = []
            found: set[int] = set()
            async with trio.open_nursery() as nursery:
                for racer in range(20):
                    nursery.start_soon(_race, writer, head, racer, winners, found)
            assert len(winners) == 1
            assert found == {head + 1}
            history = await store.read_history(story.workflow_id)
            assert [event.seq for event in history] == list(range(1, head + 2))
            last = history[-1]
            assert isinstance(last, SignalReceived)
            assert last.payload.data == str(winners[0]).encode()


async def _race(
    writer: StoreWriter, head: int, racer: int, winners: list[int], found: set[int]
) -> None:
    mine = Story().started().signals(head - 1).signal(json=str(racer))
    try:
        await writer.append(mine.workflow_id, mine.events[head:], head)
    except SequenceConflictError as conflict:
        found.add(conflict.found)
    else:
        winners.append(racer)
