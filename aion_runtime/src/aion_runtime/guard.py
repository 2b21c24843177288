"""The activation guard: while workflow code runs, the primitives of trio are out of its reach.

Activations run inline in one of the engine's tasks. A trio primitive used there would act on that
task: cancel it, park it, or attach a scope to it that nobody leaves. So trio's run context is
replaced, for the length of an activation, by a stand-in that refuses every use and names Aion's
counterpart; the host stays unharmed. Whoever looks for asyncio's running loop meets it, too. An
activation that awaits without end is stopped. A strict guard, for development and tests, also
refuses what would differ from one replay to the next.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, SimpleNamespace, TracebackType
from typing import Any, NoReturn

import trio
from trio._core import _run as trio_run  # the one private name; see `_context`

from aion_core.errors import WorkflowUsageError
from aion_runtime.guarding.strictness import HERE, in_force

__all__ = ["PATIENCE", "Guard", "NeverRests", "RunningActivation", "activation_guard"]

PATIENCE = 10
"""How many times its time limit an activation may take before it is stopped."""

CHECKS_BEFORE_STOP = 100
"""A kernel checks every thousand turns: one that awaits so often is in a loop, and not slow."""


_COUNTERPARTS = {
    "CancelScope": "CancelScope",
    "current_time": "now() or sleep()",
    "fail_after": "fail_after",
    "fail_at": "fail_after",
    "gather": "gather",
    "move_on_after": "move_on_after",
    "move_on_at": "move_on_after",
    "open_nursery": "open_nursery",
    "sleep": "sleep",
    "sleep_until": "sleep_until",
    "timeout": "fail_after",
}
_ADVICE = "do I/O in an activity"


class _Refusal:
    """Stands where trio keeps its runner and its task."""

    def __getattr__(self, name: str) -> NoReturn:
        raise WorkflowUsageError(_explain())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise WorkflowUsageError(_explain())

    def __hash__(self) -> NoReturn:  # what waits for something is kept in a set or dict there
        raise WorkflowUsageError(_explain())


class _RunnerRefusal(_Refusal):
    # Events, locks and channels forget a waiting task before they wake it: to refuse that here
    # would leave a task of the host asleep for ever.
    @staticmethod
    def reschedule(task: Any, *outcome: Any) -> None:
        task._runner.reschedule(task, *outcome)


class _TaskRefusal(_Refusal):
    # Trio's handler of Ctrl-C looks at these, whatever code it interrupts; to refuse that would
    # fail the run. It goes on to the engine's frames and finds them protected.
    _ki_protected = True
    coro = SimpleNamespace(cr_frame=None)


def _explain() -> str:
    """Name the function that the workflow called, and what to call instead."""
    library = called = ""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _LIBRARIES:
            break
        library, called = package, _name(frame)
        frame = frame.f_back
    counterpart = _COUNTERPARTS.get(called)
    advice = f"use aion_runtime.{counterpart} instead" if counterpart else _ADVICE
    what = f"{library}.{called}" if library else "the event loop"
    return f"{what} was used in a workflow, where it would not be durable; {advice}"


def _name(frame: FrameType) -> str:
    """As users write it: a context manager is known by its class, a function by its name."""
    name = frame.f_code.co_name
    if "self" in frame.f_locals:
        owner = type(frame.f_locals["self"]).__name__
        name = owner if name.startswith("__") else f"{owner}.{name}"
    return _SPELLINGS.get(name, name)


_LIBRARIES = ("trio", "asyncio")
_SPELLINGS = {"NurseryManager": "open_nursery", "to_thread_run_sync": "to_thread.run_sync"}
_REFUSAL = _Refusal()
_REFUSALS = {"task": _TaskRefusal(), "runner": _RunnerRefusal()}


def _context() -> Any:
    """Trio's thread-local run context.

    Raises:
        RuntimeError: this release of trio keeps it elsewhere.
    """
    context = getattr(trio_run, "GLOBAL_RUN_CONTEXT", None)
    if context is None:
        raise RuntimeError(
            f"aion_runtime does not know trio {trio.__version__}; install a release it was "
            "tested with (see its pyproject.toml)"
        )
    return context


_CONTEXT = _context()


class _Host:
    """What an activation keeps from the code: trio's run context and asyncio's running loop."""

    __slots__ = ("_context", "_loop", "_loops", "_present")

    def keep(self) -> None:
        self._present = present = _CONTEXT.__dict__  # of this thread
        self._context = present.copy()  # empty outside of a trio run
        # Imported by the workflow's module, or there is nothing to keep out.
        self._loops = loops = sys.modules.get("asyncio.events")
        self._loop = None if loops is None else loops._get_running_loop()

    def hide(self) -> None:
        present = self._present
        for name in self._context:
            present[name] = _REFUSALS.get(name, _REFUSAL)
        if self._loops is not None:
            self._loops._set_running_loop(_REFUSAL)

    def show(self) -> None:
        """Undo `hide`, however far that has come."""
        present, context = self._present, self._context
        present.update(context)
        if len(present) != len(context):
            for name in present.keys() - context.keys():
                del present[name]
        if self._loops is not None:
            self._loops._set_running_loop(self._loop)


class _Activations(threading.local):
    """Those that a thread is in, the outermost first: what each has kept."""

    def __init__(self) -> None:
        self.hosts: list[_Host] = []


class NeverRests(SystemExit):
    """Raised in code that never comes to rest, from outside. Like an exit it leaves the kernel."""


class RunningActivation(_Host):
    """An activation under way, as who watches it knows it.

    Attributes:
        is_seen: a watchdog has looked at it; only then it may be stopped, at a later look.
        is_stopped: `NeverRests` has been raised in it.
    """

    __slots__ = ("is_seen", "is_stopped")

    is_seen: bool
    is_stopped: bool


class Guard:
    """Keeps trio and asyncio out of activations, and stops those that await without end.

    Args:
        activation_time_limit: seconds of CPU time that an activation may take. One that has taken
            ten times as much, and has taken a hundred thousand turns, is stopped.
        cpu_time: seconds of CPU time of the calling thread.
        strict: refuse what would differ from one replay to the next, while it is `in_force`.

    Attributes:
        limit: seconds of CPU time that an activation may take.
        longest: seconds after which an activation that does not come to rest is stopped.
        running: the outermost activation under way, of the thread that began one last.
        stopping: held while an activation is stopped from outside, and while one ends that may be.
    """

    def __init__(
        self,
        *,
        activation_time_limit: float = 1.0,
        cpu_time: Callable[[], float] = time.thread_time,
        strict: bool = False,
    ) -> None:
        self.limit = activation_time_limit
        self.longest = activation_time_limit * PATIENCE
        self.running: RunningActivation | None = None
        self.stopping = threading.Lock()
        self.cpu_time = cpu_time
        self._activations = _Activations()
        self._is_strict = strict
        self._activation = _StrictActivation if strict else _Activation

    def __call__(self) -> AbstractContextManager[Callable[[], None]]:
        """Around one activation; gives what is to be called every thousand turns.

        That raises `WorkflowUsageError` to stop an activation that does not come to rest.
        """
        return self._activation(self, self._activations.hosts)

    def in_force(self) -> AbstractContextManager[None]:
        """Around all activations: a strict guard refuses by what the whole process shares."""
        return in_force() if self._is_strict else nullcontext()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Around a function that may go where workflow code may not; in no activation, nothing."""
        hosts = self._activations.hosts
        if not hosts:
            yield
            return
        inner, hosts[:] = hosts[:], []
        was_strict, HERE.is_strict = HERE.is_strict, False
        try:
            inner[0].show()
            yield
        finally:
            inner[0].hide()
            HERE.is_strict = was_strict
            hosts[:] = inner


