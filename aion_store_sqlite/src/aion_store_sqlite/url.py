"""URLs of the store: which file, and with which options. Looks at text only, never at the disk."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

from aion_core.errors import ConfigError

__all__ = ["Durability", "Location", "parse_url"]

Durability: TypeAlias = Literal["full", "normal"]
"""``full``: what is acknowledged survives a power cut. ``normal``: it survives the process only."""

_KEYS = ("durability",)


class Location(NamedTuple):
    """What a URL says."""

    path: Path
    durability: Durability


def parse_url(url: str) -> Location:
    """Read ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, percent-decoded.

    Raises:
        ConfigError: it names no file, or an option that there is not.
    """
    rest, _, query = url.removeprefix("sqlite:").partition("?")
    if ":memory:" in rest:
        raise ConfigError(f"{url!r} would forget everything; write 'memory:' for a store in memory")
    if "#" in url:
        raise ConfigError(f"{url!r} holds a '#'; in a file name write it as '%23'")
    if not rest.startswith("///") or rest == "///":
        raise ConfigError(
            f"{url!r} names no file; write 'sqlite:///relative.db' or 'sqlite:////absolute.db'"
        )
    name = unquote_to_bytes(rest.removeprefix("///"))
    if b"\0" in name:
        raise ConfigError(f"{url!r} holds a NUL character, which no file name can have")
    return Location(Path(os.fsdecode(name)), _durability(url, query))


def _durability(url: str, query: str) -> Durability:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options:
        if key not in _KEYS:
            (nearest,) = get_close_matches(key, _KEYS, 1, cutoff=0) or _KEYS[:1]
            raise ConfigError(f"{url!r} has no option {key!r}; did you mean {nearest!r}?")
    match options.get("durability", "full"):
        case "full":
            return "full"
        case "normal":
            return "normal"
        case other:
            raise ConfigError(f"{url!r}: durability is 'full' or 'normal', not {other!r}")
