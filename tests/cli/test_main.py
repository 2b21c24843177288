"""The group: help, version, errors in one line, exit codes."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import aion_cli
import aion_core
import aion_runtime
from aion_cli.exit_codes import ExitCode
from aion_cli.main import EXIT_CODES
from tests.cli.command import AION, aion
from tests.cli.shop import Shop


def test_help_lists_commands_and_exit_codes(tmp_path: Path) -> None:
    done = aion("--help", cwd=tmp_path)
    assert done.code == ExitCode.OK
    assert "demo       Kill a working engine" in done.out
    for code in ExitCode:
        assert f"\n    {code.value} " in done.out
    assert "130" in EXIT_CODES


def test_help_imports_neither_runtime_nor_rich(tmp_path: Path) -> None:
    done = aion("--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "aion_cli.main" in imported
    assert not imported & {"aion_runtime", "attrs", "rich", "trio"}


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    version = importlib.metadata.version("aion-workflow-cli")
    assert aion("--version", cwd=tmp_path).out == f"aion, version {version}\n"


def test_an_unknown_command_is_one_line(tmp_path: Path) -> None:
    done = aion("dance", cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert done.error == "aion: No such command 'dance' (see 'aion --help')"


def test_a_wrong_option_is_one_line_that_names_the_help(tmp_path: Path) -> None:
    done = aion("demo", "--kills", "2", cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert "2 is not in the range 3<=x<=10 (see 'aion demo --help')" in done.error


def test_an_error_of_the_operating_system_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = aion("demo", "--keep", "file/kept", cwd=tmp_path)
    assert done.code == ExitCode.ERROR
    assert done.error == "aion: Not a directory: file/kept"


def test_with_debug_an_error_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = aion("--debug", "demo", "--keep", "file/kept", cwd=tmp_path)
    assert done.code == ExitCode.ERROR
    assert done.err.startswith("Traceback")
    assert "NotADirectoryError" in done.err


def test_without_a_sqlite_store_the_demo_is_one_line_that_says_what_to_install(
    tmp_path: Path,
) -> None:
    """Run with all that is installed, but for our own distributions; of these, without stores."""
    site = tmp_path / "site"
    site.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "aion_" not in path.name:
            (site / path.name).symlink_to(path)
    members = [
        str(Path(str(member.__file__)).parents[1]) for member in (aion_cli, aion_core, aion_runtime)
    ]
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from aion_cli.main import main; main(['demo'])"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *members])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == ExitCode.ERROR
    assert line == (
        "aion: no installed plugin serves 'sqlite:' (installed: none); "
        "pip install aion-workflow-store-sqlite"
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["plugins"], ["list", "--store", "sqlite:///shop.db"]]
)
def test_a_closed_pipe_ends_a_command_quietly_as_by_its_signal(
    shop: Shop, words: list[str]
) -> None:
    shop.start("approve", "order-1")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([str(AION), *words], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


def test_output_that_nobody_reads_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        f"'{Path(sys.executable).with_name('aion')}' --help | true",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
