"""Values that need more than one form: instants as microseconds, payloads as two columns."""

from __future__ import annotations

from datetime import datetime

from aion_core.codec import from_micros, to_micros
from aion_core.payloads import Payload

__all__ = ["instant_of", "micros_of", "payload_columns", "payload_of"]


def micros_of(instant: datetime | None) -> int | None:
    """An instant as a column; NULL for none."""
    return None if instant is None else to_micros(instant)


def instant_of(micros: int | None) -> datetime | None:
    """An instant from its column.

    Raises:
        TypeError, OverflowError: there is something else in it.
    """
    return None if micros is None else from_micros(micros)


def payload_columns(payload: Payload) -> tuple[str, bytes]:
    """A payload as a column for its type and one for its bytes.

    Raises:
        TypeError, ValueError, AttributeError: it cannot be stored.
    """
    payload.content_type.encode()
    # Whatever it is, it comes back as bytes.
    return payload.content_type, bytes(memoryview(payload.data))


def payload_of(content_type: object, data: object) -> Payload:
    """A payload from its columns.

    Raises:
        TypeError: there is something else in them.
    """
    if not isinstance(content_type, str) or not isinstance(data, bytes):
        raise TypeError("a payload is a content type and a BLOB")
    return Payload(content_type, data)
