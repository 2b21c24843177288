"""Events to text and back, against JSON alone: processor time per event."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.ids import ActivityId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions

__all__ = ["measure"]

EVENTS = 3_000
ROUNDS = 15
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
# 295 bytes, as an order of three lines has.
BODY = json.dumps(
    {
        "order": {
            "number": "N-1",
            "customer": "someone@example.org",
            "note": "leave it at the door",
            "lines": [
                {"sku": f"sku-{line}", "quantity": line, "price": "12.50", "gift": False}
                for line in range(3)
            ],
        }
    }
)


async def measure(directory: Path) -> dict[str, float]:
    events = [event for place in range(EVENTS // 6) for event in six_events(place)]
    rows = [(kind_of(event), encode_event(event)) for event in events]
    plain = [json.loads(text) for _, text in rows]
    dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    raw_encode, raw_decode, encode, decode = medians(
        (dump, plain), (load, rows), (encode_event, events), (read, rows)
    )
    return {
        "encode_us": encode,
        "decode_us": decode,
        "raw_dumps_us": raw_encode,
        "raw_loads_us": raw_decode,
        "encode_ratio": encode / raw_encode,
        "decode_ratio": decode / raw_decode,
        "bytes_per_event": statistics.mean(len(text.encode()) for _, text in rows),
    }


def six_events(place: int) -> list[e.HistoryEvent]:
    """What a workflow records most: an activity, one delivered again, a timer, a signal."""
    payload = Payload(JSON, BODY.encode())
    activity, timer = ActivityId(f"activity:{place}"), TimerId(f"timer:{place}")
    envelope: dict[str, Any] = {"seq": 1, "recorded_at": AT, "workflow_id": WorkflowId("w")}
    return [
        e.ActivityScheduled(
            **envelope,
            activity_id=activity,
            activity_type="charge",
            input=payload,
            options=ActivityOptions(start_to_close=30.0),
        ),
        e.ActivityStarted(**envelope, activity_id=activity, attempt=1, delivery=2),
        e.ActivityCompleted(**envelope, activity_id=activity, result=payload, attempt=1),
        e.TimerStarted(**envelope, timer_id=timer, fire_at=AT + timedelta(seconds=place, days=1)),
        e.TimerFired(**envelope, timer_id=timer, started_seq=place + 1),
        e.SignalReceived(**envelope, name="approve", payload=payload, signal_id=f"s{place}"),
    ]


def load(row: tuple[str, str]) -> object:
    return json.loads(row[1])


def read(row: tuple[str, str]) -> e.HistoryEvent:
    kind, text = row
    return decode_event(kind, text, seq=1, recorded_at=AT, workflow_id=WorkflowId("w"))


def medians(*measured: tuple[Callable[[Any], object], Sequence[Any]]) -> list[float]:
    """Microseconds per call of each function over its values; the functions take turns."""
    rounds = [[microseconds(call, values) for call, values in measured] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def microseconds(call: Callable[[Any], object], values: Sequence[Any]) -> float:
    began = time.process_time()
    for value in values:
        call(value)
    return (time.process_time() - began) / len(values) * 1e6
