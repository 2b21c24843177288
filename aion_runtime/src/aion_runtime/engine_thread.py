"""An engine for code that knows no event loop: trio runs in a thread, and calls block.

Every method is one of `Engine` or `WorkflowHandle`, and means and raises what that does; here is
said only what is different when a thread waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from types import ModuleType, TracebackType
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, Unpack

from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EVERYTHING, EventStore, FeedItem, RunFilter, RunPage
from aion_core.errors import EngineStoppedError
from aion_core.events import HistoryEvent
from aion_core.failures import Failure
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.policies import seconds
from aion_runtime.clock import Clock
from aion_runtime.engine import Engine
from aion_runtime.explaining import Explanation
from aion_runtime.handles import _NOTHING, WorkflowHandle
from aion_runtime.opening import open_engine
from aion_runtime.options import EngineOptions
from aion_runtime.recovery.startup import StartupReport
from aion_runtime.trio_thread import TrioThread

__all__ = ["BlockingHandle", "EngineThread"]

Ts = TypeVarTuple("Ts")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")


class EngineThread:
    """An engine that runs in a thread of its own for the length of a ``with``.

    Its methods are those of `Engine`. They block, and any thread may call them, a plain activity of
    the same engine, too. Ctrl-C in a thread that waits ends the wait alone: what was asked is done
    all the same.

    SIGTERM ends a program as it would without the engine, at once, which is as safe as a crash. To
    stop in order, turn it into an exception: ``signal.signal(SIGTERM, lambda *_: sys.exit(143))``.

    Args:
        store: as for `open_engine`, as is the rest.

    Raises:
        EngineStoppedError: of every call, once the engine has stopped; when it failed, with the
            reason as its cause. Leaving the ``with`` then raises that reason itself.
    """

    def __init__(
        self,
        store: str | EventStore | None = None,
        *,
        workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
        clock: Clock | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        opening = open_engine(store, workflows=workflows, clock=clock, **options)
        self._thread = TrioThread(opening, "engine", blocks=True)
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        """Raises what `open_engine` raises; Ctrl-C gives the opening up."""
        opened = self._thread.start()
        try:
            self._engine = opened.result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Ctrl-C does here what it does in a trio program: running activities get no more time.
        self._stop()

    @property
    def recovery_report(self) -> StartupReport:
        """What was found when the store was opened."""
        return self._opened().recovery_report

    def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        *args: *Ts,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> BlockingHandle[R]:
        """Start a workflow; its start is durable when this returns. See `Engine.start`."""

        async def start() -> WorkflowHandle[R]:
            return await engine.start(
                workflow,
                *args,
                workflow_id=workflow_id,
                attributes=attributes,
                memo=memo,
                delay=delay,
            )

        engine = self._opened()
        return BlockingHandle(self._thread, _wait(self._thread.call(start)))

    def start_named(
        self,
        workflow_type: str,
        arguments: Mapping[str, object],
        *,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> BlockingHandle[Any]:
        """Start a workflow by the name of its type. See `Engine.start_named`."""

        async def start() -> WorkflowHandle[Any]:
            return await engine.start_named(
                workflow_type,
                arguments,
                workflow_id=workflow_id,
                attributes=attributes,
                memo=memo,
                delay=delay,
            )

        engine = self._opened()
        return BlockingHandle(self._thread, _wait(self._thread.call(start)))

    def get(self, workflow_id: str) -> BlockingHandle[Any]:
        """A handle by id; whether there is such a workflow shows when it is used."""
        return BlockingHandle(self._thread, self._opened().get(workflow_id))

    def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows, newest start first; pass the page's ``cursor`` on for the next."""

        async def list_runs() -> RunPage:
            return await engine.list_runs(filter, limit=limit, cursor=cursor)

        engine = self._opened()
        return _wait(self._thread.call(list_runs))

    def count(self, filter: RunFilter = EVERYTHING) -> int:
        """How many workflows there are in a list."""
        return _wait(self._thread.call(self._opened().count, filter))

    def describe(self, workflow_id: str) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        return _wait(self._thread.call(self._opened().describe, workflow_id))

    def explain(self, workflow_id: str) -> Explanation:
        """Why a workflow does not go on. See `Engine.explain`."""
        return _wait(self._thread.call(self._opened().explain, workflow_id))

    def events(self, filter: RunFilter = EVERYTHING, *, after: int = 0) -> Iterator[FeedItem]:
        """What is committed, to all workflows, without end; waits for more. See `Engine.events`."""
        items = self._opened().events(filter, after=after)
        # Unlike a generator it goes on after an error, as that of the engine does.
        return iter(lambda: _wait(self._thread.call(items.__anext__)), None)

    def _opened(self) -> Engine:
        if self._engine is None:
            raise EngineStoppedError("the engine is not open; use it by 'with EngineThread(...)'")
        return self._engine

    def _stop(self) -> None:
        """Wait for the end whatever happens meanwhile; that is raised when it is over."""
        closed = self._thread.stop()
        interrupted: BaseException | None = None
        while not closed.done():
            try:
                closed.exception()
            except BaseException as error:
                interrupted = error
                if self._engine is not None:
                    self._thread.run_soon(self._engine._hurry)
        self._thread.join()
        closed.result()
        if interrupted is not None:
            raise interrupted


