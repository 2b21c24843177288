"""The command line of ``aion plugins``. What it does is imported only when it is done."""

from __future__ import annotations

import click

__all__ = ["plugins"]

EPILOG = """\b
Exit codes:
  0  every plugin can be used, and what is configured is there
  2  the command line is wrong
  3  a plugin is broken, or the configuration names what is not there: told
     on stderr, a line each; the list is printed all the same
"""


@click.command(epilog=EPILOG, short_help="List the installed plugins, and what is chosen of them.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as one JSON object.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins: where they come from, what they offer, what is chosen.

    What is chosen comes from the environment (AION_STORE, AION_EXECUTOR, ...) and from aion.toml or
    pyproject.toml, in this directory or above it. Nothing that plugins offer is imported.
    """
    from aion_cli.plugins.inventory import take_inventory
    from aion_cli.plugins.report import print_json, print_table

    inventory = take_inventory()
    (print_json if as_json else print_table)(inventory)
    for error in inventory.errors:
        click.echo(f"aion: {' '.join(error.split())}", err=True)
    ctx.exit(inventory.exit_code)
