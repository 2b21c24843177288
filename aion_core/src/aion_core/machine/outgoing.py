"""Outgoing: what the events of one run bring to other runs, as arrivals for them.

The shell posts it in the append of those events, and so it is sent exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import attrs

from aion_core import events as e
from aion_core.failures import Failure
from aion_core.ids import RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.randomness import successor_of

__all__ = ["SENDING", "Outgoing", "OutgoingKind", "outgoing_of", "refused_start"]

OutgoingKind: TypeAlias = Literal[
    "start", "signal", "child cancel", "child outcome", "parent closed"
]

SENDING = frozenset(
    (e.ChildWorkflowStarted, e.SignalSent, e.ChildCancelRequested, *e.TERMINALS),
)
"""Events that may bring something to other runs; all others bring nothing."""


@attrs.frozen(kw_only=True)
class Outgoing:
    """Something for another run.

    Attributes:
        kind: of the message that carries it.
        target: which workflow is to have it.
        run_id: of the run that sends it.
        seq: of the event by which it is sent; 0 where there is none.
        arrival: what it is over there.
    """

    kind: OutgoingKind
    target: WorkflowId
    run_id: RunId
    seq: int
    arrival: a.Arrival


def outgoing_of(
    event: e.HistoryEvent, started: e.WorkflowStarted, children: Iterable[e.ChildWorkflowStarted]
) -> Iterator[Outgoing]:
    """What an event of a run sends.

    Args:
        started: the first event of the run.
        children: of the run, that have not ended.
    """
    match event:
        case e.ChildWorkflowStarted():
            yield _start(event, started)
        case e.SignalSent():
            # The id is the sender's place: whatever else has the name, this is sent once.
            signal = a.SignalSentToRun(
                name=event.name,
                payload=event.payload,
                signal_id=f"{started.run_id}:{event.position}",
            )
            yield _out("signal", event.target_workflow_id, started, event, signal)
        case e.ChildCancelRequested():
            parent = _parent_ref(started, event)
            request = a.CancelRequest(reason="its parent asked for it", parent=parent)
            for child in children:
                if child.child_key == event.child_key:
                    target = child.child_workflow_id
                    yield _out("child cancel", target, started, event, request)
        case _ if e.is_terminal(event):
            yield from _last_words(event, started, children)


def refused_start(request: a.StartRequest, reason: str) -> Outgoing | None:
    """What the parent is told whose child cannot be started; None when there is no parent."""
    if request.parent is None:
        return None
    failure = Failure(type="WorkflowAlreadyStartedError", message=reason)
    return Outgoing(
        kind="child outcome",
        target=request.parent.workflow_id,
        run_id=request.run_id,
        seq=0,
        arrival=a.ChildEnded(
            run_id=request.parent.run_id,
            child_key=request.parent.child_key,
            outcome=a.ChildFailed(failure),
        ),
    )


def _start(event: e.ChildWorkflowStarted, started: e.WorkflowStarted) -> Outgoing:
    run_id, seed = successor_of(started.random_seed, started.run_id, event.child_key)
    request = a.StartRequest(
        workflow_type=event.workflow_type,
        input=event.input,
        run_id=run_id,
        package_version=None,
        random_seed=seed,
        parent=_parent_ref(started, event),
    )
    return _out("start", event.child_workflow_id, started, event, request)


def _last_words(
    event: e.HistoryEvent, started: e.WorkflowStarted, children: Iterable[e.ChildWorkflowStarted]
) -> Iterator[Outgoing]:
    """What a run says at its end: to its parent, and to the children that it leaves."""
    for child in children:
        if child.close_policy == "abandon":
            continue
        request_type = a.CancelRequest if child.close_policy == "cancel" else a.TerminateRequest
        request = request_type(reason="its parent has closed", parent=_parent_ref(started, child))
        yield _out("parent closed", child.child_workflow_id, started, event, request)
    parent, outcome = started.parent, _outcome(event)
    if parent is not None and outcome is not None:
        ended = a.ChildEnded(run_id=parent.run_id, child_key=parent.child_key, outcome=outcome)
        yield _out("child outcome", parent.workflow_id, started, event, ended)


def _outcome(event: e.HistoryEvent) -> a.ChildCompleted | a.ChildFailed | a.ChildCancelled | None:
    """How a run ended, for its parent; None when the workflow goes on as another run."""
    match event:
        case e.WorkflowCompleted(result=result):
            return a.ChildCompleted(result)
        case e.WorkflowFailed(error=error):
            return a.ChildFailed(error)
        case e.WorkflowCancelled(reason=reason):
            return a.ChildCancelled(reason)
        case e.WorkflowTerminated(reason=reason):
            return a.ChildFailed(Failure(type="Terminated", message=reason))
        case e.WorkflowTimedOut(timeout=timeout):
            message = f"its {timeout} time was over"
            return a.ChildFailed(Failure(type="TimedOut", message=message, kind="timeout"))
        case _:
            return None


def _parent_ref(
    started: e.WorkflowStarted, event: e.ChildWorkflowStarted | e.ChildCancelRequested
) -> e.ParentRef:
    return e.ParentRef(
        workflow_id=started.workflow_id, run_id=started.run_id, child_key=event.child_key
    )


def _out(
    kind: OutgoingKind,
    target: WorkflowId,
    started: e.WorkflowStarted,
    event: e.HistoryEvent,
    arrival: a.Arrival,
) -> Outgoing:
    return Outgoing(kind=kind, target=target, run_id=started.run_id, seq=event.seq, arrival=arrival)
