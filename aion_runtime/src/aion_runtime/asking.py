"""Asking: queries that wait for their run to stand between two steps, with all of it durable."""

from __future__ import annotations

import trio

from aion_core.errors import AionError
from aion_core.machine.run import Run
from aion_core.payloads import Payload

__all__ = ["Question"]


class Question:
    """A query of one caller.

    Args:
        name: of the query.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._settled = trio.Event()
        self._answer: Payload | None = None
        self._error: AionError | None = None

    def put_to(self, run: Run) -> None:
        """Ask a run that stands between two steps; one that has ended has no answer here."""
        if not run.is_open:
            self._settled.set()
            return
        try:
            self._answer = run.ask(self._name)
        except AionError as error:
            self._error = error
        self._settled.set()

    def fail(self, error: AionError) -> None:
        """The run cannot be asked in this engine."""
        self._error = error
        self._settled.set()

    async def wait(self) -> Payload | None:
        """The answer; None when the run has ended."""
        await self._settled.wait()
        if self._error is not None:
            raise self._error
        return self._answer
