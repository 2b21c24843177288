"""The plugin: says where the store is. LMDB is not imported before a URL asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from aion_core.contracts import StoreProvider
from aion_core.hookspecs import hookimpl

__all__ = ["aion_stores"]


@hookimpl
def aion_stores() -> Mapping[str, StoreProvider | str]:
    """Offer the store by its place."""
    return {"lmdb": "aion_store_example.provider:provider"}
