"""What tests of workflows need: a clock that moves when it is told to."""

from __future__ import annotations

from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = ["VirtualClock"]
