"""What the tests of clients share: an engine over a store, a client of it, and workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aion_runtime as aion
from aion_core.contracts import EventStore
from aion_store_memory.store import MemoryStore

approval = aion.Signal("approval", bool)
other = aion.Signal("other", bool)
total = aion.Query("total", int)
add = aion.Update("add", int, int)
late = aion.Update("late", int, int)


@aion.workflow(accepts=[approval, other, total, add, late])
async def account(start: int, note: str = "") -> str:
    """Its sum is added to until it is approved."""
    amount = start

    def change(by: int) -> int:
        nonlocal amount
        if by == 13:
            raise ValueError("not thirteen")
        amount += by
        return amount

    def refuse(by: int) -> None:
        if by < 0:
            raise ValueError("less than nothing")

    async def change_late(by: int) -> int:
        await other.receive()
        return change(by)

    total.answer(lambda: amount)
    add.handle(change, refuse)
    late.handle(change_late)
    await approval.receive()
    return f"{note}{amount}"


@aion.workflow
async def failing() -> None:
    raise aion.ApplicationError("on purpose", type="Wanted")


@aion.workflow
async def relay(left: int) -> str:
    if left:
        await aion.sleep(0)
        await relay.continue_as_new(left - 1)
    return "arrived"


class House:
    """A store, in memory or in a file, that engines and clients open."""

    def __init__(self, url: str | None) -> None:
        self._memory = MemoryStore()
        self._url = url

    @asynccontextmanager
    async def store(self) -> AsyncIterator[EventStore]:
        if self._url is None:
            yield self._memory
        else:
            async with aion.open_store(self._url) as opened:
                yield opened

    def engine(self, *workflows: Any, **options: Any) -> AbstractAsyncContextManager[aion.Engine]:
        return aion.open_engine(self._url or self._memory, workflows=workflows, **options)

    def client(self, **options: Any) -> AbstractAsyncContextManager[aion.Client]:
        return aion.open_client(self._url or self._memory, **options)

    @asynccontextmanager
    async def both(self, *workflows: Any) -> AsyncIterator[tuple[aion.Engine, aion.Client]]:
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self.engine(*workflows))
            yield engine, await stack.enter_async_context(self.client())


def house_of(kind: str, directory: Path) -> House:
    return House(None if kind == "memory" else f"sqlite:///{directory}/house.db")