class _Activation(RunningActivation):
    __slots__ = ("_begun", "_checks", "_guard", "_hosts")

    def __init__(self, guard: Guard, hosts: list[_Host]) -> None:
        self._guard = guard
        self._hosts = hosts
        self._checks = 0
        self.is_seen = self.is_stopped = False

    def __enter__(self) -> Callable[[], None]:
        self.keep()
        try:
            self.hide()
            self._hosts.append(self)
            if len(self._hosts) == 1:
                self._guard.running = self
        except BaseException:  # Ctrl-C half-way: nobody calls `__exit__` then
            self.show()
            raise
        return self._check

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hosts.pop()
        self.show()
        guard = self._guard
        if guard.running is self:
            if self.is_seen:
                with guard.stopping:
                    guard.running = None
            else:
                # Seen just now, it is gone from here long before the next look.
                guard.running = None
        if self.is_stopped:
            raise WorkflowUsageError(
                "the workflow has computed without end and never came to rest; do such work in an "
                "activity"
            ) from None

    def _check(self) -> None:
        # Most activations rest before the first check, and never read the clock.
        self._checks += 1
        if self._checks == 1:
            self._begun = self._guard.cpu_time()
        elif self._checks >= CHECKS_BEFORE_STOP:
            spent = self._guard.cpu_time() - self._begun
            if spent > self._guard.longest:
                raise WorkflowUsageError(
                    f"the workflow has awaited without end for {spent:.1f} s of CPU time and never "
                    "came to rest; let its loops wait for something: sleep, a signal, an activity"
                )


class _StrictActivation(_Activation):
    __slots__ = ("_was_strict",)

    def __enter__(self) -> Callable[[], None]:
        self._was_strict, HERE.is_strict = HERE.is_strict, True
        try:
            return super().__enter__()
        except BaseException:
            HERE.is_strict = self._was_strict
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        HERE.is_strict = self._was_strict
        super().__exit__(kind, error, traceback)


activation_guard = Guard()
"""The guard of an engine that is not told otherwise."""
