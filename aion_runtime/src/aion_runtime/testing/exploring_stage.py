"""The stage: a store that one engine lives on, and that dies at a chosen commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import attrs
import trio

from aion_core.authoring.signals import Signal
from aion_core.authoring.workflows import workflow
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_runtime.testing.exploring_ledger import Ledger
from aion_runtime.testing.mortal_store import MortalStore
from aion_runtime.testing.wrapping import WrappedWriter

__all__ = ["PACER_ID", "Crash", "Stage", "beat", "pacer"]

PACER_ID = WorkflowId("aion.pacer")
"""The id of a workflow that is there only to keep the dispatcher busy while a burst gathers."""

beat = Signal("beat", int)


@workflow(name="aion.pacer")
async def pacer() -> None:
    """Takes beats, for ever."""
    async for _ in beat:
        pass


@attrs.frozen
class Crash:
    """Where an engine is killed.

    Attributes:
        append: at which append of its life, from 1 on.
        moment: ``before``: nothing of it is written; ``after``: it is written, and nobody hears of
            that or acts on it.
    """

    append: int
    moment: Literal["before", "after"] = "before"

    def __str__(self) -> str:
        return f"{self.moment} append {self.append}"


class Stage(MortalStore):
    """What one engine is given.

    Args:
        crash: when the engine is to be killed; None for not at all.

    Attributes:
        crashed: set when it has been.
        appends: how many were asked for.
    """

    def __init__(
        self, inner: EventStore, ledger: Ledger, crash: Crash | None, *, after_crash: bool
    ) -> None:
        super().__init__(inner, after_crash=after_crash)
        self._ledger = ledger
        self._crash = crash
        self._curtain: trio.Event | None = None
        self.crashed = trio.Event()
        self.appends = 0

    @contextmanager
    def holding(self) -> Iterator[None]:
        """For the length of the context no append begins; what comes meanwhile gathers."""
        self._curtain = trio.Event()
        try:
            yield
        finally:
            self._curtain.set()
            self._curtain = None

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return _StageWriter(self, super().wrap(writer))

    async def commit(
        self, writer: StoreWriter, appends: Sequence[Append]
    ) -> Sequence[StoreError | None]:
        """Write, and die if it is time to."""
        if self._curtain is not None:
            await self._curtain.wait()
        counts = any(append.workflow_id != PACER_ID for append in appends)
        self.appends += counts
        here = self._crash is not None and counts and self._crash.append == self.appends
        if here and self._crash == Crash(self.appends, "before"):
            await self._die()
        refusals = await writer.append_many(appends)
        for append, refusal in zip(appends, refusals, strict=True):
            if refusal is None and append.workflow_id != PACER_ID:
                self._ledger.take(append.events)
        if here:
            await self._die()
        return refusals

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        """A workflow cannot go on."""
        self._ledger.violations.append(f"workflow {workflow_id!r} is stuck: {reason}")

    async def _die(self) -> None:
        self.die()
        self._ledger.crashed()
        self.crashed.set()
        await trio.sleep_forever()


class _StageWriter(WrappedWriter):
    def __init__(self, stage: Stage, inner: StoreWriter) -> None:
        super().__init__(stage, inner)
        self._stage = stage

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        return await self._stage.commit(self.inner, appends)

    async def append(
        self, workflow_id: WorkflowId, events: Sequence[HistoryEvent], expected_seq: int
    ) -> None:
        (refusal,) = await self.append_many([Append(workflow_id, events, expected_seq)])
        if refusal is not None:
            raise refusal

    async def put_stuck(self, workflow_id: WorkflowId, reason: str | None) -> None:
        if reason is not None:
            self._stage.stuck(workflow_id, reason)
        await super().put_stuck(workflow_id, reason)
