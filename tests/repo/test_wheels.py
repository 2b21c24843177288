"""What somebody gets who installs our wheels."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.installing import MEMBERS, Installation, Wheels, run, succeed

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
    done = run(runtime_alone.command("python"), script, cwd=tmp_path)
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
    assert succeed(runtime_and_sqlite.command("python"), script, cwd=tmp_path) == "hello ada\n"
    assert (tmp_path / "x.db").is_file()


@pytest.mark.parametrize("installation", ["cli_alone", "everything"])
def test_the_aion_command_works_where_the_cli_is_installed(
    request: pytest.FixtureRequest, installation: str, tmp_path: Path
) -> None:
    aion = request.getfixturevalue(installation).command("aion")
    out = succeed(aion, "--help", cwd=tmp_path)
    assert "Usage: aion" in out
    assert "demo" in out


def test_aion_help_imports_neither_a_store_nor_the_runtime(
    everything: Installation, tmp_path: Path
) -> None:
    done = run(everything.command("aion"), "--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    # A line is "import time: self [us] | cumulative | module".
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "aion_cli.main" in imported
    packages = {module.partition(".")[0] for module in imported}
    assert not packages & {"aion_runtime", "aion_store_memory", "aion_store_sqlite", "aiosqlite"}
