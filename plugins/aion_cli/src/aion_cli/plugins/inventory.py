"""What is installed and what is chosen, gathered without stopping at the first thing wrong."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from aion_cli import hookspecs
from aion_cli.exit_codes import ExitCode
from aion_core.errors import AionError
from aion_core.plugins import KINDS, Kind, PluginInfo, PluginManager
from aion_runtime.configuration import Configuration, load_configuration

__all__ = ["Choice", "Inventory", "take_inventory"]

FIELDS = {
    "store": "store",
    "executor": "executor",
    "recovery driver": "recovery_driver",
    "recovery seam": "recovery_seam",
    "payload codec": "payload_codecs",
}
"""Where the configuration keeps the choice, by the noun of a kind."""


@attrs.frozen
class Choice:
    """A part that engines are opened with.

    Attributes:
        kind: what it is, in words.
        name: of a store only the scheme of its URL, since the rest may hold a password.
        plugin: which offers it; None when no one does.
        source: where it was chosen, in words.
    """

    kind: str
    name: str
    plugin: str | None
    source: str


@attrs.frozen
class Inventory:
    """Plugins and choices, and what is wrong with them."""

    plugins: tuple[PluginInfo, ...]
    choices: tuple[Choice, ...]
    errors: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.ERROR if self.errors else ExitCode.OK


def take_inventory() -> Inventory:
    """Load the plugins and the configuration. Raises nothing that one of them does wrong."""
    errors: list[str] = []
    configuration = Configuration()
    try:
        configuration = load_configuration()
    except AionError as error:
        errors.append(str(error))
    manager = PluginManager(disabled=configuration.disabled_plugins)
    manager.add_hookspecs(hookspecs)
    manager.load_installed(tolerant=True)
    plugins = manager.listing()
    errors += (info.error for info in plugins if info.error is not None)
    try:
        manager.check_settings(configuration.plugin_settings)
    except AionError as error:
        errors.append(str(error))
    choices = tuple(_choices(manager, configuration, errors))
    return Inventory(plugins, choices, tuple(errors))


def _choices(
    manager: PluginManager, configuration: Configuration, errors: list[str]
) -> Iterator[Choice]:
    for kind in KINDS:
        field = FIELDS[kind.noun]
        value = getattr(configuration, field)
        names = value if isinstance(value, tuple) else (value,)
        for name in names:
            if name is not None:
                source = configuration.source(field)
                plugin = _provider(manager, kind, name, source, errors)
                shown = f"{name.partition(':')[0]}:" if kind.noun == "store" else name
                yield Choice(kind.noun, shown, plugin, source)


def _provider(
    manager: PluginManager, kind: Kind, name: str, source: str, errors: list[str]
) -> str | None:
    try:
        return manager.provider(kind, name).name
    except AionError as error:
        told = str(error)
        if told not in errors:
            errors.append(f"{told} ({kind.noun} chosen by: {source})")
        return None
