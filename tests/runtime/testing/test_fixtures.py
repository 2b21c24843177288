"""The pytest plugin, as a project uses it; and the kit without pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = 'pytest_plugins = ["aion_runtime.testing.pytest"]\n'

TESTS = """
import pytest
import aion_runtime as aion
from aion_runtime.testing import TestEngine, test_engine


@aion.workflow
async def sleeper() -> str:
    await aion.sleep(3600)
    return "slept"


async def test_an_hour_passes(aion_engine, virtual_clock):
    began = virtual_clock.now()
    async with aion_engine(sleeper) as engine:
        assert await (await engine.start(sleeper)).result() == "slept"
    assert (virtual_clock.now() - began).total_seconds() == 3600


class TestOnAFile:
    @pytest.fixture
    def aion_store(self, tmp_path):
        return tmp_path / "store.db"

    async def test_a_crash(self, aion_engine, tmp_path):
        async with aion_engine(sleeper) as engine:
            run = await engine.start(sleeper)
            await engine.crash()
            assert await run.result() == "slept"
        assert (tmp_path / "store.db").exists()
"""


def test_the_fixtures_open_engines_and_nothing_imported_is_taken_for_a_test(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert "2 passed" in done.stdout, done.stdout
    assert done.returncode == 0


def test_the_kit_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import aion_runtime.testing"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=30)
