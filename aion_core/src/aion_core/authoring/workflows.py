"""Workflows: async functions whose steps survive. A call outside an engine is an error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from aion_core.authoring.naming import checked_aliases
from aion_core.authoring.signals import Signal
from aion_core.authoring.signature import CallSignature, check_definition
from aion_core.errors import NotInWorkflowError, WorkflowUsageError
from aion_core.machine.kernel import current_task_or_none
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["Workflow", "workflow"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Workflow(Generic[P, R_co]):
    """A definition made by `workflow`; given to ``open_engine`` and ``engine.start``.

    Attributes:
        name: the workflow type.
        fn: the undecorated function.
        signature: how its arguments and result are stored.
        accepts: the signals it takes, by name; None when it did not say.
        aliases: former names, under which runs may have been begun.
    """

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R_co]],
        name: str,
        accepts: Sequence[Signal[Any]] | None,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.fn = fn
        self.name = name
        self.signature = CallSignature(fn)
        self.aliases = aliases
        self.accepts = None if accepts is None else {signal.name: signal for signal in accepts}
        self.__doc__ = fn.__doc__
        self.__name__ = fn.__name__
        self.__qualname__ = fn.__qualname__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Refused: without an engine nothing would be durable.

        Raises:
            NotInWorkflowError: called outside a workflow.
            WorkflowUsageError: called inside one; child workflows are not supported yet.
        """
        if current_task_or_none() is not None:
            raise WorkflowUsageError(
                f"workflow {self.name!r} was called inside a workflow, but child workflows are not "
                "supported yet; start it from outside with engine.start(...)"
            )
        raise NotInWorkflowError(
            f"workflow {self.name!r} was called as a function, where nothing would be durable; "
            f"run it with engine.start({self.__name__}, ...)"
        )

    def begin(self, input: Payload, converter: PayloadConverter) -> Coroutine[Any, Any, R_co]:
        """The coroutine of a run with a stored input. Raises `PayloadError`."""
        arguments = self.signature.decode_arguments(input, converter)
        return self.fn(**arguments)  # type: ignore[call-arg]  # P is not known here

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the coroutine returned. Raises `PayloadError`."""
        return self.signature.encode_result(value, converter)

    def __repr__(self) -> str:
        return f"<workflow {self.name!r} of {self.__module__}>"


class _Decorator:
    """``@workflow(...)``."""

    def __init__(
        self,
        name: str | None,
        accepts: Sequence[Signal[Any]] | None,
        aliases: tuple[str, ...],
    ) -> None:
        self._name = name
        self._accepts = accepts
        self._aliases = aliases

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
        check_definition(fn, "a workflow")
        if not inspect.iscoroutinefunction(fn):
            raise TypeError(f"the workflow {fn.__qualname__} must be an 'async def'")
        name = self._name or fn.__name__
        return Workflow(fn, name, self._accepts, checked_aliases(self._aliases, name))


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    accepts: Sequence[Signal[Any]] | None = None,
    aliases: tuple[str, ...] = (),
) -> _Decorator: ...
def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    accepts: Sequence[Signal[Any]] | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Make an async function a workflow: ``@workflow`` or ``@workflow(accepts=[approval])``.

    Args:
        name: the workflow type; the function's name when not given.
        accepts: the signals it takes. The engine then refuses others, and payloads that do not
            fit, before anything is recorded.
        aliases: former names: a run begun under one of them goes on as this workflow.

    Raises:
        TypeError: it is a method, lambda, class or generator, not async, or lacks annotations; or
            the aliases are not a tuple of texts.
        ValueError: an alias is empty, cannot be printed, or is the name itself.
    """
    decorator = _Decorator(name, accepts, aliases)
    return decorator if fn is None else decorator(fn)
