"""Refusing: what the code of a run, as it is now, has against an arrival that is not judged yet."""

from __future__ import annotations

from aion_core.errors import PayloadError, WorkflowClosedError
from aion_core.machine import arrivals as a
from aion_core.machine.steps import LATER, Refusal
from aion_core.machine.workflow_machine import WorkflowMachine

__all__ = ["REFUSABLE", "refusal_by_code"]

REFUSABLE = frozenset(
    (a.SignalSentToRun, a.UpdateSentToRun, a.CancelRequest, a.SupplyRequest),
)
"""Arrivals that the code may have something against; all others concern only what is recorded."""


def refusal_by_code(machine: WorkflowMachine, arrival: a.Arrival) -> Refusal:
    """Why an arrival is not taken; None when it is."""
    if isinstance(arrival, a.SupplyRequest):
        return _refusal_of_supply(machine, arrival)
    if machine.is_continuing:
        return LATER
    if machine.waits_to_begin:
        # Only its code has handlers; what is not accepted is not recorded.
        return LATER if isinstance(arrival, a.UpdateSentToRun) else None
    if machine.is_closing:
        return WorkflowClosedError(machine.workflow_id, "its result is certain")
    if isinstance(arrival, a.UpdateSentToRun):
        return machine.refusal_of(arrival.name, arrival.arg)
    return None


def _refusal_of_supply(machine: WorkflowMachine, request: a.SupplyRequest) -> PayloadError | None:
    """A result that the function could not have returned would fail its caller for ever."""
    if isinstance(request.outcome, a.AttemptCompleted):
        environment = machine.environment
        definition = environment.activities.definition_of(request.activity_id)
        try:
            definition.check_result(request.outcome.result, environment.converter)
        except PayloadError as error:
            return PayloadError(
                f"the result supplied for {request.activity_id} ({definition.name}) does not "
                f"fit: {error}"
            )
    return None
