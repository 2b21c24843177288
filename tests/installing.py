"""Wheels of all members, built once, and installed outside the checkout.

Nothing here asks the network: `make` has put the wheels of our dependencies into
`.venv/wheelhouse`.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "dev.txt"
WHEELHOUSE = ROOT / ".venv" / "wheelhouse"

MEMBERS = {
    "aion-workflow-core": ROOT / "aion_core",
    "aion-workflow-store-memory": ROOT / "aion_store_memory",
    "aion-workflow-store-sqlite": ROOT / "aion_store_sqlite",
    "aion-workflow-runtime": ROOT / "aion_runtime",
    "aion-workflow-cli": ROOT / "plugins" / "aion_cli",
    "aion-workflow-store-example": ROOT / "plugins" / "aion_store_example",
    "aion-workflow-observer-log": ROOT / "plugins" / "aion_observer_log",
}

INSTALLED = """
import importlib.metadata, json, re
names = [d.metadata["Name"] for d in importlib.metadata.distributions()]
print(json.dumps(sorted(re.sub("[-_.]+", "-", name).lower() for name in names)))
"""


def _clean_environ() -> dict[str, str]:
    """The environment without what could reach into an installation from outside."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "PIP_", "AION_", "VIRTUAL_ENV", "COV_"))
    }
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "NO_COLOR": "1"}


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=_clean_environ() | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def succeed(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = run(*command, cwd=cwd, **environ)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@attrs.frozen
class Installation:
    """A virtual environment outside the checkout."""

    path: Path

    def command(self, name: str) -> Path:
        return self.path / "bin" / name

    def python(self, code: str, cwd: Path) -> str:
        return succeed(self.command("python"), "-c", code, cwd=cwd)

    def installed(self, cwd: Path) -> set[str]:
        return set(json.loads(self.python(INSTALLED, cwd)))


@attrs.frozen
class Wheels:
    """The wheels of all members, and the way to install some of them."""

    folder: Path

    def of(self, distribution: str) -> zipfile.ZipFile:
        (path,) = self.folder.glob(f"{distribution.replace('-', '_')}-*.whl")
        return zipfile.ZipFile(path)

    def install(self, target: Path, *requirements: str) -> Installation:
        succeed(sys.executable, "-m", "venv", "--without-pip", target, cwd=self.folder)
        installation = Installation(target)
        succeed(
            *(sys.executable, "-m", "pip", "--python", installation.command("python")),
            *("install", "--quiet", "--no-compile", "--no-index", "--constraint", PINS),
            *("--find-links", self.folder, "--find-links", WHEELHOUSE),
            *requirements,
            cwd=self.folder,
        )
        return installation


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    assert WHEELHOUSE.is_dir(), "the wheels of our dependencies are missing: run `make test`"
    folder = tmp_path_factory.mktemp("wheels")
    succeed(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps"),
        *("--no-build-isolation", "--wheel-dir", folder),
        *MEMBERS.values(),
        cwd=folder,
    )
    return Wheels(folder)
