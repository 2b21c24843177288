"""The one writer, by every store: who may write, who is refused, who is fenced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from aion_core.contracts import EventStore
from aion_core.errors import FencedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from tests.store.conftest import Kit, Opener


async def test_a_second_writer_is_refused_and_told_the_holder(store: EventStore) -> None:
    async with store.writer():
        with pytest.raises(StoreUnavailableError, match=rf"this process \({os.getpid()}\)"):
            async with store.writer():
                pass


async def test_a_second_writer_through_another_door_is_refused(opener: Opener) -> None:
    async with opener() as one, opener() as other, one.writer():
        with pytest.raises(StoreUnavailableError, match=str(os.getpid())):
            async with other.writer():
                pass


async def test_a_writer_can_follow_another(store: EventStore, kit: Kit) -> None:
    story = kit.Story().started()
    async with store.writer() as writer:
        await kit.write(writer, story)
    async with store.writer() as writer:
        await kit.write(writer, story.signal())
    assert list(await store.read_history(story.workflow_id)) == story.events


async def test_a_refused_writer_leaves_the_holder_as_it_was(store: EventStore, kit: Kit) -> None:
    async with store.writer() as writer:
        with pytest.raises(StoreUnavailableError):
            async with store.writer():
                pass
        await kit.write(writer, kit.Story().started())


async def test_a_writer_can_be_had_when_the_former_ended_by_an_error(store: EventStore) -> None:
    with pytest.raises(LookupError):
        async with store.writer():
            raise LookupError
    async with store.writer():
        pass


async def test_a_replaced_writer_is_fenced(opener: Opener, kit: Kit) -> None:
    story = kit.Story().started()
    async with opener() as one, opener() as other, one.writer() as old:
        await kit.write(old, story)
        async with other.writer(takeover=True) as new:
            story.signal()
            with pytest.raises(FencedError):
                await old.append(story.workflow_id, story.events[1:], 1)
            assert list(await one.read_history(story.workflow_id)) == story.events[:1]
            await kit.write(new, story.signal())
        assert list(await one.read_history(story.workflow_id)) == story.events


async def test_a_writer_replaced_in_the_same_store_is_fenced(store: EventStore, kit: Kit) -> None:
    async with store.writer() as old, store.writer(takeover=True) as new:
        with pytest.raises(FencedError):
            await kit.write(old, kit.Story().started())
        await kit.write(new, kit.Story().started())


async def test_a_fenced_writer_stays_fenced_when_its_successor_has_gone(
    opener: Opener, kit: Kit
) -> None:
    async with opener() as one, opener() as other, one.writer() as old:
        async with other.writer(takeover=True):
            pass
        for _ in range(2):
            with pytest.raises(FencedError):
                await kit.write(old, kit.Story().started())


async def test_a_fenced_writer_is_told_even_when_it_has_nothing_to_write(
    store: EventStore,
) -> None:
    async with store.writer() as old, store.writer(takeover=True):
        with pytest.raises(FencedError):
            await old.append_many([])


async def test_the_end_of_a_fenced_writer_leaves_its_successor_alone(
    opener: Opener, kit: Kit
) -> None:
    taken_over, old_has_ended = trio.Event(), trio.Event()

    async def successor() -> None:
        async with opener() as other, other.writer(takeover=True) as new:
            taken_over.set()
            await old_has_ended.wait()
            await kit.write(new, kit.Story().started())

    async with opener() as one, trio.open_nursery() as nursery:
        async with one.writer():
            nursery.start_soon(successor)
            await taken_over.wait()
        with pytest.raises(StoreUnavailableError):
            async with one.writer():
                pass
        old_has_ended.set()


async def test_a_takeover_where_nobody_writes_is_a_writer_like_any(
    store: EventStore, kit: Kit
) -> None:
    async with store.writer(takeover=True) as writer:
        await kit.write(writer, kit.Story().started())
        with pytest.raises(StoreUnavailableError):
            async with store.writer():
                pass


async def test_a_writer_that_has_ended_writes_no_more(store: EventStore, kit: Kit) -> None:
    async with store.writer() as writer:
        pass
    with pytest.raises(StoreError, match="closed"):
        await kit.write(writer, kit.Story().started())
    assert (await store.list_runs()).runs == []


async def test_an_error_in_the_body_comes_out_as_it_is(store: EventStore) -> None:
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with store.writer():
            raise error
    assert caught.value is error


async def test_an_error_in_a_cancelled_body_is_not_lost(store: EventStore) -> None:
    with pytest.raises(LookupError), trio.CancelScope() as scope:
        async with store.writer():
            scope.cancel()
            raise LookupError


async def test_cancelling_the_body_ends_the_writer(store: EventStore, kit: Kit) -> None:
    with trio.CancelScope() as scope:
        async with store.writer():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with store.writer() as writer:
        await kit.write(writer, kit.Story().started())


async def test_appends_under_way_at_the_end_of_the_writer_are_answered(
    store: EventStore, kit: Kit
) -> None:
    stories = [kit.Story(str(number)).started() for number in range(10)]
    async with trio.open_nursery() as nursery, store.writer() as writer:
        for story in stories:
            nursery.start_soon(kit.write, writer, story)
        await trio.testing.wait_all_tasks_blocked()
    for story in stories:
        assert list(await store.read_history(story.workflow_id)) == story.events


async def test_the_first_writer_follows_no_crash(store: EventStore) -> None:
    async with store.writer() as writer:
        assert not writer.after_crash


async def test_a_writer_that_left_has_not_crashed(store: EventStore) -> None:
    with pytest.raises(LookupError):
        async with store.writer():
            raise LookupError
    async with store.writer() as writer:
        assert not writer.after_crash


async def test_a_writer_that_was_replaced_may_have_crashed(store: EventStore) -> None:
    async with store.writer(), store.writer(takeover=True) as writer:
        assert writer.after_crash


async def test_a_replaced_writer_that_leaves_does_not_speak_for_its_successor(
    opener: Opener,
) -> None:
    async with opener() as store, store.writer() as replaced:
        async with store.writer(takeover=True):
            pass
        assert not replaced.after_crash
    async with opener() as store, store.writer() as writer:
        assert not writer.after_crash
