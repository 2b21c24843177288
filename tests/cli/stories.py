"""Hand-made histories, ledgers and evidence: small stories about orders and kills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs

from aion_cli.demo.evidence import Evidence, Kill
from aion_cli.demo.ledger import Execution
from aion_cli.demo.orders import End, Line, Order, Outcome
from aion_core import events as e
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload, PayloadConverter
from aion_core.policies import ActivityOptions

ORDER = Order("7", "Ada", "EUR", "tok_visa", (Line("BOOK", 2, Decimal("12.50")),), 60.0)
ID = "order-7"
NULL = Payload(JSON, b"null")
SHIPPED = End(outcome=Outcome.SHIPPED, customer="Ada", currency="EUR", charged=Decimal("25.00"))
DECLINED = End(outcome=Outcome.DECLINED, customer="Ada", currency="EUR", reason="no funds")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """A history of one order, written event by event."""

    def __init__(self, workflow_id: str = ID) -> None:
        self.id = WorkflowId(workflow_id)
        self.events: list[e.HistoryEvent] = []
        self._tell(
            e.WorkflowStarted,
            workflow_type="fulfil",
            input=PayloadConverter().encode_fields({"order": ORDER}, {"order": Order}),
            run_id=RunId("r"),
            package_version=e.UNVERSIONED,
            random_seed=1,
        )

    def scheduled(self, number: int, activity: str = "charge") -> Story:
        return self._tell(
            e.ActivityScheduled,
            activity_id=ActivityId(f"activity:{number}"),
            activity_type=activity,
            input=NULL,
            options=ActivityOptions(),
        )

    def completed(self, number: int, attempt: int = 1) -> Story:
        return self._tell(
            e.ActivityCompleted,
            activity_id=ActivityId(f"activity:{number}"),
            result=NULL,
            attempt=attempt,
        )

    def failed(self, number: int, attempt: int = 1, *, retried: bool) -> Story:
        return self._tell(
            e.ActivityFailed,
            activity_id=ActivityId(f"activity:{number}"),
            error=Failure(type="OSError", message="no"),
            attempt=attempt,
            next_attempt_at=EPOCH if retried else None,
        )

    def waiting(self) -> Story:
        return self._tell(e.TimerStarted, timer_id=TimerId("timer:0"), fire_at=EPOCH)

    def answered(self) -> Story:
        self._tell(e.SignalReceived, name="approval", payload=NULL)
        return self._tell(e.TimerCancelled, timer_id=TimerId("timer:0"))

    def ended(self, end: End = SHIPPED) -> Story:
        return self._tell(e.WorkflowCompleted, result=PayloadConverter().encode(end, End))

    def broke(self, type: str, message: str) -> Story:
        return self._tell(e.WorkflowFailed, error=Failure(type=type, message=message))

    def until(self, seq: int) -> list[e.HistoryEvent]:
        return self.events[:seq]

    def _tell(self, event: type[e.HistoryEvent], **fields: object) -> Story:
        seq = len(self.events) + 1
        told = event(
            seq=seq,
            recorded_at=EPOCH + timedelta(seconds=seq),
            workflow_id=self.id,
            **fields,
        )
        self.events.append(told)
        return self


def ran(
    number: int, *, pid: int, attempt: int = 1, activity: str = "charge", id: str = ID
) -> Execution:
    return Execution(
        pid=pid,
        count=1,
        workflow_id=id,
        activity_id=f"activity:{number}",
        activity=activity,
        attempt=attempt,
    )


def kill(
    number: int,
    ledger: Sequence[Execution],
    *histories: Sequence[e.HistoryEvent],
    pid: int | None = None,
) -> Kill:
    return Kill(
        number=number,
        pid=number if pid is None else pid,
        ledger=ledger,
        histories={history[0].workflow_id: history for history in histories},
    )


def good_evidence() -> Evidence:
    """One order, one kill that found a charge in flight, and one that found it waiting."""
    story = Story().scheduled(0).completed(0).waiting().answered()
    story.scheduled(1, "ship").failed(1, retried=True).completed(1, attempt=2).ended()
    ledger = [
        ran(0, pid=1),
        ran(0, pid=2),
        ran(1, pid=3, activity="ship"),
        ran(1, pid=3, activity="ship", attempt=2),
    ]
    return Evidence(
        ledger=ledger,
        kills=[
            kill(1, ledger[:1], story.until(2)),
            kill(2, ledger[:2], story.until(4)),
        ],
        histories={ID: story.events},
    )


def with_line(evidence: Evidence, line: Execution) -> Evidence:
    """The same, with one more line at the end of the ledger."""
    return attrs.evolve(evidence, ledger=[*evidence.ledger, line])
