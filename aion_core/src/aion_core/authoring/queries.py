"""Queries: questions to a workflow about its state, answered without a trace in its history."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from typing_extensions import TypeForm

from aion_core.authoring.naming import checked_name
from aion_core.machine.tasks import current_task
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["Query"]

T_co = TypeVar("T_co", covariant=True)


class Query(Generic[T_co]):
    """A kind of question, by its name and the type of its answer.

    Args:
        name: what askers call it.
        type: of the answer, ``int | None`` included.

    Example:
        ``progress.answer(lambda: state)`` at the head of a workflow; outside,
        ``await run.query(progress)``.
    """

    def __init__(self, name: str, type: TypeForm[T_co]) -> None:
        self.name = checked_name("a query", name)
        self.type = type

    def answer(self, fn: Callable[[], T_co]) -> None:
        """Have it answered by ``fn()``, from now on and after the workflow's end.

        ``fn`` is called between the steps of the workflow; it reads its state and changes nothing.

        Raises:
            TypeError: ``fn`` is async, or cannot be called.
        """
        task = current_task()
        if inspect.iscoroutinefunction(fn) or not callable(fn):
            raise TypeError(
                f"query {self.name!r} is answered by a plain function without arguments, "
                f"not by {fn!r}"
            )
        environment = task.environment
        encode = partial(self.encode, converter=environment.converter)
        environment.queries.answer(self.name, fn, encode)

    def encode(self, value: object, converter: PayloadConverter) -> Payload:
        """Store an answer. Raises `PayloadError`."""
        return converter.encode(value, self.type)

    def decode(self, payload: Payload, converter: PayloadConverter) -> Any:
        """Give a stored answer back. Raises `PayloadError`."""
        return converter.decode(payload, self.type)

    def __repr__(self) -> str:
        return f"Query({self.name!r}, {self.type!r})"
