"""The plugin: says where the runtime's own executor, driver and seam are. Imports none of them."""

from __future__ import annotations

from collections.abc import Mapping

from aion_core.contracts import ActiveWorkflowRecoverySeam, LiveExecutor, RecoveryDriver
from aion_core.hookspecs import SeamFactory, hookimpl

__all__ = ["aion_live_executors", "aion_recovery_drivers", "aion_recovery_seams"]


@hookimpl
def aion_live_executors() -> Mapping[str, SeamFactory[LiveExecutor] | str]:
    """Offer the executor that runs activities in this process."""
    return {"local": "aion_runtime.executor:LocalExecutor"}


@hookimpl
def aion_recovery_drivers() -> Mapping[str, SeamFactory[RecoveryDriver] | str]:
    """Offer the driver that runs the workflow's own code."""
    return {"machine": "aion_runtime.recovery.driver:MachineDriver"}


@hookimpl
def aion_recovery_seams() -> Mapping[str, SeamFactory[ActiveWorkflowRecoverySeam] | str]:
    """Offer the seam that asks the engine's catalog."""
    return {"catalog": "aion_runtime.recovery.seam:CatalogSeam"}
