"""The default driver: the workflow's own code, fed with its history by a machine."""

from __future__ import annotations

from collections.abc import Sequence

from aion_core.contracts import RecoveryDriver, RecoveryPlan, SeamContext
from aion_core.errors import HistoryShapeError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_runtime.recovery.seam import last_start

__all__ = ["MachineDriver", "planned"]


def planned(
    driver: RecoveryDriver, workflow_id: WorkflowId, history: Sequence[HistoryEvent]
) -> RecoveryPlan:
    """Ask a driver. Raises `HistoryShapeError` for what is no plan, and what the driver raises."""
    plan: object = driver.recovery_plan(workflow_id, history)
    if not isinstance(plan, RecoveryPlan):
        raise HistoryShapeError(
            f"the recovery driver gives {type(plan).__name__} for workflow {workflow_id!r}, which "
            "is no plan; mend the driver"
        )
    return plan


class MachineDriver(RecoveryDriver):
    """Runs the code that the catalog has for the type of the newest run."""

    def __init__(self, context: SeamContext) -> None:
        self._catalog = context.catalog
        self._converter = context.converter
        self._guard = context.guard

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[HistoryEvent]
    ) -> RecoveryPlan:
        """Plan by a new machine; no code runs before the commands are iterated.

        Raises:
            HistoryShapeError: the history holds no start.
            UnknownWorkflowTypeError: the catalog does not have the code.
        """
        started = last_start(workflow_id, history)
        machine = WorkflowMachine(
            started, self._catalog(started.workflow_type), self._converter, self._guard
        )
        return RecoveryPlan(
            run_id=started.run_id,
            commands=machine.replaying_in_pieces(history),
            failure_recorded_at=history[-1].recorded_at,
            machine=machine,
        )
