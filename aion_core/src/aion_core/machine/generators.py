"""Async generators of a run: finished by its kernel, at an instant that history decides.

Left to the interpreter an abandoned one would be finished when garbage is collected, which happens
whenever it likes, and in the host. So the run keeps each until it is finished.
"""

from __future__ import annotations

import contextvars
import logging
import traceback
from collections.abc import AsyncGenerator
from types import AsyncGeneratorType
from typing import Any, TypeAlias

from aion_core.errors import Cancelled
from aion_core.machine.saying import LogLine
from aion_core.machine.tasks import MAX_AWAITS_IN_CLEANUP, Discarded

__all__ = [
    "AnyGenerator",
    "Generators",
    "complaint",
    "leave_alone",
    "throw_away",
]

AnyGenerator: TypeAlias = AsyncGeneratorType[Any, Any]

_FEW = 64
"""So many generators are not worth looking through."""


class Generators:
    """The async generators that the tasks of a run have begun to iterate."""

    __slots__ = ("_begun", "_sweep_at")

    def __init__(self) -> None:
        self._begun: list[AnyGenerator] = []
        self._sweep_at = _FEW

    def begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep one that is iterated for the first time: the interpreter's ``firstiter`` hook."""
        assert isinstance(generator, AsyncGeneratorType)
        self._begun.append(generator)
        if len(self._begun) >= self._sweep_at:
            self._begun = [each for each in self._begun if not _is_finished(each)]
            self._sweep_at = max(_FEW, 2 * len(self._begun))

    def take_newest(self) -> AnyGenerator | None:
        """Give up the newest that is not finished, as code is unwound from the inside."""
        while self._begun:
            generator = self._begun.pop()
            if not _is_finished(generator):
                return generator
        return None


def leave_alone(generator: AsyncGenerator[Any, Any]) -> None:
    """Nothing of a run is finished by the interpreter: the ``finalizer`` hook."""


def throw_away(generator: AnyGenerator, context: contextvars.Context) -> None:
    """Finish a generator; its clean-up code runs, but cannot await."""
    closing = generator.aclose()
    for attempt in range(MAX_AWAITS_IN_CLEANUP):
        try:
            if attempt == 0:
                context.run(closing.send, None)
            else:
                context.run(closing.throw, Discarded())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            del error  # it is finished, however it took that
            return


def complaint(generator: AnyGenerator, error: BaseException) -> LogLine | None:
    """What there is to say of a generator that failed when the run finished it.

    None when it was only cancelled, as everything is that outlives the code of a run.
    """
    rest: BaseException | None
    if isinstance(error, BaseExceptionGroup):
        rest = error.split(Cancelled)[1]
    else:
        rest = None if isinstance(error, Cancelled) else error
    if rest is None:
        return None
    return LogLine(
        level=logging.WARNING,
        message=(
            f"the async generator {generator.__qualname__!r} was left unfinished, and failed when "
            "the run ended; use it in 'async with aclosing(...)'"
        ),
        error="".join(traceback.format_exception(rest)),
    )


def _is_finished(generator: AnyGenerator) -> bool:
    return generator.ag_frame is None
