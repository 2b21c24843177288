"""Texts made to be mistaken for something else, in every place where a store takes text."""

from __future__ import annotations

import pytest

from aion_core.contracts import EventStore, Package, PackageRoute, RunFilter, StoreWriter
from aion_core.errors import StoreError
from aion_core.events import ParentRef
from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, PackageVersion, RunId, WorkflowId
from aion_core.testing.histories import Story, answer, at, message, only, payload, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["HOSTILE", "HostileTextCases"]

HOSTILE = (
    "'; DROP TABLE events; --",
    'double " quote',
    "%_?*[a-z]",
    "a\0b",
    "right-to-left \u202e and \u2028",
    "\N{PILE OF POO}\N{COMBINING ACUTE ACCENT}",
    "\ufffe\uffff",
    '{"json": true}\\\\',
    "line\r\nbreak\ttab\x7f",
    "/../../etc/passwd",
    "x" * 10_000,
)

PRINTABLE = tuple(text for text in HOSTILE if text.isprintable())

hostile = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
printable = pytest.mark.parametrize("text", PRINTABLE, ids=range(len(PRINTABLE)))
HALF = "\ud800"


class HostileTextCases(SuiteBase):
    """Text is data: it comes back unchanged, and never means anything."""

    @pytest.mark.trio
    @hostile
    async def test_hostile_text_in_events_comes_back_unchanged(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        story = Story(text).started(run_id=text, type=text)
        story.scheduled(text, type=text).timer(text, at(1)).signal(name=text, id=text)
        await write(writer, Story("neighbour").started(), story)
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    @hostile
    async def test_hostile_text_in_rows_comes_back_unchanged(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        story = Story(text).started(run_id=text, type=text)
        await write(writer, story.scheduled(text, type=text).timer(text, at(1)))
        await writer.put_heartbeat(
            story.workflow_id, RunId(text), ActivityId(text), 1, payload("1")
        )
        row = only(await store.open_activities())
        assert (row.workflow_id, row.run_id, row.activity.activity_id) == (text, text, text)
        assert (row.activity.activity_type, row.heartbeat) == (text, payload("1"))
        timer = only(await store.expired_timers(at(1)))
        assert (timer.workflow_id, timer.run_id, timer.timer.timer_id) == (text, text, text)

    @pytest.mark.trio
    @hostile
    async def test_hostile_text_in_a_summary_comes_back_unchanged(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        parent = ParentRef(
            workflow_id=WorkflowId(text), run_id=RunId(text), child_key=ChildKey(text)
        )
        story = Story(text).started(
            run_id=text, type=text, parent=parent, attributes={text: text, "list": (text,)}
        )
        await write(writer, story)
        await writer.put_stuck(story.workflow_id, text)
        stuck = await store.read_summary(story.workflow_id)
        await write(writer, story.failed(Failure(type=text, message=text)))
        closed = await store.read_summary(story.workflow_id)
        assert stuck is not None
        assert closed is not None
        assert (stuck.workflow_id, stuck.run_id, stuck.workflow_type) == (text, text, text)
        assert (stuck.parent, stuck.stuck) == (parent, text)
        assert stuck.attributes == {text: text, "list": (text,)}
        assert closed.failure_reason == f"{text}: {text}"

    @pytest.mark.trio
    @hostile
    async def test_hostile_text_is_found_by_filters(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        story = Story(text).started(type=text, attributes={text: text})
        await write(writer, Story("neighbour").started(), story)
        for wanted in (
            RunFilter(workflow_type=text),
            RunFilter(text=text),
            RunFilter(attributes={text: text}),
        ):
            page = await store.list_runs(wanted)
            assert [run.workflow_id for run in page.runs] == [text]
            assert await store.count(wanted) == 1

    @pytest.mark.trio
    @printable
    async def test_hostile_text_in_messages_comes_back_unchanged(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        sent, answered = message(text, text), answer("other" + text)
        await store.post(sent)
        (refusal,) = await writer.append_many([Story().append(answer=[answered])])
        assert refusal is None
        assert [stored.message for stored in await store.messages()] == [sent]
        assert await store.fetch_answer("other" + text) == answered

    @pytest.mark.trio
    @hostile
    async def test_hostile_ids_are_seen(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        await write(writer, Story(text).started().signal(id=text).update(text + "u"))
        asked = [text, text + "u", text + "x"]
        assert await store.seen(WorkflowId(text), asked) == {text, text + "u"}

    @pytest.mark.trio
    async def test_half_a_surrogate_among_ids_hides_no_other(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().signal(id="s"))
        assert await store.seen(WorkflowId("w"), [HALF, "s"]) == {"s"}

    @pytest.mark.trio
    @hostile
    async def test_hostile_text_in_packages_comes_back_unchanged(
        self, store: EventStore, writer: StoreWriter, text: str
    ) -> None:
        package = Package(
            workflow_type=text,
            version=PackageVersion(text),
            archive=bytes(range(256)),
            deployed_at=at(0),
        )
        await writer.put_package(package)
        assert list(await store.list_packages()) == [package]
        assert list(await store.list_package_routes()) == [PackageRoute(text, package.version)]

    @pytest.mark.trio
    async def test_half_a_surrogate_is_refused_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        wrong = Story().started().signal(name=HALF)
        right = Story("right").started()
        refusals = await writer.append_many([wrong.append(), right.append()])
        assert type(refusals[0]) is StoreError
        assert refusals[1] is None
        assert list(await store.read_history(wrong.workflow_id)) == []

    @pytest.mark.trio
    @pytest.mark.parametrize("place", ["workflow id", "activity type", "run id", "attribute"])
    async def test_half_a_surrogate_in_a_row_is_refused_alone(
        self, store: EventStore, writer: StoreWriter, place: str
    ) -> None:
        wrong = Story(HALF if place == "workflow id" else "w")
        wrong.started(
            run_id=HALF if place == "run id" else "run",
            attributes={"name": HALF} if place == "attribute" else None,
        )
        wrong.scheduled("activity:0", type=HALF if place == "activity type" else "charge")
        right = Story("right").started()
        refusals = await writer.append_many([right.append(), wrong.append()])
        assert refusals[0] is None
        assert type(refusals[1]) is StoreError
        assert await store.read_summary(wrong.workflow_id) is None
        assert list(await store.read_history(wrong.workflow_id)) == []
        assert list(await store.read_history(right.workflow_id)) == right.events

    @pytest.mark.trio
    async def test_half_a_surrogate_in_a_posted_message_is_refused(self, store: EventStore) -> None:
        with pytest.raises(StoreError):
            await store.post(message("m", HALF))
        assert list(await store.messages()) == []

    @pytest.mark.trio
    async def test_half_a_surrogate_in_a_sent_message_is_refused_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        wrong, right = Story("wrong").started(), Story("right").started()
        refusals = await writer.append_many(
            [wrong.append(post=[message("m", HALF)]), right.append(post=[message("n")])]
        )
        assert type(refusals[0]) is StoreError
        assert refusals[1] is None
        assert list(await store.read_history(wrong.workflow_id)) == []
        assert [stored.message.message_id for stored in await store.messages()] == ["n"]
