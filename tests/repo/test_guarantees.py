"""Each guarantee of the docs names tests, and those exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIT = ROOT / "aion_core" / "src" / "aion_core" / "testing"
ROWS = [
    row
    for row in (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").splitlines()
    if row.startswith("| ") and not row.startswith("| guarantee |")
]
NAMED = re.compile(r"`((?:tests|store_suite)/\S+\.py)::(test_\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_a_guarantee_is_shown_by_tests_that_exist(row: str) -> None:
    named = NAMED.findall(row)
    assert named
    for file, test in named:
        place = (KIT if file.startswith("store_suite/") else ROOT) / file
        assert re.search(rf"^ *(async )?def {test}\(", place.read_text("utf-8"), re.MULTILINE), test
