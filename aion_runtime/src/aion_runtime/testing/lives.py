"""Lives: an engine that is killed and opened again over one store, within one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import attrs
import trio

from aion_core.contracts import EventStore
from aion_core.errors import EngineStoppedError
from aion_runtime.engine import Engine
from aion_runtime.testing.mortal_store import MortalStore

__all__ = ["Life", "Lives"]


@attrs.frozen(eq=False)
class Life:
    """One engine, from its opening to its end or its crash."""

    engine: Engine
    store: MortalStore
    scope: trio.CancelScope


class Lives:
    """Opens an engine, and after each crash the next one.

    Each lives in a task that opens it and sees it end, so that a crash can come whatever the test
    has entered since.

    Args:
        store: opens the store. What it opens is opened again after a crash if it is persistent;
            else it is kept, for memory would be lost with it.
        engine: opens an engine over a store.

    Attributes:
        now: the life that is lived; None between two, and before the first.
        last: the life that is lived, or was lived last.
        failure: why the last life has ended by itself.
    """

    def __init__(
        self,
        store: Callable[[], AbstractAsyncContextManager[EventStore]],
        engine: Callable[[EventStore], AbstractAsyncContextManager[Engine]],
    ) -> None:
        self._open_store = store
        self._open_engine = engine
        self._kept: EventStore | None = None
        self._begun = trio.Event()
        self._end = trio.Event()
        self._over = trio.Event()
        self._count = 0
        self._killed = False
        self.now: Life | None = None
        self.last: Life | None = None
        self.failure: BaseException | None = None

    async def run(self, on_early_end: Callable[[], None]) -> None:
        """Live until `end` is called, or an engine ends by itself, of which one is told."""
        try:
            async with AsyncExitStack() as kept:
                await self._live(kept)
                while self._killed:
                    self._killed = False
                    await self._live(kept)
        except (Exception, KeyboardInterrupt) as error:
            self.failure = error
        finally:
            self._over.set()
            self._begun.set()
            if not self._end.is_set():
                on_early_end()

    async def end(self) -> None:
        """Let the engine stop, in order, whatever is cancelled meanwhile."""
        self._end.set()
        with trio.CancelScope(shield=True):
            await self._over.wait()

    async def begun(self) -> Life:
        """The life that is lived, or was the last, or the next one once it has begun.

        Raises:
            EngineStoppedError: there will be none.
        """
        while self.now is None:
            if self._over.is_set():
                raise EngineStoppedError("the engine could not be opened again; see why it ended")
            await self._begun.wait()
        return self.now

    async def kill(self) -> None:
        """End this life at once, and return when the next has begun."""
        life = await self.begun()
        self.now = None
        self._killed = True
        self._begun = trio.Event()
        life.store.die()
        life.scope.cancel()
        await self.begun()

    async def _live(self, kept: AsyncExitStack) -> None:
        async with self._opened_store(kept) as inner:
            store = MortalStore(inner, after_crash=self._count > 0)
            self._count += 1
            try:
                with trio.CancelScope() as scope:
                    async with self._open_engine(store) as engine:
                        self.now = self.last = Life(engine, store, scope)
                        self._begun.set()
                        await self._end.wait()
            finally:
                store.bury()

    @asynccontextmanager
    async def _opened_store(self, kept: AsyncExitStack) -> AsyncIterator[EventStore]:
        if self._kept is not None:
            yield self._kept
            return
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(self._open_store())
            if not store.capabilities.persistent:
                self._kept = store
                kept.push_async_exit(opened.pop_all())
            yield store
