"""Definitions: what can be a workflow or an activity, and how calls of it are stored."""

import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from aion_core.authoring.activities import AsyncActivity, SyncActivity, activity
from aion_core.authoring.attempt import (
    ActivityInfo,
    activity_info,
    entered_activity,
    heartbeat,
    last_heartbeat,
)
from aion_core.authoring.queries import Query
from aion_core.authoring.resources import Resources
from aion_core.authoring.signals import Signal
from aion_core.authoring.signature import CallSignature
from aion_core.authoring.timing import now
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import (
    AionError,
    Cancelled,
    InvalidIdError,
    NotInWorkflowError,
    PayloadError,
)
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import JSON, Payload, PayloadConverter
from aion_core.policies import ActivityOptions, RetryPolicy

CONVERTER = PayloadConverter()


async def plain(a: int, b: Decimal = Decimal(1), *, c: str = "c") -> None: ...


async def generator(a: int) -> AsyncIterator[int]:
    yield a


def sync_generator(a: int) -> Iterator[int]:
    yield a


class Holder:
    async def method(self) -> None: ...

    @staticmethod
    async def static() -> None: ...

    @classmethod
    async def of_class(cls) -> None: ...


NO_DEFINITIONS: list[tuple[Any, str]] = [
    (lambda: None, "a lambda"),
    (Holder, "the class Holder"),
    (Holder.method, "the method Holder.method"),
    (Holder().method, "a method"),
    (Holder.static, "the method Holder.static"),
    (Holder.__dict__["static"], "a method"),
    (Holder.of_class, "a method"),
    (generator, "the generator generator"),
    (sync_generator, "the generator sync_generator"),
    (functools.partial(plain, 1), "functools.partial"),
    (7, "7"),
]


@pytest.mark.parametrize("decorator", [workflow, activity])
@pytest.mark.parametrize(("fn", "name"), NO_DEFINITIONS, ids=[name for _, name in NO_DEFINITIONS])
def test_what_cannot_be_found_again_by_name_is_refused(
    decorator: Callable[[Any], Any], fn: object, name: str
) -> None:
    with pytest.raises(TypeError) as info:
        decorator(fn)
    assert name in str(info.value)
    assert str(info.value).endswith("; write it as a function at the top of a module")


def test_a_workflow_is_async() -> None:
    def plain_function() -> None: ...

    with pytest.raises(TypeError, match="must be an 'async def'"):
        workflow(plain_function)  # type: ignore[arg-type]


def test_an_activity_is_what_its_function_is() -> None:
    def plain_function() -> None: ...

    assert (type(activity(plain)), type(activity(plain_function))) == (AsyncActivity, SyncActivity)


def test_a_parameter_without_annotation_is_refused_by_its_name() -> None:
    async def vague(a) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match=r"parameter 'a' of .*vague needs a type annotation"):
        workflow(vague)


def test_a_result_without_annotation_is_refused() -> None:
    async def vague(a: int): ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match="write '-> None' if there is none"):
        workflow(vague)


def test_a_parameter_without_a_name_of_its_own_is_refused() -> None:
    async def variadic(*args: int) -> None: ...
    async def keywords(**kwargs: int) -> None: ...
    async def positional(a: int, /) -> None: ...

    for fn in (variadic, keywords, positional):
        with pytest.raises(TypeError, match="no name to be stored under"):
            workflow(fn)


def test_the_type_is_the_name_of_the_function_unless_given() -> None:
    names = (
        workflow(plain).name,
        workflow(name="other")(plain).name,
        activity(name="a")(plain).name,
    )
    assert names == ("plain", "other", "a")


def test_the_undecorated_function_is_at_hand() -> None:
    assert (workflow(plain).fn, activity(plain).fn) == (plain, plain)


def test_a_workflow_called_outside_an_engine_names_engine_start() -> None:
    definition = workflow(plain)
    with pytest.raises(NotInWorkflowError, match=r"run it with engine\.start\(plain, \.\.\.\)"):
        definition(1).close()


def test_a_primitive_outside_a_workflow_names_engine_start() -> None:
    with pytest.raises(NotInWorkflowError, match=r"engine\.start"):
        now()


async def test_an_activity_awaited_outside_a_workflow_runs() -> None:
    async def double(a: int) -> int:
        return 2 * a

    def triple(a: int) -> int:
        return 3 * a

    assert (await activity(double)(2), await activity(triple)(2)) == (4, 6)


