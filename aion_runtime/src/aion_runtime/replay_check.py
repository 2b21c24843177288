"""The replay check: what was recorded just now is replayed at once, on a machine of its own.

Code that is not deterministic shows itself in the test that runs it, and not in the restart that
needs its history months later.
"""

from __future__ import annotations

from collections.abc import Sequence

from aion_core.contracts import EventStore, SeamContext
from aion_core.errors import AionError, NonDeterminismError, StoreError, WorkflowUsageError
from aion_core.events import HistoryEvent, WorkflowStarted
from aion_core.ids import WorkflowId
from aion_core.machine.places import Places
from aion_core.machine.run import Step
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.replay.matching import describe

__all__ = ["EVERY_STEP_TO", "ReplayCheck", "check_replay"]

EVERY_STEP_TO = 200
"""Events up to which every step is checked; after that at powers of two, and at the end."""


class ReplayCheck:
    """Checks steps of an engine once they are durable.

    Args:
        context: catalog, converter and guard of the engine.
    """

    def __init__(self, store: EventStore, context: SeamContext) -> None:
        self._store = store
        self._context = context

    async def of_step(
        self, workflow_id: WorkflowId, step: Step, *, is_end: bool
    ) -> AionError | None:
        """What is wrong with the code of a run that has taken a step; None for nothing.

        Args:
            is_end: the step has ended the workflow.
        """
        head = step.expected_seq + len(step.events)
        if not step.events or not (is_end or _is_due(step.expected_seq, head)):
            return None
        try:
            history = await self._store.read_history(workflow_id)
        except StoreError:
            return None  # whoever needs the history next finds out
        return check_replay(history, self._context, after=step.expected_seq)


def check_replay(
    history: Sequence[HistoryEvent], context: SeamContext, *, after: int = 0
) -> AionError | None:
    """Replay the runs of a history; returns why one does not do again what it did.

    Args:
        after: only runs with events after this one.
    """
    starts = [event for event in history if isinstance(event, WorkflowStarted)]
    ends = [event.seq - 1 for event in starts[1:]] + [len(history)]
    for started, end in zip(starts, ends, strict=True):
        if end > after:
            problem = _replay(started, history, context)
            if problem is not None:
                return problem
    return None


def _replay(
    started: WorkflowStarted, history: Sequence[HistoryEvent], context: SeamContext
) -> AionError | None:
    machine = WorkflowMachine(
        started, context.catalog(started.workflow_type), context.converter, context.guard
    )
    # Asked for beforehand: code that is not deterministic may do right when it is tried once more.
    machine.environment.places = Places()
    try:
        ahead = machine.replay(history)
    except NonDeterminismError as error:
        place = "" if error.file is None else f" ({error.file}, line {error.line})"
        return _not_deterministic(
            started, f"at event {error.seq} for {error.found}{place}, not for {error.expected}"
        )
    except AionError as error:
        return _not_deterministic(started, f"and failed: {error}")
    finally:
        machine.close()
    if ahead:
        return _not_deterministic(started, f"for {describe(ahead[0])} besides")
    return None


def _not_deterministic(started: WorkflowStarted, what: str) -> WorkflowUsageError:
    return WorkflowUsageError(
        f"workflow {started.workflow_id!r} is not deterministic: replayed at once, its code asked "
        f"{what}; let it depend on its input and on what it awaits, and on nothing else"
    )


def _is_due(before: int, head: int) -> bool:
    # The highest power of two up to the head lies behind what was there before.
    return head <= EVERY_STEP_TO or 1 << (head.bit_length() - 1) > before
