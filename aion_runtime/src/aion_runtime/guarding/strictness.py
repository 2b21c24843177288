"""Refusing, in strict activations, what differs from one replay to the next.

Audit events are heard, and functions that emit none have stand-ins. Both look at the thread: they
do nothing where no strict activation runs, so activities and everybody else go on meanwhile.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import attrs

from aion_core.errors import WorkflowUsageError
from aion_runtime.guarding.names import CONVERSIONS, REPLACED, Advice, advice_on
from aion_runtime.guarding.stacks import author_at, is_for_the_host

__all__ = ["HERE", "in_force"]


class _Here(threading.local):
    """Of the thread that looks.

    Attributes:
        is_strict: workflow code runs in it, in a strict activation.
    """

    is_strict = False


HERE = _Here()
"""As process-wide as what it is about: audit hooks, and the attributes of modules."""


@contextmanager
def in_force() -> Iterator[None]:
    """Meanwhile strict activations, of all threads, refuse what they should."""
    _hear_events()
    _STAND_INS.take_their_places()
    try:
        yield
    finally:
        _STAND_INS.leave()


@functools.cache
def _hear_events() -> None:
    """Once for the process: an audit hook cannot be taken away again."""
    # Hooks are called until the interpreter is gone, when globals are gone already.
    here = HERE

    def hear(event: str, args: tuple[object, ...]) -> None:
        if here.is_strict:
            advice = advice_on(event)
            if advice is not None:
                _refuse(event, advice, sys._getframe(1))

    sys.addaudithook(hear)


def _refuse(name: str, advice: Advice, frame: FrameType) -> None:
    """Raise `WorkflowUsageError`, unless the call of this frame is none of the workflow's."""
    if not is_for_the_host(frame):
        raise WorkflowUsageError(
            f"{name} was used in a workflow ({author_at(frame)}), where {advice.why}; "
            f"{advice.instead}"
        )


@attrs.frozen
class _StandIn:
    """A function in the place of another.

    Attributes:
        owner: the module, or class, that has the place.
        attribute: the place.
        original: what belongs there.
        function: what stands there meanwhile.
    """

    owner: object
    attribute: str
    original: Callable[..., Any]
    function: Callable[..., Any]


class _StandIns:
    """In their places while anybody wants them there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._placed: list[_StandIn] = []

    def take_their_places(self) -> None:
        with self._lock:
            # Ctrl-C half-way leaves some standing there, which does no harm.
            if not self._users:
                self._placed = list(_made())
                for each in self._placed:
                    setattr(each.owner, each.attribute, each.function)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            for each in self._placed:
                # Another has replaced it since, and is going to put back what it found.
                if getattr(each.owner, each.attribute, None) is each.function:
                    setattr(each.owner, each.attribute, each.original)
            self._placed = []


_STAND_INS = _StandIns()


def _made() -> Iterator[_StandIn]:
    for name, advice in REPLACED.items():
        path, _, attribute = name.rpartition(".")
        module, _, cls = path.partition(".")
        owner: object = importlib.import_module(module)
        if cls:
            owner = getattr(owner, cls)
        original = getattr(owner, attribute, None)
        if original is not None:
            yield _StandIn(owner, attribute, original, _stand_in(name, original, advice))


def _stand_in(name: str, original: Callable[..., Any], advice: Advice) -> Callable[..., Any]:
    here, harmless_from = HERE, CONVERSIONS.get(name, sys.maxsize)

    # Whoever takes a reference to it keeps it for ever: it must do for good.
    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if here.is_strict and len(args) < harmless_from:
            _refuse(name, advice, sys._getframe(1))
        return original(*args, **kwargs)

    return stand_in
