"""The writer: who may change the contents, and what a writer is told that may no longer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import trio

from aion_core.contracts import Append, Package, PackageRoute, StoreWriter
from aion_core.errors import FencedError, StoreError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_store_memory.contents import Contents

__all__ = ["MemoryWriter"]


class MemoryWriter(StoreWriter):
    """Changes the contents between two checkpoints, so that nobody sees half of a change.

    Attributes:
        fenced: another writer has taken over.
        closed: its context has been left.
    """

    def __init__(self, contents: Contents, *, after_crash: bool) -> None:
        self._contents = contents
        # Only of a writer that was taken over: memory does not survive any other crash.
        self.after_crash = after_crash
        self.fenced = False
        self.closed = False

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        contents = await self._enter()
        return [_refusal(contents, append) for append in appends]

    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        contents = await self._enter()
        workflow = contents.workflows.get(workflow_id)
        if workflow is not None:
            workflow.put_heartbeat(run_id, activity_id, attempt, details)

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        contents = await self._enter()
        workflow = contents.workflows.get(workflow_id)
        if workflow is not None and workflow.projection.is_open:
            workflow.stuck = reason

    async def put_package(self, package: Package) -> None:
        contents = await self._enter()
        contents.put_package(package)

    async def put_package_route(self, route: PackageRoute) -> None:
        contents = await self._enter()
        contents.put_route(route)

    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        contents = await self._enter()
        contents.delete_package(workflow_type, version)

    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        contents = await self._enter()
        return contents.purge(workflow_ids)

    async def forget_answers(self, answered_to: datetime) -> int:
        contents = await self._enter()
        return contents.mailbox.forget(answered_to)

    async def _enter(self) -> Contents:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise StoreError("this writer has been closed, nothing was written; get a new one")
        if self.fenced:
            raise FencedError(
                "another writer has taken over this store in memory; nothing was written, "
                "and this one can write no more"
            )
        return self._contents


def _refusal(contents: Contents, append: Append) -> StoreError | None:
    try:
        contents.append(append)
    except StoreError as refusal:
        return refusal
    return None
