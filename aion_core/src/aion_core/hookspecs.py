"""Hook specifications of the pluggy project ``aion``. A plugin implements the ones it needs."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

from aion_core.contracts import StoreProvider

__all__ = ["PROJECT", "aion_stores", "hookimpl"]

PROJECT = "aion"
"""Name of the pluggy project, and of the entry-point group."""

_hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's implementation of a hook."""


@_hookspec
def aion_stores() -> Mapping[str, StoreProvider | str]:  # type: ignore[empty-body]
    """Offer stores: a mapping from URL scheme (``sqlite``) to a provider.

    Instead of a provider the value may be its place, ``"package.module:attribute"``, which is
    imported only when a URL of that scheme is opened.

    When it is called: once per plugin manager, when the first store is opened or the stores are
    listed. All answers count; two plugins that claim one scheme are an error.
    """
