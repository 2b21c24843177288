"""Updates: requests to a workflow that change its state and are answered."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from typing_extensions import TypeForm

from aion_core.authoring.naming import checked_name
from aion_core.machine.tasks import current_task
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["Update"]

A = TypeVar("A")
R_co = TypeVar("R_co", covariant=True)


class Update(Generic[A, R_co]):
    """A kind of request, by its name and the types of its argument and its answer.

    Args:
        name: what callers call it.
        arg_type: of the argument, ``int | None`` included.
        result_type: of the answer.

    Example:
        ``set_limit.handle(change, validator=check)`` at the head of a workflow; outside,
        ``await run.update(set_limit, 7)``.
    """

    def __init__(self, name: str, arg_type: TypeForm[A], result_type: TypeForm[R_co]) -> None:
        self.name = checked_name("an update", name)
        self.arg_type = arg_type
        self.result_type = result_type

    def handle(
        self,
        fn: Callable[[A], Awaitable[R_co]] | Callable[[A], R_co],
        validator: Callable[[A], object] | None = None,
    ) -> None:
        """Have it handled by ``fn(arg)``, from now on.

        Each accepted update is handled by a task of its own, which may await activities. Handlers
        still at work when the workflow returns are cancelled; wait for them before, with
        ``wait_until(lambda: workflow_info().all_handlers_finished)``.

        Args:
            fn: plain or async; what it returns is the answer.
            validator: a plain function that is called with the argument before anything is
                recorded. It refuses by raising, and changes nothing.

        Raises:
            TypeError: one of the two cannot be called, or the validator is async.
        """
        task = current_task()
        if not callable(fn):
            raise TypeError(f"update {self.name!r} is handled by a function, not by {fn!r}")
        is_plain = callable(validator) and not inspect.iscoroutinefunction(validator)
        if validator is not None and not is_plain:
            raise TypeError(
                f"the validator of update {self.name!r} is a plain function, not {validator!r}"
            )
        environment = task.environment
        converter = environment.converter
        environment.updates.handle(
            self.name,
            fn,
            validator,
            partial(self.decode, converter=converter),
            partial(self.encode_result, converter=converter),
        )

    def encode(self, value: object, converter: PayloadConverter) -> Payload:
        """Store an argument. Raises `PayloadError`."""
        return converter.encode(value, self.arg_type)

    def decode(self, payload: Payload, converter: PayloadConverter) -> Any:
        """Give a stored argument back. Raises `PayloadError`."""
        return converter.decode(payload, self.arg_type)

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store an answer. Raises `PayloadError`."""
        return converter.encode(value, self.result_type)

    def decode_result(self, payload: Payload, converter: PayloadConverter) -> Any:
        """Give a stored answer back. Raises `PayloadError`."""
        return converter.decode(payload, self.result_type)

    def __repr__(self) -> str:
        return f"Update({self.name!r}, {self.arg_type!r}, {self.result_type!r})"
