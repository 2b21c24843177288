"""Errors: one tree; a message is one sentence with the ids and a way out; facts are attributes."""

import pytest

from aion_core import errors as x
from aion_core.failures import Failure

FAILURE = Failure(type="Declined", message="no money", kind="terminal")

MESSAGES = [
    (x.NonDeterminismError("w", 3, "This", "That"), ["'w'", "3", "This", "That"], "restore"),
    (x.ActivityError("activity:1", "a", 2, FAILURE), ["activity:1", "'a'", "2", "Declined"], ""),
    (x.WorkflowNotFoundError("w"), ["'w'"], "list_runs"),
    (x.WorkflowAlreadyStartedError("w", "with another input"), ["'w'"], "choose another id"),
    (x.WorkflowClosedError("w", "Failed"), ["'w'", "Failed"], "nothing was delivered"),
    (x.WorkflowFailedError("w", FAILURE), ["'w'", "Declined", "no money"], ""),
    (x.WorkflowStuckError("w", "its code is not here"), ["'w'", "its code is not here"], ""),
    (x.UnknownWorkflowTypeError("order", ("a", "b")), ["'order'", "a, b"], "open_engine"),
    (x.SequenceConflictError("w", 3, 5), ["'w'", "3", "5"], "read its history again"),
    (x.CorruptHistoryError("w", 4, "$.x", "odd"), ["'w'", "4", "$.x", "odd"], "back-up"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "facts", "advice"), MESSAGES, ids=lambda value: type(value).__name__
)
def test_a_message_holds_the_facts_and_the_way_out(
    error: x.AionError, facts: list[str], advice: str
) -> None:
    assert all(fact in str(error) for fact in [*facts, advice])


@pytest.mark.parametrize(
    ("error", "facts", "advice"), MESSAGES, ids=lambda value: type(value).__name__
)
def test_a_message_is_one_line(error: x.AionError, facts: list[str], advice: str) -> None:
    assert "\n" not in str(error)


def test_every_error_but_cancelled_is_an_aion_error() -> None:
    others = [name for name in x.__all__ if not issubclass(getattr(x, name), x.AionError)]
    assert others == ["Cancelled"]


def test_cancelled_passes_except_exception() -> None:
    assert not issubclass(x.Cancelled, Exception)


def test_a_fenced_writer_sees_a_store_error() -> None:
    assert issubclass(x.FencedError, x.StoreError)


def test_an_unknown_type_without_any_definition_says_none() -> None:
    assert "it has: none" in str(x.UnknownWorkflowTypeError("order", ()))


def test_an_activity_error_carries_its_facts() -> None:
    error = x.ActivityError("activity:0", "charge", 3, FAILURE)
    assert (error.activity_id, error.attempt, error.kind, error.type, error.message) == (
        "activity:0",
        3,
        "terminal",
        "Declined",
        "no money",
    )
