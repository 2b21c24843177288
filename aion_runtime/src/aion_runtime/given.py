"""What `open_engine` is given, looked at before anything begins: each error says what to write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import ModuleType
from typing import TypeVar

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore

__all__ = ["Bounds", "listed", "require_kind", "require_store"]

T = TypeVar("T")


@attrs.frozen
class Bounds:
    """What an engine may take, as `open_engine` describes it.

    Raises:
        TypeError: one of them is no whole number.
        ValueError: one of them is too small.
    """

    resident_bytes: int
    activity_limit: int | None
    max_running: int | None

    def __attrs_post_init__(self) -> None:
        _require_number("resident_bytes", self.resident_bytes, 0, "a number of bytes, or 0")
        if self.activity_limit is not None:
            wanted = "a number of attempts, or None for any number"
            _require_number("activity_limit", self.activity_limit, 1, wanted)
        if self.max_running is not None:
            wanted = "a number of runs, or None for any number"
            _require_number("max_running", self.max_running, 1, wanted)


def _require_number(name: str, value: object, least: int, wanted: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give {wanted}")
    if value < least:
        raise ValueError(f"{name} is {value}; give {wanted}")


def require_store(store: object) -> None:
    """Refuse what is neither a URL nor an open store nor left out.

    Raises:
        TypeError: it is something else.
    """
    if store is None or isinstance(store, str | EventStore):
        return
    if isinstance(store, os.PathLike):
        url = f"sqlite:///{os.fspath(store)}"
        raise TypeError(f"store is a URL, not {store!r}; write {url!r} for that file")
    raise TypeError(
        f"store is a URL such as 'sqlite:///aion.db', or an open store, not {store!r}; the context "
        "that open_store gives is opened by 'async with'"
    )


def listed(option: str, given: Iterable[T], example: str) -> tuple[T, ...]:
    """The things that an option lists.

    Raises:
        TypeError: it is no list, but perhaps one thing that was to be in a list.
    """
    if isinstance(given, str | ModuleType | Workflow) or not isinstance(given, Iterable):
        raise TypeError(f"{option} takes a list, as in {example}, not {given!r}")
    return tuple(given)


def require_kind(option: str, given: object, kind: type, words: str) -> None:
    """Refuse what is no part of the engine, unless it was left out.

    Args:
        words: what may be given.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not isinstance(given, kind):
        raise TypeError(f"{option} is {words}, not {given!r}")
