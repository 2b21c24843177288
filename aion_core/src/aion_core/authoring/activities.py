"""Activities: functions that touch the world. Each call is recorded; its result is never redone."""

from __future__ import annotations

import contextvars
import hashlib
import inspect
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

import attrs

from aion_core.authoring.naming import checked_aliases
from aion_core.authoring.signature import CallSignature, check_definition
from aion_core.commands import RunActivity
from aion_core.errors import AionError
from aion_core.ids import ActivityId, RunId, WorkflowId, keyed_position, position
from aion_core.machine.kernel import current_task_or_none
from aion_core.policies import ActivityOptions, RetryPolicy

__all__ = [
    "Activity",
    "ActivityInfo",
    "AsyncActivity",
    "SyncActivity",
    "activity",
    "activity_info",
    "entered_activity",
]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Activity(Generic[P, R_co]):
    """A definition made by `activity`.

    Awaited in a workflow it is recorded, run by the engine and retried by its policy; its result
    comes back from history. Awaited anywhere else it just runs the function.

    Attributes:
        name: the activity type.
        fn: the undecorated function.
        signature: how its arguments and result are stored.
        settings: retries and time limits of its calls.
        aliases: former names, under which histories may know it.
    """

    fn: Callable[..., Any]

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str,
        settings: ActivityOptions,
        signature: CallSignature,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.fn = fn
        self.name = name
        self.settings = settings
        self.signature = signature
        self.aliases = aliases
        self.__doc__ = fn.__doc__
        self.__name__ = fn.__name__
        self.__qualname__ = fn.__qualname__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the activity.

        Raises:
            ActivityError: in a workflow, when it failed for good.
            PayloadError: an argument or the result cannot be stored.
        """
        task = current_task_or_none()
        if task is None:
            result: R_co = await self.run_plainly(*args, **kwargs)
            return result
        environment = task.environment
        key = self.settings.key
        activity_id = (
            position("activity", task.path, task.next_ordinal("activity"))
            if key is None
            else keyed_position("activity", key)
        )
        command = RunActivity(
            ActivityId(activity_id),
            self.name,
            self.signature.encode_arguments(args, kwargs, environment.converter),
            self.settings,
            aliases=self.aliases,
        )
        payload = await environment.run_activity(task, command, self)
        recorded: R_co = self.signature.decode_result(payload, environment.converter)
        return recorded

    def options(
        self,
        *,
        retry: RetryPolicy | None = None,
        start_to_close: float | timedelta | None = None,
        key: str | None = None,
    ) -> Activity[P, R_co]:
        """The same activity with other settings, for one call: ``charge.options(key="k")(order)``.

        Args:
            retry: when a failed attempt is tried again.
            start_to_close: seconds that one attempt may take.
            key: a name for the call, unique in its run, instead of its position in the code.
        """
        if key is not None:
            keyed_position("activity", key)
        settings = ActivityOptions(
            retry=retry or self.settings.retry,
            start_to_close=(
                self.settings.start_to_close if start_to_close is None else start_to_close
            ),
            key=self.settings.key if key is None else key,
        )
        return type(self)(self.fn, self.name, settings, self.signature, self.aliases)

    @property
    def is_async(self) -> bool:
        """True when it runs on the event loop, False when it runs in a worker thread."""
        return inspect.iscoroutinefunction(self.fn)

    async def run_plainly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now, unrecorded."""
        result = self.fn(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def __repr__(self) -> str:
        return f"<activity {self.name!r} of {self.__module__}>"


class AsyncActivity(Activity[P, R_co]):
    """An activity whose function is async: it runs as a task on the event loop."""

    fn: Callable[P, Coroutine[Any, Any, R_co]]


class SyncActivity(Activity[P, R_co]):
    """An activity whose function is plain: it runs in a worker thread."""

    fn: Callable[P, R_co]


class _Decorator:
    """``@activity(...)``: typed by what it is applied to."""

    def __init__(
        self, name: str | None, settings: ActivityOptions, aliases: tuple[str, ...]
    ) -> None:
        self._name = name
        self._settings = settings
        self._aliases = aliases

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first match wins, which is meant
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncActivity[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncActivity[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Activity[..., Any]:
        check_definition(fn, "an activity")
        cls = AsyncActivity if inspect.iscoroutinefunction(fn) else SyncActivity
        name = self._name or fn.__name__
        aliases = checked_aliases(self._aliases, name)
        return cls(fn, name, self._settings, CallSignature(fn), aliases)


@overload
def activity(  # type: ignore[overload-overlap]  # the first match wins, which is meant
    fn: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncActivity[P, R]: ...
@overload
def activity(fn: Callable[P, R], /) -> SyncActivity[P, R]: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    start_to_close: float | timedelta | None = None,
    aliases: tuple[str, ...] = (),
) -> _Decorator: ...
def activity(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    start_to_close: float | timedelta | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Make a function an activity: ``@activity`` or ``@activity(retry=…, start_to_close=30)``.

    Args:
        name: the activity type; the function's name when not given.
        retry: when a failed attempt is tried again; five attempts by default.
        start_to_close: seconds that one attempt may take; no limit by default.
        aliases: former names: a call recorded under one of them is still this activity's.

    Raises:
        TypeError: it is a method, lambda, class or generator, or lacks annotations; or the aliases
            are not a tuple of texts.
        ValueError: an alias is empty, cannot be printed, or is the name itself.
    """
    settings = ActivityOptions(retry=retry or RetryPolicy(), start_to_close=start_to_close)
    decorator = _Decorator(name, settings, aliases)
    return decorator if fn is None else decorator(fn)


@attrs.frozen(kw_only=True)
class ActivityInfo:
    """What an activity can know about its call.

    Attributes:
        attempt: from 1; a crash does not count as one.
    """

    workflow_id: WorkflowId
    run_id: RunId
    activity_id: ActivityId
    activity_type: str
    attempt: int

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this call, and for no other call: for APIs that want one."""
        text = json.dumps([self.workflow_id, self.run_id, self.activity_id])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


_INFO: contextvars.ContextVar[ActivityInfo] = contextvars.ContextVar("aion_activity")


def activity_info() -> ActivityInfo:
    """Which call this is, asked from inside an activity.

    Raises:
        AionError: no engine runs this function as an activity.
    """
    info = _INFO.get(None)
    if info is None:
        raise AionError("activity_info() works only inside an activity that an engine runs")
    return info


def entered_activity(info: ActivityInfo) -> None:
    """Say, in the context of an attempt, which call it is. For executors."""
    _INFO.set(info)
