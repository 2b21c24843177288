"""What the hooks share: how types are named, and how a value that does not fit gets its path."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

__all__ = [
    "Hook",
    "Misfit",
    "Write",
    "WriteObject",
    "expect",
    "mismatch",
    "same_type",
    "type_name",
    "writer",
]

Hook = Callable[[Any, Any], Any]
"""Reads a plain value, of a type."""

Write = Callable[[Any], Any]
"""Makes a value plain."""


def type_name(annotation: Any) -> str:
    """An annotation as people write it."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(
            "None" if member is type(None) else type_name(member)
            for member in typing.get_args(annotation)
        )
    # To Python 3.11 and 3.12 `list[int]` is a type, with the name "list".
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation)


@attrs.frozen
class Misfit:
    """Stands, on the way out, for a value that does not fit its annotation.

    No reader takes it, and it is readers that know the path: see `PayloadConverter.encode`.

    Attributes:
        expected: name of the annotation.
        value: what was found.
        reason: what else is wrong, when it is not the type.
    """

    expected: str
    value: object
    reason: str | None = None

    def __repr__(self) -> str:
        return repr(self.value)


def mismatch(expected: str, value: object) -> TypeError:
    """The error of a reader that got another type than it expected."""
    if isinstance(value, Misfit):
        if value.reason is not None:
            return TypeError(value.reason)
        expected, value = value.expected, value.value
    return TypeError(f"expected {expected}, got {type(value).__name__}")


def expect(shape: type, value: Any) -> None:
    """Refuse values that JSON did not make of this shape."""
    if value.__class__ is not shape:
        raise mismatch(shape.__name__, value)


def same_type(expected: type, value: Any, _: Any) -> Any:
    """Read a value of one of JSON's own types. A whole number is a float where one belongs."""
    if value.__class__ is expected:
        return value
    if expected is float and value.__class__ is int:
        number = float(value)
        if number != value:
            raise ValueError(f"no float has all digits of {value}")
        return number
    raise mismatch(expected.__name__, value)


@attrs.frozen
class WriteObject:
    """Writes instances of exactly one class, field by field; not those of its subclasses, as what
    they have beside would be lost.

    Attributes:
        name: of the class, as its annotation says it.
        unstructure: makes an object of the fields.
    """

    name: str
    cls: type
    unstructure: Write

    def __call__(self, value: Any) -> object:
        return self.unstructure(value) if value.__class__ is self.cls else Misfit(self.name, value)


def writer(cls: type, write: Write, also: type | None = None) -> Write:
    """Writes values of a class; others become misfits, where cattrs would coerce them."""
    classes = (cls, also or cls)

    def to_plain(value: Any) -> object:
        if not isinstance(value, classes):
            return Misfit(cls.__name__, value)
        try:
            return write(value)
        except (TypeError, ValueError) as error:
            return Misfit(cls.__name__, value, str(error))

    return to_plain
