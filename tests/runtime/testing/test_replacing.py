"""Fakes in place of activities: while they stand in, and not after."""

from __future__ import annotations

import threading
from unittest.mock import AsyncMock, Mock

import pytest

import aion_runtime as aion
from aion_runtime.testing import replace, run_workflow, test_engine


@aion.activity(retry=aion.RetryPolicy(max_attempts=2))
async def charge(order: str, cents: int = 100) -> str:
    return f"charged {order} {cents}"


@aion.activity
def render(receipt: str) -> str:
    return f"rendered {receipt}"


@aion.workflow
async def shop(order: str) -> str:
    return await render(await charge.options(start_to_close=30)(order))


async def test_a_workflow_runs_the_fake() -> None:
    with replace(charge, lambda order, cents: f"fake {order} {cents}"):
        assert await run_workflow(shop, "o") == "rendered fake o 100"


async def test_afterwards_the_activity_is_itself_again() -> None:
    with replace(charge, lambda order, cents: "fake"):
        pass
    assert await run_workflow(shop, "o") == "rendered charged o 100"


async def test_after_an_error_the_activity_is_itself_again() -> None:
    with pytest.raises(ZeroDivisionError), replace(charge, lambda order, cents: "fake"):
        raise ZeroDivisionError
    assert await charge("o") == "charged o 100"


async def test_a_fake_is_put_in_place_while_the_engine_runs() -> None:
    async with test_engine(workflows=[shop]) as engine:
        with replace(charge, lambda order, cents: "fake"):
            run = await engine.start(shop, "o")
            assert await run.result() == "rendered fake"
        run = await engine.start(shop, "o")
        assert await run.result() == "rendered charged o 100"


async def test_a_direct_call_runs_the_fake() -> None:
    with replace(charge, lambda order, cents: f"fake {cents}"):
        assert await charge("o", cents=7) == "fake 7"


async def test_the_undecorated_function_stays() -> None:
    with replace(charge, lambda order, cents: "fake"):
        assert await charge.fn("o") == "charged o 100"


async def test_of_two_fakes_the_inner_one_counts() -> None:
    with replace(charge, lambda order, cents: "outer"):
        with replace(charge, lambda order, cents: "inner"):
            assert await charge("o") == "inner"
        assert await charge("o") == "outer"


async def test_one_fake_may_stand_in_twice() -> None:
    fake = Mock(return_value="fake")
    with replace(charge, fake), replace(charge, fake), replace(render, fake):
        assert await charge("o") == "fake"
    assert await charge("o") == "charged o 100"


async def test_fakes_may_leave_in_any_order() -> None:
    first, second = replace(charge, lambda *_: "first"), replace(charge, lambda *_: "second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert await charge("o") == "second"
    second.__exit__(None, None, None)
    assert await charge("o") == "charged o 100"


async def test_an_async_fake_of_a_plain_activity_runs_on_the_event_loop() -> None:
    threads: list[int] = []

    async def fake(receipt: str) -> str:
        threads.append(threading.get_ident())
        return "fake"

    with replace(render, fake):
        assert await run_workflow(shop, "o") == "fake"
    assert threads == [threading.get_ident()]


async def test_a_plain_fake_of_a_plain_activity_runs_in_a_thread() -> None:
    threads: list[int] = []

    def fake(receipt: str) -> str:
        threads.append(threading.get_ident())
        return "fake"

    with replace(render, fake):
        assert await run_workflow(shop, "o") == "fake"
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("kind", [Mock, AsyncMock])
async def test_a_mock_notes_its_calls(kind: type[Mock]) -> None:
    with replace(charge, kind(return_value="mocked")) as fake, replace(render, kind()) as other:
        other.return_value = "also mocked"
        assert await run_workflow(shop, "o") == "also mocked"
    fake.assert_called_once_with("o", 100)
    other.assert_called_once_with("mocked")


async def test_a_fake_is_retried_as_the_activity_is() -> None:
    with replace(charge, Mock(side_effect=[ConnectionError("no"), "second time"])):
        assert await run_workflow(shop, "o") == "rendered second time"


async def test_the_result_of_a_fake_has_the_type_of_the_activity() -> None:
    with (
        replace(charge, lambda order, cents: 7),
        pytest.raises(aion.WorkflowFailedError, match="str"),
    ):
        await run_workflow(shop, "o")


async def test_a_fake_knows_which_call_it_is() -> None:
    with replace(charge, lambda order, cents: aion.activity_info().activity_type):
        assert await run_workflow(shop, "o") == "rendered charge"


def test_a_fake_that_cannot_take_the_arguments_is_refused() -> None:
    def fake(order: str) -> str:
        return order

    with (
        pytest.raises(TypeError, match=r"fake\(order.* cannot stand in .*charge\(order.*cents"),
        replace(charge, fake),
    ):
        pytest.fail("it stands in")


def test_only_activities_are_replaced() -> None:
    with (
        pytest.raises(TypeError, match="decorated with @activity"),
        replace(shop, print),  # type: ignore[arg-type]
    ):
        pytest.fail("it stands in")


def test_only_functions_stand_in() -> None:
    with (
        pytest.raises(TypeError, match="takes a function, not 'x'"),
        replace(charge, "x"),  # type: ignore[type-var]
    ):
        pytest.fail("it stands in")
