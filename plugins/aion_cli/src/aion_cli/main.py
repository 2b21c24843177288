"""The group ``aion``: finds commands, and turns errors into one line and an exit code.

Imports nothing but click and the tree of errors: commands are imported when they are named, and
import what they need when they run; plugins are asked for commands only by the help, and when the
command is not built in. ``aion --help`` must be quick and touch no engine and no store.
"""

from __future__ import annotations

import importlib
import io
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from aion_cli.contributed import contributed_commands
from aion_cli.exit_codes import ExitCode
from aion_core.errors import AionError

__all__ = ["cli", "main"]

COMMANDS = {
    "demo": "aion_cli.demo.command:demo",
    "plugins": "aion_cli.plugins.command:plugins",
}
"""Where each command is: the module and the name in it."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    a check failed
  2    the command line is wrong
  3    an error of Aion or the operating system, told in one line
  130  stopped by Ctrl-C (128 + the number of the signal)
"""


class AionGroup(click.Group):
    """Commands by name, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_contributed(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return _contributed(ctx).get(name)
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            cause = _sole_cause(error)
            # A closed pipe is no error of ours: whoever read our output has seen enough.
            if not isinstance(cause, AionError | OSError) or isinstance(cause, BrokenPipeError):
                raise
            if ctx.params["debug"]:
                traceback.print_exception(error)
                ctx.exit(ExitCode.ERROR)
            raise _OneLineError(_explain(cause)) from error


def _contributed(ctx: click.Context) -> Mapping[str, click.Command]:
    """The commands of plugins, asked for once; what is wrong with one is told on stderr."""
    key = "aion_cli.contributed"
    if key not in ctx.meta:
        found = contributed_commands(COMMANDS)
        for warning in found.warnings:
            click.echo(f"aion: {_one_line(warning)}", err=True)
        ctx.meta[key] = found.commands
    commands: Mapping[str, click.Command] = ctx.meta[key]
    return commands


class _OneLineError(click.ClickException):
    exit_code = ExitCode.ERROR


@click.group(cls=AionGroup, epilog=EXIT_CODES, context_settings={"max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error, not just one line.")
@click.version_option(package_name="aion-workflow-cli", prog_name="aion")
def cli(debug: bool) -> None:
    """Aion: durable workflows in Python that survive a crash at any moment."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not end a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="aion", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"aion: {_one_line(error.format_message()).rstrip('.')}{_hint(error)}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code)


def _hint(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" (see '{error.ctx.command_path} --help')"
    return ""


def _sole_cause(error: BaseException) -> BaseException:
    """What a nursery has wrapped in groups, if it is one error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _explain(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        place = "" if error.filename is None else f": {error.filename}"
        return f"{error.strerror}{place}"
    return str(error) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
