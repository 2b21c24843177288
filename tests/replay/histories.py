"""Histories and commands written by hand: events in few words, numbered when they are put together.

The recorded instant of an event is its seq in seconds, where a test does not say otherwise.
"""

from collections.abc import Callable
from typing import Any

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_core.replay import Replay, Resolver, cut_segment
from tests.machine.driver import W, at

RUN = RunId("run")
NEXT = RunId("next")
DECLINED = Failure(type="Declined", message="no money")

Unnumbered = Callable[[int], e.HistoryEvent]


def value(text: str) -> Payload:
    return Payload(JSON, text.encode())


NOTHING = value("{}")


def written(*events: Unnumbered) -> list[e.HistoryEvent]:
    return [event(seq) for seq, event in enumerate(events, 1)]


def event(cls: type[e.HistoryEvent], **fields: Any) -> Unnumbered:
    def numbered(seq: int) -> e.HistoryEvent:
        envelope: dict[str, Any] = {"seq": seq, "recorded_at": at(seq), "workflow_id": W}
        return cls(**{**envelope, **fields})

    return numbered


def started(run_id: RunId = RUN, **fields: Any) -> Unnumbered:
    return event(
        e.WorkflowStarted,
        workflow_type="main",
        input=NOTHING,
        run_id=run_id,
        package_version=e.UNVERSIONED,
        random_seed=7,
        **fields,
    )


def activity_id(n: int | str) -> ActivityId:
    return ActivityId(n if isinstance(n, str) else f"activity:{n}")


def scheduled(n: int | str = 0, activity_type: str = "charge") -> Unnumbered:
    return event(
        e.ActivityScheduled,
        activity_id=activity_id(n),
        activity_type=activity_type,
        input=NOTHING,
        options=ActivityOptions(),
    )


def completed(n: int | str = 0, result: str = "1") -> Unnumbered:
    return event(e.ActivityCompleted, activity_id=activity_id(n), result=value(result), attempt=1)


def failed(n: int | str = 0, **fields: Any) -> Unnumbered:
    return event(e.ActivityFailed, activity_id=activity_id(n), error=DECLINED, attempt=1, **fields)


def retried(n: int | str = 0) -> Unnumbered:
    return failed(n, next_attempt_at=at(1000))


def delivered_again(n: int | str = 0) -> Unnumbered:
    return event(e.ActivityStarted, activity_id=activity_id(n), attempt=1, delivery=2)


def cancel_requested(n: int | str = 0) -> Unnumbered:
    return event(e.ActivityCancelRequested, activity_id=activity_id(n))


def cancelled(n: int | str = 0) -> Unnumbered:
    return event(e.ActivityCancelled, activity_id=activity_id(n))


def timer_started(timer_id: str = "timer:0") -> Unnumbered:
    return event(e.TimerStarted, timer_id=TimerId(timer_id), fire_at=at(60))


def timer_fired(timer_id: str = "timer:0", started_seq: int = 2, **fields: Any) -> Unnumbered:
    return event(e.TimerFired, timer_id=TimerId(timer_id), started_seq=started_seq, **fields)


def timer_cancelled(timer_id: str = "timer:0") -> Unnumbered:
    return event(e.TimerCancelled, timer_id=TimerId(timer_id))


def received(name: str = "go", payload: str = "1") -> Unnumbered:
    return event(e.SignalReceived, name=name, payload=value(payload))


def child_started(n: int = 0, workflow_type: str = "part") -> Unnumbered:
    return event(
        e.ChildWorkflowStarted,
        child_key=ChildKey(f"child:{n}"),
        child_workflow_id=f"part-{n}",
        workflow_type=workflow_type,
        input=NOTHING,
    )


def reopened(from_seq: int, *activities: int, **fields: Any) -> Unnumbered:
    return event(
        e.WorkflowReopened,
        **{"run_id": RUN, **fields},
        from_seq=from_seq,
        reopened=tuple(
            e.ReopenedActivity(
                activity_id=activity_id(n), activity_type="charge", scheduled_seq=2, attempt=2
            )
            for n in activities
        ),
    )


def ended(result: str = "1") -> Unnumbered:
    return event(e.WorkflowCompleted, result=value(result))


def ended_by_error(error: Failure = DECLINED) -> Unnumbered:
    return event(e.WorkflowFailed, error=error)


def ended_by_cancel() -> Unnumbered:
    return event(e.WorkflowCancelled, reason="enough")


def terminated(**fields: Any) -> Unnumbered:
    return event(e.WorkflowTerminated, reason="by hand", **fields)


def timed_out() -> Unnumbered:
    return event(e.WorkflowTimedOut, timeout="run")


def continued(input: str = "{}") -> Unnumbered:
    return event(e.WorkflowContinuedAsNew, input=value(input), successor_run_id=NEXT)


def run(n: int | str = 0, activity_type: str = "charge", **fields: Any) -> c.RunActivity:
    return c.RunActivity(activity_id(n), activity_type, NOTHING, ActivityOptions(), **fields)


def cancel(n: int | str = 0) -> c.CancelActivity:
    return c.CancelActivity(activity_id(n))


def start_timer(timer_id: str = "timer:0") -> c.StartTimer:
    return c.StartTimer(TimerId(timer_id), at(60))


def cancel_timer(timer_id: str = "timer:0") -> c.CancelTimer:
    return c.CancelTimer(TimerId(timer_id))


def await_timer(timer_id: str = "timer:0") -> c.AwaitTimer:
    return c.AwaitTimer(TimerId(timer_id))


def spawn(n: int = 0, workflow_type: str = "part", **fields: Any) -> c.SpawnChild:
    return c.SpawnChild(
        ChildKey(f"child:{n}"), WorkflowId(f"part-{n}"), workflow_type, NOTHING, **fields
    )


def await_child(n: int = 0) -> c.AwaitChild:
    return c.AwaitChild(ChildKey(f"child:{n}"))


def await_signal(index: int = 0, name: str = "go") -> c.AwaitSignal:
    return c.AwaitSignal(name, index)


def complete(result: str = "1") -> c.CompleteWorkflow:
    return c.CompleteWorkflow(value(result))


def fail(error: Failure = DECLINED) -> c.FailWorkflow:
    return c.FailWorkflow(error)


def other_error(type: str = "Other") -> Failure:
    return attrs.evolve(DECLINED, type=type)


def resolver_of(*events: Unnumbered) -> Resolver:
    return Resolver(cut_segment(W, RUN, written(*events)))


def replay_of(*events: Unnumbered) -> Replay:
    return Replay(W, RUN, written(*events))
