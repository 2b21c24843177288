"""All that a store holds, and its changes: each is complete when its method returns, or refused.

No waiting happens here: what one task does, no other sees half of.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from aion_core.contracts import (
    Append,
    DueTimer,
    FeedItem,
    OpenActivity,
    Package,
    PackageRoute,
    StoreStats,
)
from aion_core.errors import StoreError
from aion_core.ids import PackageVersion, WorkflowId
from aion_core.storing import EventRow, event_rows
from aion_store_memory.mailbox import Mailbox, require_storable
from aion_store_memory.workflow import Start, StoredWorkflow

__all__ = ["Contents"]


class _Logged(NamedTuple):
    position: int
    workflow: StoredWorkflow
    row: EventRow


class Contents:
    """The tables of a store.

    Attributes:
        workflows: by id.
        mailbox: messages and answers.
        packages: by type and version.
        routes: version by type.
    """

    def __init__(self) -> None:
        self.workflows: dict[WorkflowId, StoredWorkflow] = {}
        self.mailbox = Mailbox()
        self.packages: dict[tuple[str, PackageVersion], Package] = {}
        self.routes: dict[str, PackageVersion] = {}
        self._log: list[_Logged] = []
        self._last_position = 0
        self._starts: dict[str, list[Start]] = {}

    def append(self, append: Append) -> None:
        """Take an append, all of it or nothing.

        Raises:
            StoreError: it is refused; its class says why.
        """
        rows = event_rows(append)
        workflow_id = append.workflow_id
        workflow = self.workflows.get(workflow_id) or StoredWorkflow(workflow_id)
        workflow.require_head(append.expected_seq)
        self.mailbox.require_pending(workflow_id, append.consume)
        for message in append.post:
            require_storable(message)
        for answer in append.answer:
            require_storable(answer)
        # The last step that can fail, and it leaves nothing if it does.
        starts = workflow.append(rows)
        if rows:
            self.workflows[workflow_id] = workflow
        for position, row in enumerate(rows, self._last_position + 1):
            self._log.append(_Logged(position, workflow, row))
        self._last_position += len(rows)
        for start in starts:
            self._count(start)
        self.mailbox.consume(append.consume)
        for message in append.post:
            self.mailbox.post(message)
        for answer in append.answer:
            self.mailbox.answer(answer)

    def timers(self) -> list[DueTimer]:
        """Open timers of runs that go on."""
        return [
            DueTimer(workflow.workflow_id, workflow.summary.run_id, timer)
            for workflow in self._that_go_on()
            for timer in workflow.projection.timers.values()
        ]

    def activities(self) -> list[OpenActivity]:
        """Open activities of runs that go on."""
        return [
            OpenActivity(
                workflow.workflow_id,
                workflow.summary.run_id,
                activity,
                workflow.heartbeats.get(activity.scheduled_seq),
            )
            for workflow in self._that_go_on()
            for activity in workflow.projection.activities.values()
        ]

    def feed(self, after: int, limit: int) -> list[FeedItem]:
        """Events behind a position."""
        first = bisect.bisect_right(self._log, after, key=lambda logged: logged.position)
        return [
            FeedItem(position, workflow.decode_one(row))
            for position, workflow, row in self._log[first : first + limit]
        ]

    def starts(self, name: str) -> list[datetime]:
        """When attempts under a rate limit were begun."""
        return sorted(start.at for start in self._starts.get(name, ()))

    def put_package(self, package: Package) -> None:
        """Keep a package and route to it."""
        self.packages[package.workflow_type, package.version] = package
        self.routes[package.workflow_type] = package.version

    def put_route(self, route: PackageRoute) -> None:
        """Route to a package.

        Raises:
            StoreError: there is no such package.
        """
        if (route.workflow_type, route.version) not in self.packages:
            raise StoreError(
                f"there is no package of workflow {route.workflow_type!r} with version "
                f"{route.version!r} to route to; put it first"
            )
        self.routes[route.workflow_type] = route.version

    def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        """Forget a package and the route to it."""
        self.packages.pop((workflow_type, version), None)
        if self.routes.get(workflow_type) == version:
            del self.routes[workflow_type]

    def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        """Delete closed workflows, all or none; returns how many.

        Raises:
            StoreError: one is open.
        """
        known = self.workflows.keys() & set(workflow_ids)
        for workflow_id in sorted(known):
            if self.workflows[workflow_id].projection.is_open:
                raise StoreError(
                    f"workflow {workflow_id!r} is open, nothing was deleted; purge closed "
                    "workflows only"
                )
        for workflow_id in known:
            del self.workflows[workflow_id]
        if known:
            self._log = [each for each in self._log if each.workflow.workflow_id not in known]
        return len(known)

    def stats(self) -> StoreStats:
        """How much there is."""
        workflows = self.workflows.values()
        return StoreStats(
            workflows=len(workflows),
            open_workflows=sum(workflow.projection.is_open for workflow in workflows),
            events=len(self._log),
            timers=sum(len(workflow.projection.timers) for workflow in workflows),
            activities=sum(len(workflow.projection.activities) for workflow in workflows),
            messages=self.mailbox.pending,
            answers=self.mailbox.answered,
        )

    def _that_go_on(self) -> Iterable[StoredWorkflow]:
        return (workflow for workflow in self.workflows.values() if workflow.goes_on)

    def _count(self, start: Start) -> None:
        known = self._starts.get(start.limit, [])
        kept = [each for each in known if (start.at - each.at).total_seconds() <= each.window]
        self._starts[start.limit] = [*kept, start]
