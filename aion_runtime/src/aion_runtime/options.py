"""The options of an engine, as a type: for whatever opens one on somebody's behalf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypedDict

from aion_core.contracts import ActiveWorkflowRecoverySeam, LiveExecutor, RecoveryDriver
from aion_core.plugins import PluginManager
from aion_runtime.assembling import NonDeterminismPolicy
from aion_runtime.catalog import VersionPolicy

__all__ = ["EngineOptions"]


class EngineOptions(TypedDict, total=False):
    """What `open_engine` takes besides a store, workflows and a clock, as it is described there."""

    executor: str | LiveExecutor | None
    recovery_driver: str | RecoveryDriver | None
    recovery_seam: str | ActiveWorkflowRecoverySeam | None
    plugins: PluginManager | None
    on_version_mismatch: VersionPolicy
    on_nondeterminism: NonDeterminismPolicy
    resident_bytes: int
    activity_limit: int | None
    max_running: int | None
    resources: Sequence[object]
    shutdown_grace: float | timedelta
    activation_time_limit: float | timedelta
    replay_check: bool
    dev_mode: bool | None
    settings: Mapping[str, Mapping[str, object]] | None
