"""Configuration: what was chosen where, from arguments, the environment and a file.

Reading and checking only: whether what is named is installed is found out by the plugin manager.
Imports nothing heavy, since every command of the CLI begins here.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from aion_core.errors import ConfigError
from aion_core.suggestions import did_you_mean, nearest

__all__ = ["Configuration", "load_configuration"]

PREFIX = "AION_"
FILE = "aion.toml"
PROJECT_FILE = "pyproject.toml"


@attrs.frozen(kw_only=True)
class Configuration:
    """What engines, clients and commands are opened with.

    Attributes:
        store: URL of the store; None when nobody has named one.
        executor: name of the executor, or ``plugin:name``; the next two likewise.
        payload_codecs: names of codecs, in the order in which values pass them.
        disabled_plugins: names of plugins that are passed over.
        dev_mode: refuse in workflow code what replays would do differently; None when Python's own
            development mode decides.
        plugin_settings: tables by the names of the plugins that get them.
        sources: where each value came from, by field, in words; what is not in it is a default.
    """

    store: str | None = None
    executor: str = "local"
    recovery_driver: str = "machine"
    recovery_seam: str = "catalog"
    payload_codecs: tuple[str, ...] = ()
    disabled_plugins: tuple[str, ...] = ()
    dev_mode: bool | None = None
    plugin_settings: Mapping[str, Mapping[str, object]] = MappingProxyType({})
    sources: Mapping[str, str] = attrs.field(default=MappingProxyType({}), eq=False)

    def source(self, field: str) -> str:
        """Where a value came from, for messages."""
        return self.sources.get(field, "default")


def load_configuration(
    *,
    arguments: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    directory: str | os.PathLike[str] | None = None,
) -> Configuration:
    """Find out what is configured; of several places the first that names a value counts.

    The places, in order: the arguments; the environment (``AION_STORE``, ``AION_EXECUTOR``,
    ``AION_RECOVERY_DRIVER``, ``AION_RECOVERY_SEAM``, ``AION_DEV``, ``AION_PAYLOAD_CODECS`` and
    ``AION_DISABLE_PLUGINS``, the last two with commas between names); one file. The file is
    ``aion.toml``, or ``pyproject.toml`` with a table ``tool.aion``, in the directory or the
    nearest one above it that has one. A relative path in a store's URL is relative to the current
    directory, wherever the URL is written.

    Args:
        arguments: by the names of `Configuration`; None says nothing.
        directory: where the search for a file begins; the current directory when None.

    Raises:
        ConfigError: a file cannot be read; a key or variable is not known; a value has the wrong
            type; one directory has two files that configure Aion. Names the place.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    settings: dict[str, dict[str, object]] = {}
    for source, found in (
        _from_file(directory),
        *_from_environment(environ),
        ("argument", _from_arguments(arguments)),
    ):
        # Each setting of a plugin is a value by itself: naming one hides no other.
        for plugin, table in found.pop("plugin_settings", {}).items():
            settings.setdefault(plugin, {}).update(table)
            sources["plugin_settings"] = source
        values |= found
        sources |= dict.fromkeys(found, source)
    frozen = {plugin: MappingProxyType(table) for plugin, table in settings.items()}
    return Configuration(
        **values, plugin_settings=MappingProxyType(frozen), sources=MappingProxyType(sources)
    )


@attrs.frozen
class _Key:
    """A value that may be configured.

    Attributes:
        field: of `Configuration`.
        path: in a file.
        expected: its type, in words.
        read: gives the value for `Configuration`; None for what is of another type.
        variable: in the environment, without the prefix; None where a text could not say it.
    """

    field: str
    path: tuple[str, ...]
    expected: str
    read: Callable[[object], object | None]
    variable: str | None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _names(value: object) -> tuple[str, ...] | None:
    if isinstance(value, list | tuple) and all(_text(name) for name in value):
        return tuple(value)
    return None


def _truth(value: object) -> bool | None:
    """Texts are for the environment, which has nothing else."""
    return value if isinstance(value, bool) else {"1": True, "0": False}.get(str(value))


def _tables(value: object) -> Mapping[str, Mapping[str, object]] | None:
    if isinstance(value, Mapping) and all(isinstance(table, Mapping) for table in value.values()):
        return MappingProxyType({str(name): table for name, table in value.items()})
    return None


