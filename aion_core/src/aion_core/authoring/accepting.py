"""What a workflow says it takes: its signals, queries and updates, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import attrs

from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update

__all__ = ["Accepted", "Accepts"]

Accepted: TypeAlias = Signal[Any] | Query[Any] | Update[Any, Any]
"""What can stand in ``@workflow(accepts=[…])``."""

_M = TypeVar("_M", Signal[Any], Query[Any], Update[Any, Any])


@attrs.frozen
class Accepts:
    """By name, each kind apart."""

    signals: dict[str, Signal[Any]] = attrs.Factory(dict)
    queries: dict[str, Query[Any]] = attrs.Factory(dict)
    updates: dict[str, Update[Any, Any]] = attrs.Factory(dict)

    @classmethod
    def of(cls, messages: Iterable[Accepted], workflow: str) -> Accepts:
        """Sort what ``accepts=`` was given.

        Raises:
            TypeError: it is no list, or something else is among it.
            ValueError: two of a kind have the same name.
        """
        accepts = cls()
        if not isinstance(messages, Iterable):
            raise TypeError(
                f"workflow {workflow!r} accepts a list of signals, queries and updates, "
                f"not {messages!r}; write accepts=[...]"
            )
        for message in messages:
            match message:
                case Signal():
                    _add(accepts.signals, message, workflow)
                case Query():
                    _add(accepts.queries, message, workflow)
                case Update():
                    _add(accepts.updates, message, workflow)
                case _:
                    raise TypeError(
                        f"workflow {workflow!r} accepts signals, queries and updates, "
                        f"not {message!r}"
                    )
        return accepts


def _add(known: dict[str, _M], message: _M, workflow: str) -> None:
    if known.setdefault(message.name, message) is not message:
        raise ValueError(
            f"workflow {workflow!r} accepts {message!r} and {known[message.name]!r}, which have "
            "the same name; give each its own"
        )
