"""Places: where in the author's code a command was issued. Asked for only after a divergence."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from aion_core import commands as c
    from aion_core.machine.kernel import Task

__all__ = ["Place", "Places", "waits_at"]

Place: TypeAlias = tuple[str, int]
"""A file and a line in it."""

_NOT_THE_AUTHORS = {"aion_core", "aion_runtime", "contextlib", "functools"}

_EDGE = "aion_core.machine.workflow_machine"
"""The module that starts an activation: frames beyond it are the host's."""


class Places:
    """The places of the commands that one machine issues."""

    def __init__(self) -> None:
        self._kept: list[tuple[c.AnchoredCommand, Place | None]] = []
        self._root: CodeType | None = None

    def begin(self, coroutine: Any) -> None:
        """Say which code the run is: the place of what has no other."""
        self._root = getattr(coroutine, "cr_code", None)

    def keep(
        self, command: c.AnchoredCommand, task: Task | None, error: BaseException | None
    ) -> None:
        """Keep the place of a command, which is being issued."""
        place = self.here() or _raised_at(error)
        if place is None and task is not None:
            place = waits_at(task.coroutine) or task.origin
        self._kept.append((command, place or self._begin_of_root()))

    def of(self, command: c.AnchoredCommand) -> Place | None:
        """The place of a command kept before; None if it has none."""
        for kept, place in reversed(self._kept):
            if kept is command:
                return place
        return None

    def of_rest(self, task: Task | None) -> Place | None:
        """Where a task waits."""
        place = None if task is None else waits_at(task.coroutine)
        return place or self._begin_of_root()

    def here(self) -> Place | None:
        """The innermost line of the author's on the stack of this activation."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") != _EDGE:
            if _is_authors(frame):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return None

    def _begin_of_root(self) -> Place | None:
        return None if self._root is None else (self._root.co_filename, self._root.co_firstlineno)


def _is_authors(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in _NOT_THE_AUTHORS


def _raised_at(error: BaseException | None) -> Place | None:
    """Where an error left the author's code: its innermost line there."""
    place = None
    traceback = None if error is None else error.__traceback__
    while traceback is not None:
        if _is_authors(traceback.tb_frame):
            place = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
    return place


def waits_at(coroutine: Any) -> Place | None:
    """The innermost line of the author's in a chain of coroutines that await each other."""
    place = None
    while coroutine is not None:
        if inspect.iscoroutine(coroutine):
            frame, inner = coroutine.cr_frame, coroutine.cr_await
        elif inspect.isgenerator(coroutine):
            frame, inner = coroutine.gi_frame, coroutine.gi_yieldfrom
        else:
            # The innards of an async generator cannot be looked into.
            return place
        if frame is not None and _is_authors(frame):
            place = frame.f_code.co_filename, frame.f_lineno
        coroutine = inner
    return place