_KEYS = (
    _Key("store", ("store",), "a store URL", _text, "STORE"),
    _Key("executor", ("executor",), "a name", _text, "EXECUTOR"),
    _Key("recovery_driver", ("recovery_driver",), "a name", _text, "RECOVERY_DRIVER"),
    _Key("recovery_seam", ("recovery_seam",), "a name", _text, "RECOVERY_SEAM"),
    _Key(
        "payload_codecs", ("payload_codecs",), "a list of names, as texts", _names, "PAYLOAD_CODECS"
    ),
    _Key(
        "disabled_plugins",
        ("plugins", "disable"),
        "a list of names, as texts",
        _names,
        "DISABLE_PLUGINS",
    ),
    _Key("dev_mode", ("dev_mode",), "true or false, or 1 or 0 in the environment", _truth, "DEV"),
    _Key("plugin_settings", ("plugin",), "tables, one for each plugin", _tables, None),
)


def _from_arguments(arguments: Mapping[str, object]) -> dict[str, Any]:
    keys = {key.field: key for key in _KEYS}
    found = {}
    for field, value in arguments.items():
        if field not in keys:
            raise _unknown("argument", field, keys)
        if value is not None:
            found[field] = _value(keys[field], "argument", field, value)
    return found


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, dict[str, Any]]]:
    keys = {PREFIX + key.variable: key for key in _KEYS if key.variable is not None}
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in keys:
            # Others may use the prefix for what is theirs; only a slip of the fingers is ours.
            close = nearest(variable[len(PREFIX) :], _suffixes(keys), likeness=0.8)
            if close is not None:
                raise ConfigError(
                    f"the environment variable {variable} is not known; did you mean "
                    f"{PREFIX}{close}?"
                )
    for variable, key in keys.items():
        text = environ.get(variable, "").strip()
        if key.read is _names and variable in environ:
            names = [name.strip() for name in text.split(",")]
            yield variable, {key.field: tuple(name for name in names if name)}
        elif text:
            yield variable, {key.field: _value(key, "environment", variable, text)}


def _suffixes(variables: Iterable[str]) -> list[str]:
    return [variable.removeprefix(PREFIX) for variable in variables]


def _from_file(directory: str | os.PathLike[str] | None) -> tuple[str, dict[str, Any]]:
    try:
        start = Path.cwd() if directory is None else Path(directory).absolute()
    except FileNotFoundError:  # the current directory has been removed
        return "", {}
    for folder in (start, *start.parents):
        own, project = folder / FILE, folder / PROJECT_FILE
        table = _read(own)
        tool = _subtable(_read(project) or {}, ("tool", "aion"), project)
        if table is not None and tool is not None:
            raise ConfigError(
                f"both {own} and the table tool.aion of {project} configure Aion; keep one of them"
            )
        if table is not None:
            return str(own), _from_table(table, own)
        if tool is not None:
            return str(project), _from_table(tool, project)
    return "", {}


def _read(path: Path) -> dict[str, object] | None:
    """What a file holds; None where there is none."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; make it readable, or move it away"
        ) from error
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8; write it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}; mend it there") from error


def _subtable(
    table: Mapping[str, object], path: Iterable[str], file: Path
) -> Mapping[str, object] | None:
    for name in path:
        value = table.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"{file}: {name} is {_type(value)}; write it as a table")
        table = value
    return table


def _from_table(table: Mapping[str, object], file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    keys = {key.path: key for key in _KEYS}
    for path, value in _leaves(table, file):
        if path not in keys:
            raise _unknown(str(file), ".".join(path), map(".".join, keys))
        key = keys[path]
        found[key.field] = _value(key, str(file), ".".join(path), value)
    return found


def _leaves(table: Mapping[str, object], file: Path) -> Iterable[tuple[tuple[str, ...], object]]:
    """Keys and values, with the tables opened that are no values themselves."""
    inner = {key.path[0] for key in _KEYS if len(key.path) > 1}
    for name, value in table.items():
        if name in inner:
            for key, leaf in (_subtable(table, (name,), file) or {}).items():
                yield (name, key), leaf
        else:
            yield (name,), value


def _value(key: _Key, source: str, name: str, value: object) -> object:
    read = key.read(value)
    if read is None:
        raise ConfigError(f"{source}: {name} is {_type(value)}; it has to be {key.expected}")
    return read


def _unknown(source: str, name: str, known: Iterable[str]) -> ConfigError:
    known = sorted(known)
    way_out = did_you_mean(name, known, otherwise=f"there are {', '.join(known)}")
    return ConfigError(f"{source}: {name!r} is not known; {way_out}")


def _type(value: object) -> str:
    """What a value is, without showing it: it may be secret."""
    if value == "":
        return "empty"
    for kind, words in _WORDS.items():
        if isinstance(value, kind):
            return words
    return f"of type {type(value).__name__}"


_WORDS: Mapping[type, str] = {
    bool: "true or false",
    str: "text",
    int: "a number",
    float: "a number",
    list: "a list",
    tuple: "a list",
    Mapping: "a table",
}
