"""Aion: workflows as plain async functions whose every step survives a crash.

``import aion_runtime as aion`` is all a user needs: the authoring API of `aion_core`, and the
engine that runs what it describes. The names are those of `aion_runtime.api`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aion_runtime.api import *  # noqa: F403
else:
    # The engine and trio are imported when the first name is used, and not by what only wants
    # the plugin or the configuration: listing plugins, and the help of the CLI.
    def __getattr__(name: str) -> object:
        api = importlib.import_module("aion_runtime.api")
        try:
            found = globals()[name] = getattr(api, name)
        except AttributeError:
            raise AttributeError(
                f"module 'aion_runtime' has no attribute {name!r}", name=name, obj=api
            ) from None
        return found

    def __dir__() -> list[str]:
        return sorted(importlib.import_module("aion_runtime.api").__all__)
