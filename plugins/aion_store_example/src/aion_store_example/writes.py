"""What a writer does besides appending, each within one transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import attrs

from aion_core.contracts import Answer, Package, PackageRoute
from aion_core.errors import StoreError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.storing import read_row, write_row
from aion_store_example import keys
from aion_store_example.database import Table, Transaction
from aion_store_example.rows import activities_of, read_position, summary_of

__all__ = [
    "delete_package",
    "forget_answers",
    "purge",
    "put_heartbeat",
    "put_package",
    "put_route",
    "put_stuck",
]


def put_heartbeat(
    txn: Transaction,
    workflow_id: WorkflowId,
    run_id: RunId,
    activity_id: ActivityId,
    attempt: int,
    details: Payload,
) -> None:
    """`StoreWriter.put_heartbeat`."""
    for each in list(activities_of(txn, workflow_id)):
        activity = each.activity
        if (each.run_id, activity.activity_id, activity.attempt) == (run_id, activity_id, attempt):
            key = keys.text(workflow_id) + keys.number(activity.scheduled_seq)
            txn.put(Table.ACTIVITIES, key, write_row(attrs.evolve(each, heartbeat=details)))


def put_stuck(txn: Transaction, workflow_id: WorkflowId, reason: str | None) -> None:
    """`StoreWriter.put_stuck`."""
    summary = summary_of(txn, workflow_id)
    if summary is not None and not summary.status.is_closed:
        changed = attrs.evolve(summary, stuck=reason)
        txn.put(Table.WORKFLOWS, keys.text(workflow_id), write_row(changed))


def put_package(txn: Transaction, package: Package) -> None:
    """`StoreWriter.put_package`."""
    txn.put(
        Table.PACKAGES, _package_key(package.workflow_type, package.version), write_row(package)
    )
    put_route(txn, PackageRoute(package.workflow_type, package.version))


def put_route(txn: Transaction, route: PackageRoute) -> None:
    """`StoreWriter.put_package_route`."""
    if txn.get(Table.PACKAGES, _package_key(route.workflow_type, route.version)) is None:
        raise StoreError(
            f"workflow {route.workflow_type!r} has no package {route.version!r} to route to; "
            "put the package first"
        )
    txn.put(Table.ROUTES, keys.text(route.workflow_type), write_row(route))


def delete_package(txn: Transaction, workflow_type: str, version: PackageVersion) -> None:
    """`StoreWriter.delete_package`."""
    txn.delete(Table.PACKAGES, _package_key(workflow_type, version))
    key = keys.text(workflow_type)
    route = txn.get(Table.ROUTES, key)
    if route is not None and read_row(PackageRoute, route).version == version:
        txn.delete(Table.ROUTES, key)


def _package_key(workflow_type: str, version: PackageVersion) -> bytes:
    return keys.text(workflow_type) + keys.text(version)


def purge(txn: Transaction, workflow_ids: Collection[WorkflowId]) -> int:
    """`StoreWriter.purge`."""
    return sum(_purge(txn, workflow_id) for workflow_id in frozenset(workflow_ids))


def _purge(txn: Transaction, workflow_id: WorkflowId) -> bool:
    summary = summary_of(txn, workflow_id)
    if summary is None:
        return False
    if not summary.status.is_closed:
        raise StoreError(
            f"workflow {workflow_id!r} is open ({summary.status.value}); nothing was purged, "
            "end it first"
        )
    key = keys.text(workflow_id)
    for found, value in list(txn.scan(Table.EVENTS, prefix=key)):
        txn.delete(Table.FEED, keys.number(read_position(value)))
        txn.delete(Table.EVENTS, found)
    txn.delete(Table.BY_START, keys.newest_first(summary.started_at) + key)
    return txn.delete(Table.WORKFLOWS, key)


def forget_answers(txn: Transaction, answered_to: datetime) -> int:
    """`StoreWriter.forget_answers`."""
    old = [
        key
        for key, value in txn.scan(Table.ANSWERS)
        if read_row(Answer, value).answered_at <= answered_to
    ]
    for key in old:
        txn.delete(Table.ANSWERS, key)
    return len(old)
