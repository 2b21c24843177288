"""The list of plugins as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TypeAlias

import click

from aion_cli.plugins.inventory import Inventory
from aion_cli.printing import Column
from aion_cli.printing import print_table as print_rows
from aion_core.plugins import PluginInfo

__all__ = ["print_json", "print_table"]

Row: TypeAlias = tuple[str, ...]

PLUGIN_COLUMNS = tuple(
    Column(name, fit="fold")
    for name in ("plugin", "distribution", "version", "offers", "hooks", "state")
)
CHOICE_COLUMNS = tuple(Column(name, fit="fold") for name in ("chosen", "name", "plugin", "by"))


def print_json(inventory: Inventory) -> None:
    """Print one object with ``plugins``, ``chosen`` and ``errors``."""
    data = {
        "plugins": [
            {
                "name": info.origin.name,
                "distribution": info.origin.distribution,
                "version": info.origin.version,
                "entry_point": info.origin.entry_point,
                "hooks": info.hooks,
                "offers": info.offers,
                "disabled": info.disabled,
                "error": info.error,
            }
            for info in inventory.plugins
        ],
        "chosen": [
            {
                "kind": choice.kind,
                "name": choice.name,
                "plugin": choice.plugin,
                "source": choice.source,
            }
            for choice in inventory.choices
        ],
        "errors": inventory.errors,
    }
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(inventory: Inventory) -> None:
    """Print the plugins, a line each, and below them what is chosen.

    Fitted to a terminal; elsewhere plain lines, for grep and cut.
    """
    print_rows(PLUGIN_COLUMNS, [_plugin_row(info) for info in inventory.plugins])
    click.echo()
    print_rows(
        CHOICE_COLUMNS,
        [
            (choice.kind, choice.name, choice.plugin or "none", choice.source)
            for choice in inventory.choices
        ],
    )


def _plugin_row(info: PluginInfo) -> Row:
    return (
        info.origin.name,
        info.origin.distribution or "-",
        info.origin.version or "-",
        _offers(info),
        ", ".join(info.hooks) or "-",
        _state(info),
    )


def _offers(info: PluginInfo) -> str:
    texts = (f"{noun} {', '.join(names)}" for noun, names in info.offers.items())
    return "; ".join(texts) or "-"


def _state(info: PluginInfo) -> str:
    if info.disabled:
        return "disabled"
    return "ready" if info.error is None else "broken"
