"""The activation guard: while workflow code runs, trio's own primitives are out of its reach.

Activations run inline in one of the engine's tasks. A trio primitive used there would act on that
task: cancel it, park it, or attach a scope to it that nobody leaves. So trio's run context is
replaced, for the length of an activation, by a stand-in that refuses every use and names Aion's
counterpart; the host stays unharmed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
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
    "move_on_after": "move_on_after",
    "move_on_at": "move_on_after",
    "open_nursery": "open_nursery",
    "sleep": "sleep",
    "sleep_until": "sleep_until",
}
_ADVICE = "do I/O in an activity"


class _Refusal:
    """Stands where trio keeps its runner and its task."""

    def __getattr__(self, name: str) -> NoReturn:
        raise WorkflowUsageError(_explain())


def _explain() -> str:
    """Name the trio function that the workflow called, and what to call instead."""
    called = ""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("trio"):
        # A context manager is known by its class, a function by its name.
        owner = type(frame.f_locals.get("self")).__name__
        called = _CLASSES.get(owner, frame.f_code.co_name)
        frame = frame.f_back
    counterpart = _COUNTERPARTS.get(called)
    advice = f"use aion_runtime.{counterpart} instead" if counterpart else _ADVICE
    return f"trio.{called} was used in a workflow, where it would not be durable; {advice}"


_CLASSES = {"CancelScope": "CancelScope", "NurseryManager": "open_nursery"}
_REFUSAL = _Refusal()


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
    """Keep trio out of an activation; outside of a trio run there is nothing to keep out."""
    kept = dict(_CONTEXT.__dict__)
    if not kept:
        yield
        return
    _CONTEXT.__dict__.update(dict.fromkeys(kept, _REFUSAL))
    try:
        yield
    finally:
        _CONTEXT.__dict__.update(kept)
