"""Search attributes: small typed values by which workflows are found. No conversion here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from aion_core.ids import is_name

__all__ = ["AttributeValue", "Attributes", "checked_attributes", "merged_attributes"]

AttributeValue: TypeAlias = str | int | float | bool | datetime | tuple[str, ...]

Attributes: TypeAlias = Mapping[str, AttributeValue | None]
"""By name; None, where attributes are merged, takes one away."""


def checked_attributes(attributes: Mapping[str, object]) -> dict[str, AttributeValue | None]:
    """Attributes as they are stored: lists of texts as tuples, instants in UTC, and what is more
    than a text, a number or an instant, such as a member of `enum.StrEnum`, as just that.

    Raises:
        TypeError: a value of another type, or no mapping.
        ValueError: an empty name, a number that is none or has too many digits, or an instant
            without its zone or without a date in UTC.
    """
    if not isinstance(attributes, Mapping):
        raise TypeError(f"attributes are a mapping of names to values, not {attributes!r}")
    return {_checked_name(name): _checked(name, value) for name, value in attributes.items()}


def merged_attributes(
    base: Mapping[str, AttributeValue], update: Attributes
) -> dict[str, AttributeValue]:
    """Attributes after an update: its values win, None removes."""
    merged: dict[str, AttributeValue | None] = {**base, **update}
    return {name: value for name, value in merged.items() if value is not None}


def _checked_name(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"an attribute's name is non-empty printable text, not {name!r}")
    return name


def _checked(name: str, value: object) -> AttributeValue | None:
    if isinstance(value, str):
        return _storable(name, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _writable(name, int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"attribute {name!r} must be a finite number, not {value!r}")
        return float(value)
    if isinstance(value, datetime):
        return _in_utc(name, value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(_storable(name, item) for item in value)
    raise TypeError(
        f"attribute {name!r} must be a text, a number, a bool, an instant or a list of texts, "
        f"not {type(value).__name__}"
    )


def _storable(name: str, text: str) -> str:
    try:
        return text.encode().decode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"attribute {name!r} holds half a surrogate pair, which no store can keep: {text!r}"
        ) from error


def _writable(name: str, number: int) -> int:
    try:
        str(number)
    except ValueError as error:
        raise ValueError(
            f"attribute {name!r} has more digits than Python writes; store it as text"
        ) from error
    return number


def _in_utc(name: str, instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"attribute {name!r} needs an instant with its zone, not {instant!r}")
    try:
        utc = instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"attribute {name!r} has no date in UTC: {instant!r}") from error
    return datetime.combine(utc.date(), utc.time(), UTC)
