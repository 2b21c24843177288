"""Recovery at start: brings back the runs that have work due, and leaves the rest asleep."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from aion_core.contracts import EventStore, OpenActivity
from aion_core.ids import WorkflowId
from aion_runtime.alarms import Alarms
from aion_runtime.dispatcher import Dispatcher

__all__ = ["RecoveryReport", "recover_due_runs"]

PAGE = 1000


@attrs.frozen
class RecoveryReport:
    """What an engine found when it opened its store.

    Attributes:
        resumed: workflows with work due that were brought back.
        stuck: workflows with work due that cannot go on in this engine, and why.
    """

    resumed: tuple[WorkflowId, ...]
    stuck: Mapping[WorkflowId, str]


async def recover_due_runs(
    store: EventStore, dispatcher: Dispatcher, alarms: Alarms[datetime], now: datetime
) -> RecoveryReport:
    """Load every run with a due timer or an unfinished attempt, and wait until all are loaded.

    Due timers and attempts are taken up by the first steps; attempts planned for later get an
    alarm. Start-up therefore costs what is due, not what exists.
    """
    due: dict[WorkflowId, None] = {}
    for timer in await store.expired_timers(now):
        due[timer.workflow_id] = None
    after = None
    while page := await store.open_activities(after=after, limit=PAGE):
        for each in page:
            if _is_due(each, now):
                due[each.workflow_id] = None
            else:
                _plan(each, dispatcher, alarms)
        after = (page[-1].workflow_id, page[-1].activity.scheduled_seq)
    for workflow_id in due:
        dispatcher.wake(workflow_id)
    await dispatcher.loaded()
    return RecoveryReport(
        resumed=tuple(each for each in due if each not in dispatcher.stuck),
        stuck={each: dispatcher.stuck[each] for each in due if each in dispatcher.stuck},
    )


def _is_due(each: OpenActivity, now: datetime) -> bool:
    row = each.activity
    return row.cancel_requested or row.next_attempt_at is None or row.next_attempt_at <= now


def _plan(each: OpenActivity, dispatcher: Dispatcher, alarms: Alarms[datetime]) -> None:
    assert each.activity.next_attempt_at is not None
    alarms.set(each.activity.next_attempt_at, lambda: dispatcher.wake(each.workflow_id))
