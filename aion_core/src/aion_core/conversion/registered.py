"""Types that somebody else teaches a converter."""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import cattrs

from aion_core.conversion.misfits import Hook, Misfit, Write, mismatch
from aion_core.conversion.scalars import AS_TEXT, PLAIN

__all__ = ["add_type"]

_KNOWN = (*PLAIN, *AS_TEXT, timedelta, list, tuple, set, frozenset, dict)


def add_type(
    converter: cattrs.Converter,
    cls: type,
    to_plain: Callable[[Any], object],
    from_plain: Callable[[Any], Any],
) -> None:
    """Store values of exactly this class as what ``to_plain`` makes of them.

    Raises:
        TypeError: it is no class, or one whose form is fixed, or a function is none.
    """
    given: Any = cls
    if given is Any or not isinstance(given, type) or typing.get_origin(given) is not None:
        raise TypeError(f"only a class can be registered, not {cls!r}")
    if cls in _KNOWN:
        raise TypeError(f"values of {cls.__name__} have a stored form already, for good")
    for function in (to_plain, from_plain):
        if not callable(function):
            raise TypeError(f"{cls.__name__} needs two functions, not {function!r}")
    converter.register_structure_hook(cls, _reader(cls, from_plain))
    converter.register_unstructure_hook(cls, _writer(cls, to_plain))


def _reader(cls: type, from_plain: Callable[[Any], Any]) -> Hook:
    def read(value: Any, _: Any) -> Any:
        if isinstance(value, Misfit):
            raise mismatch(cls.__name__, value)
        found = from_plain(value)
        if found.__class__ is not cls:
            raise TypeError(f"what is registered for {cls.__name__} read {type(found).__name__}")
        return found

    return read


def _writer(cls: type, to_plain: Callable[[Any], object]) -> Write:
    def write(value: Any) -> object:
        if value.__class__ is not cls:
            return Misfit(cls.__name__, value)
        try:
            return to_plain(value)
        except Exception as error:
            return Misfit(cls.__name__, value, f"{type(error).__name__}: {error}")

    return write
