"""A structured log of what workflows do, for Aion."""

from __future__ import annotations

from aion_observer_log.observer import LogObserver

__all__ = ["LogObserver"]