def test_options_change_one_call_only() -> None:
    once = activity(plain)
    changed = once.options(retry=RetryPolicy(max_attempts=1), start_to_close=3, key="k")
    assert (changed.settings.retry.max_attempts, changed.settings.start_to_close) == (1, 3)
    assert (once.settings.retry.max_attempts, once.settings.key) == (5, None)


def test_options_keep_what_they_do_not_name() -> None:
    limited = activity(start_to_close=7, retry=RetryPolicy(max_attempts=2))(plain)
    settings = limited.options(key="k").settings
    assert (settings.start_to_close, settings.retry.max_attempts) == (7, 2)
    assert limited.options(key="k").options(start_to_close=3).settings.key == "k"


SETTINGS: dict[str, Any] = {
    "retry": RetryPolicy(max_attempts=2),
    "start_to_close": 3,
    "schedule_to_close": timedelta(days=1),
    "heartbeat_timeout": 60,
    "on_cancel": "abandon",
    "cancel_grace": 5,
}


def test_every_setting_of_an_activity_can_be_given_to_it_or_to_one_call() -> None:
    given = activity(**SETTINGS)(plain).settings
    assert given == activity(plain).options(**SETTINGS).settings == ActivityOptions(**SETTINGS)


def test_options_that_are_not_given_change_nothing() -> None:
    assert activity(**SETTINGS)(plain).options().settings == ActivityOptions(**SETTINGS)


@pytest.mark.parametrize(
    "setting",
    [{"on_cancel": "never"}, {"cancel_grace": -1}, {"heartbeat_timeout": 0}],
    ids=str,
)
def test_a_setting_that_cannot_be_one_is_refused_at_once(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting)) + "|duration"):
        activity(**setting)
    with pytest.raises(ValueError, match=next(iter(setting)) + "|duration"):
        activity(plain).options(**setting)


def test_an_interval_that_would_be_cut_is_refused_and_what_to_give_is_said() -> None:
    cut = RetryPolicy(initial_interval=600)
    said = "initial_interval is 600 s and max_interval, .* 100 s; give a max_interval that is at l"
    with pytest.raises(ValueError, match=said):
        activity(retry=cut)
    with pytest.raises(ValueError, match=said):
        activity(plain).options(retry=cut)
    activity(retry=RetryPolicy(initial_interval=600, max_interval=600))(plain)


def test_a_key_that_cannot_be_one_is_refused_at_once() -> None:
    with pytest.raises(InvalidIdError):
        activity(plain).options(key="")


