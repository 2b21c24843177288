"""Recovery: bringing runs back by their histories, and recording what comes of it.

``seam`` and ``driver`` are the parts that a deployment may replace; ``eager`` holds every open run
against its code, for tools; ``live`` goes on by single commands; ``startup`` is the engine's own
way, by what is due. All that is written here goes through a ``recorder``.
"""

from __future__ import annotations

from aion_runtime.recovery.context import context_for
from aion_runtime.recovery.driver import MachineDriver
from aion_runtime.recovery.eager import OnViolation, fail_on_violation, recover, recover_one
from aion_runtime.recovery.live import resolve_or_execute_live
from aion_runtime.recovery.recorder import Recorder, WritableStore
from aion_runtime.recovery.reports import (
    Failed,
    Outcome,
    RecoveryReport,
    ResumeAt,
    Resumed,
    Terminal,
)
from aion_runtime.recovery.seam import CatalogSeam

__all__ = [
    "CatalogSeam",
    "Failed",
    "MachineDriver",
    "OnViolation",
    "Outcome",
    "Recorder",
    "RecoveryReport",
    "ResumeAt",
    "Resumed",
    "Terminal",
    "WritableStore",
    "context_for",
    "fail_on_violation",
    "recover",
    "recover_one",
    "resolve_or_execute_live",
]
