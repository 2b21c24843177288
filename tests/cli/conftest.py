"""For the tests of the verbs: a shop in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shop import Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AION_STORE", raising=False)
    return Shop(tmp_path)
