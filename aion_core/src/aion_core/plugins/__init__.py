"""Plugins: found by entry point, asked through their hooks, named when they are wrong.

Only finding, asking and choosing belongs here; what plugins offer is specified in
`aion_core.hookspecs` and `aion_core.contracts`, and used by the runtime.
"""

from __future__ import annotations

from aion_core.plugins.kinds import KINDS, Kind
from aion_core.plugins.listing import PluginInfo
from aion_core.plugins.manager import PluginManager
from aion_core.plugins.origin import Origin

__all__ = ["KINDS", "Kind", "Origin", "PluginInfo", "PluginManager"]
