"""What somebody gets who installs our wheels: built once, installed outside the checkout.

Nothing here asks the network: `make` has put the wheels of our dependencies into
`.venv/wheelhouse`.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "dev.txt"
WHEELHOUSE = ROOT / ".venv" / "wheelhouse"

MEMBERS = {
    "aion-workflow-core": ROOT / "aion_core",
    "aion-workflow-store-memory": ROOT / "aion_store_memory",
    "aion-workflow-store-sqlite": ROOT / "aion_store_sqlite",
    "aion-workflow-runtime": ROOT / "aion_runtime",
    "aion-workflow-cli": ROOT / "plugins" / "aion_cli",
}
CORE = {"aion-workflow-core", "attrs", "cattrs", "pluggy", "typing-extensions"}
TRIO = {"trio", "idna", "outcome", "sniffio", "sortedcontainers"}
RUNTIME = CORE | TRIO | {"aion-workflow-runtime"}
TERMINAL = {"click", "rich", "markdown-it-py", "mdurl", "pygments"}
CLI = RUNTIME | TERMINAL | {"aion-workflow-cli"}
SQLITE = {"aion-workflow-store-sqlite", "aiosqlite"}
MEMORY = {"aion-workflow-store-memory"}

HELLO = """
import sys

import aion_runtime as aion
import trio


@aion.activity
async def greet(name: str) -> str:
    return f"hello {name}"


@aion.workflow
async def hello(name: str) -> str:
    return await greet(name)


async def main() -> None:
    async with aion.open_engine("sqlite:///x.db", workflows=[hello]) as engine:
        run = await engine.start(hello, "ada", workflow_id="w1")
        print(await run.result())


try:
    trio.run(main)
except aion.ConfigError as error:
    print(error)
    sys.exit(3)
"""

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


def _run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
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


def _succeed(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = _run(*command, cwd=cwd, **environ)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@attrs.frozen
class Installation:
    """A virtual environment outside the checkout."""

    path: Path

    def command(self, name: str) -> Path:
        return self.path / "bin" / name

    def python(self, code: str, cwd: Path) -> str:
        return _succeed(self.command("python"), "-c", code, cwd=cwd)

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
        _succeed(sys.executable, "-m", "venv", "--without-pip", target, cwd=self.folder)
        installation = Installation(target)
        _succeed(
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
    _succeed(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps"),
        *("--no-build-isolation", "--wheel-dir", folder),
        *MEMBERS.values(),
        cwd=folder,
    )
    return Wheels(folder)


@pytest.fixture(scope="session")
def core_alone(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return wheels.install(tmp_path_factory.mktemp("core") / "venv", "aion-workflow-core")


@pytest.fixture(scope="session")
def runtime_alone(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return wheels.install(tmp_path_factory.mktemp("runtime") / "venv", "aion-workflow-runtime")


@pytest.fixture(scope="session")
def runtime_and_sqlite(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    target = tmp_path_factory.mktemp("sqlite") / "venv"
    return wheels.install(target, "aion-workflow-runtime", "aion-workflow-store-sqlite")


@pytest.fixture(scope="session")
def cli_alone(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return wheels.install(tmp_path_factory.mktemp("cli") / "venv", "aion-workflow-cli")


@pytest.fixture(scope="session")
def everything(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    target = tmp_path_factory.mktemp("all") / "venv"
    return wheels.install(target, "aion-workflow-runtime[all]")


def _source_files(member: Path) -> Iterable[str]:
    source = member / "src"
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(source).as_posix()


@pytest.mark.parametrize("distribution", MEMBERS)
def test_a_wheel_has_all_files_of_its_package_and_the_licence(
    wheels: Wheels, distribution: str
) -> None:
    member = MEMBERS[distribution]
    with wheels.of(distribution) as wheel:
        names = set(wheel.namelist())
    licences = {name for name in names if name.endswith(".dist-info/licenses/LICENSE")}
    package = {name for name in names if ".dist-info/" not in name}
    assert len(licences) == 1
    assert f"{member.name}/py.typed" in package
    assert package == set(_source_files(member))


def test_the_core_installs_and_imports_without_trio(
    core_alone: Installation, tmp_path: Path
) -> None:
    assert core_alone.installed(tmp_path) == CORE
    core_alone.python("import aion_core", tmp_path)


def test_the_runtime_pulls_neither_a_store_nor_the_cli(
    runtime_alone: Installation, tmp_path: Path
) -> None:
    assert runtime_alone.installed(tmp_path) == RUNTIME


def test_the_cli_pulls_no_store(cli_alone: Installation, tmp_path: Path) -> None:
    assert cli_alone.installed(tmp_path) == CLI


def test_the_sqlite_store_beside_the_runtime_pulls_nothing_else(
    runtime_and_sqlite: Installation, tmp_path: Path
) -> None:
    assert runtime_and_sqlite.installed(tmp_path) == RUNTIME | SQLITE


def test_the_extra_all_is_all_members(everything: Installation, tmp_path: Path) -> None:
    assert everything.installed(tmp_path) == CLI | SQLITE | MEMORY


def test_a_missing_store_is_one_line_that_names_what_to_install(
    runtime_alone: Installation, tmp_path: Path
) -> None:
    script = tmp_path / "hello.py"
    script.write_text(HELLO)
    done = _run(runtime_alone.command("python"), script, cwd=tmp_path)
    assert done.stderr == ""
    assert done.returncode == 3
    (line,) = done.stdout.splitlines()
    assert "no installed plugin serves 'sqlite:'" in line
    assert "installed: none" in line
    assert "pip install aion-workflow-store-sqlite" in line
    assert not (tmp_path / "x.db").exists()


def test_an_installed_sqlite_store_serves_its_urls_without_configuration(
    runtime_and_sqlite: Installation, tmp_path: Path
) -> None:
    script = tmp_path / "hello.py"
    script.write_text(HELLO)
    assert _succeed(runtime_and_sqlite.command("python"), script, cwd=tmp_path) == "hello ada\n"
    assert (tmp_path / "x.db").is_file()


@pytest.mark.parametrize("installation", ["cli_alone", "everything"])
def test_the_aion_command_works_where_the_cli_is_installed(
    request: pytest.FixtureRequest, installation: str, tmp_path: Path
) -> None:
    aion = request.getfixturevalue(installation).command("aion")
    out = _succeed(aion, "--help", cwd=tmp_path)
    assert "Usage: aion" in out
    assert "demo" in out


def test_aion_help_imports_neither_a_store_nor_the_runtime(
    everything: Installation, tmp_path: Path
) -> None:
    done = _run(everything.command("aion"), "--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    # A line is "import time: self [us] | cumulative | module".
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "aion_cli.main" in imported
    packages = {module.partition(".")[0] for module in imported}
    assert not packages & {"aion_runtime", "aion_store_memory", "aion_store_sqlite", "aiosqlite"}
