"""Recorded updates: what history has under an update id."""

from __future__ import annotations

import attrs

from aion_core.contracts import EventStore
from aion_core.errors import WorkflowUsageError
from aion_core.events import UpdateAccepted, UpdateCompleted, UpdateFailed
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import UpdateSentToRun
from aion_core.payloads import PayloadConverter

__all__ = ["RecordedUpdate", "recorded_update"]

PAGE = 200


@attrs.frozen
class RecordedUpdate:
    """An update that was accepted.

    Attributes:
        answer: None while its handler is at work, and for ever when its run ended first.
    """

    accepted: UpdateAccepted
    answer: UpdateCompleted | UpdateFailed | None

    def require_same(self, asked: UpdateSentToRun, converter: PayloadConverter) -> None:
        """Refuse another update under an id that has been used.

        Raises:
            WorkflowUsageError: its name or its argument is another.
        """
        if asked.name != self.accepted.name:
            difference = f"for update {self.accepted.name!r}, not {asked.name!r}"
        elif not converter.same(asked.arg, self.accepted.arg):
            difference = f"for update {asked.name!r} with another argument"
        else:
            return
        raise WorkflowUsageError(
            f"workflow {self.accepted.workflow_id!r} has had the update id {asked.update_id!r} "
            f"{difference}; give each update an id of its own"
        )


async def recorded_update(
    store: EventStore, workflow_id: WorkflowId, update_id: str
) -> RecordedUpdate | None:
    """What is recorded under an id; None when nothing is.

    Read from the end, where what was asked last is found.
    """
    answer: UpdateCompleted | UpdateFailed | None = None
    summary = await store.read_summary(workflow_id)
    end = 0 if summary is None else summary.events
    while end > 0:
        first = max(1, end - PAGE + 1)
        for event in reversed(await store.read_history_from(workflow_id, first, end - first + 1)):
            match event:
                case UpdateCompleted() | UpdateFailed() if event.update_id == update_id:
                    answer = event
                case UpdateAccepted() if event.update_id == update_id:
                    return RecordedUpdate(event, answer)
        end = first - 1
    return None
