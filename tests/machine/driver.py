"""A shell for one run: it takes steps and keeps the history; time is what the test says it is."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import UnknownWorkflowTypeError
from aion_core.failures import Failure
from aion_core.history import ActivityRow, Change, TimerRow
from aion_core.ids import RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.outgoing import Outgoing
from aion_core.machine.run import Run, Step
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.payloads import JSON, Payload, PayloadConverter
from aion_core.replay.matching import intent_of

W = WorkflowId("w")
CONVERTER = PayloadConverter()
FAILURE = Failure(type="Declined", message="no money")


def at(seconds: float) -> datetime:
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def payload(value: object) -> Payload:
    return CONVERTER.encode(value, Any)


def catalog_of(*workflows: Workflow[..., Any]) -> Callable[[str], Workflow[..., Any]]:
    by_name = {each.name: each for each in workflows}

    def find(name: str) -> Workflow[..., Any]:
        if name not in by_name:
            raise UnknownWorkflowTypeError(name, tuple(by_name))
        return by_name[name]

    return find


def resident(history: Sequence[e.HistoryEvent], *workflows: Workflow[..., Any]) -> Run:
    """A run brought up from its history."""
    run = Run(W, history, catalog_of(*workflows), CONVERTER, nullcontext)
    _opened.append(run)
    return run


def machine_for(started: e.HistoryEvent, code: Workflow[..., Any]) -> WorkflowMachine:
    assert isinstance(started, e.WorkflowStarted)
    machine = WorkflowMachine(started, code, CONVERTER, nullcontext)
    _opened.append(machine)
    return machine


_opened: list[Run | WorkflowMachine] = []


def close_all() -> None:
    """Throw away the code of everything that a test has brought up."""
    while _opened:
        _opened.pop().close()


def start_request(
    name: str = "main", arguments: bytes = b"{}", run_id: str = "run"
) -> a.StartRequest:
    return a.StartRequest(
        workflow_type=name,
        input=Payload(JSON, arguments),
        run_id=RunId(run_id),
        package_version=e.UNVERSIONED,
        random_seed=7,
    )


class Driver:
    """One run of a workflow; ``at`` is the wall clock, in seconds, of the next step."""

    def __init__(
        self,
        code: Workflow[..., Any],
        history: Sequence[e.HistoryEvent] = (),
        *,
        others: Sequence[Workflow[..., Any]] = (),
    ) -> None:
        self.code = code
        self.others = others
        self.history = list(history)
        self.outgoing: list[Outgoing] = []
        self.changes: list[Change | None] = []
        self.run = resident(self.history, code, *others)
        self.at = 0.0
        self._signals = sum(isinstance(event, e.SignalReceived) for event in self.history)
        self._updates = 0

    def step(self, *arrivals: a.Arrival) -> Step:
        step = self.run.step(arrivals, at(self.at))
        assert step.expected_seq == len(self.history)
        self.history += step.events
        self.outgoing += step.outgoing
        self.changes += step.changes
        return step

    def start(self, **arguments: object) -> list[e.HistoryEvent]:
        data = payload(arguments).data
        return self.step(start_request(self.code.name, data)).events

    def start_later(self, seconds: float, **arguments: object) -> list[e.HistoryEvent]:
        """Start it so that its code does not run before then."""
        request = start_request(self.code.name, payload(arguments).data)
        return self.step(attrs.evolve(request, not_before=at(seconds))).events

    def reload(self) -> None:
        """Forget everything but the history."""
        self.run.close()
        self.run = resident(self.history, self.code, *self.others)

    def row(self, activity_type: str) -> ActivityRow:
        """The oldest open activity of a type."""
        rows = self.run.projection.activities.values()
        return next(row for row in rows if row.activity_type == activity_type)

    def timer(self) -> TimerRow:
        """The open timer that is due first."""
        timers = self.run.projection.timers.values()
        return min(timers, key=lambda row: (row.fire_at, row.started_seq))

    def outcome(
        self,
        row: ActivityRow,
        outcome: a.AttemptCompleted | a.AttemptFailed | a.AttemptCancelled,
        **changes: Any,
    ) -> a.ActivityOutcome:
        arrival = a.ActivityOutcome(
            run_id=self.run.run_id,
            activity_id=row.activity_id,
            scheduled_seq=row.scheduled_seq,
            attempt=row.attempt,
            outcome=outcome,
        )
        return attrs.evolve(arrival, **changes)

    def completed(self, activity_type: str, value: object = None) -> a.ActivityOutcome:
        return self.outcome(self.row(activity_type), a.AttemptCompleted(payload(value)))

    def failed(
        self, activity_type: str, failure: Failure = FAILURE, *, non_retryable: bool = False
    ) -> a.ActivityOutcome:
        outcome = a.AttemptFailed(failure, non_retryable)
        return self.outcome(self.row(activity_type), outcome)

    def cancelled(self, activity_type: str, **facts: Any) -> a.ActivityOutcome:
        return self.outcome(self.row(activity_type), a.AttemptCancelled(**facts))

    def redelivery(self, activity_type: str) -> a.Redelivery:
        row = self.row(activity_type)
        return a.Redelivery(
            activity_id=row.activity_id,
            scheduled_seq=row.scheduled_seq,
            attempt=row.attempt,
            delivery=row.delivery,
        )

    def start_of(self, activity_type: str) -> a.AttemptStart:
        """Its current attempt is about to begin, under a rate limit."""
        row = self.row(activity_type)
        return a.AttemptStart(
            activity_id=row.activity_id,
            scheduled_seq=row.scheduled_seq,
            attempt=row.attempt,
            delivery=row.delivery,
        )

    def due(self, timer: TimerRow | None = None) -> a.TimerDue:
        timer = timer or self.timer()
        return a.TimerDue(
            timer_id=timer.timer_id, started_seq=timer.started_seq, fire_at=timer.fire_at
        )

    def signalled(
        self, name: str, value: object = None, signal_id: str | None = None
    ) -> a.SignalSentToRun:
        self._signals += 1
        return a.SignalSentToRun(
            name=name, payload=payload(value), signal_id=signal_id or f"s{self._signals}"
        )

    def updated(
        self, name: str, arg: object = None, update_id: str | None = None
    ) -> a.UpdateSentToRun:
        self._updates += 1
        return a.UpdateSentToRun(
            name=name, arg=payload(arg), update_id=update_id or f"u{self._updates}"
        )

    def open_children(self) -> list[e.ChildWorkflowStarted]:
        """The children of the run that have not ended, the oldest first."""
        starts: dict[str, e.ChildWorkflowStarted] = {}
        for event in self.history:
            match event:
                case e.WorkflowStarted():
                    starts.clear()
                case e.ChildWorkflowStarted():
                    starts[event.child_key] = event
                case (
                    e.ChildWorkflowCompleted()
                    | e.ChildWorkflowFailed()
                    | e.ChildWorkflowCancelled()
                ):
                    del starts[event.child_key]
                case _:
                    pass
        return list(starts.values())

    def child(self, workflow_type: str) -> e.ChildWorkflowStarted:
        """The oldest open child of a type."""
        return next(each for each in self.open_children() if each.workflow_type == workflow_type)

    def child_ended(
        self, workflow_type: str, outcome: a.ChildCompleted | a.ChildFailed | a.ChildCancelled
    ) -> a.ChildEnded:
        key = self.child(workflow_type).child_key
        return a.ChildEnded(run_id=self.run.run_id, child_key=key, outcome=outcome)

    def complete_child(self, workflow_type: str, value: object = None) -> list[e.HistoryEvent]:
        ended = self.child_ended(workflow_type, a.ChildCompleted(payload(value)))
        return self.step(ended).events

    def fail_child(self, workflow_type: str, failure: Failure = FAILURE) -> list[e.HistoryEvent]:
        return self.step(self.child_ended(workflow_type, a.ChildFailed(failure))).events

    def cancel_child(self, workflow_type: str) -> list[e.HistoryEvent]:
        """A child of a type has ended by cancellation."""
        return self.step(self.child_ended(workflow_type, a.ChildCancelled("stopped"))).events

    def update(self, name: str, arg: object = None) -> list[e.HistoryEvent]:
        """An update is sent, and must not be refused."""
        step = self.step(self.updated(name, arg))
        assert step.refusals == [None]
        return step.events

    def cancel_run(self, reason: str = "enough") -> list[e.HistoryEvent]:
        """Somebody asks the run to stop, and must not be refused."""
        step = self.step(a.CancelRequest(reason=reason))
        assert step.refusals == [None]
        return step.events

    def ask(self, query: str) -> Any:
        """The answer to a query, as JSON has it."""
        return CONVERTER.decode(self.run.ask(query), Any)

    def complete(self, activity_type: str, value: object = None) -> list[e.HistoryEvent]:
        return self.step(self.completed(activity_type, value)).events

    def fail(self, activity_type: str, *, non_retryable: bool = True) -> list[e.HistoryEvent]:
        return self.step(self.failed(activity_type, non_retryable=non_retryable)).events

    def cancel(self, activity_type: str) -> list[e.HistoryEvent]:
        return self.step(self.cancelled(activity_type)).events

    def fire(self) -> list[e.HistoryEvent]:
        """The next timer comes due, at its time."""
        timer = self.timer()
        self.at = (timer.fire_at - at(0)).total_seconds()
        return self.step(self.due(timer)).events

    def fire_all(self) -> None:
        while self.run.is_open and self.run.projection.timers:
            self.fire()

    def signal(self, name: str, value: object = None) -> list[e.HistoryEvent]:
        return self.step(self.signalled(name, value)).events

    @property
    def result(self) -> Any:
        terminal = self.run.terminal
        assert isinstance(terminal, e.WorkflowCompleted), terminal
        return self.code.signature.decode_result(terminal.result, CONVERTER)

    @property
    def failure(self) -> Failure:
        terminal = self.run.terminal
        assert isinstance(terminal, e.WorkflowFailed), terminal
        return terminal.error


def driven(fn: Callable[[], Awaitable[None]], *, not_before: float | None = None) -> Driver:
    """A run of an async function without arguments, after its first activation."""

    async def main() -> None:
        await fn()

    driver = Driver(workflow(main))
    if not_before is None:
        driver.start()
    else:
        driver.start_later(not_before)
    return driver


def check_replays(driver: Driver) -> None:
    """What the machine wrote it asks for again, from every prefix that ends before an arrival."""
    history = driver.history
    ends = [seq for seq in range(1, len(history)) if e.is_arrival(history[seq])]
    for end in (*ends, len(history)):
        prefix = history[:end]
        first = max(event.seq for event in prefix if isinstance(event, e.WorkflowStarted))
        started = prefix[first - 1]
        assert isinstance(started, e.WorkflowStarted)
        code = catalog_of(driver.code, *driver.others)(started.workflow_type)
        machine = machine_for(started, code)
        asked = [each for each in machine.replaying(prefix) if not isinstance(each, _AWAITS)]
        recorded = [event for event in prefix[first:] if e.is_intent(event)]
        again = [
            intent_of(command, event.seq, event.recorded_at, W)
            for command, event in zip(asked, recorded, strict=True)
        ]
        assert again == recorded
        assert machine.ahead == []


def refusal_of(step: Step) -> Any:
    """What became of the only arrival of a step."""
    (refusal,) = step.refusals
    return refusal


_AWAITS = (c.AwaitSignal, c.AwaitTimer, c.AwaitChild, c.Park)


def kinds(events: Sequence[e.HistoryEvent]) -> list[str]:
    return [type(event).__name__ for event in events]
