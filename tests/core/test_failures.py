"""Failures: what is left of an exception, whatever it is."""

import pytest

from aion_core.errors import ActivityError, ApplicationError, ChildWorkflowError
from aion_core.failures import (
    MAX_CAUSES,
    MAX_STACK,
    Failure,
    failure_from,
    silence_failure,
    timeout_failure,
)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_type_and_message_are_kept() -> None:
    failure = failure_from(ValueError("no"))
    assert (failure.type, failure.message, failure.kind) == ("ValueError", "no", None)


def test_an_application_error_goes_by_its_own_type_name() -> None:
    assert failure_from(ApplicationError("no", type="Declined")).type == "Declined"


def test_the_cause_is_kept_before_the_context() -> None:
    error = ValueError("outer")
    error.__context__, error.__cause__ = KeyError("context"), OSError("cause")
    assert failure_from(error).cause == failure_from(OSError("cause"))


def test_what_was_being_handled_is_the_cause_otherwise() -> None:
    error = ValueError("outer")
    error.__context__ = OSError("context")
    assert failure_from(error).cause == failure_from(OSError("context"))


def test_from_none_hides_what_was_being_handled() -> None:
    error = ValueError("outer")
    error.__context__, error.__suppress_context__ = OSError("context"), True
    assert failure_from(error).cause is None


def test_notes_are_kept() -> None:
    error = ValueError("no")
    error.add_note("first")
    error.add_note("second")
    assert failure_from(error).notes == ("first", "second")


def test_members_of_a_group_are_kept_in_order() -> None:
    group = ExceptionGroup("both", [ValueError("a"), ExceptionGroup("inner", [OSError("b")])])
    failure = failure_from(group)
    assert [member.type for member in failure.members] == ["ValueError", "ExceptionGroup"]
    assert failure.members[1].members == (failure_from(OSError("b")),)


def test_the_stack_is_for_people_and_bounded() -> None:
    def ping(depth: int) -> None:
        if depth:
            pong(depth - 1)
        raise ValueError

    def pong(depth: int) -> None:
        ping(depth)

    with pytest.raises(ValueError) as info:  # noqa: PT011
        ping(200)
    failure = failure_from(info.value)
    assert len(failure.stack) == MAX_STACK
    assert failure.stack.endswith("raise ValueError\n")


def test_a_long_chain_of_causes_is_cut() -> None:
    error: Exception = ValueError("0")
    for number in range(1, 500):
        error, cause = ValueError(str(number)), error
        error.__cause__ = cause
    failure: Failure | None = failure_from(error)
    length = -1
    while failure is not None:
        failure, length = failure.cause, length + 1
    assert length == MAX_CAUSES


def test_a_circle_of_causes_is_cut_where_it_closes() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    failure = failure_from(first)
    assert failure.cause is not None
    assert failure.cause.cause is None


def test_a_member_raised_while_its_group_was_handled_does_not_repeat_the_group() -> None:
    members = [ValueError(str(number)) for number in range(20)]
    group = ExceptionGroup("all", members)
    for member in members:
        member.__context__ = group
    failure = failure_from(ExceptionGroup("again", members))
    assert all(len(member.cause.members) == 19 for member in failure.members if member.cause)


def test_lone_surrogates_are_written_out() -> None:
    error = ValueError("\ud800")
    error.add_note("\udfff")
    failure = failure_from(error)
    assert (failure.message, failure.notes) == ("\\ud800", ("\\udfff",))


class BrokenText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def test_a_broken_str_costs_only_the_message() -> None:
    failure = failure_from(BrokenText())
    assert (failure.type, failure.message) == ("BrokenText", "(its __str__ raised RuntimeError)")


class BrokenTruth(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError("neither")


def test_a_cause_is_never_asked_for_its_truth() -> None:
    error = ValueError("no")
    error.__cause__ = BrokenTruth("cause")
    assert failure_from(error).cause == failure_from(BrokenTruth("cause"))


@pytest.mark.parametrize("notes", [7, "text", None, [BrokenText()]])
def test_odd_notes_do_no_harm(notes: object) -> None:
    error = ValueError("no")
    error.__notes__ = notes  # type: ignore[assignment]
    assert failure_from(error).message == "no"


def test_a_timeout_names_its_limit() -> None:
    assert timeout_failure(30) == Failure(
        type="TimeoutError", message="not finished within 30 s (start_to_close)", kind="timeout"
    )
    cause = Failure(type="E", message="m")
    assert timeout_failure(90, "schedule_to_close", cause) == Failure(
        type="TimeoutError",
        message="not finished within 90 s (schedule_to_close)",
        kind="timeout",
        cause=cause,
    )


def test_a_silence_names_the_activity() -> None:
    assert silence_failure("charge", 0.5) == Failure(
        type="TimeoutError",
        message="activity 'charge' sent no heartbeat for 0.5 s (heartbeat_timeout)",
        kind="timeout",
    )


def test_an_exception_that_was_raised_has_a_stack() -> None:
    assert "raise error" in failure_from(raised(ValueError())).stack


def test_what_an_attempt_left_is_the_cause_of_the_error_that_the_workflow_saw() -> None:
    left = Failure(type="Declined", message="no funds", kind="terminal")
    error = ActivityError("activity:0", "charge", 3, left)
    assert failure_from(error).cause == left


def test_a_message_is_cut_where_nobody_reads_on() -> None:
    failure = failure_from(ValueError("x" * 1_000_000))
    assert len(failure.message) < 10_000
    assert failure.message.endswith("… (cut: it had 1000000 characters)")


def test_details_of_an_application_error_are_kept_as_json() -> None:
    failure = failure_from(ApplicationError("declined", details={"code": [1, "é"]}))
    assert failure.plain_details() == {"code": [1, "é"]}


def test_details_that_json_has_no_form_for_do_not_cost_the_failure() -> None:
    failure = failure_from(ApplicationError("declined", details=object))
    assert (failure.message, failure.plain_details()) == ("declined", "<class 'object'>")


def test_an_error_without_details_has_none() -> None:
    assert failure_from(ValueError("declined")).plain_details() is None


def test_a_workflow_sees_the_details_of_a_failed_activity() -> None:
    failure = failure_from(ApplicationError("declined", details=7))
    assert ActivityError("activity:0", "charge", 1, failure).details == 7


def test_the_failure_of_a_child_is_the_cause_of_what_was_raised_for_it() -> None:
    inner = failure_from(ValueError("declined"))
    outer = failure_from(ChildWorkflowError("c", "ship", inner))
    assert outer.cause == inner
