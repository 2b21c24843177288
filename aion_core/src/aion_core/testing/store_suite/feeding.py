"""The feed: all events of all workflows, in one order without gaps."""

from __future__ import annotations

import pytest
import trio

from aion_core.contracts import EventStore, FeedItem, StoreWriter
from aion_core.events import HistoryEvent
from aion_core.testing.histories import Opener, Story, write
from aion_core.testing.store_suite.base import SuiteBase, needs

__all__ = ["FeedCases"]


async def _all(store: EventStore, limit: int = 1000) -> list[FeedItem]:
    found: list[FeedItem] = []
    while page := await store.feed(found[-1].position if found else 0, limit):
        assert len(page) <= limit
        found += page
    return found


class FeedCases(SuiteBase):
    """Who reads on from the last position misses nothing."""

    @pytest.mark.trio
    async def test_an_empty_store_has_an_empty_feed(self, store: EventStore) -> None:
        assert list(await store.feed()) == []

    @pytest.mark.trio
    async def test_events_stand_in_the_feed_in_the_order_of_their_commits(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        a, b = Story("a").started().signals(2), Story("b").started()
        await write(writer, b, a)
        expected: list[HistoryEvent] = [*b.events, *a.events]
        await write(writer, b.signal())
        await write(writer, a.signal())
        expected += [b.events[-1], a.events[-1]]
        assert [item.event for item in await store.feed()] == expected

    @pytest.mark.trio
    async def test_positions_in_the_feed_ascend(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, *(Story(name).started().signals(5) for name in "abc"))
        positions = [item.position for item in await store.feed()]
        assert len(positions) == 18
        assert positions == sorted(set(positions))
        assert positions[0] > 0

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 3, 9, 10])
    async def test_the_feed_comes_in_pages(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        await write(writer, *(Story(name).started().signals(2) for name in "abc"))
        everything = list(await store.feed())
        assert len(everything) == 9
        assert await _all(store, limit) == everything

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_page_without_events_is_a_mistake(self, store: EventStore, limit: int) -> None:
        with pytest.raises(ValueError, match="1"):
            await store.feed(limit=limit)

    @pytest.mark.trio
    async def test_a_refused_append_is_not_in_the_feed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        right, wrong = Story("right").started(), Story("wrong").started().cancel_requested("x")
        await writer.append_many([wrong.append(), right.append()])
        assert [item.event for item in await store.feed()] == right.events

    @pytest.mark.trio
    async def test_a_position_is_never_given_twice(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().completed()
        await write(writer, story)
        last = (await store.feed())[-1].position
        await writer.purge([story.workflow_id])
        await write(writer, Story("next").started())
        assert [item.event.workflow_id for item in await store.feed(last)] == ["next"]

    @pytest.mark.trio
    async def test_the_feed_has_no_gaps_while_events_are_appended(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await _race(store, store, writer)

    @pytest.mark.trio
    @needs("multi_process")
    async def test_the_feed_has_no_gaps_seen_through_another_door(
        self, store: EventStore, writer: StoreWriter, opener: Opener
    ) -> None:
        async with opener() as other:
            await _race(other, store, writer)


async def _race(reader: EventStore, store: EventStore, writer: StoreWriter) -> None:
    """Read the feed while ten tasks append, each to a workflow of its own."""
    found: list[FeedItem] = []
    done = False

    async def append(name: str) -> None:
        story = Story(name).started()
        for size in range(8):
            await write(writer, story)
            story.signals(size % 3 + 1)
        await write(writer, story)

    async def read() -> None:
        last = False
        while not last:
            last = done
            found.extend(await reader.feed(found[-1].position if found else 0, 7))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as readers:
        readers.start_soon(read)
        async with trio.open_nursery() as writers:
            for number in range(10):
                writers.start_soon(append, str(number))
        done = True
    found += await reader.feed(found[-1].position)
    assert found == await _all(store)
    positions = [item.position for item in found]
    assert positions == sorted(set(positions))
    for number in range(10):
        seqs = [item.event.seq for item in found if item.event.workflow_id == str(number)]
        assert seqs == list(range(1, 17))
