"""What tests of workflows need: engines whose time jumps and which can be killed, and more.

Plain objects, for any test framework; `aion_runtime.testing.pytest` makes fixtures of them.
"""

from __future__ import annotations

from aion_runtime.testing.engines import TestEngine, run_workflow, test_engine
from aion_runtime.testing.exploring import (
    Crash,
    CrashDifference,
    Exploration,
    explore_crashes,
)
from aion_runtime.testing.replacing import replace
from aion_runtime.testing.replaying import Replayed, replay_history, save_history
from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = [
    "Crash",
    "CrashDifference",
    "Exploration",
    "Replayed",
    "TestEngine",
    "VirtualClock",
    "explore_crashes",
    "replace",
    "replay_history",
    "run_workflow",
    "save_history",
    "test_engine",
]
