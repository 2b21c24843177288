"""Where a plugin comes from, in the words of every error about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint

import attrs

from aion_core.errors import ConfigError, PluginError

__all__ = ["Origin", "blamed"]


@attrs.frozen(kw_only=True)
class Origin:
    """A plugin's name, and who has to be asked when it is broken.

    Attributes:
        name: of the entry point; what the configuration calls the plugin.
        distribution: that brought it; None for one that was registered by hand.
        version: of the distribution.
        entry_point: the module, or module and object, that is the plugin.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    entry_point: str | None = None

    @classmethod
    def of(cls, point: EntryPoint) -> Origin:
        """The origin of an installed plugin."""
        found = point.dist
        return cls(
            name=point.name,
            distribution=None if found is None else found.name,
            version=None if found is None else found.version,
            entry_point=point.value,
        )

    def __str__(self) -> str:
        text = repr(self.name)
        if self.entry_point is not None:
            text += f" ({self.entry_point})"
        if self.distribution is not None:
            text += f" of {self.distribution} {self.version}"
        return text


@contextmanager
def blamed(origin: Origin, what: str, way_out: str) -> Iterator[None]:
    """Name the plugin in whatever its code raises here.

    What it says about its settings stays a `ConfigError`, since that is for the operator. A
    plugin that calls ``sys.exit`` is broken like any other; Ctrl-C is not its doing.

    Raises:
        ConfigError: the plugin raised one.
        PluginError: it raised anything else.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"plugin {origin} {what}: {error}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {origin} {what}: {_said(error)}; {way_out}") from error


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return str(error) or type(error).__name__
