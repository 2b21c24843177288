"""Every event as it was first stored: read back for ever, and written again as it was.

``python -m tests.core.test_golden_events`` adds kinds that the file does not have; no other change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.ids import WorkflowId
from tests.core.model_values import AT, full, small

FILE = Path(__file__).parents[1] / "histories" / "events" / "every-event.json"
CLASSES = [cls for cls in vars(e).values() if isinstance(cls, type) and cls.__name__ in e.__all__]
EVENTS = [cls for cls in CLASSES if issubclass(cls, e.HistoryEvent) and cls is not e.HistoryEvent]


def golden() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def forms(cls: type[e.HistoryEvent]) -> dict[str, Any]:
    return {
        "all its fields": json.loads(encode_event(full(cls))),
        "only what it must have": json.loads(encode_event(small(cls))),
    }


FORMS = [(kind, form) for kind, stored in golden().items() for form in stored]


def test_every_event_has_been_stored() -> None:
    assert {kind_of(full(cls)) for cls in EVENTS} == set(golden())


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_an_event_that_was_stored_is_read_and_stored_as_it_was(kind: str, form: str) -> None:
    stored = golden()[kind][form]
    event = decode_event(
        kind, json.dumps(stored), seq=1, recorded_at=AT, workflow_id=WorkflowId("w")
    )
    assert json.loads(encode_event(event)) == stored


if __name__ == "__main__":
    kept = golden() if FILE.exists() else {}
    made = {kind_of(full(cls)): forms(cls) for cls in EVENTS}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(made | kept, indent=1) + "\n", encoding="utf-8")
