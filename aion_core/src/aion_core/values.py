"""Search attributes: small typed values by which workflows are found. No conversion here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = ["AttributeValue", "Attributes", "checked_attributes", "merged_attributes"]

AttributeValue: TypeAlias = str | int | float | bool | datetime | tuple[str, ...]

Attributes: TypeAlias = Mapping[str, AttributeValue | None]
"""By name; None, where attributes are merged, takes one away."""


def checked_attributes(attributes: Mapping[str, object]) -> dict[str, AttributeValue | None]:
    """Attributes as they are stored: lists of texts as tuples, instants in UTC.

    Raises:
        TypeError: a value of another type.
        ValueError: an empty name, a number that is none, or an instant without its zone.
    """
    return {_checked_name(name): _checked(name, value) for name, value in attributes.items()}


def merged_attributes(
    base: Mapping[str, AttributeValue], update: Attributes
) -> dict[str, AttributeValue]:
    """Attributes after an update: its values win, None removes."""
    merged: dict[str, AttributeValue | None] = {**base, **update}
    return {name: value for name, value in merged.items() if value is not None}


def _checked_name(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError(f"an attribute's name is non-empty printable text, not {name!r}")
    return name


def _checked(name: str, value: object) -> AttributeValue | None:
    if isinstance(value, str):
        return _storable(name, value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"attribute {name!r} must be a finite number, not {value!r}")
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"attribute {name!r} needs an instant with its zone, not {value!r}")
        return value.astimezone(UTC)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(_storable(name, item) for item in value)
    raise TypeError(
        f"attribute {name!r} must be a text, a number, a bool, an instant or a list of texts, "
        f"not {type(value).__name__}"
    )


def _storable(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"attribute {name!r} holds half a surrogate pair, which no store can keep: {text!r}"
        ) from error
    return text
