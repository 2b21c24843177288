"""One command at a time: from history while it answers, then for real, recorded before and after.

For drivers outside an engine, tools and tests. An engine decides over whole steps instead, and
delivers timers, signals and children itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, assert_never

import trio

from aion_core import commands as c
from aion_core import events as e
from aion_core import replay as r
from aion_core.authoring.activities import Activity, ActivityInfo
from aion_core.authoring.resources import Resources
from aion_core.contracts import ActivityAttempt, LiveExecutor
from aion_core.errors import AionError, HistoryShapeError
from aion_core.ids import ActivityId, RunId
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.payloads import Payload, PayloadConverter
from aion_runtime.executor import failed_by
from aion_runtime.recovery.recorder import Recorder

__all__ = ["resolve_or_execute_live"]

Definitions = Mapping[str, Activity[..., Any]]


async def resolve_or_execute_live(
    resolver: r.Resolver,
    recorder: Recorder,
    executor: LiveExecutor,
    command: c.Command,
    recorded_at: datetime,
    *,
    definitions: Definitions = MappingProxyType({}),
    converter: PayloadConverter | None = None,
) -> r.Recorded:
    """Answer a command from history, or carry it out.

    What history answers does not touch the executor. Else the intent is recorded, if it is not
    yet; then the executor is called, and the outcome recorded. `StartTimer` and `SpawnChild` only
    leave their intents; `AwaitTimer` and `AwaitChild` then call the executor.

    Args:
        recorder: positioned at the end of the history that the resolver has.
        recorded_at: the instant to be recorded for whatever happens here.
        definitions: activities by type, for executors that call their functions.
        converter: for the arguments and results of these.

    Raises:
        NonDeterminismError: history holds another command at this place.
        HistoryShapeError: the executor reports a failure that may be retried, which is to be
            decided by whoever calls it, or an answer that does not fit the command; no outcome was
            recorded.
        AionError: a command that only an engine can carry out; nothing was recorded.
        StoreError: as `Recorder.append`.
    """
    answer = resolver.resolve(command)
    if isinstance(answer, r.Recorded):
        return answer
    live = _Live(recorder, executor, recorded_at)
    match command:
        case c.RunActivity():
            if not resolver.is_open(command):
                await live.record(live.intent_of(command))
            return await live.run_activity(command, definitions, converter or PayloadConverter())
        case c.AwaitTimer():
            return await live.await_timer(command)
        case c.AwaitSignal():
            return await live.await_signal(command)
        case c.AwaitChild():
            return await live.await_child(command)
        case c.Park() | c.SendSignal() | c.CancelActivity() | c.CancelChild():
            raise AionError(
                f"{type(command).__name__} of workflow {recorder.workflow_id!r} cannot be carried "
                "out here, only by an engine; open the store with one"
            )
        case _:
            return live.answered(await live.record(live.intent_of(command)))


class _Live:
    """Records and executes for one run."""

    def __init__(self, recorder: Recorder, executor: LiveExecutor, recorded_at: datetime) -> None:
        self._recorder = recorder
        self._executor = executor
        self._recorded_at = recorded_at

    def intent_of(self, command: c.AnchoredCommand) -> e.HistoryEvent:
        recorder = self._recorder
        return r.intent_of(command, recorder.head + 1, self._recorded_at, recorder.workflow_id)

    async def record(self, event: e.HistoryEvent) -> e.HistoryEvent:
        await self._recorder.append([event])
        return event

    def answered(self, event: e.HistoryEvent) -> r.Recorded:
        return r.Recorded(r.resolution_of(event), event.seq, event.recorded_at)

    async def run_activity(
        self, command: c.RunActivity, definitions: Definitions, converter: PayloadConverter
    ) -> r.Recorded:
        history = await self._recorder.reload()
        attempt = _Attempt(command, history, definitions, converter)
        try:
            with attempt.cancel_scope:
                outcome = await self._executor.run_activity(attempt)
        except Exception as error:
            outcome = failed_by(error)
        else:
            if attempt.cancel_scope.cancelled_caught:
                outcome = AttemptCancelled()
        envelope = self._envelope()
        activity_id, number = command.activity_id, attempt.info.attempt
        match outcome:
            case AttemptCompleted(result):
                event: e.HistoryEvent = e.ActivityCompleted(
                    **envelope, activity_id=activity_id, result=result, attempt=number
                )
            case AttemptCancelled(detail):
                event = e.ActivityCancelled(
                    **envelope, activity_id=activity_id, attempt=number, detail=detail
                )
            case AttemptFailed(failure) if _is_final(outcome):
                event = e.ActivityFailed(
                    **envelope, activity_id=activity_id, error=failure, attempt=number
                )
            case _:
                raise HistoryShapeError(
                    f"attempt {number} of {activity_id} of workflow "
                    f"{self._recorder.workflow_id!r} failed in a way that may be retried, and is "
                    f"not recorded: {outcome}; decide about retries before this is called"
                )
        return await self._record(event)

    async def await_timer(self, command: c.AwaitTimer) -> r.Recorded:
        history = await self._recorder.reload()
        started = next(
            (
                event
                for event in reversed(history)
                if isinstance(event, e.TimerStarted) and event.timer_id == command.timer_id
            ),
            None,
        )
        if started is None:
            raise self._missing(f"TimerStarted ({command.timer_id})")
        await self._executor.start_timer(started.timer_id, started.fire_at)
        envelope = self._envelope(not_before=started.fire_at)
        return await self._record(
            e.TimerFired(**envelope, timer_id=started.timer_id, started_seq=started.seq)
        )

    async def await_signal(self, command: c.AwaitSignal) -> r.Recorded:
        payload = await self._executor.await_signal(command.name, command.index)
        return await self._record(
            e.SignalReceived(**self._envelope(), name=command.name, payload=payload)
        )

    async def await_child(self, command: c.AwaitChild) -> r.Recorded:
        history = await self._recorder.reload()
        started = next(
            (
                event
                for event in reversed(history)
                if isinstance(event, e.ChildWorkflowStarted)
                and event.child_key == command.child_key
            ),
            None,
        )
        if started is None:
            raise self._missing(f"ChildWorkflowStarted ({command.child_key})")
        child = await self._executor.spawn_child(
            started.workflow_type, started.input, started.child_workflow_id
        )
        if child.child_workflow_id != started.child_workflow_id:
            raise HistoryShapeError(
                f"the executor ran {child.child_workflow_id!r} as the child "
                f"{started.child_workflow_id!r} of workflow {self._recorder.workflow_id!r}; "
                "nothing was recorded"
            )
        match child.outcome:
            case AttemptCompleted(result):
                event: e.HistoryEvent = e.ChildWorkflowCompleted(
                    **self._envelope(), child_key=started.child_key, result=result
                )
            case AttemptFailed(failure):
                event = e.ChildWorkflowFailed(
                    **self._envelope(), child_key=started.child_key, error=failure
                )
            case _:
                assert_never(child.outcome)
        return await self._record(event)

    async def _record(self, event: e.HistoryEvent) -> r.Recorded:
        return self.answered(await self.record(event))

    def _envelope(self, not_before: datetime | None = None) -> dict[str, Any]:
        recorded_at = self._recorded_at
        return {
            "seq": self._recorder.head + 1,
            "recorded_at": recorded_at if not_before is None else max(recorded_at, not_before),
            "workflow_id": self._recorder.workflow_id,
        }

    def _missing(self, what: str) -> HistoryShapeError:
        return HistoryShapeError(
            f"workflow {self._recorder.workflow_id!r} has no {what} in its history to wait for"
        )


class _Attempt(ActivityAttempt):
    """An attempt outside of an engine: without time limits, its heartbeats kept nowhere."""

    cancel_scope: trio.CancelScope

    def __init__(
        self,
        command: c.RunActivity,
        history: Sequence[e.HistoryEvent],
        definitions: Definitions,
        converter: PayloadConverter,
    ) -> None:
        scheduled, failed, run_id = _call(history, command.activity_id)
        self.info = ActivityInfo(
            workflow_id=scheduled.workflow_id,
            run_id=run_id,
            activity_id=scheduled.activity_id,
            activity_type=scheduled.activity_type,
            attempt=failed + 1,
        )
        # What was recorded holds, whatever the code asks for today.
        self.input = scheduled.input
        self.options = scheduled.options
        self.converter = converter
        self.cancel_scope = trio.CancelScope()
        self.last_heartbeat = None
        self.resources = Resources()
        self._definitions = definitions

    @property
    def definition(self) -> Activity[..., Any]:  # type: ignore[override]  # only read
        found = self._definitions.get(self.info.activity_type)
        if found is None:
            raise AionError(
                f"the definition of activity {self.info.activity_type!r} is not known here; give "
                "it to resolve_or_execute_live(definitions={...})"
            )
        return found

    @property
    def is_to_stop(self) -> bool:
        return False  # nobody asks for it here

    async def call_on_asyncio(
        self, function: Callable[..., Coroutine[Any, Any, object]], arguments: Mapping[str, object]
    ) -> object:
        await trio.lowlevel.checkpoint()
        raise AionError(
            f"activity {self.info.activity_type!r} runs on an asyncio loop, which only an engine "
            "has; open one"
        )

    def waits(self) -> None:
        """No time runs here."""

    def began(self) -> None:
        """No time runs here."""

    def heartbeat(self, details: Payload) -> None:
        self.last_heartbeat = details


def _call(
    history: Sequence[e.HistoryEvent], activity_id: ActivityId
) -> tuple[e.ActivityScheduled, int, RunId]:
    """The call of an activity in the newest run, how often it has failed, and the run."""
    failed = 0
    scheduled: e.ActivityScheduled | None = None
    for event in reversed(history):
        match event:
            case e.ActivityFailed() if event.activity_id == activity_id and scheduled is None:
                failed += 1
            case e.ActivityScheduled() if event.activity_id == activity_id and scheduled is None:
                scheduled = event
            case e.WorkflowStarted() if scheduled is not None:
                return scheduled, failed, event.run_id
    raise HistoryShapeError(f"{activity_id} is called nowhere in this history")


def _is_final(failed: AttemptFailed) -> bool:
    return failed.non_retryable or failed.failure.kind not in (None, "retryable")
