"""Replacing: other functions in place of activities that a test must not run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aion_core.authoring.activities import Activity

__all__ = ["replace"]

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def replace(activity: Activity[..., Any], fake: F) -> Iterator[F]:
    """Have a fake run in place of an activity.

    So while inside, whoever calls it: a workflow in any engine of this process, or other code. An
    attempt that runs already goes on. Retries, time limits and types are still the activity's; the
    result of the fake is stored by the activity's annotation. Of several fakes the last one counts,
    and the one before when it is gone.

    Args:
        fake: a function, async or not, or any other callable such as a `unittest.mock.Mock`. It is
            called with all arguments that the activity has, in their order. In place of an async
            activity it runs on the event loop, in place of a plain one in a worker thread, unless
            it is async itself.

    Raises:
        TypeError: it cannot take the arguments of the activity, or that is none.
    """
    if not isinstance(activity, Activity):
        raise TypeError(f"replace takes a function decorated with @activity, not {activity!r}")
    signature = inspect.signature(activity.fn)
    _check(activity, signature, fake)

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return fake(*bound.args, **bound.kwargs)

    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        result = call(args, kwargs)
        return await result if inspect.isawaitable(result) else result

    def in_thread(*args: Any, **kwargs: Any) -> Any:
        return call(args, kwargs)

    is_async = inspect.iscoroutinefunction(activity.fn) or _is_async(fake)
    with activity.played_by(on_loop if is_async else in_thread):
        yield fake


def _is_async(fake: Callable[..., Any]) -> bool:
    # The second for objects whose class has an async __call__.
    return inspect.iscoroutinefunction(fake) or inspect.iscoroutinefunction(
        getattr(type(fake), "__call__", None)  # noqa: B004  # not whether it can be called
    )


def _check(
    activity: Activity[..., Any], signature: inspect.Signature, fake: Callable[..., Any]
) -> None:
    """Find out now what else fails each attempt, and is then tried again."""
    if not callable(fake):
        raise TypeError(f"replace({activity.__name__}, ...) takes a function, not {fake!r}")
    taken = inspect.signature(fake)
    bound = inspect.BoundArguments(
        signature,
        dict.fromkeys(signature.parameters),
    )
    try:
        taken.bind(*bound.args, **bound.kwargs)
    except TypeError as error:
        name = getattr(fake, "__qualname__", repr(fake))
        raise TypeError(
            f"{name}{taken} cannot stand in for the activity {activity.__name__}{signature}: "
            f"{error}; give it the same parameters, or *args"
        ) from None
