"""URLs: what names a store, and what does not."""

from pathlib import Path

import pytest

from aion_core.errors import ConfigError
from aion_store_example.provider import place_of, store_exists


def test_three_slashes_are_a_relative_path() -> None:
    assert place_of("lmdb:///a/b%20c").directory == Path.cwd() / "a" / "b c"


def test_four_slashes_are_an_absolute_path() -> None:
    assert place_of("lmdb:////a/b").directory == Path("/a/b")


def test_the_size_of_the_map_can_be_given() -> None:
    assert place_of("lmdb:///a?map_mib=3").map_size == 3 * 1024 * 1024


def test_whether_there_is_a_store_is_told_without_making_one(tmp_path: Path) -> None:
    url = f"lmdb:///{tmp_path}/store"
    assert not store_exists(url)
    assert not store_exists(url)
    (tmp_path / "store").mkdir()
    assert store_exists(url)


@pytest.mark.parametrize(
    "url",
    [
        "lmdb:",
        "lmdb:///",
        "lmdb://a/b",
        "lmdb:///a#b",
        "lmdb:///a%00b",
        "lmdb:///a?map_mib=0",
        "lmdb:///a?map_mib=big",
        "lmdb:///a?size=3",
    ],
)
def test_a_url_that_makes_no_sense_is_an_error_of_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="lmdb:"):
        place_of(url)
