"""Start-up: brings back the runs that have work due, and leaves the rest asleep.

What this costs follows from what is due, not from how many runs there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import attrs

from aion_core.contracts import DueReason, EventStore, OpenActivity, RunFilter, StoredMessage
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus
from aion_runtime.alarms import Alarms
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.recovery.reports import RecoveryReport, Resumed
from aion_runtime.waking import Waker

__all__ = ["StartupReport", "recover_due_runs"]

PAGE = 1000


@attrs.frozen
class StartupReport:
    """What an engine found when it opened its store.

    Attributes:
        resumed: workflows with work due that were brought back, those that started first first.
        parked: how many other open runs sleep on until something happens to them.
        stuck: workflows with work due that cannot go on in this engine, and why.
        runs: what became of each run that was loaded.
    """

    resumed: tuple[WorkflowId, ...]
    parked: int
    stuck: Mapping[WorkflowId, str]
    runs: Sequence[RecoveryReport] = ()


async def recover_due_runs(
    store: EventStore,
    dispatcher: Dispatcher,
    waker: Waker,
    alarms: Alarms[datetime],
    now: datetime,
    hand_on: Callable[[Sequence[StoredMessage]], Awaitable[None]],
    begin_timers: Callable[[], None],
) -> StartupReport:
    """Load every run that has something to be done, and wait until each has been loaded.

    Those that come first go on while the others are loaded. Messages, due timers and attempts are
    taken up by the first steps; attempts planned for later get an alarm, which rings at their
    deadline if that is earlier. Runs that another engine has found stuck are tried again.

    Args:
        hand_on: takes the messages that wait in the store.
        begin_timers: called when what has been sent is in the mailboxes, since a result that is in
            hand beats a deadline.
    """
    due = await store.due_work(now)
    waker.expect(run.workflow_id for run in due)
    waker.listed_stuck |= {run.workflow_id for run in due if DueReason.STUCK in run.reasons}
    open_runs = [
        await store.count(RunFilter(status=status))
        for status in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)
    ]
    reports: dict[WorkflowId, RecoveryReport] = {}
    waker.reports = reports
    if any(DueReason.MESSAGE in run.reasons for run in due):
        # Before the runs are loaded: an attempt whose outcome is among them is not made again.
        await hand_on([stored async for stored in store.all_messages()])
    for run in due:
        dispatcher.wake(run.workflow_id)
    await _arm_retries(store, dispatcher, alarms, now)
    begin_timers()
    await waker.loaded()
    waker.reports = None
    runs = [reports[run.workflow_id] for run in due if run.workflow_id in reports]
    resumed = [run.workflow_id for run in runs if isinstance(run.outcome, Resumed)]
    return StartupReport(
        # Brought back, one may have turned out to be stuck at its first step.
        resumed=tuple(each for each in resumed if each not in dispatcher.stuck),
        parked=max(0, sum(open_runs) - len(runs)),
        stuck={
            run.workflow_id: dispatcher.stuck[run.workflow_id]
            for run in due
            if run.workflow_id in dispatcher.stuck
        },
        runs=tuple(runs),
    )


async def _arm_retries(
    store: EventStore, dispatcher: Dispatcher, alarms: Alarms[datetime], now: datetime
) -> None:
    after = None
    while page := await store.open_activities(after=after, limit=PAGE):
        for each in page:
            _plan(each, dispatcher, alarms, now)
        after = (page[-1].workflow_id, page[-1].activity.scheduled_seq)


def _plan(
    each: OpenActivity, dispatcher: Dispatcher, alarms: Alarms[datetime], now: datetime
) -> None:
    at, deadline = each.activity.next_attempt_at, each.activity.deadline
    if at is not None and at > now:
        # Once loaded, the deadlines of its other activities are watched, too.
        first = at if deadline is None else min(at, deadline)
        alarms.set(first, lambda: dispatcher.wake(each.workflow_id))
