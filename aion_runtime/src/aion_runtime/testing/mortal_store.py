"""A store as one process sees it: when that is killed, nothing more comes from there."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from contextlib import closing
from typing import Any, TypeVar

import trio

from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter

__all__ = ["MortalStore"]

T = TypeVar("T")


class MortalStore(WrappedStore):
    """What one engine is given between two crashes.

    Args:
        after_crash: the engine before this one was killed.

    Attributes:
        calls_under_way: how many calls have not returned.
        commits: how many appends have returned.
    """

    def __init__(self, inner: EventStore, *, after_crash: bool) -> None:
        super().__init__(inner)
        self.calls_under_way = 0
        self.commits = 0
        self._after_crash = after_crash
        self._is_dead = False
        self._burial = trio.Event()

    def die(self) -> None:
        """From now on nobody hears anything of it.

        What is being written is written, or not; its writer does not hear of that either.
        """
        self._is_dead = True

    def bury(self) -> None:
        """The engine is gone, too: calls that are still waited for, by others, fail."""
        self._burial.set()

    async def through(self, call: Coroutine[Any, Any, T]) -> T:
        with closing(call):
            await self._living()
            self.calls_under_way += 1
            try:
                return await call
            finally:
                self.calls_under_way -= 1
                await self._living()

    async def _living(self) -> None:
        if self._is_dead:
            await self._burial.wait()
            raise StoreUnavailableError("the engine was killed before the store had answered")

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        wrapped = _MortalWriter(self, writer)
        wrapped.after_crash |= self._after_crash
        return wrapped


class _MortalWriter(WrappedWriter):
    def __init__(self, store: MortalStore, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._store = store

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        refusals = await super().append_many(appends)
        self._store.commits += 1
        return refusals

    async def append(
        self, workflow_id: WorkflowId, events: Sequence[HistoryEvent], expected_seq: int
    ) -> None:
        await super().append(workflow_id, events, expected_seq)
        self._store.commits += 1
