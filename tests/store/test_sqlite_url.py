"""URLs of the SQLite store: what they name, and what is said of those that name nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from aion_core.errors import ConfigError
from aion_store_sqlite.store import provider
from aion_store_sqlite.url import Location, parse_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///orders.db", "orders.db"),
        ("sqlite:///data/orders.db", "data/orders.db"),
        ("sqlite:////var/lib/orders.db", "/var/lib/orders.db"),
        ("sqlite:///my%20orders%3F%23%25.db", "my orders?#%.db"),
        ("sqlite:///%C3%A9t%C3%A9.db", "été.db"),
        ("sqlite:///été.db", "été.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert parse_url(url) == Location(Path(path), "full")


def test_durability_is_full_unless_said_otherwise() -> None:
    assert parse_url("sqlite:///a.db?durability=full").durability == "full"
    assert parse_url("sqlite:///a.db?durability=normal").durability == "normal"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:orders.db", "sqlite:///relative.db"),
        ("sqlite:/orders.db", "sqlite:///relative.db"),
        ("sqlite://orders.db", "sqlite:///relative.db"),
        ("sqlite://host/orders.db", "sqlite:///relative.db"),
        ("sqlite:///:memory:", "'memory:'"),
        ("sqlite://:memory:", "'memory:'"),
        ("sqlite::memory:", "'memory:'"),
        ("sqlite:///a%00b.db", "NUL"),
        ("sqlite:///a#b.db", "'%23'"),
        ("sqlite:///a.db?durabilty=normal", "did you mean 'durability'"),
        ("sqlite:///a.db?timeout=3", "no option 'timeout'"),
        ("sqlite:///a.db?durability=off", "'full' or 'normal', not 'off'"),
        ("sqlite:///a.db?durability", "'full' or 'normal', not ''"),
    ],
)
def test_a_url_that_is_none_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert says in str(caught.value)
    assert url in str(caught.value)


def test_whether_there_is_a_store_is_told_without_making_one(tmp_path: Path) -> None:
    assert provider.exists is not None
    file = tmp_path / "a.db"
    assert not provider.exists(f"sqlite:///{file}")
    assert not file.exists()
    file.touch()
    assert provider.exists(f"sqlite:///{file}")
