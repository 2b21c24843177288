"""Engines and clients for asyncio: trio runs in a thread, and calls are awaited on any other loop.

Every method is one of `aion_runtime.Engine` or `aion_runtime.WorkflowHandle`, has the same types,
and means and raises what that does. To cancel the task that awaits one ends the wait alone: what
was asked is done all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import timedelta
from types import ModuleType
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EVERYTHING, EventStore, FeedItem, RunFilter, RunPage
from aion_core.errors import WorkflowUsageError
from aion_core.events import HistoryEvent
from aion_core.failures import Failure
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.plugins import PluginManager
from aion_runtime import client as trio_client
from aion_runtime import engine as trio_engine
from aion_runtime import handles, opening, opening_client
from aion_runtime.clock import Clock
from aion_runtime.explaining import Explanation
from aion_runtime.handles import _NOTHING
from aion_runtime.options import EngineOptions
from aion_runtime.recovery.startup import StartupReport
from aion_runtime.trio_thread import TrioThread

__all__ = ["Client", "Engine", "WorkflowHandle", "open_client", "open_engine"]

Ts = TypeVarTuple("Ts")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")


@asynccontextmanager
async def open_engine(
    store: str | EventStore | None = None,
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
    clock: Clock | None = None,
    **options: Unpack[EngineOptions],
) -> AsyncIterator[Engine]:
    """Run workflows for the length of an ``async with``, as `aion_runtime.open_engine` does.

    A task that is cancelled while it leaves cuts the grace period of running activities short.
    Signals to the process are the program's: SIGTERM does nothing here.

    Args:
        store: as for `aion_runtime.open_engine`, as is the rest.
    """
    manager = opening.open_engine(store, workflows=workflows, clock=clock, **options)
    thread = TrioThread(manager, "engine")
    async with _opened(thread, lambda engine: engine._hurry) as engine:
        yield Engine(thread, engine)


@asynccontextmanager
async def open_client(
    store: str | EventStore | None = None,
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
    plugins: PluginManager | None = None,
    answer_timeout: float | timedelta = 30.0,
    clock: Clock | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> AsyncIterator[Client]:
    """Ask the engine of another process, for an ``async with``. See `aion_runtime.open_client`."""
    manager = opening_client.open_client(
        store,
        workflows=workflows,
        plugins=plugins,
        answer_timeout=answer_timeout,
        clock=clock,
        settings=settings,
    )
    thread = TrioThread(manager, "client")
    async with _opened(thread) as client:
        yield Client(thread, client)


class Client:
    """A client, as a task of asyncio sees it. Got from `open_client`."""

    def __init__(self, thread: TrioThread[Any], client: trio_client.Client) -> None:
        self._thread = thread
        self._client = client

    async def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        *args: *Ts,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> WorkflowHandle[R]:
        """Start a workflow; its start is durable when this returns."""

        async def start() -> handles.WorkflowHandle[R]:
            return await self._client.start(
                workflow,
                *args,
                workflow_id=workflow_id,
                attributes=attributes,
                memo=memo,
                delay=delay,
            )

        return WorkflowHandle(self._thread, await _call(self._thread, start))

    async def start_named(
        self,
        workflow_type: str,
        arguments: Mapping[str, object],
        *,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> WorkflowHandle[Any]:
        """Start a workflow whose code is not here, by the name of its type."""

        async def start() -> handles.WorkflowHandle[Any]:
            return await self._client.start_named(
                workflow_type,
                arguments,
                workflow_id=workflow_id,
                attributes=attributes,
                memo=memo,
                delay=delay,
            )

        return WorkflowHandle(self._thread, await _call(self._thread, start))

    def get(self, workflow_id: str) -> WorkflowHandle[Any]:
        """A handle by id; whether there is such a workflow shows when it is used."""
        return WorkflowHandle(self._thread, self._client.get(workflow_id))

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows, newest start first; pass the page's ``cursor`` on for the next."""

        async def list_runs() -> RunPage:
            return await self._client.list_runs(filter, limit=limit, cursor=cursor)

        return await _call(self._thread, list_runs)

    async def describe(self, workflow_id: str) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        return await _call(self._thread, self._client.describe, workflow_id)

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        """How many workflows there are in a list."""
        return await _call(self._thread, self._client.count, filter)

    async def explain(self, workflow_id: str) -> Explanation:
        """Why a workflow does not go on. Raises `WorkflowNotFoundError`."""
        return await _call(self._thread, self._client.explain, workflow_id)

    def events(self, filter: RunFilter = EVERYTHING, *, after: int = 0) -> AsyncIterator[FeedItem]:
        """What is committed, to all workflows, in one order that never changes; without end."""
        return _Followed(self._thread, self._client.events(filter, after=after))


class Engine(Client):
    """An engine, as a task of asyncio sees it. Got from `open_engine`."""

    def __init__(self, thread: TrioThread[Any], engine: trio_engine.Engine) -> None:
        super().__init__(thread, engine)
        self._engine = engine

    @property
    def recovery_report(self) -> StartupReport:
        """What was found when the store was opened."""
        return self._engine.recovery_report


