"""The activation guard: while workflow code runs, the primitives of trio are out of its reach.

Activations run inline in one of the engine's tasks. A trio primitive used there would act on that
task: cancel it, park it, or attach a scope to it that nobody leaves. So trio's run context is
replaced, for the length of an activation, by a stand-in that refuses every use and names Aion's
counterpart; the host stays unharmed. Whoever looks for asyncio's running loop meets it, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import Any, NoReturn

import trio
from trio._core import _run as trio_run  # the one private name; see `_context`

from aion_core.errors import WorkflowUsageError

__all__ = ["activation_guard"]

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
    return f"{library}.{called} was used in a workflow, where it would not be durable; {advice}"


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
_REFUSALS = {"task": _TaskRefusal()}


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


@contextmanager
def activation_guard() -> Iterator[None]:
    """Keep trio and asyncio out of an activation."""
    kept = dict(_CONTEXT.__dict__)  # empty outside of a trio run
    _CONTEXT.__dict__.update({name: _REFUSALS.get(name, _REFUSAL) for name in kept})
    # Imported by the workflow's module, or there is nothing to keep out.
    loops = sys.modules.get("asyncio.events")
    loop = loops and loops._get_running_loop()
    if loops is not None:
        loops._set_running_loop(_REFUSAL)
    try:
        yield
    finally:
        _CONTEXT.__dict__.update(kept)
        if loops is not None:
            loops._set_running_loop(loop)
