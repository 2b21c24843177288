"""Ids and structural positions: which texts they are, and that no two are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core.errors import InvalidIdError
from aion_core.ids import (
    ROOT_PATH,
    ChildKey,
    RunId,
    TaskPath,
    WorkflowId,
    child_path,
    child_workflow_id,
    keyed_position,
    named_timer,
    position,
    validated_workflow_id,
)


@pytest.mark.parametrize("text", ["a", "order-1042", "Größe 7", "訂單", "x" * 255, "🙂"])
def test_printable_text_is_a_workflow_id(text: str) -> None:
    assert validated_workflow_id(text) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "1 to 255"),
        ("x" * 256, "1 to 255"),
        (" a", "white space"),
        ("a\n", "white space"),
        ("a\tb", "cannot be printed"),
        ("a\x00b", "cannot be printed"),
        ("a\ud800b", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
    ],
)
def test_other_text_is_refused_with_the_rule_that_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidIdError, match=rule):
        validated_workflow_id(text)


def test_a_refused_id_is_named() -> None:
    with pytest.raises(InvalidIdError, match=r"'a\\tb'"):
        validated_workflow_id("a\tb")


def test_a_number_is_no_workflow_id() -> None:
    with pytest.raises(InvalidIdError, match="not int"):
        validated_workflow_id(7)  # type: ignore[arg-type]


def test_a_bad_id_is_a_value_error() -> None:
    assert issubclass(InvalidIdError, ValueError)


def test_calls_of_the_root_task_are_numbered_plainly() -> None:
    assert position("activity", ROOT_PATH, 1) == "activity:1"


def test_calls_of_another_task_stand_under_its_path() -> None:
    assert position("activity", TaskPath("1"), 0) == "activity:1/0"


def test_the_path_of_a_task_is_that_of_its_starter_and_the_ordinal_of_the_start() -> None:
    second = child_path(ROOT_PATH, 1)
    assert (second, child_path(second, 0)) == ("1", "1/0")


def test_a_key_names_a_call() -> None:
    assert keyed_position("activity", "k") == "activity:key:k"


@pytest.mark.parametrize("key", ["", "a\nb", "\ud800"])
def test_a_key_is_printable_text(key: str) -> None:
    with pytest.raises(InvalidIdError, match="non-empty printable"):
        keyed_position("activity", key)


paths = st.lists(st.integers(0, 30), max_size=4).map(
    lambda parts: TaskPath("/".join(map(str, parts)))
)


@given(st.lists(st.tuples(paths, st.integers(0, 30)), unique=True, max_size=20))
def test_different_calls_have_different_positions(calls: list[tuple[TaskPath, int]]) -> None:
    positions = [position("timer", path, ordinal) for path, ordinal in calls]
    assert len(set(positions)) == len(calls)


@given(st.text("0123456789/:abkey", min_size=1), paths, st.integers(0, 30))
def test_no_key_takes_the_place_of_a_position(key: str, path: TaskPath, ordinal: int) -> None:
    assert keyed_position("activity", key) != position("activity", path, ordinal)


def test_a_named_timer_has_an_id_of_its_name() -> None:
    assert named_timer("reminder") == "timer:named:reminder"


@pytest.mark.parametrize("name", ["", "a\nb"])
def test_a_timer_needs_a_printable_name(name: str) -> None:
    with pytest.raises(InvalidIdError, match="must be non-empty printable text"):
        named_timer(name)


def test_names_of_the_engines_timers_are_its_own() -> None:
    with pytest.raises(InvalidIdError, match="the engine's own; choose another name"):
        named_timer("aion.start")


def test_a_child_has_the_same_id_for_ever() -> None:
    found = child_workflow_id(WorkflowId("order"), RunId("r"), ChildKey("child:0"))
    assert found == "afcb1033-4d49-562b-bbb2-f9667f212092"


def test_each_child_has_its_own_id() -> None:
    ids = {
        child_workflow_id(WorkflowId(parent), RunId(run), ChildKey(key))
        for parent in ("a", "b")
        for run in ("r", "s")
        for key in ("child:0", "child:1")
    }
    assert len(ids) == 8