class _Followed(AsyncIterator[FeedItem]):
    def __init__(self, thread: TrioThread[Any], items: AsyncIterator[FeedItem]) -> None:
        self._thread = thread
        self._items = items

    async def __anext__(self) -> FeedItem:
        return await _call(self._thread, self._items.__anext__)


class WorkflowHandle(Generic[R_co]):
    """One workflow, as a task of asyncio sees it."""

    def __init__(self, thread: TrioThread[Any], handle: handles.WorkflowHandle[R_co]) -> None:
        self._thread = thread
        self._handle = handle

    @property
    def workflow_id(self) -> WorkflowId:
        """Which workflow."""
        return self._handle.workflow_id

    async def result(self) -> R_co:
        """Wait for the end and return what the workflow returned."""
        return await _call(self._thread, self._handle.result)

    async def signal(self, signal: Signal[T], value: T, *, signal_id: str | None = None) -> None:
        """Send a value. It is durable when this returns."""

        async def send() -> None:
            await self._handle.signal(signal, value, signal_id=signal_id)

        await _call(self._thread, send)

    async def query(self, query: Query[T]) -> T:
        """Ask for something that the workflow shows, by what is durable of it."""
        return await _call(self._thread, self._handle.query, query)

    async def update(self, update: Update[A, R], arg: A, *, update_id: str | None = None) -> R:
        """Have the workflow change something, and return what its handler does."""

        async def change() -> R:
            return await self._handle.update(update, arg, update_id=update_id)

        return await _call(self._thread, change)

    async def cancel(self, reason: str = "cancelled from outside") -> None:
        """Ask the workflow to stop. It may clean up first, or go on."""
        await _call(self._thread, self._handle.cancel, reason)

    async def terminate(self, reason: str = "terminated from outside") -> None:
        """End the workflow here and now, stuck or not; its code is not asked."""
        await _call(self._thread, self._handle.terminate, reason)

    async def describe(self) -> WorkflowSummary:
        """One line about it. Raises `WorkflowNotFoundError`."""
        return await _call(self._thread, self._handle.describe)

    async def retry(self, activity_id: str | None = None) -> None:
        """Have an activity tried again whose attempts are over, or all of the run."""
        await _call(self._thread, self._handle.retry, activity_id)

    async def supply(
        self,
        activity_id: str,
        value: object = _NOTHING,
        *,
        error: BaseException | Failure | None = None,
        supplied_by: str = "operator",
    ) -> None:
        """Say how an activity has ended, by value or error, instead of another attempt."""

        async def supply() -> None:
            await self._handle.supply(activity_id, value, error=error, supplied_by=supplied_by)

        await _call(self._thread, supply)

    async def explain(self) -> Explanation:
        """Why it does not go on. Raises `WorkflowNotFoundError`."""
        return await _call(self._thread, self._handle.explain)

    async def history(self) -> Sequence[HistoryEvent]:
        """Everything recorded so far. Raises `WorkflowNotFoundError`."""
        return await _call(self._thread, self._handle.history)

    def __repr__(self) -> str:
        return repr(self._handle)


def _call(
    thread: TrioThread[Any], function: Callable[[Unpack[Ts]], Awaitable[R]], *args: *Ts
) -> asyncio.Future[R]:
    thread.require_elsewhere()
    _require_asyncio()
    return asyncio.wrap_future(thread.call(function, *args))


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise WorkflowUsageError(
            "aion_runtime.from_asyncio is awaited on an event loop of asyncio, and none runs here; "
            "under trio use aion_runtime.open_engine and open_client, without an event loop "
            "aion_runtime.EngineThread"
        ) from None


@asynccontextmanager
async def _opened(
    thread: TrioThread[T], hurry_of: Callable[[T], Callable[[], object]] | None = None
) -> AsyncIterator[T]:
    """What the thread holds open, for a block that is cancelled if it ends before."""
    _require_asyncio()
    task = asyncio.current_task()
    assert task is not None
    closed = asyncio.wrap_future(thread.closed)
    is_over = False
    hurry: Callable[[], object] | None = None

    def end_block(_: asyncio.Future[None]) -> None:
        nonlocal is_over
        is_over = True
        task.cancel()

    try:
        value = await asyncio.wrap_future(thread.start())
        if hurry_of is not None:
            hurry = hurry_of(value)
        closed.add_done_callback(end_block)
        yield value
    finally:
        closed.remove_done_callback(end_block)
        thread.stop()
        cancelled = await _wait_to_the_end(closed, thread, hurry)
        thread.join()
        if is_over:
            task.uncancel()
        closed.result()
        if cancelled is not None:
            raise cancelled


async def _wait_to_the_end(
    closed: asyncio.Future[None], thread: TrioThread[Any], hurry: Callable[[], object] | None
) -> asyncio.CancelledError | None:
    """Wait for it whatever happens to this task meanwhile; that is returned."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            # Also when it is over: that is where a cancellation of the block comes out at last.
            await asyncio.wait([closed])
        except asyncio.CancelledError as error:
            cancelled = error
            if hurry is not None:
                thread.run_soon(hurry)
        else:
            return cancelled
