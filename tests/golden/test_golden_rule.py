"""The golden rule: a crash, wherever it comes, changes nothing that anybody can see.

The tales are in themed modules beside this one; how they are explored, and what is compared, is
`aion_runtime.testing.explore_crashes`.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aion_runtime as aion
from aion_core import events as e
from aion_runtime import api
from aion_runtime.testing import Crash
from aion_runtime.testing.script import Item, Script
from tests.golden import acts
from tests.golden.exploration import explored
from tests.golden.tales import Failed, Tale
from tests.golden.workflows import TALES, THEMES, tale_of

each = pytest.mark.parametrize("tale", TALES, ids=[tale.workflow.name for tale in TALES])

ON_DISK = [
    "cleaning_up",
    "counter",
    "in_rounds",
    "leaving_children",
    "polling",
    "sender",
]
"""Tales that are explored over SQLite, too."""


@each
def test_a_crash_at_any_append_changes_nothing(tale: Tale) -> None:
    found = explored(tale)
    if isinstance(tale.result, Failed):
        assert found.failure is not None
        assert found.failure[0] == tale.result.type
    else:
        assert (found.failure, found.result) == (None, tale.result)


@pytest.mark.parametrize("name", ON_DISK)
def test_a_crash_at_any_append_changes_nothing_on_disk(name: str, tmp_path: Path) -> None:
    explored(tale_of(name), store=f"sqlite:///{tmp_path}/{{run}}.db")


crashes_in_turn = st.lists(
    st.builds(Crash, st.integers(1, 7), st.sampled_from(["before", "after"])),
    min_size=1,
    max_size=3,
)


def scripts(tale: Tale) -> st.SearchStrategy[list[Item]]:
    """Its own script with more in between, or any order of what may happen."""
    if not tale.alphabet:
        return st.just([])
    anything = st.sampled_from(tale.alphabet)
    inserted = st.lists(st.tuples(st.integers(0, len(tale.script)), anything), max_size=3)
    return st.one_of(
        inserted.map(lambda more: _with(tale.script, more)), st.lists(anything, max_size=9)
    )


def _with(script: Script, more: list[tuple[int, Item]]) -> list[Item]:
    longer = list(script)
    for place, item in more:
        longer.insert(place, item)
    return longer


@each
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_crashes_anywhere_in_any_script_change_nothing(tale: Tale, data: st.DataObject) -> None:
    script = data.draw(scripts(tale), label="script")
    plans = data.draw(st.lists(crashes_in_turn, min_size=1, max_size=2), label="crashes")
    # With 0 a run leaves memory whenever it waits: an eviction is nothing that anybody can see.
    resident_bytes = data.draw(st.sampled_from([10**9, 0]), label="resident bytes")
    explored(tale, script, plans, resident_bytes=resident_bytes)


def test_the_tales_have_every_event_that_a_run_brings_about_by_itself() -> None:
    by_operators = {
        e.WorkflowPaused,
        e.WorkflowResumed,
        e.WorkflowReopened,
        e.WorkflowVersionAdopted,
        e.WorkflowTimedOut,
    }
    kinds = {
        kind
        for kind in vars(e).values()
        if inspect.isclass(kind)
        and issubclass(kind, e.HistoryEvent)
        and kind is not e.HistoryEvent
        and not kind.__name__.startswith("Schedule")
    }
    found = {
        type(event)
        for tale in TALES
        for history in explored(tale, crashes=[]).histories.values()
        for event in history
    }
    assert found == kinds - by_operators


def test_the_tales_use_everything_that_a_workflow_can() -> None:
    in_activities = {
        "activity_info",
        "check_cancelled",
        "heartbeat",
        "last_heartbeat",
        "resource",
    }
    offered = {
        name
        for name in api.__all__
        if getattr(getattr(api, name), "__module__", "").startswith(
            ("aion_core.authoring", "aion_core.machine")
        )
        and (name[0].islower() or name in ("CancelScope", "Event", "Lock", "Semaphore"))
    }
    used = {
        node.attr
        for theme in (*THEMES, acts)
        for node in ast.walk(ast.parse(inspect.getsource(theme)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "aion"
    }
    assert offered - in_activities - used == set()
    assert {"Signal", "Query", "Update"} <= used


def test_there_are_forty_tales() -> None:
    assert len({tale.workflow.name for tale in TALES}) == len(TALES) >= 40
    assert all(isinstance(tale.workflow, aion.Workflow) for tale in TALES)
