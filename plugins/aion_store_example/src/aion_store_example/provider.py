"""URLs: ``lmdb:///relative/dir``, ``lmdb:////absolute/dir``, with ``?map_mib=…`` behind them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from aion_core.contracts import StoreProvider
from aion_core.errors import ConfigError
from aion_store_example.store import LmdbStore

__all__ = ["Place", "open_store", "place_of", "provider", "store_exists"]

MAP_MIB = 64 * 1024


@attrs.frozen
class Place:
    """What a URL names.

    Attributes:
        map_size: in bytes; the store cannot become larger, and takes no room before it is used.
    """

    directory: Path
    map_size: int


def place_of(url: str) -> Place:
    """Read a URL.

    Raises:
        ConfigError: it names no directory, or an option that there is not.
    """
    parts = urlsplit(url)
    directory = unquote(parts.path.removeprefix("/"))
    options = parse_qs(parts.query, keep_blank_values=True)
    map_mib = options.pop("map_mib", [str(MAP_MIB)])[-1]
    if parts.netloc or parts.fragment or not directory or "\0" in directory:
        raise ConfigError(
            f"{url!r} names no directory; write lmdb:///relative/dir or lmdb:////absolute/dir"
        )
    if options or not (map_mib.isascii() and map_mib.isdigit() and int(map_mib)):
        raise ConfigError(
            f"{url!r} has an option that the store does not know; there is ?map_mib=<MiB> only"
        )
    return Place(Path(directory).absolute(), int(map_mib) * 1024 * 1024)


def open_store(url: str) -> LmdbStore:
    """The store that a URL names; entering it opens it.

    Raises:
        ConfigError: as `place_of`.
    """
    place = place_of(url)
    return LmdbStore(place.directory, place.map_size)


def store_exists(url: str) -> bool:
    """Whether the directory that a URL names is there. Raises as `place_of`."""
    return place_of(url).directory.exists()


provider = StoreProvider(
    open=open_store, description="LMDB: a directory, one file of data", exists=store_exists
)