MESSAGES: list[Callable[[Any], object]] = [
    lambda name: Signal(name, int),
    lambda name: Query(name, int),
    lambda name: Update(name, int, int),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_has_a_printable_name(message: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match="non-empty printable"):
        message("\n")
    with pytest.raises(TypeError, match="name is text, not 7"):
        message(7)


def test_a_workflow_sorts_what_it_accepts() -> None:
    signal, query, update = Signal("a", int), Query("a", int), Update("a", int, int)
    accepts = workflow(accepts=[signal, query, update])(plain).accepts
    assert accepts is not None
    assert (accepts.signals, accepts.queries, accepts.updates) == (
        {"a": signal},
        {"a": query},
        {"a": update},
    )


def test_a_workflow_that_does_not_say_what_it_accepts_has_no_list() -> None:
    assert workflow(plain).accepts is None


def test_something_else_is_not_accepted() -> None:
    with pytest.raises(TypeError, match="accepts signals, queries and updates, not 'approval'"):
        workflow(accepts=["approval"])(plain)  # type: ignore[list-item]


def test_accepting_one_message_instead_of_a_list_of_them_is_refused() -> None:
    async def wf() -> None: ...

    with pytest.raises(TypeError, match=r"accepts a list of .*; write accepts=\[\.\.\.\]"):
        workflow(accepts=Signal("go", int))(wf)  # type: ignore[call-overload]  # the point


def test_two_messages_of_a_kind_have_two_names() -> None:
    with pytest.raises(ValueError, match="which have the same name; give each its own"):
        workflow(accepts=[Signal("a", int), Signal("a", str)])(plain)


@pytest.mark.parametrize("ask", [activity_info, heartbeat, last_heartbeat])
def test_what_concerns_an_attempt_is_for_activities(ask: Callable[[], object]) -> None:
    with pytest.raises(AionError, match=rf"^{ask.__name__}\(\) works only inside an activity"):
        ask()


def info(activity_id: str, attempt: int) -> ActivityInfo:
    return ActivityInfo(
        workflow_id=WorkflowId("w"),
        run_id=RunId("r"),
        activity_id=ActivityId(activity_id),
        activity_type="charge",
        attempt=attempt,
    )


def test_the_idempotency_key_is_the_same_for_all_attempts_of_a_call() -> None:
    assert info("activity:0", 1).idempotency_key == info("activity:0", 2).idempotency_key


def test_the_idempotency_key_is_another_for_another_call() -> None:
    assert info("activity:0", 1).idempotency_key != info("activity:1", 1).idempotency_key


class Attempt:
    """An attempt that keeps its heartbeats."""

    def __init__(self, last_heartbeat: Payload | None = None) -> None:
        self.info = info("activity:0", 2)
        self.converter = CONVERTER
        self.last_heartbeat = last_heartbeat
        self.resources = Resources()
        self.is_in_thread = True
        self.is_to_stop = False
        self.kept: list[Payload] = []

    def heartbeat(self, details: Payload) -> None:
        self.kept.append(details)


def entered(attempt: Attempt) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(entered_activity, attempt)
    return context


def test_details_of_a_heartbeat_are_kept_as_json_has_them() -> None:
    attempt = Attempt()
    entered(attempt).run(heartbeat, {"at": [1, "a", None]})
    assert [payload.data for payload in attempt.kept] == [b'{"at":[1,"a",null]}']


def test_a_heartbeat_comes_from_a_thread_of_the_activity() -> None:
    attempt = Attempt()
    thread = threading.Thread(target=entered(attempt).run, args=[heartbeat, 7])
    thread.start()
    thread.join()
    assert [payload.data for payload in attempt.kept] == [b"7"]


def test_a_heartbeat_of_a_plain_function_that_is_to_stop_is_kept_and_leaves_it() -> None:
    attempt = Attempt()
    attempt.is_to_stop = True
    with pytest.raises(Cancelled):
        entered(attempt).run(heartbeat, 7)
    assert [payload.data for payload in attempt.kept] == [b"7"]


def test_a_heartbeat_leaves_no_async_function() -> None:
    attempt = Attempt()
    attempt.is_to_stop, attempt.is_in_thread = True, False
    entered(attempt).run(heartbeat, 7)


def test_details_without_a_form_in_json_are_refused() -> None:
    attempt = Attempt()
    with pytest.raises(PayloadError):
        entered(attempt).run(heartbeat, float("nan"))
    assert attempt.kept == []


def test_the_details_of_a_former_attempt_come_back() -> None:
    last = CONVERTER.encode({"at": 3}, Any)
    assert entered(Attempt(last)).run(last_heartbeat) == {"at": 3}
    assert entered(Attempt()).run(last_heartbeat) is None


def test_an_activity_knows_its_call() -> None:
    assert entered(Attempt()).run(activity_info) == info("activity:0", 2)


SIGNATURE = CallSignature(plain)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1, Decimal(1)), {"c": "c"}), ((1,), {}), ((), {"a": 1}), ((), {"c": "c", "a": 1})],
)
def test_arguments_are_stored_by_name_however_they_are_passed(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    payload = SIGNATURE.encode_arguments(args, kwargs, CONVERTER)
    assert payload == Payload(JSON, b'{"a":1,"b":"1","c":"c"}')


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, Decimal(1), "c"), {}), ((1,), {"a": 1}), ((1,), {"d": 1})]
)
def test_what_the_function_would_not_take_is_refused(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match=r"^plain\(a: int, .* was called wrongly: "):
        SIGNATURE.encode_arguments(args, kwargs, CONVERTER)


def test_a_parameter_that_was_added_with_a_default_takes_it() -> None:
    assert SIGNATURE.decode_arguments(Payload(JSON, b'{"a":1}'), CONVERTER) == {"a": 1}


def test_a_parameter_that_was_added_without_a_default_is_missed() -> None:
    with pytest.raises(PayloadError, match=r"^\$\.a: field 'a' is missing"):
        SIGNATURE.decode_arguments(Payload(JSON, b'{"b":"1"}'), CONVERTER)


def test_a_parameter_that_was_removed_is_ignored() -> None:
    stored = Payload(JSON, b'{"a":1,"gone":2}')
    assert SIGNATURE.decode_arguments(stored, CONVERTER) == {"a": 1}


def test_a_type_that_cannot_be_stored_is_found_early_with_its_parameter() -> None:
    async def odd(a: complex) -> None: ...

    with pytest.raises(TypeError, match=r"parameter 'a' of .*odd: values of type complex"):
        CallSignature(odd).check_types(CONVERTER)


def test_a_result_that_cannot_be_stored_is_found_early() -> None:
    async def odd() -> complex:
        return 1j

    with pytest.raises(TypeError, match=r"the result of .*odd: values of type complex"):
        CallSignature(odd).check_types(CONVERTER)
