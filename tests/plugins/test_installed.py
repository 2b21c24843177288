"""A third party's plugin as somebody gets it: as a wheel, found by its entry point."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.installing import Installation, Wheels, succeed

PLUGIN = """
from aion_core.hookspecs import hookimpl

@hookimpl
def aion_live_executors():
    return {"greeting": "aion_greeter.executor:Executor"}

@hookimpl(optionalhook=True)
def aion_cli_commands(cli):
    import click

    @cli.command(short_help="Say hello.")
    def greet():
        click.echo("hello")
"""

LIST = """
import sys
from aion_core.plugins import PluginManager

for info in PluginManager.installed().listing():
    print(info.origin, info.offers, info.error, "click" in sys.modules)
"""


def write_wheel(folder: Path) -> None:
    """The wheel of a distribution that nobody but this test knows."""
    info = "aion_greeter-3.1.dist-info"
    files = {
        "aion_greeter/__init__.py": "",
        "aion_greeter/plugin.py": PLUGIN,
        f"{info}/METADATA": (
            "Metadata-Version: 2.1\nName: aion-greeter\nVersion: 3.1\n"
            "Requires-Dist: aion-workflow-core\n"
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[aion]\ngreeter = aion_greeter.plugin\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / "aion_greeter-3.1-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


@pytest.fixture(scope="module")
def without_cli(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    write_wheel(wheels.folder)
    return wheels.install(tmp_path_factory.mktemp("core") / "venv", "aion-greeter")


@pytest.fixture(scope="module")
def with_cli(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    write_wheel(wheels.folder)
    target = tmp_path_factory.mktemp("cli") / "venv"
    return wheels.install(target, "aion-greeter", "aion-workflow-cli")


def test_a_plugin_with_commands_is_used_where_the_cli_is_not_installed(
    without_cli: Installation, tmp_path: Path
) -> None:
    assert "click" not in without_cli.installed(tmp_path)
    assert without_cli.python(LIST, tmp_path) == (
        "'greeter' (aion_greeter.plugin) of aion-greeter 3.1 "
        "{'executor': ('greeting',)} None False\n"
    )


def test_where_the_cli_is_installed_the_plugins_command_is_in_its_help(
    with_cli: Installation, tmp_path: Path
) -> None:
    assert "greet      Say hello." in succeed(with_cli.command("aion"), "--help", cwd=tmp_path)


def test_where_the_cli_is_installed_the_plugins_command_runs(
    with_cli: Installation, tmp_path: Path
) -> None:
    assert succeed(with_cli.command("aion"), "greet", cwd=tmp_path) == "hello\n"


def test_an_installed_plugin_is_chosen_by_configuration_alone(
    with_cli: Installation, tmp_path: Path
) -> None:
    (tmp_path / "aion.toml").write_text('executor = "greeting"')
    listed = json.loads(succeed(with_cli.command("aion"), "plugins", "--json", cwd=tmp_path))
    assert {plugin["name"] for plugin in listed["plugins"]} == {"greeter", "runtime"}
    (chosen,) = (each for each in listed["chosen"] if each["kind"] == "executor")
    assert (chosen["name"], chosen["plugin"]) == ("greeting", "greeter")
