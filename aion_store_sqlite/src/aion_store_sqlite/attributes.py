"""Search attributes in the file: as JSON with their workflow, and as rows to search by.

Which attributes a workflow has is decided in `aion_core.history` and `aion_core.values`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from aion_core.codec import to_micros
from aion_core.values import Attributes, AttributeValue, merged_attributes

__all__ = ["from_json", "merge_attributes", "search_key", "set_attributes", "to_json"]


def to_json(attributes: Mapping[str, AttributeValue]) -> str | None:
    """Attributes as text that people can read, too; None for none."""
    if not attributes:
        return None
    plain = {name: _plain(value) for name, value in attributes.items()}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str | None) -> dict[str, AttributeValue]:
    """Attributes from their text.

    Raises:
        ValueError: it is not such a text.
    """
    if text is None:
        return {}
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise ValueError("the attributes are no JSON object")
    return {name: _value(value) for name, value in plain.items()}


def search_key(value: object) -> str | None:
    """Text that two values have in common when `RunFilter.matches` takes them for the same.

    None for what no stored value can be equal to: NaN, an instant without its zone or one for
    which UTC has no date.
    """
    match value:
        case bool():
            return f"bool {value}"
        case int():
            # In hexadecimal: that has no limit to its digits.
            return f"number {value:x}"
        case float() if value.is_integer():
            return f"number {int(value):x}"
        case float():
            return None if value != value else f"number {value!r}"
        case datetime():
            with suppress(TypeError, ValueError):
                return f"instant {to_micros(value)}"
            return None
        case str():
            return f"text {value}"
        case tuple():
            return f"texts {json.dumps(value, ensure_ascii=False)}"
        case _:
            return None


def set_attributes(
    cursor: sqlite3.Cursor, workflow: int, attributes: Mapping[str, AttributeValue]
) -> None:
    """Have a workflow found by these attributes and no others."""
    cursor.execute("DELETE FROM attributes WHERE workflow = ?", (workflow,))
    if attributes:
        cursor.executemany(
            "INSERT INTO attributes (workflow, name, value) VALUES (?, ?, ?)",
            [(workflow, name, search_key(value)) for name, value in attributes.items()],
        )


def merge_attributes(cursor: sqlite3.Cursor, workflow: int, update: Attributes) -> None:
    """Change a workflow's attributes."""
    (text,) = cursor.execute(
        "SELECT attributes FROM workflows WHERE workflow = ?", (workflow,)
    ).fetchone()
    merged = merged_attributes(from_json(text), update)
    cursor.execute(
        "UPDATE workflows SET attributes = ? WHERE workflow = ?", (to_json(merged), workflow)
    )
    set_attributes(cursor, workflow, merged)


def _plain(value: AttributeValue) -> object:
    # As the codec writes them into events.
    return {"datetime": value.isoformat()} if isinstance(value, datetime) else value


def _value(plain: object) -> AttributeValue:
    match plain:
        case bool() | int() | float() | str():
            return plain
        case list() if all(isinstance(item, str) for item in plain):
            return tuple(plain)
        case {"datetime": str(text)}:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is not None:
                return instant
    raise ValueError(f"{plain!r} is no search attribute")
