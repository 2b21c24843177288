"""The checker: was anything lost, stuck or doubled, did memory grow? It goes by evidence alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from statistics import median

import attrs

from aion_core import events as e
from tests.soak.evidence import Evidence, Execution, MemorySample

__all__ = ["faults"]

YOUNG_S = 1.5
"""An engine is not weighed before it is so old: it is busy with opening."""

GROWTH_MIB = 24.0
"""So much more memory at the end of a life, or in a later life, is no leak yet: a collector that
has not run, a batch that was larger."""

SAMPLES = 12
"""A life with fewer samples says nothing."""


@attrs.frozen
class _Completion:
    """An activity whose completion is durable."""

    position: int
    execution: Execution


def faults(evidence: Evidence) -> Iterator[str]:
    """All that is not as it must be, in words."""
    yield from _promises(evidence)
    yield from _runs(evidence)
    yield from _activities(evidence)
    yield from _arrivals(evidence)
    yield from _memory(evidence.memory)
    for workflow_id, reason in evidence.stuck.items():
        yield f"workflow {workflow_id!r} is stuck: {reason}"
    for kind, target in evidence.undelivered:
        yield f"a message ({kind}) for {target!r} was never delivered"
    for problem in evidence.unsound:
        yield f"the store is not sound: {problem}"


def _promises(evidence: Evidence) -> Iterator[str]:
    started = Counter(
        item.event.workflow_id
        for item in evidence.feed
        if isinstance(item.event, e.WorkflowStarted) and item.event.continued_from is None
    )
    for promise in evidence.promises:
        if promise.workflow_id not in started:
            yield f"workflow {promise.workflow_id!r} was asked for, and is lost"
        elif promise.result is None:
            yield f"the client of workflow {promise.workflow_id!r} was never answered"
        elif promise.result != promise.expected:
            yield (
                f"workflow {promise.workflow_id!r} returned {promise.result!r}, "
                f"and not {promise.expected!r}"
            )
    for workflow_id, times in started.items():
        if times > 1:
            yield f"workflow {workflow_id!r} was started {times} times"


def _runs(evidence: Evidence) -> Iterator[str]:
    last: dict[str, e.HistoryEvent] = {}
    for item in evidence.feed:
        event = item.event
        before = last.get(event.workflow_id)
        if event.seq != (1 if before is None else before.seq + 1):
            yield f"the history of workflow {event.workflow_id!r} has a gap before {event.seq}"
        last[event.workflow_id] = event
    asked = {promise.workflow_id for promise in evidence.promises}
    for workflow_id, event in last.items():
        if not e.is_terminal(event):
            yield f"workflow {workflow_id!r} is still open"
        elif workflow_id in asked and not isinstance(event, e.WorkflowCompleted):
            yield f"workflow {workflow_id!r} ended by {type(event).__name__}"


def _activities(evidence: Evidence) -> Iterator[str]:
    completions = list(_completions(evidence))
    executed = set(evidence.executions)
    for completion in completions:
        if completion.execution not in executed:
            yield f"{_name(completion.execution)} is recorded, and was never executed"
    calls = Counter(_call(completion.execution) for completion in completions)
    for call, times in calls.items():
        if times > 1:
            yield f"activity {call} was completed {times} times"
    recorded = {_call(each.execution): each.position for each in completions}
    for kill in evidence.kills:
        for execution in evidence.executions[kill.executions :]:
            position = recorded.get(_call(execution))
            if position is not None and position <= kill.position:
                yield (
                    f"{_name(execution)} was executed after kill {kill.life}, "
                    "though its completion had been recorded before"
                )
    yield from _repeats(evidence)


def _repeats(evidence: Evidence) -> Iterator[str]:
    """An attempt is made once in each life at the most."""
    bounds = [0, *(kill.executions for kill in evidence.kills), len(evidence.executions)]
    for begin, end in pairwise(bounds):
        for execution, times in Counter(evidence.executions[begin:end]).items():
            if times > 1:
                yield f"{_name(execution)} was executed {times} times by one engine"


def _completions(evidence: Evidence) -> Iterator[_Completion]:
    runs: dict[str, str] = {}
    for item in evidence.feed:
        event = item.event
        if isinstance(event, e.WorkflowStarted):
            runs[event.workflow_id] = event.run_id
        elif isinstance(event, e.ActivityCompleted):
            execution = Execution(
                event.workflow_id, runs[event.workflow_id], event.activity_id, event.attempt or 1
            )
            yield _Completion(item.position, execution)


def _arrivals(evidence: Evidence) -> Iterator[str]:
    """What a run was sent is in its history once."""
    runs: dict[str, str] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for item in evidence.feed:
        event = item.event
        match event:
            case e.WorkflowStarted():
                runs[event.workflow_id] = event.run_id
            case e.SignalReceived(signal_id=str(sent)) | e.UpdateAccepted(update_id=sent):
                seen[event.workflow_id, runs[event.workflow_id], sent] += 1
            case e.ChildWorkflowCompleted() | e.ChildWorkflowFailed() | e.ChildWorkflowCancelled():
                run_id = runs[event.workflow_id]
                seen[event.workflow_id, run_id, f"the end of {event.child_key}"] += 1
    for (workflow_id, _, what), times in seen.items():
        if times > 1:
            yield f"workflow {workflow_id!r} took {what!r} {times} times"


def _memory(samples: Sequence[MemorySample]) -> Iterator[str]:
    grown = [sample for sample in samples if sample.age >= YOUNG_S]
    lives = [list(life) for _, life in groupby(grown, key=lambda sample: sample.life)]
    long = [[sample.mib for sample in life] for life in lives if len(life) >= SAMPLES]
    for number, life in enumerate(long, start=1):
        third = len(life) // 3
        growth = median(life[-third:]) - median(life[third : 2 * third])
        if growth > GROWTH_MIB:
            yield f"in long life {number} memory grew by {growth:.0f} MiB towards its end"
    if len(long) >= 2:
        growth = median(long[-1]) - median(long[0])
        if growth > GROWTH_MIB:
            yield f"the last long life took {growth:.0f} MiB more than the first"


def _call(execution: Execution) -> tuple[str, str, str]:
    return execution.workflow_id, execution.run_id, execution.activity_id


def _name(execution: Execution) -> str:
    return (
        f"attempt {execution.attempt} of {execution.activity_id} "
        f"of workflow {execution.workflow_id!r}"
    )
