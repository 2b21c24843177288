"""The hook by which plugins add commands to ``aion``.

It belongs to the CLI and not to the core, so a plugin that implements it marks it
``optionalhook=True``: programs without the CLI have no such hook, and are not to refuse the plugin.
"""

from __future__ import annotations

import click

from aion_core.hookspecs import hookspec

__all__ = ["aion_cli_commands"]


@hookspec
def aion_cli_commands(cli: click.Group) -> None:
    """Add commands: ``cli.add_command(command)``, or a function under ``@cli.command()``.

    Import what a command needs in its body: its name and short help are wanted for every
    ``aion --help``. A command may raise what Aion raises: it becomes one line and exit code 3.

    When it is called: at most once in a run of ``aion``, when the help lists all commands or the
    first word is no built-in command. A built-in command wins against one of its name, and of two
    plugins the first by name; either is told on stderr.
    """
