"""A model of a store: lists, and every answer worked out anew when it is asked for.

Made to be seen to be right, not to be used: the suite holds stores against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from aion_core import events as e
from aion_core.contracts import (
    Answer,
    Append,
    DueReason,
    DueRun,
    DueTimer,
    Message,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
)
from aion_core.errors import (
    HistoryShapeError,
    MessageGoneError,
    SequenceConflictError,
    StoreError,
)
from aion_core.events import HistoryEvent
from aion_core.history import ActivityRow, RunProjection, WorkflowSummary
from aion_core.ids import START_TIMER, PackageVersion, WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus

__all__ = ["ModelStore"]


class ModelStore:
    """What a store holds, and what it has to answer.

    Attributes:
        log: events of all workflows in the order of their commits.
        messages: that wait, in order of posting.
        answers: by message id.
        heartbeats: last details by workflow and ``scheduled_seq``.
        stuck: reasons by workflow.
        packages: by type and version.
        routes: version by type.
    """

    def __init__(self) -> None:
        self.log: list[HistoryEvent] = []
        self._purged_starts: list[tuple[str, datetime]] = []
        self.messages: list[Message] = []
        self.answers: dict[str, Answer] = {}
        self.heartbeats: dict[tuple[WorkflowId, int], Payload] = {}
        self.stuck: dict[WorkflowId, str] = {}
        self.packages: dict[tuple[str, PackageVersion], Package] = {}
        self.routes: dict[str, PackageVersion] = {}

    def append(self, append: Append) -> type[StoreError] | None:
        """Take an append, or say how it is to be refused."""
        refusal = self._refusal(append)
        if refusal is not None:
            return refusal
        workflow_id = append.workflow_id
        projection = self.projection(workflow_id)
        for event in append.events:
            projection.apply(event)
            self.log.append(event)
            self._forget_what_is_settled(projection)
        self.messages = [each for each in self.messages if each.message_id not in append.consume]
        for message in append.post:
            self.post(message)
        for answer in append.answer:
            self.answers[answer.message_id] = answer
        return None

    def post(self, message: Message) -> None:
        """Add a message, unless its id waits or is answered."""
        waiting = {each.message_id for each in self.messages}
        if message.message_id not in waiting | self.answers.keys():
            self.messages.append(message)

    def put_heartbeat(self, row: OpenActivity, attempt: int, details: Payload) -> None:
        """Keep the details of the current attempt of an open activity."""
        projection = self.projection(row.workflow_id)
        activity = projection.activities.get(row.activity.activity_id)
        if projection.summary is None or activity is None:
            return
        if (projection.summary.run_id, activity.attempt) == (row.run_id, attempt):
            self.heartbeats[row.workflow_id, activity.scheduled_seq] = details

    def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        """Keep why an open run is stuck."""
        if reason is None:
            self.stuck.pop(workflow_id, None)
        elif self.projection(workflow_id).is_open:
            self.stuck[workflow_id] = reason

    def put_package(self, package: Package) -> None:
        """Keep a package and route to it."""
        self.packages[package.workflow_type, package.version] = package
        self.routes[package.workflow_type] = package.version

    def put_package_route(self, route: PackageRoute) -> bool:
        """Route to a package; False when there is none."""
        if (route.workflow_type, route.version) not in self.packages:
            return False
        self.routes[route.workflow_type] = route.version
        return True

    def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        """Forget a package and the route to it."""
        self.packages.pop((workflow_type, version), None)
        if self.routes.get(workflow_type) == version:
            del self.routes[workflow_type]

    def purge(self, workflow_ids: Iterable[WorkflowId]) -> int | None:
        """Delete closed workflows and say how many; None when one is open."""
        gone = set(workflow_ids) & set(self.workflow_ids())
        if any(self.projection(workflow_id).is_open for workflow_id in gone):
            return None
        self._purged_starts += [each for id_ in gone for each in self._starts(id_)]
        self.log = [event for event in self.log if event.workflow_id not in gone]
        return len(gone)

    def forget_answers(self, answered_to: datetime) -> int:
        """Delete old answers and say how many."""
        old = [each for each in self.answers.values() if each.answered_at <= answered_to]
        for answer in old:
            del self.answers[answer.message_id]
        return len(old)

    def workflow_ids(self) -> list[WorkflowId]:
        """All workflows, in order of their first event."""
        return list(dict.fromkeys(event.workflow_id for event in self.log))

    def history(self, workflow_id: WorkflowId) -> list[HistoryEvent]:
        """The events of a workflow."""
        return [event for event in self.log if event.workflow_id == workflow_id]

    def projection(self, workflow_id: WorkflowId) -> RunProjection:
        """What follows from them."""
        return RunProjection(workflow_id, self.history(workflow_id))

    def summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        """A line of the list."""
        projection = self.projection(workflow_id)
        if projection.summary is None:
            return None
        stuck = self.stuck.get(workflow_id)
        return attrs.evolve(projection.summary, events=projection.head, stuck=stuck)

    def runs(self, filter: RunFilter) -> list[WorkflowSummary]:
        """The list."""
        runs = [run for run in map(self.summary, self.workflow_ids()) if run is not None]
        runs.sort(key=lambda run: run.workflow_id)
        runs.sort(key=lambda run: run.started_at, reverse=True)
        return [run for run in runs if filter.matches(run)]

    def open_activities(self) -> list[OpenActivity]:
        """Activities without an outcome of runs that go on."""
        return [
            OpenActivity(
                run.workflow_id,
                run.run_id,
                activity,
                self.heartbeats.get((run.workflow_id, activity.scheduled_seq)),
            )
            for run in sorted(self._that_go_on(), key=lambda run: run.workflow_id)
            for activity in sorted(
                self.projection(run.workflow_id).activities.values(),
                key=lambda activity: activity.scheduled_seq,
            )
        ]

    def timers(self) -> list[DueTimer]:
        """Open timers of runs that go on."""
        timers = [
            DueTimer(run.workflow_id, run.run_id, timer)
            for run in self._that_go_on()
            for timer in self.projection(run.workflow_id).timers.values()
        ]
        timers.sort(key=lambda row: (row.timer.fire_at, row.timer.started_seq, row.workflow_id))
        return timers

    def due_work(self, now: datetime) -> list[DueRun]:
        """What an engine that starts has to do."""
        reasons: dict[DueReason, set[WorkflowId]] = {
            DueReason.MESSAGE: {message.target for message in self.messages},
            DueReason.TIMER: {
                row.workflow_id
                for row in self.timers()
                if row.timer.fire_at <= now and row.timer.timer_id != START_TIMER
            },
            DueReason.ACTIVITY: {
                row.workflow_id for row in self.open_activities() if _is_due(row.activity, now)
            },
            DueReason.STUCK: set(self.stuck),
        }
        known = [run.workflow_id for run in self.runs(RunFilter())]
        known.sort()
        known.sort(key=self._started_at)
        unknown = sorted(reasons[DueReason.MESSAGE] - set(known))
        due = []
        for workflow_id in (*known, *unknown):
            said = tuple(reason for reason in DueReason if workflow_id in reasons[reason])
            if said:
                due.append(DueRun(workflow_id, said))
        return due

    def limit_starts(self, name: str, since: datetime) -> list[datetime]:
        """Starts of attempts under a rate limit, those of purged workflows among them."""
        starts = [*self._purged_starts]
        for workflow_id in self.workflow_ids():
            starts += self._starts(workflow_id)
        return sorted(at for limit, at in starts if limit == name and at >= since)

    def _starts(self, workflow_id: WorkflowId) -> list[tuple[str, datetime]]:
        starts: list[tuple[str, datetime]] = []
        limits: dict[str, str | None] = {}
        for event in self.history(workflow_id):
            if isinstance(event, e.ActivityScheduled):
                limit = event.options.limit
                is_rated = limit is not None and limit.rate is not None
                limits[event.activity_id] = limit.name if limit is not None and is_rated else None
            elif isinstance(event, e.ActivityStarted):
                name = limits[event.activity_id]
                if name is not None:
                    starts.append((name, event.recorded_at))
        return starts

    def _refusal(self, append: Append) -> type[StoreError] | None:
        history = self.history(append.workflow_id)
        wanted = range(append.expected_seq + 1, append.expected_seq + 1 + len(append.events))
        if [event.seq for event in append.events] != list(wanted):
            return StoreError
        if len(history) != append.expected_seq:
            return SequenceConflictError
        mine = [each.message_id for each in self.messages if each.target == append.workflow_id]
        if any(message_id not in mine for message_id in append.consume):
            return MessageGoneError
        try:
            RunProjection(append.workflow_id, [*history, *append.events])
        except HistoryShapeError:
            return StoreError
        return None

    def _forget_what_is_settled(self, projection: RunProjection) -> None:
        workflow_id = projection.workflow_id
        if not projection.is_open:
            self.stuck.pop(workflow_id, None)
        still_open = {activity.scheduled_seq for activity in projection.activities.values()}
        self.heartbeats = {
            (owner, seq): details
            for (owner, seq), details in self.heartbeats.items()
            if owner != workflow_id or seq in still_open
        }

    def _that_go_on(self) -> list[WorkflowSummary]:
        return self.runs(RunFilter(status=WorkflowStatus.RUNNING, stuck=False))

    def _started_at(self, workflow_id: WorkflowId) -> datetime:
        summary = self.summary(workflow_id)
        assert summary is not None
        return summary.started_at


def _is_due(activity: ActivityRow, now: datetime) -> bool:
    if activity.cancel_requested:
        return True
    if activity.held:
        return False
    return activity.next_attempt_at is None or activity.next_attempt_at <= now
