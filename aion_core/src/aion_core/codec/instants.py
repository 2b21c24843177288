"""Instants as stores keep them beside an event: whole microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["EPOCH", "from_micros", "to_micros"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970.

    Raises:
        TypeError: it has no zone.
        ValueError: in UTC it is before the year 1 or after the year 9999, though not in its zone.
    """
    delta = instant - EPOCH
    micros = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    # What `from_micros` could not give back would be a row that nobody can read.
    if not _FIRST <= micros <= _LAST:
        raise ValueError(f"{instant!r} lies outside of the years that UTC has dates for")
    return micros


def from_micros(micros: int) -> datetime:
    """The aware UTC instant that `to_micros` was given, to the microsecond."""
    # By position: days, seconds, microseconds. A third of the time of `fromtimestamp`.
    return EPOCH + timedelta(0, 0, micros)


_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
