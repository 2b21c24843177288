"""Queries of a run: questions about its state, answered between its steps. They change nothing."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from aion_core.errors import PayloadError, QueryError
from aion_core.payloads import Payload
from aion_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["Queries"]


@attrs.frozen
class _Answer:
    fn: Callable[[], object]
    encode: Callable[[object], Payload]
    context: contextvars.Context


class Queries:
    """The answers that a run has for questions, by name."""

    __slots__ = ("_answers", "_environment")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._answers: dict[str, _Answer] = {}

    def answer(
        self, name: str, fn: Callable[[], object], encode: Callable[[object], Payload]
    ) -> None:
        """Have questions of a name answered by ``fn``, from now on."""
        self._environment.check_may_change("an answer to a query")
        self._answers[name] = _Answer(fn, encode, contextvars.copy_context())

    def ask(self, name: str) -> Payload:
        """The answer to a question.

        Raises:
            QueryError: the code does not know the question, or its answer failed.
        """
        answer = self._answers.get(name)
        if answer is None:
            raise QueryError(
                f"workflow {self._environment.workflow_id!r} has no answer to the query {name!r}; "
                + did_you_mean(name, self._answers, otherwise="give it one by Query.answer()")
            )
        try:
            with self._environment.refusing(f"the answer to query {name!r}"):
                value = answer.context.copy().run(answer.fn)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it does, the run and the engine go on
            raise QueryError(
                f"the answer to query {name!r} failed: {type(error).__name__}: {error}"
            ) from error
        if inspect.iscoroutine(value):
            value.close()
            raise QueryError(f"the answer to query {name!r} is async; make it a plain function")
        try:
            return answer.encode(value)
        except PayloadError as error:
            raise QueryError(
                f"the answer to query {name!r} does not fit its type: {error}"
            ) from error
