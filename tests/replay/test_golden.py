"""Golden histories are read, replayed, and written again by today's machine."""

import json

import pytest

from aion_core.authoring.workflows import Workflow
from aion_core.codec import encode_event
from aion_core.history import RunProjection
from aion_core.ids import WorkflowId
from tests.machine.driver import machine_for
from tests.replay.golden import FOLDER, GOLDEN, made_now, path_of, read

each = pytest.mark.parametrize("name", GOLDEN)


def test_every_golden_history_is_replayed() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GOLDEN)


@each
def test_a_golden_history_replays(name: str) -> None:
    history = read(name)
    code: Workflow[..., object] = GOLDEN[name][0]
    assert machine_for(history[0], code).replay(history) == []


@each
def test_today_the_same_arrivals_give_the_golden_history(name: str) -> None:
    assert made_now(name) == read(name)


@each
def test_a_golden_event_is_stored_today_as_it_was(name: str) -> None:
    rows = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert [json.loads(encode_event(event)) for event in read(name)] == [
        row["fields"] for row in rows
    ]


@each
def test_a_golden_history_is_projected(name: str) -> None:
    state = RunProjection(WorkflowId("w"), read(name))
    assert (state.is_open, state.timers, state.activities) == (False, {}, {})
