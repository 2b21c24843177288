"""Appending, by every store: what is written, what is refused, and what a refusal leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import SequenceConflictError, StoreError
from aion_core.events import SignalReceived, WorkflowStarted
from aion_core.ids import WorkflowId
from aion_core.payloads import Payload

if TYPE_CHECKING:
    from tests.store.conftest import Kit, Opener

HOSTILE = [
    "'; DROP TABLE events; --",
    'double " quote',
    "%_?*[a-z]",
    "a\0b",
    "right-to-left \u202e and \u2028",
    "\N{PILE OF POO}\N{COMBINING ACUTE ACCENT}",
    "\ufffe\uffff",
    '{"json": true}\\\\',
    "line\r\nbreak\ttab\x7f",
    "x" * 10_000,
]


async def test_an_unknown_workflow_has_no_events(store: EventStore) -> None:
    assert list(await store.read_history(WorkflowId("nobody"))) == []
    assert await store.read_summary(WorkflowId("nobody")) is None


async def test_events_come_back_as_they_were_written(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().scheduled("activity:0").timer("timer:0", kit.at(60))
    await kit.write(writer, story)
    story.activity_failed("activity:0", next_attempt_at=kit.at(9.000001)).signal(id="s-1")
    await kit.write(writer, story)
    assert list(await store.read_history(story.workflow_id)) == story.events


async def test_another_head_is_a_conflict_that_names_both(writer: StoreWriter, kit: Kit) -> None:
    story = kit.Story().started().signals(2)
    await kit.write(writer, story)
    with pytest.raises(SequenceConflictError) as caught:
        await writer.append(story.workflow_id, kit.of(story, [2, 3]), 1)
    assert (caught.value.expected, caught.value.found) == (1, 3)


async def test_a_workflow_cannot_be_created_twice(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    await kit.write(writer, kit.Story().started(run_id="first"))
    with pytest.raises(SequenceConflictError):
        await writer.append(WorkflowId("w"), kit.Story().started(run_id="second").events, 0)
    summary = await store.read_summary(WorkflowId("w"))
    assert summary is not None
    assert summary.run_id == "first"


async def test_an_append_to_an_absent_workflow_is_a_conflict(writer: StoreWriter, kit: Kit) -> None:
    story = kit.Story().started().signal()
    with pytest.raises(SequenceConflictError) as caught:
        await writer.append(story.workflow_id, kit.of(story, [2]), 1)
    assert caught.value.found == 0


async def test_a_conflict_in_a_batch_fails_alone(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    first, second, third = (kit.Story(name).started() for name in "abc")
    await kit.write(writer, second)
    stale = Append(second.workflow_id, second.events, 0)
    refusals = await writer.append_many([first.append(), stale, third.append()])
    assert refusals[0] is None
    assert isinstance(refusals[1], SequenceConflictError)
    assert refusals[2] is None
    for story in (first, second, third):
        assert list(await store.read_history(story.workflow_id)) == story.events


async def test_two_appends_to_one_workflow_in_a_batch_follow_each_other(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().scheduled("activity:0")
    first = story.append()
    second = story.activity_completed("activity:0").append()
    assert list(await writer.append_many([first, second])) == [None, None]
    assert list(await store.read_history(story.workflow_id)) == story.events
    assert list(await store.open_activities()) == []


async def test_an_append_behind_a_refused_one_of_its_workflow_is_refused(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started()
    await kit.write(writer, story)
    story.signals(2)
    late, later = Append(story.workflow_id, kit.of(story, [3]), 2), story.append()
    refusals = await writer.append_many([late, later])
    assert isinstance(refusals[0], SequenceConflictError)
    assert refusals[1] is None
    assert list(await store.read_history(story.workflow_id)) == story.events


@pytest.mark.parametrize("seqs", [[3], [1], [2, 4], [2, 2], [3, 2]])
async def test_seqs_that_are_not_the_next_ones_are_refused(
    store: EventStore, writer: StoreWriter, kit: Kit, seqs: list[int]
) -> None:
    story = kit.Story().started()
    await kit.write(writer, story)
    story.signals(3)
    with pytest.raises(StoreError) as caught:
        await writer.append(story.workflow_id, kit.of(story, seqs), 1)
    assert type(caught.value) is StoreError
    assert list(await store.read_history(story.workflow_id)) == story.events[:1]


async def test_no_events_are_refused(writer: StoreWriter, kit: Kit) -> None:
    await kit.write(writer, kit.Story().started())
    with pytest.raises(StoreError) as caught:
        await writer.append(WorkflowId("w"), [], 1)
    assert type(caught.value) is StoreError


async def test_no_appends_are_no_error(writer: StoreWriter) -> None:
    assert list(await writer.append_many([])) == []


async def test_events_of_another_workflow_are_refused(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    with pytest.raises(StoreError, match="'other'"):
        await writer.append(WorkflowId("w"), kit.Story("other").started().events, 0)
    assert list(await store.read_history(WorkflowId("w"))) == []
    assert list(await store.read_history(WorkflowId("other"))) == []


async def test_a_history_begins_with_a_start(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().signal().started()
    with pytest.raises(StoreError, match="WorkflowStarted"):
        await writer.append(story.workflow_id, story.events, 0)
    assert await store.read_summary(story.workflow_id) is None


async def test_a_change_to_an_activity_that_is_not_open_is_refused_alone(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    wrong = kit.Story("wrong").started().timer("timer:0", kit.at(1)).cancel_requested("activity:9")
    others = [kit.Story(name).started().scheduled("activity:0") for name in "abc"]
    refusals = await writer.append_many(
        [others[0].append(), wrong.append(), others[1].append(), others[2].append()]
    )
    assert [type(refusal) for refusal in refusals] == [type(None), StoreError, *[type(None)] * 2]
    assert list(await store.read_history(wrong.workflow_id)) == []
    assert await store.read_summary(wrong.workflow_id) is None
    assert await store.next_timer() is None
    assert [row.workflow_id for row in await store.open_activities()] == ["a", "b", "c"]
    # Nor is it in the way of the right events.
    await writer.append(wrong.workflow_id, wrong.events[:2], 0)


async def test_a_refused_append_leaves_the_rows_as_they_were(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().scheduled("activity:0").timer("timer:0", kit.at(5))
    await kit.write(writer, story)
    before = await store.open_activities(), await store.expired_timers(kit.at(9))
    story.activity_completed("activity:0").fired("timer:0", 3).cancel_requested("activity:0")
    (refusal,) = await writer.append_many([story.append()])
    assert refusal is not None
    assert (await store.open_activities(), await store.expired_timers(kit.at(9))) == before
    assert list(await store.read_history(story.workflow_id)) == story.events[:3]


async def test_half_a_surrogate_is_refused_alone(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    wrong = kit.Story().started().signal(name="\ud800")
    right = kit.Story("right").started()
    refusals = await writer.append_many([wrong.append(), right.append()])
    assert type(refusals[0]) is StoreError
    assert refusals[1] is None
    assert list(await store.read_history(wrong.workflow_id)) == []


@pytest.mark.parametrize("place", ["workflow id", "activity type", "run id"])
async def test_half_a_surrogate_in_a_column_is_refused_alone(
    store: EventStore, writer: StoreWriter, kit: Kit, place: str
) -> None:
    wrong = kit.Story("\udfff" if place == "workflow id" else "w")
    wrong.started(run_id="\udfff" if place == "run id" else "run")
    wrong.scheduled("activity:0", type="\udfff" if place == "activity type" else "charge")
    right = kit.Story("right").started()
    refusals = await writer.append_many([right.append(), wrong.append()])
    assert refusals[0] is None
    assert type(refusals[1]) is StoreError
    assert await store.read_summary(wrong.workflow_id) is None
    assert list(await store.read_history(wrong.workflow_id)) == []
    assert list(await store.read_history(right.workflow_id)) == right.events


async def test_a_value_without_a_stored_form_is_refused(writer: StoreWriter, kit: Kit) -> None:
    story = kit.Story().started()
    (start,) = story.events
    assert isinstance(start, WorkflowStarted)
    event = attrs.evolve(start, attributes={"since": object()})
    with pytest.raises(StoreError, match="event 1"):
        await writer.append(story.workflow_id, [event], 0)


async def test_workflows_do_not_see_each_other(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    stories = [kit.Story(name).started() for name in ("w", "W", "w ", "ẁ", "w1", "1")]
    for turn in range(3):
        for story in stories:
            story.signal(json=f'"{story.workflow_id}{turn}"')
        await kit.write(writer, *stories)
    for story in stories:
        assert list(await store.read_history(story.workflow_id)) == story.events


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_comes_back_unchanged(
    store: EventStore, writer: StoreWriter, kit: Kit, text: str
) -> None:
    story = kit.Story(text).started(run_id=text, type=text)
    story.scheduled(text, type=text).timer(text, kit.at(1)).signal(name=text, id=text)
    await kit.write(writer, kit.Story("neighbour").started(), story)
    assert list(await store.read_history(story.workflow_id)) == story.events
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert (summary.workflow_id, summary.run_id, summary.workflow_type) == (text, text, text)
    (activity,) = await store.open_activities()
    assert (activity.workflow_id, activity.activity.activity_id) == (text, text)
    (timer,) = await store.expired_timers(kit.at(1))
    assert (timer.workflow_id, timer.timer.timer_id) == (text, text)


async def test_a_payload_of_one_mebibyte_comes_back(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().signal()
    data = bytes(range(256)) * 4096
    _, signal = story.events
    assert isinstance(signal, SignalReceived)
    binary = attrs.evolve(signal, payload=Payload("application/octet-stream", data))
    await writer.append(story.workflow_id, [story.events[0], binary], 0)
    assert list(await store.read_history(story.workflow_id)) == [story.events[0], binary]


async def test_a_history_of_ten_thousand_events_comes_back(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().signals(9_999)
    await kit.write(writer, story)
    assert list(await store.read_history(story.workflow_id)) == story.events
    summary = await store.read_summary(story.workflow_id)
    assert summary is not None
    assert summary.events == 10_000


async def test_of_twenty_racers_on_one_head_one_wins(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started()
    await kit.write(writer, story)
    for head in range(1, 11):
        winners: list[int] = []
        found: set[int] = set()
        async with trio.open_nursery() as nursery:
            for racer in range(20):
                nursery.start_soon(_race, writer, kit, head, racer, winners, found)
        assert len(winners) == 1
        assert found == {head + 1}
        history = await store.read_history(story.workflow_id)
        assert [event.seq for event in history] == list(range(1, head + 2))
        assert history[-1].payload.data == str(winners[0]).encode()  # type: ignore[attr-defined]


async def _race(
    writer: StoreWriter, kit: Kit, head: int, racer: int, winners: list[int], found: set[int]
) -> None:
    mine = kit.Story().started().signals(head - 1).signal(json=str(racer))
    try:
        await writer.append(mine.workflow_id, mine.events[head:], head)
    except SequenceConflictError as conflict:
        found.add(conflict.found)
    else:
        winners.append(racer)


async def test_what_was_written_is_there_when_opened_again(opener: Opener, kit: Kit) -> None:
    story = kit.Story().started().scheduled("activity:0").timer("timer:0", kit.at(1))
    async with opener() as store, store.writer() as writer:
        await kit.write(writer, story)
    async with opener() as store:
        assert list(await store.read_history(story.workflow_id)) == story.events
        assert len(await store.open_activities()) == 1
        assert await store.next_timer() == kit.at(1)
        async with store.writer() as writer:
            await kit.write(writer, story.signal())
        assert list(await store.read_history(story.workflow_id)) == story.events
