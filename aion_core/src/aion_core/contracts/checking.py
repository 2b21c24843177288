"""Checking a store: what it keeps beside its histories is held against them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs

from aion_core.contracts.messages import UnreadableMessage
from aion_core.errors import HistoryShapeError, StoreError
from aion_core.history import (
    ActivityRow,
    RunProjection,
    TimerRow,
    WorkflowSummary,
    run_chain,
)
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus

if TYPE_CHECKING:
    from aion_core.contracts.stores import EventStore

__all__ = ["check_store"]

Row = TypeVar("Row")


async def check_store(store: EventStore) -> list[str]:
    """See `EventStore.check`."""
    found: list[str] = []
    unreadable: set[WorkflowId] = set()
    timers = await _looked_at(partial(_kept_timers, store), found)
    activities = await _looked_at(partial(_kept_activities, store), found)
    found += await _looked_at(partial(_unreadable_messages, store), found) or ()
    found += await _looked_at(partial(_wrong_routes, store), found) or ()
    for workflow_id in await store.list_workflow_ids():
        try:
            summary = await store.read_summary(workflow_id)
            history = await store.read_history(workflow_id)
            projection = RunProjection(workflow_id, history)
            run_chain(workflow_id, history)
        except (StoreError, HistoryShapeError) as error:
            found.append(str(error))
            unreadable.add(workflow_id)
            continue
        if summary is None:
            continue  # purged since the ids were listed
        found += _differences(summary, projection)
        if summary.status is WorkflowStatus.RUNNING and summary.stuck is None:
            # Of the others the store lists no rows.
            found += _lost(summary, "timers", projection.timers.values(), timers)
            found += _lost(summary, "activities", projection.activities.values(), activities)
    found += [
        f"{row} of workflow {workflow_id!r} follows from no event"
        for workflow_id, row in (*(timers or ()), *(activities or ()))
        if workflow_id not in unreadable
    ]
    return found


async def _kept_timers(store: EventStore) -> set[tuple[WorkflowId, TimerRow]]:
    return {(each.workflow_id, each.timer) for each in await store.expired_timers(_LAST)}


async def _kept_activities(store: EventStore) -> set[tuple[WorkflowId, ActivityRow]]:
    return {(each.workflow_id, each.activity) async for each in store.all_activities()}


async def _unreadable_messages(store: EventStore) -> list[str]:
    return [
        f"message {message.message_id!r} to workflow {message.target!r} cannot be read: "
        f"{message.reason}"
        async for stored in store.all_messages()
        if isinstance(message := stored.message, UnreadableMessage)
    ]


async def _wrong_routes(store: EventStore) -> list[str]:
    known = {(each.workflow_type, each.version) for each in await store.list_packages()}
    return [
        f"workflow {route.workflow_type!r} goes by the package {route.version!r}, "
        "which is not there"
        for route in await store.list_package_routes()
        if (route.workflow_type, route.version) not in known
    ]


async def _looked_at(look: Callable[[], Awaitable[Row]], found: list[str]) -> Row | None:
    """What there is; None, and why it could not be read, so that the rest is looked at all the
    same.
    """
    try:
        return await look()
    except StoreError as error:
        found.append(str(error))
        return None


def _differences(summary: WorkflowSummary, projection: RunProjection) -> list[str]:
    workflow_id = summary.workflow_id
    if projection.summary is None:
        return [f"workflow {workflow_id!r} has no events"]
    expected = attrs.evolve(projection.summary, events=projection.head, stuck=summary.stuck)
    return [
        f"workflow {workflow_id!r} is listed with {field.name} {kept!r}, its events say {said!r}"
        for field in attrs.fields(WorkflowSummary)
        if (kept := getattr(summary, field.name)) != (said := getattr(expected, field.name))
    ]


def _lost(
    summary: WorkflowSummary,
    what: str,
    expected: Iterable[Row],
    kept: set[tuple[WorkflowId, Row]] | None,
) -> list[str]:
    """Rows that the events call for and that are not kept; those that are leave ``kept``."""
    if kept is None:
        return []
    missing = []
    for row in expected:
        try:
            kept.remove((summary.workflow_id, row))
        except KeyError:
            missing.append(f"workflow {summary.workflow_id!r} lacks {row} among its {what}")
    return missing


_LAST = datetime.max.replace(tzinfo=UTC)
