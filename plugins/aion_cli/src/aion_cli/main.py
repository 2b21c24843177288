"""The group ``aion``: finds commands, and turns errors into one line and an exit code.

Imports nothing but click and the tree of errors: commands are imported when they are named, and
import what they need when they run; plugins are asked for commands only by the help, and when the
command is not built in. ``aion --help`` must be quick and touch no engine and no store.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from aion_cli.contributed import contributed_commands
from aion_cli.exit_codes import ExitCode, code_of
from aion_cli.trio_running import sole_cause
from aion_core.errors import AionError

__all__ = ["cli", "main"]

COMMANDS = {
    "cancel": "aion_cli.verbs.ending:cancel",
    "demo": "aion_cli.demo.command:demo",
    "history": "aion_cli.verbs.past:history",
    "list": "aion_cli.verbs.listing:list_command",
    "plugins": "aion_cli.plugins.command:plugins",
    "query": "aion_cli.verbs.messages:query",
    "replay": "aion_cli.verbs.replaying:replay",
    "retry": "aion_cli.verbs.retrying:retry",
    "run": "aion_cli.verbs.running:run",
    "serve": "aion_cli.verbs.serving:serve",
    "show": "aion_cli.verbs.showing:show",
    "signal": "aion_cli.verbs.messages:signal",
    "start": "aion_cli.verbs.starting:start",
    "supply": "aion_cli.verbs.retrying:supply",
    "terminate": "aion_cli.verbs.ending:terminate",
    "update": "aion_cli.verbs.messages:update",
}
"""Where each command is: the module and the name in it."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    a check failed: of the demo, or code that does not fit a history
  2    the command line, or JSON given on it, is wrong
  3    an error of Aion, a store or the operating system
  4    there is no such workflow, workflow type or activity
  5    the workflow failed or was ended; of an update, its handler failed
  6    no engine has answered in time
  7    the workflow does not take it: it is closed, stuck, or says no
  130  stopped by Ctrl-C (128 + the number of the signal)
  141  whoever reads the output has closed it, as head does (128 + that of SIGPIPE)
"""


_FOR_CLICK = click.ClickException | click.exceptions.Exit | click.Abort


class _OutputClosedError(Exception):
    """Whoever reads the output has seen enough. Click would make a failed check of it: 1."""


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

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:  # the help and the version are printed here
            raise _OutputClosedError from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Said here, before click prints an empty line for it.
            raise click.Abort from None
        except Exception as error:
            cause = sole_cause(error)
            if isinstance(cause, BrokenPipeError):
                raise _OutputClosedError from None
            if isinstance(cause, _FOR_CLICK):
                raise
            if ctx.params["debug"]:
                traceback.print_exception(error)
                ctx.exit(code_of(cause))
            raise _OneLineError(_explain(cause), code_of(cause)) from error


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
    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


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
        sys.stdout.flush()
    except (_OutputClosedError, BrokenPipeError):
        # What is left could not be written when the interpreter ends, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"aion: {_one_line(error.format_message()).rstrip('.')}{_hint(error)}", err=True)
        sys.exit(error.code if isinstance(error, _OneLineError) else error.exit_code)
    sys.exit(code)


def _hint(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" (see '{error.ctx.command_path} --help')"
    return ""


def _explain(error: BaseException) -> str:
    if not isinstance(error, AionError | OSError):
        return (
            f"{type(error).__name__}: {error}; that is a fault in Aion or in a plugin, and "
            "'aion --debug' with the same words shows where"
        )
    if isinstance(error, OSError) and error.strerror is not None:
        place = "" if error.filename is None else f": {error.filename}"
        return f"{error.strerror}{place}"
    return str(error) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
