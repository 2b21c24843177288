"""Values that are one JSON text or number: JSON's own, those of the library, enums, literals."""

from __future__ import annotations

import base64
import enum
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import cattrs
from cattrs.enums import enum_structure_factory, enum_unstructure_factory

from aion_core.conversion.misfits import (
    Hook,
    Misfit,
    Write,
    mismatch,
    same_type,
    type_name,
    writer,
)

__all__ = ["AS_TEXT", "PLAIN", "add_scalars", "enum_writer", "is_enum", "is_literal"]

PLAIN = (str, int, float, bool, type(None))
"""What JSON has itself."""


def add_scalars(converter: cattrs.Converter) -> None:
    """Teach a converter all of them."""
    for scalar in PLAIN:
        converter.register_structure_hook(scalar, _scalar(converter, scalar))
    for cls, write, read in _TEXTS:
        converter.register_unstructure_hook(cls, writer(cls, write))
        converter.register_structure_hook(cls, partial(_from_text, cls, read))
    # Of anything that is to be a Path cattrs would make a text.
    converter.register_unstructure_hook(Path, writer(Path, str, also=PurePath))
    converter.register_structure_hook(Path, _path_from_text)
    converter.register_unstructure_hook(timedelta, writer(timedelta, _to_seconds))
    converter.register_structure_hook(timedelta, _from_seconds)
    converter.register_structure_hook_factory(is_enum, partial(_enum_factory, converter))
    converter.register_structure_hook_factory(is_literal, partial(_literal_factory, converter))
    converter.register_unstructure_hook_factory(is_literal, partial(_literal_writer, converter))


def is_enum(annotation: Any) -> bool:
    """An enum class of any kind."""
    return isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def is_literal(annotation: Any) -> bool:
    """A choice of values, such as ``Literal["a", "b"]``."""
    return typing.get_origin(annotation) is typing.Literal


def _scalar(converter: cattrs.Converter, cls: type) -> Hook:
    def read(value: Any, annotation: Any) -> Any:
        if annotation is cls and value.__class__ is cls:
            return value
        # What is registered for a class is asked for its subclasses, too, such as `enum.IntEnum`.
        if annotation is not cls and is_enum(annotation):
            return _enum_factory(converter, annotation)(value, annotation)
        return same_type(cls, value, annotation)

    return read


def _from_text(cls: type, read: Callable[[str], Any], value: Any, annotation: Any) -> Any:
    if cls is not PurePath and isinstance(annotation, type) and annotation is not cls:
        raise TypeError(f"a {annotation.__name__} would come back as a {cls.__name__}")
    if value.__class__ is not str:
        raise mismatch(f"{cls.__name__} as text", value)
    try:
        return read(value)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"expected {cls.__name__}, got {value!r}") from error


def _path_from_text(value: Any, annotation: Any) -> Path:
    if value.__class__ is not str:
        raise mismatch("Path", value)
    path: Path = annotation(value)
    return path


def _to_seconds(value: timedelta) -> float:
    seconds = value.total_seconds()
    if timedelta(seconds=seconds) != value:
        raise ValueError(f"{value!r} is too long to be stored to the microsecond")
    return seconds


def _from_seconds(value: Any, _: Any) -> timedelta:
    return timedelta(seconds=same_type(float, value, None))


def _date_to_text(value: date) -> object:
    return Misfit("date", value) if isinstance(value, datetime) else value.isoformat()


_TEXTS: tuple[tuple[type, Callable[[Any], object], Callable[[str], Any]], ...] = (
    (Decimal, str, Decimal),
    (UUID, str, UUID),
    (datetime, datetime.isoformat, datetime.fromisoformat),
    (date, _date_to_text, date.fromisoformat),
    (time, time.isoformat, time.fromisoformat),
    (PurePath, str, PurePath),
    (
        bytes,
        lambda data: base64.b64encode(data).decode(),
        lambda text: base64.b64decode(text, validate=True),
    ),
)
AS_TEXT = tuple(row[0] for row in _TEXTS)
"""Classes whose values are stored as text."""


def _enum_factory(converter: cattrs.Converter, cls: Any) -> Hook:
    structure = enum_structure_factory(cls, converter)
    for member in cls if "_value_" not in cls.__annotations__ else ():
        if member.value.__class__ not in PLAIN:
            # A tuple, for one, would be stored, and come back as a list that is nobody's value.
            raise TypeError(
                f"{cls.__name__}.{member.name} has no form of its own in JSON; say with "
                "'_value_: type' of which type the values are"
            )

    def from_value(value: Any, _: Any) -> Any:
        if isinstance(value, Misfit):
            raise mismatch(type_name(cls), value)
        member = structure(value, cls)
        # To an enum of 1 the values True and 1.0 are members, too.
        if isinstance(member.value, PLAIN) and member.value.__class__ is not value.__class__:
            raise mismatch(type_name(cls), value)
        return member

    return from_value


def enum_writer(converter: cattrs.Converter, cls: Any) -> Write:
    """Writes members as their values; what only equals a member is none."""
    return writer(cls, enum_unstructure_factory(cls, converter))


def _literal_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    name = _literal_name(annotation)
    # By class and value, as True equals 1.
    allowed: dict[type, dict[Any, Any]] = {}
    for value in typing.get_args(annotation):
        plain = _literal_to_plain(converter, value)
        allowed.setdefault(plain.__class__, {})[plain] = value

    def read(plain: Any, _: Any) -> Any:
        values = allowed.get(plain.__class__)
        if values is None:
            raise mismatch(name, plain)
        if plain not in values:
            raise ValueError(f"expected {name}, got {plain!r}")
        return values[plain]

    return read


def _literal_writer(converter: cattrs.Converter, annotation: Any) -> Write:
    name = _literal_name(annotation)
    allowed: dict[type, dict[Any, Any]] = {}
    for value in typing.get_args(annotation):
        allowed.setdefault(value.__class__, {})[value] = _literal_to_plain(converter, value)

    def write(value: Any) -> object:
        values = allowed.get(value.__class__)
        if values is None:
            return Misfit(name, value)
        if value not in values:
            return Misfit(name, value, f"expected {name}, got {value!r}")
        return values[value]

    return write


def _literal_to_plain(converter: cattrs.Converter, value: Any) -> Any:
    plain = converter.unstructure(value) if is_enum(value.__class__) else value
    if plain.__class__ not in PLAIN:
        raise TypeError(f"a literal {value!r} has no form of its own in JSON")
    return plain


def _literal_name(annotation: Any) -> str:
    return " or ".join(repr(value) for value in typing.get_args(annotation))
