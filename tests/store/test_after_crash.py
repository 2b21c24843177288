"""Our stores can tell whether the writer before has left in order; the contract asks less."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aion_core.contracts import EventStore
from aion_core.testing.histories import Opener
from aion_store_memory.store import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, sqlite_opener: Opener) -> AsyncIterator[EventStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        async with sqlite_opener() as opened:
            yield opened


async def test_the_first_writer_follows_no_crash(store: EventStore) -> None:
    async with store.writer() as writer:
        assert not writer.after_crash


async def test_a_writer_that_left_has_not_crashed(store: EventStore) -> None:
    with pytest.raises(LookupError):
        async with store.writer():
            raise LookupError
    async with store.writer() as writer:
        assert not writer.after_crash


async def test_a_replaced_writer_that_leaves_does_not_speak_for_its_successor(
    store: EventStore,
) -> None:
    async with store.writer() as replaced:
        async with store.writer(takeover=True):
            pass
        assert not replaced.after_crash
    async with store.writer() as writer:
        assert not writer.after_crash
