"""The writer: makes each write ready and submits it to the group commit, which makes it durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar, cast

import trio

from aion_core.contracts import Append, Package, PackageRoute, StoreWriter
from aion_core.errors import StoreError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_store_sqlite import mail, packages, rows, upkeep
from aion_store_sqlite.encoded import EncodedAppend, SideWrite, encode
from aion_store_sqlite.group_commit import GroupCommit
from aion_store_sqlite.log import Write

__all__ = ["SqliteWriter"]

Result = TypeVar("Result")


class SqliteWriter(StoreWriter):
    """Writes as long as the group commit runs."""

    def __init__(self, group: GroupCommit[Write, object], *, after_crash: bool) -> None:
        self._group = group
        self.after_crash = after_crash

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        await trio.lowlevel.checkpoint_if_cancelled()
        sound: list[EncodedAppend] = []
        refused: dict[int, StoreError] = {}
        for place, append in enumerate(appends):
            try:
                sound.append(encode(append))
            except StoreError as refusal:
                refused[place] = refusal
        # Submitted even when nothing is left: a fenced writer is to learn it.
        outcomes = cast("Sequence[StoreError | None]", await self._group.submit(sound))
        if not refused:
            return outcomes
        others = iter(outcomes)
        return [refused.get(place) or next(others) for place in range(len(appends))]

    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        await self._write(
            f"a heartbeat of {activity_id} of workflow {workflow_id!r}",
            lambda cursor: rows.put_heartbeat(
                cursor, workflow_id, run_id, activity_id, attempt, details
            ),
        )

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        await self._write(
            f"why workflow {workflow_id!r} is stuck",
            lambda cursor: rows.put_stuck(cursor, workflow_id, reason),
        )

    async def put_package(self, package: Package) -> None:
        await self._write(
            f"a package of workflow {package.workflow_type!r}",
            lambda cursor: packages.put_package(cursor, package),
        )

    async def put_package_route(self, route: PackageRoute) -> None:
        await self._write(
            f"a route of workflow {route.workflow_type!r}",
            lambda cursor: packages.put_package_route(cursor, route),
        )

    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        await self._write(
            f"the end of a package of workflow {workflow_type!r}",
            lambda cursor: packages.delete_package(cursor, workflow_type, version),
        )

    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        ids = frozenset(workflow_ids)
        return await self._write(
            "a purge", lambda cursor: upkeep.purge(cursor, ids), moves_heads=True
        )

    async def forget_answers(self, answered_to: datetime) -> int:
        return await self._write(
            "the end of answers", lambda cursor: mail.forget_answers(cursor, answered_to)
        )

    async def _write(
        self,
        what: str,
        apply: Callable[[sqlite3.Cursor], Result],
        *,
        moves_heads: bool = False,
    ) -> Result:
        await trio.lowlevel.checkpoint_if_cancelled()
        (result,) = await self._group.submit([SideWrite(what, apply, moves_heads)])
        if isinstance(result, StoreError):
            raise result
        return cast("Result", result)