class BlockingHandle(Generic[R_co]):
    """One workflow, as a thread sees it: a `WorkflowHandle` whose methods block."""

    def __init__(self, thread: TrioThread[Any], handle: WorkflowHandle[R_co]) -> None:
        self._thread = thread
        self._handle = handle

    @property
    def workflow_id(self) -> WorkflowId:
        """Which workflow."""
        return self._handle.workflow_id

    def result(self, *, timeout: float | timedelta | None = None) -> R_co:
        """Wait for the end and return what the workflow returned. See `WorkflowHandle.result`.

        Args:
            timeout: how many seconds to wait; without limit when not given.

        Raises:
            TimeoutError: it has not ended within that time. It goes on; ask again.
        """
        limit = None if timeout is None else seconds(timeout)
        future = self._thread.call(self._handle.result)
        try:
            return _wait(future, limit)
        except TimeoutError:
            if not future.cancelled():
                raise
            raise TimeoutError(
                f"workflow {self.workflow_id!r} has not ended within {limit:g} s; it goes on"
            ) from None

    def signal(self, signal: Signal[T], value: T, *, signal_id: str | None = None) -> None:
        """Send a value. It is durable when this returns. See `WorkflowHandle.signal`."""

        async def send() -> None:
            await self._handle.signal(signal, value, signal_id=signal_id)

        _wait(self._thread.call(send))

    def query(self, query: Query[T]) -> T:
        """Ask for something that the workflow shows. See `WorkflowHandle.query`."""
        return _wait(self._thread.call(self._handle.query, query))

    def update(self, update: Update[A, R], arg: A, *, update_id: str | None = None) -> R:
        """Have the workflow change something, and answer. See `WorkflowHandle.update`."""

        async def change() -> R:
            return await self._handle.update(update, arg, update_id=update_id)

        return _wait(self._thread.call(change))

    def cancel(self, reason: str = "cancelled from outside") -> None:
        """Ask the workflow to stop. See `WorkflowHandle.cancel`."""
        _wait(self._thread.call(self._handle.cancel, reason))

    def terminate(self, reason: str = "terminated from outside") -> None:
        """End the workflow here and now. See `WorkflowHandle.terminate`."""
        _wait(self._thread.call(self._handle.terminate, reason))

    def describe(self) -> WorkflowSummary:
        """One line about it. Raises `WorkflowNotFoundError`."""
        return _wait(self._thread.call(self._handle.describe))

    def retry(self, activity_id: str | None = None) -> None:
        """Have an activity tried again whose attempts are over. See `WorkflowHandle.retry`."""
        _wait(self._thread.call(self._handle.retry, activity_id))

    def supply(
        self,
        activity_id: str,
        value: object = _NOTHING,
        *,
        error: BaseException | Failure | None = None,
        supplied_by: str = "operator",
    ) -> None:
        """Say how an activity has ended, by value or error. See `WorkflowHandle.supply`."""

        async def supply() -> None:
            await self._handle.supply(activity_id, value, error=error, supplied_by=supplied_by)

        _wait(self._thread.call(supply))

    def explain(self) -> Explanation:
        """Why it does not go on. Raises `WorkflowNotFoundError`."""
        return _wait(self._thread.call(self._handle.explain))

    def history(self) -> Sequence[HistoryEvent]:
        """Everything recorded so far. Raises `WorkflowNotFoundError`."""
        return _wait(self._thread.call(self._handle.history))

    def __repr__(self) -> str:
        return repr(self._handle)


def _wait(future: Future[R], timeout: float | None = None) -> R:
    """Wait for a call, or for its end in time; who no longer waits has it cancelled."""
    try:
        return future.result(timeout)
    except TimeoutError:
        if future.cancel():
            raise
    except BaseException:
        future.cancel()
        raise
    # The call has ended as time was over, or by a TimeoutError of its own.
    return future.result()
