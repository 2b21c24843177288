"""Watching: whoever waits for messages is told soon when one may have been posted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from aion_core.contracts import EventStore, Message
from aion_core.ids import WorkflowId
from aion_core.payloads import JSON, Payload
from aion_runtime.testing.wrapping import WrappedStore
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store

Opener = Callable[[], AbstractAsyncContextManager[EventStore]]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    memory = MemoryStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[EventStore]:
        yield memory

    return opened if request.param == "memory" else lambda: open_store(f"sqlite:///{tmp_path}/s.db")


class Bell:
    """Hears notifications, in whatever thread they come."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._heard = trio.Event()

    def __call__(self) -> None:
        self._token.run_sync_soon(self._hear)

    def _hear(self) -> None:
        self._heard.set()
        self._heard = trio.Event()

    async def heard(self) -> None:
        await self._heard.wait()


def message(name: str) -> Message:
    return Message(
        message_id=name,
        kind="query",
        target=WorkflowId("w"),
        body=Payload(JSON, b"{}"),
        posted_at=datetime(2030, 1, 1, tzinfo=UTC),
    )


async def test_a_post_is_told_to_who_watches(opener: Opener) -> None:
    async with opener() as watched, opener() as other:
        bell = Bell()
        with watched.watch(bell) as is_told:
            assert is_told
            for number in range(3):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(bell.heard)
                    await other.post(message(str(number)))


async def test_after_the_context_nobody_is_told(opener: Opener) -> None:
    async with opener() as store:
        told: list[str] = []
        with store.watch(lambda: told.append("told")):
            pass
        await store.post(message("m"))
        assert told == []


async def test_a_wrapped_store_tells_what_the_inner_one_tells(opener: Opener) -> None:
    async with opener() as store:
        bell = Bell()
        with WrappedStore(store).watch(bell) as is_told:
            assert is_told
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bell.heard)
                await store.post(message("m"))


async def test_a_store_that_does_not_say_how_cannot_tell() -> None:
    with EventStore.watch(MemoryStore(), lambda: None) as is_told:
        assert not is_told
