"""Comparing: what a crash may change of a history, and whether it changed more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from aion_core import events as e
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import OUTCOME_UNKNOWN

__all__ = ["Ending", "differences", "undisturbed"]


@attrs.frozen
class Ending:
    """What one run through a script has led to.

    Attributes:
        result: what the explored workflow returned, or how it failed; None while it is open.
        histories: of all workflows.
        answers: what was told to senders, by the item and the arrival in it.
        messages: what has not been delivered, as kind and target.
    """

    result: tuple[str, object] | None
    histories: Mapping[WorkflowId, Sequence[e.HistoryEvent]]
    answers: Mapping[tuple[int, int], tuple[str, object]]
    messages: Sequence[tuple[str, WorkflowId]]


def differences(expected: Ending, found: Ending) -> Iterator[str]:
    """What is not as it would be without the crashes."""
    if found.result != expected.result:
        yield f"the result is {found.result!r}, and not {expected.result!r}"
    for workflow_id in sorted({*expected.histories, *found.histories}):
        difference = _difference(
            undisturbed(expected.histories.get(workflow_id, ())),
            undisturbed(found.histories.get(workflow_id, ())),
        )
        if difference is not None:
            yield f"the history of workflow {workflow_id!r} {difference}"
    for place in sorted({*expected.answers, *found.answers}):
        told, wanted = found.answers.get(place), expected.answers.get(place)
        if told != wanted:
            yield f"the sender of item {place[0]} was told {told!r}, and not {wanted!r}"
    if sorted(found.messages) != sorted(expected.messages):
        yield f"undelivered are {found.messages!r}, and not {expected.messages!r}"


def undisturbed(history: Sequence[e.HistoryEvent]) -> list[e.HistoryEvent]:
    """A history without what a crash may change: times of recording, re-deliveries, and what is
    known of an attempt that was to stop.

    Run ids need no care: in an exploration they follow from the first one, which is fixed.
    """
    kept = [event for event in history if not isinstance(event, e.ActivityStarted)]
    seqs = {event.seq: seq for seq, event in enumerate(kept, start=1)}
    return [_stripped(event, seqs, kept[0]) for event in kept]


def _stripped(
    event: e.HistoryEvent, seqs: Mapping[int, int], first: e.HistoryEvent
) -> e.HistoryEvent:
    changed: dict[str, Any] = {"seq": seqs[event.seq], "recorded_at": first.recorded_at}
    match event:
        case e.TimerFired():
            changed["started_seq"] = seqs.get(event.started_seq, event.started_seq)
        case e.ActivityFailed() | e.WorkflowFailed() | e.UpdateFailed() | e.ChildWorkflowFailed():
            changed["error"] = _without_stack(event.error)
        case e.MarkerRecorded(failure=Failure() as failure):
            changed["failure"] = _without_stack(failure)
        case e.ActivityCancelled(detail=detail):
            # Of what was asked to stop before the crash nobody knows whether it had begun.
            changed["attempt"] = None
            changed["detail"] = None if detail == OUTCOME_UNKNOWN else detail
    return attrs.evolve(event, **changed)


def _without_stack(failure: Failure) -> Failure:
    """Where it was raised is for display, and the world raises it elsewhere than a function."""
    return attrs.evolve(
        failure,
        stack="",
        cause=None if failure.cause is None else _without_stack(failure.cause),
        members=tuple(_without_stack(member) for member in failure.members),
    )


def _difference(expected: Sequence[e.HistoryEvent], found: Sequence[e.HistoryEvent]) -> str | None:
    for wanted, event in zip(expected, found, strict=False):
        if wanted != event:
            return (
                f"holds at event {wanted.seq}\n  {event}\nwhere without crashes stands\n  {wanted}"
            )
    if len(found) < len(expected):
        return f"ends before event {len(found) + 1},\n  {expected[len(found)]}"
    if len(found) > len(expected):
        return f"goes on after its end with\n  {found[len(expected)]}"
    return None
