"""Keys: ids and numbers as bytes, in an order that LMDB keeps.

A key of LMDB has at most 511 bytes, and an id may have more: it is cut, and a hash takes the place
of the rest. So keys are unique, but of ids that are alike in their first `EXACT` bytes they do not
say which comes first: `in_order` looks at the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from aion_core.codec import from_micros, to_micros

__all__ = ["EXACT", "in_order", "instant", "instant_in", "newest_first", "number", "seq_in", "text"]

EXACT = 200
"""Keys that differ in their first bytes, so many, are in the order of what they are keys of."""

Row = TypeVar("Row")


def text(value: str) -> bytes:
    """The key of an id: no longer than 234 bytes, and never the beginning of another id's."""
    # Half a surrogate pair can be asked for, though nothing is ever stored under it.
    data = value.encode(errors="surrogatepass")
    # The zero at the end must be less than all that an id can hold.
    data = data.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    if len(data) > EXACT:
        # 255 does not occur in UTF-8: no other id looks like this one.
        data = data[:EXACT] + b"\xff" + hashlib.blake2b(data, digest_size=32).digest()
    return data + b"\0"


def number(value: int) -> bytes:
    """The key of a count. What is asked for beyond all counts is brought to the nearest."""
    return min(max(value, 0), 2**64 - 1).to_bytes(8, "big")


def seq_in(key: bytes) -> int:
    """The number with which a key ends."""
    return int.from_bytes(key[-8:], "big")


def instant(at: datetime, plus: float = 0) -> bytes:
    """The key of an instant, or of one so many seconds later: instants before 1970 come first."""
    return number(to_micros(at) + round(plus * 1_000_000) + 2**63)


def instant_in(key: bytes) -> datetime:
    """The instant of a key that begins with one."""
    return from_micros(int.from_bytes(key[:8], "big") - 2**63)


def newest_first(at: datetime) -> bytes:
    """The key of an instant where the latest comes first."""
    return number(2**63 - to_micros(at))


def in_order(
    items: Iterable[tuple[bytes, Row]], order: Callable[[Row], Any], exact: int = EXACT
) -> Iterator[Row]:
    """The rows of a scan, those whose keys are alike in the ``exact`` first bytes put in order."""
    for _, alike in groupby(items, key=lambda item: item[0][:exact]):
        yield from sorted((row for _, row in alike), key=order)
