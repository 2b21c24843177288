"""Cancelling an append, at any moment, by every store: written and told so, or not written."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio

from aion_core.contracts import EventStore, StoreWriter

if TYPE_CHECKING:
    from tests.store.conftest import Kit, Opener, Story


@pytest.mark.parametrize("seed", range(3))
async def test_the_rows_are_exactly_what_was_acknowledged(
    store: EventStore, writer: StoreWriter, kit: Kit, seed: int
) -> None:
    chance = random.Random(seed)
    acknowledged: set[str] = set()

    async def append(story: Story, scope: trio.CancelScope) -> None:
        with scope:
            await writer.append(story.workflow_id, story.events, 0)
            acknowledged.add(story.workflow_id)

    async def cancel(scope: trio.CancelScope, ticks: int) -> None:
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    stories = [kit.Story(str(n)).started().scheduled("a").timer("t", kit.at(n)) for n in range(200)]
    async with trio.open_nursery() as nursery:
        for story in stories:
            scope = trio.CancelScope()
            nursery.start_soon(append, story, scope)
            if chance.random() < 0.8:
                nursery.start_soon(cancel, scope, chance.randrange(60))
            for _ in range(chance.randrange(4)):
                await trio.lowlevel.checkpoint()

    for story in stories:
        written = story.events if story.workflow_id in acknowledged else []
        assert list(await store.read_history(story.workflow_id)) == written
    assert {row.workflow_id for row in await store.open_activities()} == acknowledged
    assert {row.workflow_id for row in await store.expired_timers(kit.at(999))} == acknowledged
    assert 0 < len(acknowledged) < len(stories)


async def test_a_store_stays_usable_when_all_of_its_callers_are_cancelled(
    opener: Opener, kit: Kit
) -> None:
    async with opener() as store, store.writer() as writer:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(kit.write, writer, kit.Story(str(number)).started())
                nursery.start_soon(store.list_runs)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        story = kit.Story("after").started()
        await kit.write(writer, story)
        assert list(await store.read_history(story.workflow_id)) == story.events


async def test_closing_in_a_cancelled_scope_leaves_nothing_behind(opener: Opener, kit: Kit) -> None:
    with trio.CancelScope() as scope:
        async with opener() as store, store.writer() as writer:
            await kit.write(writer, kit.Story().started())
            scope.cancel()
    async with opener() as store, store.writer():
        assert len((await store.list_runs()).runs) == 1
