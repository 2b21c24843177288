"""The list of all names in docs/workflows.md is the list of all names."""

from __future__ import annotations

import re
from pathlib import Path

from aion_runtime import api

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"


def test_every_public_name_is_in_the_reference_once() -> None:
    listed = PAGE.read_text().partition("\n## All names\n")[2]
    names = re.findall(r"`(\w+)`", listed)
    assert sorted(names) == sorted(api.__all__)
