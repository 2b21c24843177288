"""Workflows: async functions whose steps survive. A call outside an engine is an error."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, get_args, overload

import attrs

from aion_core.authoring.accepting import Accepted, Accepts
from aion_core.authoring.children import ChildHandle
from aion_core.authoring.naming import checked_aliases
from aion_core.authoring.signature import CallSignature, check_definition
from aion_core.commands import ClosePolicy
from aion_core.errors import Cancelled, NotInWorkflowError, WorkflowUsageError
from aion_core.ids import ROOT_PATH, WorkflowId, validated_workflow_id
from aion_core.machine.ending import ContinuedAsNew
from aion_core.machine.tasks import Task, current_task_or_none
from aion_core.payloads import Payload, PayloadConverter
from aion_core.policies import Limit

__all__ = ["ChildOptions", "Workflow", "workflow"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class ChildOptions:
    """How a workflow is called as a child.

    Attributes:
        workflow_id: of the child; None for one that follows from its place in the parent.
        close_policy: what becomes of it when its parent closes.
    """

    workflow_id: WorkflowId | None = None
    close_policy: ClosePolicy = "cancel"


class Workflow(Generic[P, R_co]):
    """A definition made by `workflow`; given to ``open_engine`` and ``engine.start``.

    Awaited in another workflow it runs as a child of that.

    Attributes:
        name: the workflow type.
        fn: the undecorated function.
        signature: how its arguments and result are stored.
        accepts: the messages it takes; None when it did not say.
        aliases: former names, under which runs may have been begun.
        limit: how many of its runs there may be at a time, and begin in a window of time.
        as_child: how it is called as a child.
    """

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R_co]],
        name: str,
        accepts: Iterable[Accepted] | None,
        aliases: tuple[str, ...] = (),
        limit: Limit | None = None,
    ) -> None:
        self.fn = fn
        self.name = name
        self.signature = CallSignature(fn)
        self.aliases = aliases
        self.limit = limit
        self.accepts = None if accepts is None else Accepts.of(accepts, name)
        self.as_child = ChildOptions()
        self.__doc__ = fn.__doc__
        self.__name__ = fn.__name__
        self.__qualname__ = fn.__qualname__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Run it as a child, in a workflow, and wait for its end.

        Cancelled meanwhile it asks the child to stop, and waits on.

        Raises:
            NotInWorkflowError: called outside a workflow, where nothing would be durable.
            ChildWorkflowError: it failed, was cancelled or ended from outside, or could not be
                started.
            PayloadError: an argument or the result cannot be stored.
        """
        self._calling_task()
        return self._run(args, kwargs)

    def spawn(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, ChildHandle[R_co]]:
        """Start it as a child, in a workflow, and go on at once.

        Raises:
            NotInWorkflowError: called outside a workflow.
            PayloadError: an argument cannot be stored.
        """
        self._calling_task()
        return self._spawn(args, kwargs)

    def options(
        self, *, workflow_id: str | None = None, on_parent_close: ClosePolicy | None = None
    ) -> Workflow[P, R_co]:
        """The same workflow with other settings, for one call as a child.

        Args:
            workflow_id: of the child, instead of one that follows from its place in the parent.
            on_parent_close: what becomes of it when its parent closes first: ``"cancel"``, which
                is so by default, ``"terminate"`` or ``"abandon"``.

        Raises:
            InvalidIdError: the id cannot be one.
            ValueError: there is no such policy.
        """
        if on_parent_close is not None and on_parent_close not in get_args(ClosePolicy):
            known = ", ".join(map(repr, get_args(ClosePolicy)))
            raise ValueError(f"on_parent_close is one of {known}, not {on_parent_close!r}")
        options = self.as_child
        if workflow_id is not None:
            options = attrs.evolve(options, workflow_id=validated_workflow_id(workflow_id))
        if on_parent_close is not None:
            options = attrs.evolve(options, close_policy=on_parent_close)
        changed = copy.copy(self)
        changed.as_child = options
        return changed

    def continue_as_new(self, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        """End this run, and go on as a run of this workflow with a history of its own.

        The workflow id, the attributes and the signals that nobody has received are taken along.
        Raises an exception to leave the code by: ``finally`` blocks run, ``except Exception`` lets
        it pass.

        Raises:
            WorkflowUsageError: not in the root task of a workflow, or in a nursery or a shield.
            PayloadError: an argument cannot be stored.
        """
        task = self._calling_task()
        _check_can_leave(task)
        if task.is_cancelled:
            raise Cancelled
        environment = task.environment
        payload = self.signature.encode_arguments(args, kwargs, environment.converter)
        is_same = environment.started.workflow_type in (self.name, *self.aliases)
        raise ContinuedAsNew(payload, None if is_same else self.name)

    def begin(self, input: Payload, converter: PayloadConverter) -> Coroutine[Any, Any, R_co]:
        """The coroutine of a run with a stored input. Raises `PayloadError`."""
        arguments = self.signature.decode_arguments(input, converter)
        return self.fn(**arguments)  # type: ignore[call-arg]  # P is not known here

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the coroutine returned. Raises `PayloadError`."""
        return self.signature.encode_result(value, converter)

    def _calling_task(self) -> Task:
        # Refused at the call, so that one that nobody awaits is not taken for one that ran.
        task = current_task_or_none()
        if task is None:
            raise NotInWorkflowError(
                f"workflow {self.name!r} was called as a function, where nothing would be durable; "
                f"run it with engine.start({self.__name__}, ...), or in a test with "
                f"aion_runtime.testing.run_workflow({self.__name__}, ...)"
            )
        return task

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R_co:
        # The task that awaits it, which need not be the one that made the call.
        task = self._calling_task()
        environment = task.environment
        payload = await environment.children.run(
            task,
            self.name,
            self.signature.encode_arguments(args, kwargs, environment.converter),
            workflow_id=self.as_child.workflow_id,
            close_policy=self.as_child.close_policy,
            aliases=self.aliases,
        )
        result: R_co = self.signature.decode_result(payload, environment.converter)
        return result

    async def _spawn(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChildHandle[R_co]:
        task = self._calling_task()
        environment = task.environment
        child = await environment.children.spawn(
            task,
            self.name,
            self.signature.encode_arguments(args, kwargs, environment.converter),
            workflow_id=self.as_child.workflow_id,
            close_policy=self.as_child.close_policy,
            aliases=self.aliases,
        )
        return ChildHandle(task.kernel, child, self.signature)

    def __repr__(self) -> str:
        return f"<workflow {self.name!r} of {self.__module__}>"


def _check_can_leave(task: Task) -> None:
    """Raise `WorkflowUsageError` where continuing as new would leave something behind."""
    advice = "; continue as new where the workflow's own function would return"
    if task.path != ROOT_PATH:
        raise WorkflowUsageError(
            "continue_as_new was called in a task that is not the workflow's own" + advice
        )
    for scope in task.scope.outwards():
        if scope.shield:
            raise WorkflowUsageError("continue_as_new was called in a shielded scope" + advice)
        if scope.is_of_nursery:
            raise WorkflowUsageError("continue_as_new was called in a nursery's block" + advice)


class _Decorator:
    """``@workflow(...)``."""

    def __init__(
        self,
        name: str | None,
        accepts: Iterable[Accepted] | None,
        aliases: tuple[str, ...],
        limit: Limit | None,
    ) -> None:
        if not isinstance(limit, Limit | None):
            raise TypeError(f"limit is a Limit, such as Limit('api', concurrency=4), not {limit!r}")
        self._name = name
        self._accepts = accepts
        self._aliases = aliases
        self._limit = limit

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
        check_definition(fn, "a workflow")
        if not inspect.iscoroutinefunction(fn):
            raise TypeError(f"the workflow {fn.__qualname__} must be an 'async def'")
        name = self._name or fn.__name__
        aliases = checked_aliases(self._aliases, name)
        return Workflow(fn, name, self._accepts, aliases, self._limit)


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    accepts: Iterable[Accepted] | None = None,
    limit: Limit | None = None,
    aliases: tuple[str, ...] = (),
) -> _Decorator: ...
def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    accepts: Iterable[Accepted] | None = None,
    limit: Limit | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Make an async function a workflow: ``@workflow`` or ``@workflow(accepts=[approval])``.

    Args:
        name: the workflow type; the function's name when not given.
        accepts: the signals, queries and updates it takes. The engine then refuses other signals,
            and payloads that do not fit, before anything is recorded.
        limit: shared by the runs of all workflows that name it; a start that finds no room is
            durable, and its code runs when there is. Runs that wait to begin do not count.
        aliases: former names: a run begun under one of them goes on as this workflow.

    Raises:
        TypeError: it is a method, lambda, class or generator, not async, or lacks annotations; or
            the aliases are not a tuple of texts; or something else is to be accepted.
        ValueError: an alias is empty, cannot be printed, or is the name itself; or two messages of
            a kind have the same name.
    """
    decorator = _Decorator(name, accepts, aliases, limit)
    return decorator if fn is None else decorator(fn)
