"""Commands that plugins add: looked for only when the built-in ones do not suffice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points

import click

from aion_core.errors import AionError

__all__ = ["Contributed", "contributed_commands"]

SILENT = frozenset(
    f"aion-workflow-{name}"
    for name in ("observer-log", "runtime", "store-example", "store-memory", "store-sqlite")
)
"""Our own distributions, known to add no command: ``aion --help`` need not import them."""


class Contributed:
    """What plugins add.

    Attributes:
        commands: by name.
        warnings: a line for each plugin that could not be heard: the others still work.
    """

    def __init__(self) -> None:
        self.commands: dict[str, click.Command] = {}
        self.warnings: list[str] = []


def contributed_commands(builtin: Collection[str]) -> Contributed:
    """Ask every plugin that may have commands. Raises nothing."""
    found = Contributed()
    points = [point for point in entry_points(group="aion") if not _silent(point)]
    if points:  # else nothing has to be imported
        try:
            _ask(points, builtin, found)
        except AionError as error:
            found.warnings.append(str(error))
    return found


def _silent(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name in SILENT


def _ask(points: Collection[EntryPoint], builtin: Collection[str], found: Contributed) -> None:
    from aion_cli import hookspecs
    from aion_core.plugins import PluginManager
    from aion_runtime.configuration import load_configuration

    manager = PluginManager(disabled=load_configuration().disabled_plugins)
    manager.add_hookspecs(hookspecs)
    manager.load(points, tolerant=True)
    found.warnings += (info.error for info in manager.listing() if info.error is not None)
    # Each plugin gets a group of its own, so that it is known who added what.
    for origin in manager.implementers("aion_cli_commands"):
        group = click.Group()
        try:
            manager.ask(origin, "aion_cli_commands", cli=group)
        except AionError as error:
            found.warnings.append(str(error))
            continue
        _merge(group.commands, str(origin), builtin, found)


def _merge(
    commands: Mapping[str, click.Command],
    origin: str,
    builtin: Collection[str],
    found: Contributed,
) -> None:
    for name, command in commands.items():
        if name in builtin or name in found.commands:
            found.warnings.append(
                f"the command {name!r} of plugin {origin} is left out, because there is another "
                "one of that name; disable one of them, or have one renamed"
            )
        else:
            found.commands[name] = command
