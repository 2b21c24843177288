"""Functions made of source text when their types are known, as attrs and cattrs make theirs.

What is called for every value or event is a few steps for each field, and to loop over the fields
would cost more than the steps. Here is what such source has in common; what a function does is said
by those who make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aion_core.json_text import quote_json, scan_json

__all__ = [
    "OBJECT_OF_TEXT",
    "SCALARS",
    "MadeOnce",
    "Unsure",
    "expression",
    "is_exactly",
    "make_function",
    "members_text",
    "object_text",
    "unless",
]


K = TypeVar("K")
V = TypeVar("V")


class Unsure(Exception):
    """A fast function does not know this case: the careful one is to decide, and to explain."""


class MadeOnce(dict[K, V]):
    """Functions by what they are for, each made when it is first asked for.

    Threads that ask at the same time may make one twice, which does no harm.
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        made = self[key] = self._make(key)
        return made


SCALARS: Mapping[type, str] = {
    str: "{{quote({0})}}",
    int: "{{{0}}}",
    bool: "{{true if {0} else false}}",
}
"""How a variable with an object of exactly this class stands in the literal of a JSON text."""

OBJECT_OF_TEXT = (
    "fields, end = scan(text, 0)",
    "if fields.__class__ is not dict or end != len(text): raise Unsure",
)
"""The lines that set ``fields`` to the object that is the JSON in ``text``."""

_NAMES: Mapping[str, object] = {
    "Unsure": Unsure,
    "scan": scan_json,
    "quote": quote_json,
    "true": "true",
    "false": "false",
}


def make_function(
    head: str, lines: Iterable[str], names: Mapping[str, object]
) -> Callable[..., Any]:
    """The function ``def {head}:`` with these lines.

    Args:
        names: what the lines refer to, beside the names that are used here.
    """
    known: dict[str, Any] = {**_NAMES, **names}
    exec("\n ".join([f"def {head}:", *lines]), known)
    made: Callable[..., Any] = known[head.partition("(")[0]]
    return made


def is_exactly(variable: str, cls: type) -> str:
    """The condition that a variable's object is of a class and of none that inherits from it."""
    return f"{variable}.__class__ is {cls.__name__}"


def unless(conditions: Sequence[str]) -> list[str]:
    """The line that gives up unless all of the conditions hold."""
    return [f"if not ({' and '.join(conditions)}): raise Unsure"] if conditions else []


def members_text(members: Iterable[tuple[str, str]]) -> str:
    """Keys and values of a JSON object, as they stand in the literal of a JSON text."""
    return ",".join(
        quote_json(key).replace("{", "{{").replace("}", "}}") + ":" + value
        for key, value in members
    )


def object_text(members: Iterable[tuple[str, str]]) -> str:
    """A JSON object, as it stands in the literal of a JSON text."""
    return "{{" + members_text(members) + "}}"


def expression(text: str) -> str:
    """A literal, of text and of expressions in braces that have neither quotation marks nor
    backslashes, as an expression.
    """
    return f"f{text!r}"
