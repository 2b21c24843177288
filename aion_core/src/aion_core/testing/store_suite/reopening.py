"""Closing, opening again, and what a crash or damage leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from aion_core.contracts import (
    EventStore,
    Package,
    PackageRoute,
    StoreWriter,
    UnreadableMessage,
)
from aion_core.errors import CorruptHistoryError, StoreError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.testing.histories import Opener, Story, answer, at, message, only, payload, write
from aion_core.testing.store_suite.base import SuiteBase, needs

__all__ = ["ReopeningCases"]

PACKAGE = Package(
    workflow_type="order", version=PackageVersion("v1"), archive=b"code", deployed_at=at(0)
)


class _Crash(Exception):
    """Takes the place of the end of a process."""


class ReopeningCases(SuiteBase):
    """What was acknowledged is there, and nothing else."""

    @pytest.mark.trio
    async def test_what_was_written_is_there_when_opened_again(self, opener: Opener) -> None:
        story = Story().started().scheduled("activity:0").timer("timer:0", at(1)).signal(id="s")
        async with opener() as store, store.writer() as writer:
            await write(writer, story)
        async with opener() as store:
            assert list(await store.read_history(story.workflow_id)) == story.events
            assert len(await store.open_activities()) == 1
            assert await store.next_timer() == at(1)
            assert await store.seen(story.workflow_id, ["s"]) == {"s"}
            async with store.writer() as writer:
                await write(writer, story.signal())
            assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_what_is_beside_histories_is_there_when_opened_again(
        self, opener: Opener
    ) -> None:
        async with opener() as store, store.writer() as writer:
            await writer.append_many(
                [Story().started().scheduled("a").append(answer=[answer("q")])]
            )
            await writer.put_heartbeat(
                WorkflowId("w"), RunId("run"), ActivityId("a"), 1, payload("1")
            )
            await write(writer, Story("stuck").started())
            await writer.put_stuck(WorkflowId("stuck"), "no code")
            await writer.put_package(PACKAGE)
            await store.post(message("m"))
        async with opener() as store:
            activity = only(await store.open_activities())
            assert activity.heartbeat == payload("1")
            summary = await store.read_summary(WorkflowId("stuck"))
            assert summary is not None
            assert summary.stuck == "no code"
            assert list(await store.list_packages()) == [PACKAGE]
            assert list(await store.list_package_routes()) == [
                PackageRoute("order", PACKAGE.version)
            ]
            assert [stored.message for stored in await store.messages()] == [message("m")]
            assert await store.fetch_answer("q") == answer("q")

    @pytest.mark.trio
    async def test_a_store_left_by_an_error_after_any_append_has_all_that_was_acknowledged(
        self, opener: Opener
    ) -> None:
        story = Story()
        for _ in range(5):
            with pytest.raises(_Crash):
                async with opener() as store, store.writer() as writer:
                    await _tell_more(writer, story)
                    raise _Crash
            async with opener() as store:
                await _require_all(store, story)

    @pytest.mark.trio
    @needs("crash")
    @pytest.mark.parametrize("appends", range(1, 7))
    async def test_a_crash_after_any_append_loses_nothing(
        self, opener: Opener, crash: Callable[[], Opener], appends: int
    ) -> None:
        story = Story()
        async with opener() as store, store.writer() as writer:
            for _ in range(appends):
                await _tell_more(writer, story)
            reopener = crash()
        async with reopener() as store:
            await _require_all(store, story)
            async with store.writer() as writer:
                await _tell_more(writer, story)
            await _require_all(store, story)

    @pytest.mark.trio
    @needs("crash")
    async def test_a_writer_after_a_crash_says_so(
        self, opener: Opener, crash: Callable[[], Opener]
    ) -> None:
        async with opener() as store, store.writer() as writer:
            await write(writer, Story().started())
            reopener = crash()
        async with reopener() as store, store.writer() as writer:
            assert writer.after_crash

    @pytest.mark.trio
    @needs("crash")
    async def test_a_message_posted_before_a_crash_is_there(
        self, opener: Opener, crash: Callable[[], Opener]
    ) -> None:
        async with opener() as store:
            await store.post(message("m"))
            reopener = crash()
        async with reopener() as store:
            assert [stored.message for stored in await store.messages()] == [message("m")]

    @pytest.mark.trio
    @needs("fill_disk")
    async def test_a_full_disk_is_an_error_that_leaves_nothing(
        self,
        store: EventStore,
        writer: StoreWriter,
        fill_disk: Callable[[], AbstractContextManager[object]],
    ) -> None:
        story = Story().started()
        await write(writer, story)
        big = Story("big").started().signal(json='"' + "x" * 4_000_000 + '"')
        with fill_disk(), pytest.raises(StoreError):
            await write(writer, big)
        assert list(await store.read_history(big.workflow_id)) == []
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    @needs("fill_disk")
    async def test_a_store_goes_on_when_there_is_room_again(
        self,
        store: EventStore,
        writer: StoreWriter,
        fill_disk: Callable[[], AbstractContextManager[object]],
    ) -> None:
        big = Story("big").started().signal(json='"' + "x" * 4_000_000 + '"')
        append = big.append()
        with fill_disk(), pytest.raises(StoreError):
            await writer.append_many([append])
        assert list(await writer.append_many([append])) == [None]
        assert list(await store.read_history(big.workflow_id)) == big.events

    @pytest.mark.trio
    @needs("corrupt_event")
    async def test_a_corrupt_event_is_named(
        self,
        store: EventStore,
        writer: StoreWriter,
        corrupt_event: Callable[[WorkflowId, int], None],
    ) -> None:
        story = Story("broken").started().signals(4)
        await write(writer, story)
        corrupt_event(story.workflow_id, 3)
        with pytest.raises(CorruptHistoryError) as caught:
            await store.read_history(story.workflow_id)
        assert (caught.value.workflow_id, caught.value.seq) == ("broken", 3)

    @pytest.mark.trio
    @needs("corrupt_event")
    async def test_a_corrupt_event_spoils_no_other_history(
        self,
        store: EventStore,
        writer: StoreWriter,
        corrupt_event: Callable[[WorkflowId, int], None],
    ) -> None:
        broken, sound = Story("broken").started().signals(4), Story("sound").started().signals(4)
        await write(writer, broken, sound)
        corrupt_event(broken.workflow_id, 3)
        assert list(await store.read_history(sound.workflow_id)) == sound.events
        assert list(await store.read_history_from(broken.workflow_id, 4)) == broken.events[3:]
        await write(writer, sound.signal())

    @pytest.mark.trio
    @needs("corrupt_event")
    async def test_a_corrupt_event_is_found_by_the_check(
        self,
        store: EventStore,
        writer: StoreWriter,
        corrupt_event: Callable[[WorkflowId, int], None],
    ) -> None:
        await write(writer, Story("broken").started().signals(4), Story("sound").started())
        corrupt_event(WorkflowId("broken"), 3)
        found = await store.check()
        assert any("'broken'" in sentence for sentence in found)
        assert not any("'sound'" in sentence for sentence in found)

    @pytest.mark.trio
    @needs("corrupt_message")
    async def test_a_corrupt_message_keeps_its_place_and_stops_no_other(
        self, store: EventStore, corrupt_message: Callable[[str], None]
    ) -> None:
        for each in "abc":
            await store.post(message(each))
        corrupt_message("b")
        found = await store.messages()
        assert [found[0].message, found[2].message] == [message("a"), message("c")]
        broken = found[1].message
        assert isinstance(broken, UnreadableMessage)
        assert broken.reason
        assert found[0].position < found[1].position < found[2].position
        assert [each.message async for each in store.all_messages()] == [
            each.message for each in found
        ]
        assert await store.due_work(at(0))

    @pytest.mark.trio
    @needs("corrupt_message")
    async def test_a_corrupt_message_is_found_by_the_check(
        self, store: EventStore, corrupt_message: Callable[[str], None]
    ) -> None:
        await store.post(message("sound"))
        await store.post(message("broken"))
        corrupt_message("broken")
        found = await store.check()
        assert any("'broken'" in sentence for sentence in found)
        assert not any("'sound'" in sentence for sentence in found)


async def _tell_more(writer: StoreWriter, story: Story) -> None:
    """One more append to a story: an activity and a timer, a message and an answer."""
    number = story.head
    if number == 0:
        story.started()
    story.scheduled(f"a{number}").timer(f"t{number}", at(number))
    append = story.append(post=[message(f"m{number}", "other")], answer=[answer(f"q{number}")])
    assert list(await writer.append_many([append])) == [None]


async def _require_all(store: EventStore, story: Story) -> None:
    """What `_tell_more` has written is there, and no more."""
    told = [event.seq for event in story.events if type(event).__name__ == "ActivityScheduled"]
    numbers = [0, *(seq - 1 for seq in told[1:])]
    assert list(await store.read_history(story.workflow_id)) == story.events
    assert [row.activity.activity_id for row in await store.open_activities()] == [
        f"a{number}" for number in numbers
    ]
    assert [row.timer.timer_id for row in await store.expired_timers(at(999))] == [
        f"t{number}" for number in numbers
    ]
    assert [stored.message.message_id for stored in await store.messages()] == [
        f"m{number}" for number in numbers
    ]
    for number in numbers:
        assert await store.fetch_answer(f"q{number}") == answer(f"q{number}")
    assert await store.fetch_answer(f"q{story.head}") is None
