"""What must be true of any family of runs at rest, whoever was killed when. Nothing else is asked.

Independent of the engine: it goes by the histories and by what is left undelivered, and knows of
an edge between two runs only that what was sent is to arrive once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

from aion_core import events as e
from aion_core.ids import ChildKey, RunId, WorkflowId

__all__ = ["Histories", "broken_rules"]

Histories: TypeAlias = Mapping[WorkflowId, Sequence[e.HistoryEvent]]

OUTCOMES = (e.ChildWorkflowCompleted, e.ChildWorkflowFailed, e.ChildWorkflowCancelled)


@attrs.define
class _Run:
    """One run of a workflow: its events from its start to its end."""

    started: e.WorkflowStarted
    events: list[e.HistoryEvent] = attrs.field(factory=list)

    @property
    def is_closed(self) -> bool:
        return e.is_terminal(self.events[-1])

    @property
    def received(self) -> list[str | None]:
        return [each.signal_id for each in self.events if isinstance(each, e.SignalReceived)]

    def outcomes_of(self, key: ChildKey) -> list[e.HistoryEvent]:
        return [
            each for each in self.events if isinstance(each, OUTCOMES) and each.child_key == key
        ]


def broken_rules(
    histories: Histories, undelivered: Sequence[tuple[str, WorkflowId]]
) -> Iterator[str]:
    """What is not as it must be, in words.

    Args:
        undelivered: kind and target of each message that is left in the store.
    """
    runs = {workflow_id: _runs_of(history) for workflow_id, history in histories.items()}
    for kind, target in undelivered:
        if kind != "signal" or target in histories:
            yield f"a message ({kind}) to {target!r} was never delivered"
    for chain in runs.values():
        for run in chain:
            yield from _broken_by(run, runs)


def _runs_of(history: Sequence[e.HistoryEvent]) -> list[_Run]:
    runs: list[_Run] = []
    for event in history:
        if isinstance(event, e.WorkflowStarted):
            runs.append(_Run(event))
        runs[-1].events.append(event)
    return runs


def _broken_by(run: _Run, runs: Mapping[WorkflowId, Sequence[_Run]]) -> Iterator[str]:
    name = f"run {run.started.run_id} of {run.started.workflow_id!r}"
    for signal_id, times in Counter(run.received).items():
        if times > 1:
            yield f"{name} received signal {signal_id} {times} times"
    if sum(isinstance(event, e.WorkflowCancelRequested) for event in run.events) > 1:
        yield f"{name} was asked to stop more than once"
    for event in run.events:
        match event:
            case e.ChildWorkflowStarted():
                yield from _broken_by_child(name, run, event, runs)
            case e.ChildCancelRequested(child_key=key):
                child = _child_of(run, key, runs)
                if child and not _heard(child):
                    yield f"{name} asked its child {key} to stop, and the child never heard of it"
    yield from _broken_by_signals(name, run, runs)


def _broken_by_child(
    name: str,
    run: _Run,
    start: e.ChildWorkflowStarted,
    runs: Mapping[WorkflowId, Sequence[_Run]],
) -> Iterator[str]:
    key = start.child_key
    child = _child_of(run, key, runs)
    outcomes = run.outcomes_of(key)
    if len(outcomes) > 1:
        yield f"{name} heard {len(outcomes)} times how its child {key} ended"
    if not child:
        if start.child_workflow_id not in runs:
            yield f"{name} started its child {key}, which does not exist"
        elif not outcomes and not run.is_closed:
            yield f"{name} was never told that its child {key} could not start"
        return
    if sum(each.started.continued_from is None for each in child) != 1:
        yield f"the child {key} of {name} was started more than once"
    if outcomes and not child[-1].is_closed:
        yield f"{name} heard of the end of its child {key}, which is open"
    if child[-1].is_closed and not outcomes and not run.is_closed:
        yield f"{name} never heard of the end of its child {key}"
    if run.is_closed and not outcomes:
        if start.close_policy == "terminate" and not child[-1].is_closed:
            yield f"the child {key} of {name} lives on, though it was to be terminated"
        if start.close_policy == "cancel" and not _heard(child):
            yield f"the child {key} of {name} never heard that its parent has closed"


def _child_of(
    run: _Run, key: ChildKey, runs: Mapping[WorkflowId, Sequence[_Run]]
) -> Sequence[_Run]:
    """The runs of the child that a run started under a key; none when its id was taken."""
    origin = (run.started.workflow_id, run.started.run_id, key)
    return [
        each
        for chain in runs.values()
        for each in chain
        if (parent := each.started.parent) is not None
        and (parent.workflow_id, parent.run_id, parent.child_key) == origin
    ]


def _heard(child: Sequence[_Run]) -> bool:
    """Has it been asked to stop, or ended before?"""
    return child[-1].is_closed or any(
        isinstance(event, e.WorkflowCancelRequested) for each in child for event in each.events
    )


def _broken_by_signals(
    name: str, run: _Run, runs: Mapping[WorkflowId, Sequence[_Run]]
) -> Iterator[str]:
    sent: dict[WorkflowId, list[str]] = {}
    for event in run.events:
        if isinstance(event, e.SignalSent):
            signal_id = _signal_id(run.started.run_id, event)
            sent.setdefault(event.target_workflow_id, []).append(signal_id)
    for target, ids in sent.items():
        if target not in runs:
            continue  # it waits, and is among what is undelivered
        chain = runs[target]
        arrived = list(dict.fromkeys(each for run in chain for each in run.received if each in ids))
        # What comes after the end of the target is dropped: the last ones, if any.
        if arrived != ids[: len(arrived)]:
            yield f"{name} sent {ids} to {target!r}, where came {arrived}"
        elif len(arrived) < len(ids) and not chain[-1].is_closed:
            yield f"{name} sent {len(ids)} signals to {target!r}, where came {len(arrived)}"


def _signal_id(run_id: RunId, event: e.SignalSent) -> str:
    return f"{run_id}:{event.position}"
