"""What is told of a plugin in lists, without importing what it offers."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from aion_core.plugins.origin import Origin

__all__ = ["PluginInfo"]


@attrs.frozen(kw_only=True)
class PluginInfo:
    """One line of a list of plugins.

    Attributes:
        hooks: names of the hooks that it implements, sorted.
        offers: names of the parts that it offers, sorted, by the noun of `Kind`.
        disabled: it was passed over, and not even imported.
        error: why it cannot be used; None for one that can.
    """

    origin: Origin
    hooks: tuple[str, ...] = ()
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    disabled: bool = False
    error: str | None = None
