"""What a workflow decides or finds out once and for all: patches, and side effects."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar, overload

from typing_extensions import TypeForm

from aion_core.errors import SideEffectError
from aion_core.ids import is_name
from aion_core.machine.markers import SIDE_EFFECT
from aion_core.machine.tasks import current_task
from aion_core.payloads import Payload

__all__ = ["patched", "side_effect"]

T = TypeVar("T")


def patched(id: str) -> bool:
    """Whether this run goes the new way, of two that stand in the code side by side.

    True for runs that come here for the first time with this code, False for those that were here
    before it. The first call decides for the rest of the run.

    Args:
        id: names the change, for ever.

    Raises:
        ValueError: the id is empty or cannot be printed.
    """
    task = current_task()
    if not is_name(id):
        raise ValueError(f"the id of a patch must be non-empty printable text, not {id!r}")
    return task.environment.markers.patched(task, id)


@overload
async def side_effect(fn: Callable[[], T]) -> T: ...
@overload
async def side_effect(fn: Callable[[], object], type: TypeForm[T]) -> T: ...
async def side_effect(fn: Callable[[], object], type: TypeForm[T] | None = None) -> T:
    """Call a small function that is not deterministic, and record what it returns.

    It is called once, or again if the process dies before its result is recorded. What takes long,
    fails now and then or changes the world is an activity.

    Args:
        fn: plain, without arguments; it may read clocks and draw random numbers.
        type: of the result; by default what ``fn`` is annotated to return.

    Raises:
        TypeError: the function is async or cannot be called, or nothing says what it returns.
        SideEffectError: the function raised, or its result does not fit its type; that is recorded,
            and it is not called again.
    """
    task = current_task()
    environment = task.environment
    if inspect.iscoroutinefunction(fn) or not callable(fn):
        raise TypeError(f"side_effect takes a plain function without arguments, not {fn!r}")
    annotation = _result_type(fn) if type is None else type

    def take() -> Payload:
        with environment.refusing("the function of side_effect"):
            value = fn()
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(f"the side effect {fn!r} is async; make it a plain function")
        return environment.converter.encode(value, annotation)

    marker = await environment.markers.record(task, SIDE_EFFECT, take)
    if marker.failure is not None:
        raise SideEffectError(marker.failure)
    assert marker.payload is not None
    value: T = environment.converter.decode(marker.payload, annotation)
    return value


def _result_type(fn: Callable[[], object]) -> Any:
    annotated = fn.func if isinstance(fn, functools.partial) else fn
    try:
        return typing.get_type_hints(annotated, include_extras=True)["return"]
    except (KeyError, NameError, TypeError):
        raise TypeError(
            f"nothing says what {fn!r} returns, and so how it is stored; annotate its result, or "
            "give the type: side_effect(fn, int)"
        ) from None
