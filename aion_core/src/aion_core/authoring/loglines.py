"""The logger of workflow code: it repeats nothing in a replay, and is ahead of nothing recorded."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, TypedDict

from typing_extensions import Unpack

from aion_core.machine.saying import LOGGER_NAME, LogLine
from aion_core.machine.tasks import current_task_or_none

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["LineOptions", "WorkflowLogger", "logger"]


class LineOptions(TypedDict, total=False):
    """What can be said of a line besides.

    Attributes:
        exc_info: the exception whose traceback goes with it; True for the one being handled.
        extra: more fields of the record.
        stacklevel: from 1; how many callers further out the line is to be placed.
    """

    exc_info: BaseException | bool | None
    extra: Mapping[str, object] | None
    stacklevel: int


class WorkflowLogger:
    """Logs to ``aion.workflow``, with the methods of `logging.Logger`.

    In a workflow a line is logged once what the code did with it is recorded, and never in a
    replay. Anywhere else it is logged at once.
    """

    def debug(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``DEBUG``."""
        _log(logging.DEBUG, message, args, more)

    def info(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``INFO``."""
        _log(logging.INFO, message, args, more)

    def warning(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``WARNING``."""
        _log(logging.WARNING, message, args, more)

    def error(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``ERROR``."""
        _log(logging.ERROR, message, args, more)

    def exception(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``ERROR`` and the traceback of the exception being handled."""
        _log(logging.ERROR, message, args, {"exc_info": True, **more})

    def critical(self, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with the level ``CRITICAL``."""
        _log(logging.CRITICAL, message, args, more)

    def log(self, level: int, message: object, *args: object, **more: Unpack[LineOptions]) -> None:
        """Log with a level of `logging`."""
        _log(level, message, args, more)


logger = WorkflowLogger()
"""For workflow code: ``logger.info("charged %s", receipt)``."""

_FRAMES_HERE = 2


def _log(level: int, message: object, args: tuple[object, ...], more: LineOptions) -> None:
    """Called by the methods of the logger, which are called by the author's code."""
    task = current_task_or_none()
    error = _error_of(more.get("exc_info"))
    extra = more.get("extra") or {}
    stacklevel = more.get("stacklevel", 1)
    if task is None:
        logging.getLogger(LOGGER_NAME).log(
            level, message, *args, exc_info=error, extra=extra, stacklevel=stacklevel + _FRAMES_HERE
        )
    elif not task.environment.is_replaying:
        caller = _caller(sys._getframe(_FRAMES_HERE), stacklevel)
        task.environment.log_lines.append(
            # No record is made here: that would read a clock which is not the run's.
            LogLine(
                level=level,
                message=_text(message, args),
                error=None if error is None else _traceback(error, task.environment),
                extra=dict(extra),
                file=caller.f_code.co_filename,
                line=caller.f_lineno,
                function=caller.f_code.co_name,
            )
        )


def _error_of(exc_info: BaseException | bool | None) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    return sys.exception() if exc_info else None


def _caller(frame: FrameType, stacklevel: int) -> FrameType:
    for _ in range(stacklevel - 1):
        if frame.f_back is not None:
            frame = frame.f_back
    return frame


def _text(message: object, args: tuple[object, ...]) -> str:
    """The message with its arguments, as `logging.LogRecord` puts them in."""
    text = str(message)
    if not args:
        return text
    first = args[0]
    try:
        return text % (first if len(args) == 1 and isinstance(first, Mapping) and first else args)
    except (TypeError, ValueError, KeyError) as error:
        # A line that was written wrongly must not cost the run, as in `logging` itself.
        return f"{text} {args!r} (not put in: {error})"


def _traceback(error: BaseException, environment: Environment) -> str:
    with environment.lifted():  # it reads source files
        return "".join(traceback.format_exception(error)).rstrip("\n")
