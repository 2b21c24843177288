"""``aion plugins`` and the commands of plugins, in this environment and a folder of plugins."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from aion_cli.exit_codes import ExitCode
from aion_cli.main import main
from tests.cli.command import Done
from tests.plugins.distributions import distribution

GREETER = """
from aion_core.hookspecs import hookimpl

@hookimpl(optionalhook=True)
def aion_cli_commands(cli):
    import click

    @cli.command(short_help="Say hello.")
    def greet():
        click.echo("hello")

    @cli.command()
    def fail():
        from aion_core.errors import ConfigError
        raise ConfigError("no greeting is configured; write one")
"""

OFFERING = """
from aion_core.hookspecs import hookimpl

@hookimpl
def aion_live_executors():
    return {"local": "nowhere:at_all", "remote": "nowhere:else"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "installed").mkdir()
    return tmp_path


def install(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        distribution(folder / "installed", name, source)


class Terminal(StringIO):
    """Takes output as a terminal."""

    def isatty(self) -> bool:
        return True


def run(folder: Path, *arguments: str, terminal: bool = False, **environ: str) -> Done:
    """Run ``aion`` in this process, where the plugins of the folder are installed for its time."""
    out, err = Terminal() if terminal else StringIO(), StringIO()
    before = {*sys.modules}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.syspath_prepend(folder / "installed")
        for variable, value in environ.items():
            patch.setenv(variable, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def listed(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


def lines(done: Done) -> dict[str, str]:
    """The lines of a plain list by their first word."""
    return {line.split()[0]: line for line in done.out.splitlines() if line}


def imported(folder: Path, *arguments: str) -> set[str]:
    """Modules that a command has imported when it ends."""
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        f"from aion_cli.main import main; main({[*arguments]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "installed")},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return {*done.stderr.split()}


def test_the_installed_plugins_are_listed_a_line_each(folder: Path) -> None:
    done = run(folder, "plugins")
    assert done.code == ExitCode.OK
    assert {"memory", "runtime", "sqlite"} <= lines(done).keys()
    assert "aion-workflow-store-sqlite" in lines(done)["sqlite"]
    assert "store sqlite" in lines(done)["sqlite"]
    assert "aion_stores" in lines(done)["sqlite"]


def test_on_a_terminal_the_list_is_a_table(folder: Path) -> None:
    install(folder, named_plugin=OFFERING.replace("remote", "[red]"))
    done = run(folder, "plugins", terminal=True, AION_EXECUTOR="[red]", COLUMNS="200", TERM="dumb")
    assert "───" in done.out
    assert "named_plugin" in done.out
    assert "[red]" in done.out


def test_by_default_the_parts_of_the_runtime_are_chosen(folder: Path) -> None:
    chosen = listed(run(folder, "plugins", "--json"))["chosen"]
    assert [(each["kind"], each["name"], each["plugin"], each["source"]) for each in chosen] == [
        ("executor", "local", "runtime", "default"),
        ("recovery driver", "machine", "runtime", "default"),
        ("recovery seam", "catalog", "runtime", "default"),
    ]


def test_json_has_what_is_known_of_a_plugin(folder: Path) -> None:
    install(folder, remote_plugin=OFFERING)
    plugins = listed(run(folder, "plugins", "--json"))["plugins"]
    (found,) = (plugin for plugin in plugins if plugin["name"] == "remote_plugin")
    assert found == {
        "name": "remote_plugin",
        "distribution": "remote_plugin",
        "version": "1.2",
        "entry_point": "remote_plugin",
        "hooks": ["aion_live_executors"],
        "offers": {"executor": ["local", "remote"]},
        "disabled": False,
        "error": None,
    }


def test_what_is_chosen_is_shown_with_its_plugin_and_where_it_was_chosen(folder: Path) -> None:
    install(folder, remote_plugin=OFFERING)
    (folder / "aion.toml").write_text('executor = "remote"')
    chosen = listed(run(folder, "plugins", "--json"))["chosen"]
    assert chosen[0] == {
        "kind": "executor",
        "name": "remote",
        "plugin": "remote_plugin",
        "source": str(folder / "aion.toml"),
    }


def test_of_the_store_only_the_scheme_is_shown(folder: Path) -> None:
    done = run(folder, "plugins", AION_STORE="sqlite://user:s3cret@host/db")
    assert "s3cret" not in done.out
    assert lines(done)["store"].split() == ["store", "sqlite:", "sqlite", "AION_STORE"]


def test_a_disabled_plugin_is_listed_as_disabled(folder: Path) -> None:
    install(folder, off_plugin="raise RuntimeError")
    done = run(folder, "plugins", AION_DISABLE_PLUGINS="off_plugin")
    assert done.code == ExitCode.OK
    assert lines(done)["off_plugin"].endswith("disabled")


def test_a_broken_plugin_is_listed_and_told_in_one_line(folder: Path) -> None:
    install(folder, broken_plugin="import no_such_module_anywhere")
    done = run(folder, "plugins")
    assert done.code == ExitCode.ERROR
    assert lines(done)["broken_plugin"].endswith("broken")
    assert done.error == (
        "aion: plugin 'broken_plugin' (broken_plugin) of broken_plugin 1.2 cannot be imported: "
        "No module named 'no_such_module_anywhere'; repair or uninstall that distribution"
    )


def test_a_chosen_name_that_nobody_offers_is_told_with_where_it_was_chosen(folder: Path) -> None:
    done = run(folder, "plugins", AION_EXECUTOR="locla")
    assert done.code == ExitCode.ERROR
    assert done.error == (
        "aion: no installed plugin offers the executor 'locla' (installed: local); "
        "did you mean 'local'? (executor chosen by: AION_EXECUTOR)"
    )


def test_a_name_that_two_plugins_claim_is_told_with_both(folder: Path) -> None:
    install(folder, remote_plugin=OFFERING)
    done = run(folder, "plugins")
    assert done.code == ExitCode.ERROR
    assert "of remote_plugin 1.2" in done.error
    assert "choose 'remote_plugin:local' or 'runtime:local'" in done.error


def test_the_configuration_picks_one_of_two_that_claim_a_name(folder: Path) -> None:
    install(folder, remote_plugin=OFFERING)
    done = run(folder, "plugins", AION_EXECUTOR="remote_plugin:local")
    assert done.code == ExitCode.OK
    assert lines(done)["executor"].split()[2] == "remote_plugin"


def test_a_wrong_configuration_is_told_and_the_plugins_listed_all_the_same(folder: Path) -> None:
    (folder / "aion.toml").write_text('exekutor = "local"')
    done = run(folder, "plugins")
    assert done.code == ExitCode.ERROR
    assert done.error == (
        f"aion: {folder / 'aion.toml'}: 'exekutor' is not known; did you mean 'executor'?"
    )
    assert "runtime" in lines(done)


def test_settings_of_a_plugin_that_is_not_there_are_told(folder: Path) -> None:
    (folder / "aion.toml").write_text("[plugin.sqllite]")
    assert "did you mean 'sqlite'?" in run(folder, "plugins").error


def test_listing_imports_no_store_no_engine_and_in_a_pipe_no_rich(folder: Path) -> None:
    modules = imported(folder, "plugins")
    assert {"aion_store_sqlite.plugin", "aion_runtime.plugin"} <= modules
    assert not modules & {"aiosqlite", "sqlite3", "trio", "rich", "aion_runtime.engine"}
    assert not modules & {"aion_store_sqlite.store", "aion_store_memory.store"}


def test_a_command_of_a_plugin_is_in_the_help(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    done = run(folder, "--help")
    assert "greet      Say hello." in done.out
    assert done.err == ""


def test_a_command_of_a_plugin_runs(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    assert run(folder, "greet").out == "hello\n"


def test_an_error_of_a_plugins_command_is_one_line(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    done = run(folder, "fail")
    assert done.code == ExitCode.ERROR
    assert done.error == "aion: no greeting is configured; write one"


def test_the_help_with_a_plugins_command_imports_neither_runtime_nor_store(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    modules = imported(folder, "--help")
    assert "greeter_plugin" in modules
    assert not modules & {"trio", "aiosqlite", "rich", "aion_runtime.engine", "aion_runtime.plugin"}
    assert not modules & {"aion_store_sqlite", "aion_store_memory"}


def test_a_built_in_command_asks_no_plugin(folder: Path) -> None:
    install(folder, greeter_plugin="raise RuntimeError")
    done = run(folder, "demo", "--help")
    assert done.code == ExitCode.OK
    assert done.err == ""


def test_a_broken_plugin_does_not_break_the_help(folder: Path) -> None:
    install(folder, broken_plugin="1 / 0", greeter_plugin=GREETER)
    done = run(folder, "--help")
    assert done.code == ExitCode.OK
    assert "greet      Say hello." in done.out
    assert "of broken_plugin 1.2 cannot be imported: division by zero" in done.error


def test_a_wrong_configuration_does_not_break_the_help(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    (folder / "aion.toml").write_text("executor = 3")
    done = run(folder, "--help")
    assert done.code == ExitCode.OK
    assert "executor is a number" in done.error


def test_a_disabled_plugin_adds_no_command(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER)
    done = run(folder, "greet", AION_DISABLE_PLUGINS="greeter_plugin")
    assert done.code == ExitCode.USAGE
    assert "No such command 'greet'" in done.error


def test_a_command_that_fails_to_be_added_names_its_plugin(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER.replace("import click", "raise RuntimeError('no')"))
    done = run(folder, "--help")
    assert done.code == ExitCode.OK
    assert "of greeter_plugin 1.2 failed in aion_cli_commands: no; repair" in done.error


def test_a_built_in_command_wins_against_one_of_its_name(folder: Path) -> None:
    install(folder, greeter_plugin=GREETER.replace("def greet", "def demo"))
    done = run(folder, "--help")
    assert "demo       Kill a working engine" in done.out
    assert "the command 'demo' of plugin 'greeter_plugin'" in done.error


def test_of_two_commands_of_one_name_the_first_plugin_wins(folder: Path) -> None:
    second = GREETER.replace("hello", "good day")
    install(folder, a_plugin=GREETER, b_plugin=second)
    done = run(folder, "greet")
    assert done.out == "hello\n"
    assert "the command 'greet' of plugin 'b_plugin'" in done.err


def test_a_mistyped_hook_of_the_cli_is_answered_by_the_right_name(folder: Path) -> None:
    source = GREETER.replace("aion_cli_commands", "aion_cli_command")
    install(folder, greeter_plugin=source.replace("(optionalhook=True)", ""))
    error = run(folder, "plugins").error
    assert "did you mean 'aion_cli_commands' instead of 'aion_cli_command'?" in error
