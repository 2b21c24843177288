"""The chain of a workflow's runs, each continued as the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.history.rows import RunSummary
from aion_core.history.statuses import DECIDES
from aion_core.ids import RunId, WorkflowId
from aion_core.status import WorkflowStatus

__all__ = ["run_chain"]


def run_chain(workflow_id: WorkflowId, history: Iterable[e.HistoryEvent]) -> list[RunSummary]:
    """The runs of a workflow, from the first to the newest; none for an empty history.

    Raises:
        HistoryShapeError: two runs are the first, two follow the same one, or one follows a run
            that is not there.
    """
    runs: list[RunSummary] = []
    for event in history:
        if isinstance(event, e.WorkflowStarted):
            runs.append(
                RunSummary(
                    run_id=event.run_id,
                    continued_from=event.continued_from,
                    status=WorkflowStatus.RUNNING,
                    started_at=event.recorded_at,
                )
            )
        elif runs and (status := DECIDES.get(type(event))):
            closed_at = event.recorded_at if status.is_closed else None
            runs[-1] = attrs.evolve(runs[-1], status=status, closed_at=closed_at)
    return _linked(workflow_id, runs)


def _linked(workflow_id: WorkflowId, runs: Sequence[RunSummary]) -> list[RunSummary]:
    successors: dict[RunId | None, RunSummary] = {}
    for run in runs:
        other = successors.setdefault(run.continued_from, run)
        if other is not run:
            place = f"follow run {run.continued_from}" if run.continued_from else "are the first"
            raise HistoryShapeError(
                f"workflow {workflow_id!r}: the runs {other.run_id} and {run.run_id} both {place}"
            )
    chain: list[RunSummary] = []
    before: RunId | None = None
    while (run_after := successors.pop(before, None)) is not None:
        chain.append(run_after)
        before = run_after.run_id
    if successors:
        lost = next(iter(successors.values()))
        raise HistoryShapeError(
            f"workflow {workflow_id!r}: run {lost.run_id} follows run {lost.continued_from}, "
            "to which no chain of runs leads"
        )
    return chain
