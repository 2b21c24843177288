"""Engines for tests: real ones, whose time jumps and which can be killed."""

from __future__ import annotations

import functools
import inspect
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from os import PathLike, fspath
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple, Unpack
from urllib.parse import quote

import trio

from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore
from aion_core.ids import WorkflowId
from aion_core.plugins import PluginManager
from aion_runtime.catalog import call_of
from aion_runtime.client import Client
from aion_runtime.engine import Engine
from aion_runtime.opening import open_engine, open_store
from aion_runtime.options import EngineOptions
from aion_runtime.resting import Rest
from aion_runtime.testing.jumping import Jumper
from aion_runtime.testing.lives import Lives
from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = ["EngineOptions", "TestEngine", "run_workflow", "test_engine"]

Ts = TypeVarTuple("Ts")
P = ParamSpec("P")
A = TypeVar("A")
R = TypeVar("R")


class TestEngine(Engine):
    """An engine that can be killed. Got from `test_engine`.

    It is the same object before a crash and after, and so are its handles: a call that waits while
    the engine is killed is made again of the next one, and waits on.

    Attributes:
        clock: its time.
    """

    # Or pytest would take it for a test where it is imported.
    __test__ = False

    def __init__(self, lives: Lives, clock: VirtualClock) -> None:
        # Nothing of an engine's own: what its methods look for is found in the one that lives now.
        self._lives = lives
        self._callers: dict[trio.lowlevel.Task, int] = {}
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        lives = self.__dict__.get("_lives")
        if lives is None or lives.last is None:
            raise AttributeError(f"the engine has no attribute {name!r}", name=name, obj=self)
        return getattr(lives.last.engine, name)

    async def crash(self) -> None:
        """End the engine as SIGKILL would, and open the store again.

        Nothing is finished, released or written any more, and all that is in memory is gone. Async
        activities are cancelled where they stand, threads are left behind; what either returns is
        recorded by nobody. What a store in memory holds is kept.
        """
        await self._lives.kill()

    @property
    def rest(self) -> Rest | None:
        """What the engine waits for; None between two lives."""
        return None if self._lives.now is None else self._lives.now.engine._rest

    @property
    def calls_under_way(self) -> int:
        """How many tasks wait in a call of the engine or of a handle."""
        return len(self._callers)

    @property
    def store_calls_under_way(self) -> int:
        """How many calls of the store have not returned."""
        return 0 if self._lives.now is None else self._lives.now.store.calls_under_way

    @property
    def commits(self) -> int:
        """How often the store has been written to in this life."""
        return 0 if self._lives.now is None else self._lives.now.store.commits

    async def _update(
        self, workflow_id: WorkflowId, update: Update[A, R], arg: A, update_id: str | None
    ) -> R:
        # Made again after a crash it must be the same update.
        return await _survives(Engine._update)(
            self, workflow_id, update, arg, str(uuid.uuid4()) if update_id is None else update_id
        )

    async def _call(self, call: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Make a call, and again in the next life if this one ends meanwhile."""
        task = trio.lowlevel.current_task()
        self._callers[task] = self._callers.get(task, 0) + 1
        try:
            while True:
                life = await self._lives.begun()
                try:
                    return await call()
                except Exception:
                    if self._lives.now is life:
                        raise
        finally:
            self._callers[task] -= 1
            if not self._callers[task]:
                del self._callers[task]


def _survives(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[TestEngine, P], Coroutine[Any, Any, R]]:
    @functools.wraps(method)
    async def surviving(engine: TestEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await engine._call(lambda: method(engine, *args, **kwargs))

    return surviving


# Whatever an engine can be asked, to come included, goes on in the next life.
for _name, _method in {**vars(Client), **vars(Engine)}.items():
    if inspect.iscoroutinefunction(_method) and _name not in vars(TestEngine):
        setattr(TestEngine, _name, _survives(_method))


@asynccontextmanager
async def test_engine(
    store: str | PathLike[str] | EventStore = "memory:",  # noqa: PT028  # this is no test
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),  # noqa: PT028
    clock: VirtualClock | None = None,  # noqa: PT028
    **options: Unpack[EngineOptions],
) -> AsyncIterator[TestEngine]:
    """Open an engine for a test.

    It is a real engine over a real store. But time jumps by itself to the next timer, the next
    attempt of an activity or a time limit, as soon as nothing can happen before: while the test
    waits in a call of the engine, and no activity is at work.

    Args:
        store: ``memory:``, the URL of another store, the path of an SQLite file (a text without a
            colon is one), or an open store, which a crash does not close.
        clock: its time; engines may share one.
        options: of `open_engine`. Activities that still run at the end have no grace, unless
            ``shutdown_grace`` gives them real seconds.
    """
    clock = clock or VirtualClock()
    options.setdefault("shutdown_grace", 0.0)
    options.setdefault("replay_check", True)
    options.setdefault("dev_mode", True)
    open_over = functools.partial(open_engine, workflows=tuple(workflows), clock=clock, **options)
    lives = Lives(lambda: _opened_store(store, options.get("plugins")), open_over)
    engine = TestEngine(lives, clock)
    jumper = Jumper(clock, engine)
    body = trio.CancelScope()
    error: BaseException | None = None
    with jumper.following():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lives.run, body.cancel, name="aion test engine")
            nursery.start_soon(jumper.run, name="aion jumping clock")
            # Kept until all is closed, so that no nursery puts it into a group.
            try:
                with body:
                    await lives.begun()
                    yield engine
            except BaseException as raised:
                error = raised
            await lives.end()
            nursery.cancel_scope.cancel()
    if lives.failure is not None:
        raise lives.failure from error
    if error is not None:
        raise error


# Or pytest would take it for a test where it is imported.
test_engine.__test__ = False  # type: ignore[attr-defined]


async def run_workflow(
    workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
    *args: *Ts,
    store: str | PathLike[str] | EventStore = "memory:",
    workflow_id: str | None = None,
    clock: VirtualClock | None = None,
) -> R:
    """Run a workflow to its end in an engine of its own, in virtual time, and return its result.

    Raises:
        WorkflowFailedError: it failed.
    """
    definition, _, _ = call_of(workflow, args)
    async with test_engine(store, workflows=[definition], clock=clock) as engine:
        run = await engine.start(workflow, *args, workflow_id=workflow_id)
        return await run.result()


def _opened_store(
    store: str | PathLike[str] | EventStore, plugins: PluginManager | None
) -> AbstractAsyncContextManager[EventStore]:
    if isinstance(store, EventStore):
        return nullcontext(store)
    place = fspath(store)
    url = place if ":" in place and isinstance(store, str) else f"sqlite:///{quote(place)}"
    return open_store(url, plugins=plugins)
