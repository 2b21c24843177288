"""A store by somebody else, as its users get it: from wheels, without the checkout."""

import json
import shutil
from pathlib import Path

import pytest

from tests.installing import MEMBERS, Installation, Wheels, run, succeed

EXAMPLE = "aion-workflow-store-example"


@pytest.fixture(scope="module")
def installation(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    target = tmp_path_factory.mktemp("example") / "venv"
    return wheels.install(target, f"{EXAMPLE}[test]", "aion-workflow-cli")


def test_its_tests_and_the_conformance_kit_pass(installation: Installation, tmp_path: Path) -> None:
    shutil.copytree(
        MEMBERS[EXAMPLE] / "tests",
        tmp_path / "tests",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    out = succeed(
        *(installation.command("python"), "-m", "pytest", "-q", "-W", "error", "tests"),
        cwd=tmp_path,
    )
    last = out.splitlines()[-1]
    assert " passed in " in last
    assert "skipped" not in last


def test_it_pulls_neither_the_runtime_nor_another_store(wheels: Wheels) -> None:
    with wheels.of(EXAMPLE) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = wheel.read(name).decode()
    required = {
        line.removeprefix("Requires-Dist: ")
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: aion") and "extra ==" not in line
    }
    assert required == {"aion-workflow-core==0.1.0"}


def test_it_is_listed_among_the_plugins(installation: Installation, tmp_path: Path) -> None:
    out = succeed(installation.command("aion"), "plugins", cwd=tmp_path)
    (line,) = (line for line in out.splitlines() if EXAMPLE in line)
    assert "store lmdb" in line
    assert line.rstrip().endswith("ready")


def test_the_demo_loses_nothing_on_it(installation: Installation, tmp_path: Path) -> None:
    done = run(
        *(installation.command("aion"), "demo", "--store", "lmdb:///orders", "--json"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["findings"] == []
    assert (tmp_path / "orders" / "data.mdb").is_file()
