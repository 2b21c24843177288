"""A bench for runs that send to each other, over a store in memory and over a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EventStore, Message
from aion_core.ids import WorkflowId
from aion_runtime.entries import Entry, Stage
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.runtime.conftest import Bench
from tests.runtime.faults import FaultyStore

STORES = ["memory", "sqlite"]


class MailBench(Bench):
    """Knows what is on its way."""

    def __init__(self, inner: EventStore | None = None) -> None:
        super().__init__()
        self.store = FaultyStore(inner)

    async def pending(self) -> Sequence[Message]:
        """The messages that nobody has consumed."""
        return [stored.message async for stored in self.store.inner.all_messages()]

    async def status(self, workflow_id: str) -> str:
        summary = await self.store.read_summary(WorkflowId(workflow_id))
        assert summary is not None
        return summary.status.value

    async def last(self, workflow_id: str) -> e.HistoryEvent:
        return (await self.history(workflow_id))[-1]


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[EventStore]:
    """A store of a kind; what is persistent is found again in the directory."""
    if kind == "memory":
        yield MemoryStore()
        return
    async with open_store(f"sqlite:///{directory}/s.db") as store:
        yield store


async def settled(engine: aion.Engine) -> None:
    """Return when all that was on its way between runs has arrived.

    An engine that stops waits for less: for a run that is being loaded only if it would lose mail.
    """
    dispatcher = engine._dispatcher
    await dispatcher._residents.until_none(_is_under_way)
    while dispatcher._holder.is_busy:
        await dispatcher._holder.settled()
        await dispatcher._residents.until_none(_is_under_way)


def _is_under_way(entry: Entry) -> bool:
    if entry.stage is Stage.BACKOFF:
        return bool(entry.mailbox)
    return entry.stage in (Stage.LOADING, Stage.READY, Stage.WRITING)
