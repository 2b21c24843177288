"""``examples/entity.py``: an account that lives on over runs and crashes."""

from __future__ import annotations

import pytest
import trio

import aion_runtime as aion
from aion_core.events import WorkflowStarted
from aion_runtime.testing import TestEngine, replace, test_engine
from examples.entity import (
    PURCHASES_PER_RUN,
    Account,
    account_of,
    balance,
    bought,
    leave,
    redeem,
    send_voucher,
)
from tests.examples.fakes import HangsOn


async def opened(engine: TestEngine, points: int) -> aion.WorkflowHandle[int]:
    run = await engine.start(account_of, Account("ada", points), workflow_id="ada")
    await engine.clock.advance(0)
    return run


async def test_points_are_taken_along_into_the_next_run() -> None:
    async with test_engine(workflows=[account_of]) as engine:
        run = await opened(engine, 0)
        for _ in range(2 * PURCHASES_PER_RUN + 1):
            await run.signal(bought, 3)
        assert await run.query(balance) == 3 * (2 * PURCHASES_PER_RUN + 1)
        await run.signal(leave, "moved")
        assert await run.result() == 3 * (2 * PURCHASES_PER_RUN + 1)
        runs = [each for each in await run.history() if isinstance(each, WorkflowStarted)]
    assert len(runs) == 3


async def test_a_purchase_sent_twice_counts_once_even_in_the_next_run() -> None:
    async with test_engine(workflows=[account_of]) as engine:
        run = await opened(engine, 0)
        for _ in range(2):
            for number in range(PURCHASES_PER_RUN):
                await run.signal(bought, 1, signal_id=f"purchase-{number}")
        assert await run.query(balance) == PURCHASES_PER_RUN


async def test_who_asks_for_too_much_is_refused_without_a_trace() -> None:
    async with test_engine(workflows=[account_of]) as engine:
        run = await opened(engine, 10)
        before = len(await run.history())
        with pytest.raises(aion.UpdateRejectedError, match="11 points asked for, 10 are there"):
            await run.update(redeem, 11)
        assert len(await run.history()) == before


async def test_points_are_spent_once_by_two_at_the_same_time() -> None:
    async with test_engine(workflows=[account_of]) as engine, trio.open_nursery() as nursery:
        may_be_sent = trio.Event()

        async def slow(customer: str, points: int) -> None:
            await may_be_sent.wait()

        with replace(send_voucher, slow):
            run = await opened(engine, 10)
            nursery.start_soon(run.update, redeem, 7)
            while await run.query(balance) == 10:
                await trio.lowlevel.checkpoint()
            with pytest.raises(aion.UpdateRejectedError, match="3 are there"):
                await run.update(redeem, 7)
            may_be_sent.set()
            assert await run.update(redeem, 3) == 0


async def test_a_crash_while_the_voucher_is_sent_takes_the_points_once() -> None:
    sending = HangsOn(lambda customer, points: None, range(1, 2))
    left: list[int] = []
    async with test_engine(workflows=[account_of]) as engine, trio.open_nursery() as nursery:
        with replace(send_voucher, sending):
            run = await opened(engine, 10)

            async def ask() -> None:
                left.append(await run.update(redeem, 7))

            nursery.start_soon(ask)
            await sending.hangs.wait()
            await engine.crash()
            await run.signal(leave, "moved")
            assert await run.result() == 3
    assert left == [3]
    assert len(sending.calls) == 2
