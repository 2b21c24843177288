"""Activities: functions that touch the world. Each call is recorded; its result is never redone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args, overload

import attrs

from aion_core.authoring.attempt import ActivityInfo, activity_info, entered_activity
from aion_core.authoring.naming import checked_aliases
from aion_core.authoring.signature import CallSignature, check_definition
from aion_core.commands import RunActivity
from aion_core.ids import keyed_position, position
from aion_core.machine.tasks import current_task_or_none
from aion_core.making import maker
from aion_core.payloads import Payload, PayloadConverter
from aion_core.policies import ActivityOptions, Limit, OnCancel, RetryPolicy

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

_run_activity = maker(RunActivity)

Loop: TypeAlias = Literal["trio", "asyncio"]
"""On which event loop an async activity runs: the engine's, or one of asyncio beside it."""


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
        loop: on which event loop it runs, when its function is async.
    """

    fn: Callable[..., Any]

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str,
        settings: ActivityOptions,
        signature: CallSignature,
        aliases: tuple[str, ...] = (),
        loop: Loop = "trio",
    ) -> None:
        self.fn = fn
        self.name = name
        self.settings = settings
        self.signature = signature
        self.aliases = aliases
        self.loop = loop
        self._stand_ins: list[Callable[..., Any]] = []
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
        environment, settings, start = task.environment, self.settings, None
        if settings.key is None:
            activity_id = position("activity", task.path, task.next_ordinal("activity"))
            # The input recorded holds: what is not going to be compared need not be encoded again.
            if environment.is_replaying:
                start = environment.recorded.start_of(activity_id)
        else:
            # A key may be that of a later call, after one that could not be encoded.
            activity_id = keyed_position("activity", settings.key)
        command = _run_activity(
            activity_id,
            self.name,
            self.signature.encode_arguments(args, kwargs, environment.converter)
            if start is None
            else start.input,
            settings,
            self.aliases,
        )
        payload = await environment.activities.call(task, command, self)
        recorded: R_co = self.signature.decode_result(payload, environment.converter)
        return recorded

    def options(
        self,
        *,
        retry: RetryPolicy | None = None,
        start_to_close: float | timedelta | None = None,
        schedule_to_close: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        on_cancel: OnCancel | None = None,
        cancel_grace: float | timedelta | None = None,
        limit: Limit | None = None,
        priority: int | None = None,
        key: str | None = None,
    ) -> Activity[P, R_co]:
        """The same activity with other settings, for one call: ``charge.options(key="k")(order)``.

        What is not given stays as it is. All but ``key`` is as for `activity`.

        Args:
            key: a name for the call, unique in its run, instead of its position in the code.
        """
        if key is not None:
            keyed_position("activity", key)
        given = _given(
            retry=retry,
            start_to_close=start_to_close,
            schedule_to_close=schedule_to_close,
            heartbeat_timeout=heartbeat_timeout,
            on_cancel=on_cancel,
            cancel_grace=cancel_grace,
            limit=limit,
            priority=priority,
            key=key,
        )
        settings = attrs.evolve(self.settings, **given)
        changed = type(self)(self.fn, self.name, settings, self.signature, self.aliases, self.loop)
        changed._stand_ins = self._stand_ins
        return changed

    @property
    def body(self) -> Callable[..., Any]:
        """What a call runs: ``fn``, or what stands in for it in a test."""
        return self._stand_ins[-1] if self._stand_ins else self.fn

    @contextmanager
    def played_by(self, stand_in: Callable[..., Any]) -> Iterator[None]:
        """Have calls run another function, in every thread and by whatever `options` they are.

        Args:
            stand_in: given arguments as ``fn`` is; a new object for each use.
        """
        self._stand_ins.append(stand_in)
        try:
            yield
        finally:
            self._stand_ins.remove(stand_in)

    @property
    def is_async(self) -> bool:
        """True when it runs on the event loop, False when it runs in a worker thread."""
        if self._stand_ins:
            return inspect.iscoroutinefunction(self.body)
        return isinstance(self, AsyncActivity)

    def check_result(self, result: Payload, converter: PayloadConverter) -> None:
        """Raises `PayloadError`: the function cannot have returned this."""
        self.signature.decode_result(result, converter)

    async def run_plainly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now, unrecorded."""
        result = self.body(*args, **kwargs)
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
        self,
        name: str | None,
        settings: ActivityOptions,
        aliases: tuple[str, ...],
        loop: Loop | None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._aliases = aliases
        self._loop = loop

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first match wins, which is meant
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncActivity[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncActivity[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Activity[..., Any]:
        check_definition(fn, "an activity")
        cls = AsyncActivity if inspect.iscoroutinefunction(fn) else SyncActivity
        if self._loop is not None and cls is SyncActivity:
            raise TypeError(
                f"the activity {fn.__qualname__} is a plain function and runs in a thread, on no "
                "event loop; write it as 'async def', or leave 'loop' out"
            )
        name = self._name or fn.__name__
        aliases = checked_aliases(self._aliases, name)
        loop = self._loop or "trio"
        return cls(fn, name, self._settings, CallSignature(fn), aliases, loop)


def _given(**settings: Any) -> dict[str, Any]:
    """Those that are not None. Raises `TypeError` or `ValueError`: one cannot be a setting."""
    given = {name: value for name, value in settings.items() if value is not None}
    retry = given.get("retry")
    if not isinstance(retry, RetryPolicy | None):
        raise TypeError(f"retry is a RetryPolicy, not {retry!r}")
    # Here, and not where a policy is made: those that are recorded are read back whatever they say.
    if retry is not None and retry.initial_interval > retry.max_interval:
        raise ValueError(
            f"initial_interval is {retry.initial_interval:g} s and max_interval, which would cut "
            f"it, {retry.max_interval:g} s; give a max_interval that is at least as long"
        )
    on_cancel = given.get("on_cancel", "wait")
    if on_cancel not in get_args(OnCancel):
        raise ValueError(f"on_cancel is 'wait' or 'abandon', not {on_cancel!r}")
    if not isinstance(given.get("limit"), Limit | None):
        raise TypeError(
            f"limit is a Limit, such as Limit('api', concurrency=4), not {given['limit']!r}"
        )
    return given


def _checked_loop(loop: object) -> Loop | None:
    if loop is None or loop == "trio" or loop == "asyncio":
        return loop
    raise ValueError(f"loop is 'trio' or 'asyncio', not {loop!r}")


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
    schedule_to_close: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    on_cancel: OnCancel = "wait",
    cancel_grace: float | timedelta | None = None,
    limit: Limit | None = None,
    priority: int | None = None,
    loop: Loop | None = None,
    aliases: tuple[str, ...] = (),
) -> _Decorator: ...
def activity(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    start_to_close: float | timedelta | None = None,
    schedule_to_close: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    on_cancel: OnCancel = "wait",
    cancel_grace: float | timedelta | None = None,
    limit: Limit | None = None,
    priority: int | None = None,
    loop: Loop | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Make a function an activity: ``@activity`` or ``@activity(retry=…, start_to_close=30)``.

    Args:
        name: the activity type; the function's name when not given.
        retry: when a failed attempt is tried again; five attempts by default.
        start_to_close: seconds that one attempt may take; no limit by default.
        schedule_to_close: seconds from the call to the outcome, all attempts and the time between
            them included; no limit by default. When they are over the attempt under way is ended
            as by ``start_to_close``, and none follows.
        heartbeat_timeout: seconds that may pass between two calls of `heartbeat` in an attempt, and
            before the first; then the attempt has failed. No limit by default.
        on_cancel: what its caller does when cancelled: ``"wait"`` for the outcome, so that nothing
            is done twice or left half done, or ``"abandon"`` it and go on at once.
        cancel_grace: seconds for which a cancelled caller waits for the outcome; as long as it
            takes by default.
        limit: what its attempts share with all that name it; an attempt waits, in the store and
            not as a task, until the limit has room.
        priority: of attempts that wait for one limit those of the highest priority begin first,
            and of these the one that has waited longest; 0 by default.
        loop: ``"asyncio"`` runs an async function on an asyncio event loop that the engine keeps in
            a thread of its own, for libraries that need one.
        aliases: former names: a call recorded under one of them is still this activity's.

    Raises:
        TypeError: it is a method, lambda, class or generator, or lacks annotations; or the aliases
            are not a tuple of texts; or a setting is of another type.
        ValueError: an alias is empty, cannot be printed, or is the name itself; or a duration is
            out of range.
    """
    given = _given(
        retry=retry,
        start_to_close=start_to_close,
        schedule_to_close=schedule_to_close,
        heartbeat_timeout=heartbeat_timeout,
        on_cancel=on_cancel,
        cancel_grace=cancel_grace,
        limit=limit,
        priority=priority,
    )
    decorator = _Decorator(name, ActivityOptions(**given), aliases, _checked_loop(loop))
    return decorator if fn is None else decorator(fn)
