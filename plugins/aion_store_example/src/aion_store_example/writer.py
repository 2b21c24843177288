"""The writer: each of its calls is one transaction, which only the newest epoch may make."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import trio

from aion_core.contracts import Append, Package, PackageRoute, StoreWriter
from aion_core.errors import FencedError, StoreError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_store_example import appending, writes
from aion_store_example.database import Database, Transaction
from aion_store_example.lock import Claim, claim, holds, release

__all__ = ["LmdbWriter", "Writing"]

T = TypeVar("T")


class LmdbWriter(StoreWriter):
    """The authority to write, with the lock that shows that it is in use."""

    def __init__(self, database: Database, claimed: Claim, one: trio.CapacityLimiter) -> None:
        self.after_crash = claimed.after_crash
        self._database = database
        self._claim = claimed
        self._one = one
        self._left = False

    async def _write(self, change: Callable[[Transaction], T]) -> T:
        # Waiting for the thread to be free can be cancelled, the thread cannot: once the
        # transaction has begun its outcome is what is returned.
        return await trio.to_thread.run_sync(self._commit, change, limiter=self._one)

    def _commit(self, change: Callable[[Transaction], T]) -> T:
        if self._left:
            raise StoreError(
                f"the writer of {self._database.directory} has left its context; nothing was "
                "written, get another from writer()"
            )
        with self._database.writing() as txn:
            if not holds(txn, self._claim):
                raise FencedError(
                    f"another writer has taken over {self._database.directory}; nothing was "
                    "written, and this one must stop"
                )
            return change(txn)

    async def leave(self) -> None:
        """Give the authority back, behind the writes that are under way."""
        await trio.to_thread.run_sync(self._leave, limiter=self._one)

    def _leave(self) -> None:
        self._left = True
        release(self._database, self._claim)

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        return await self._write(lambda txn: appending.append_many(txn, appends))

    async def put_heartbeat(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        activity_id: ActivityId,
        attempt: int,
        details: Payload,
    ) -> None:
        await self._write(
            lambda txn: writes.put_heartbeat(
                txn, workflow_id, run_id, activity_id, attempt, details
            )
        )

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        await self._write(lambda txn: writes.put_stuck(txn, workflow_id, reason))

    async def put_package(self, package: Package) -> None:
        await self._write(lambda txn: writes.put_package(txn, package))

    async def put_package_route(self, route: PackageRoute) -> None:
        await self._write(lambda txn: writes.put_route(txn, route))

    async def delete_package(self, workflow_type: str, version: PackageVersion) -> None:
        await self._write(lambda txn: writes.delete_package(txn, workflow_type, version))

    async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
        return await self._write(lambda txn: writes.purge(txn, workflow_ids))

    async def forget_answers(self, answered_to: datetime) -> int:
        return await self._write(lambda txn: writes.forget_answers(txn, answered_to))


class Writing:
    """The context of a writer. A class: dropped without being left, it is simply gone."""

    def __init__(self, database: Database, takeover: bool, one: trio.CapacityLimiter) -> None:
        self._database = database
        self._takeover = takeover
        self._one = one
        self._writer: LmdbWriter | None = None

    async def __aenter__(self) -> LmdbWriter:
        claimed = await trio.to_thread.run_sync(
            claim, self._database, self._takeover, limiter=self._one
        )
        self._writer = LmdbWriter(self._database, claimed, self._one)
        return self._writer

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            # A commit, not to be cancelled; if it fails, the next writer believes that this one
            # crashed, which harms nothing.
            with trio.CancelScope(shield=True), suppress(StoreError):
                await self._writer.leave()
