"""``examples/fan_out.py``: a thousand activities, and a crash in the middle of them."""

from __future__ import annotations

from collections import Counter

import pytest

import aion_runtime as aion
from aion_runtime.testing import replace, test_engine
from examples.fan_out import done, shrink, shrink_all
from tests.examples.fakes import HangsOn


async def test_fifty_are_at_work_at_a_time() -> None:
    at_work = most = 0

    async with test_engine(workflows=[shrink_all]) as engine:

        async def fake(picture: str) -> int:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await engine.clock.sleep(60)
            at_work -= 1
            return 1

        with replace(shrink, fake):
            began = engine.clock.now()
            run = await engine.start(shrink_all, 1000)
            assert await run.result() == 1000
            assert await run.query(done) == 1000
            assert (engine.clock.now() - began).total_seconds() == 1000 / 50 * 60
    assert most == 50


async def test_after_a_crash_only_what_was_not_done_is_done() -> None:
    fake = HangsOn(lambda picture: 1, range(501, 551))
    async with test_engine(workflows=[shrink_all]) as engine:
        with replace(shrink, fake):
            run = await engine.start(shrink_all, 1000)
            await fake.hangs.wait()
            await engine.clock.advance(0)
            assert await run.query(done) == 500
            await engine.crash()
            assert await run.result() == 1000
    calls = Counter(picture for (picture,) in fake.calls)
    assert Counter(calls.values()) == {1: 950, 2: 50}


async def test_one_that_fails_for_good_ends_the_others() -> None:
    def fails_late(picture: str) -> int:
        if picture == "0123.jpg":
            raise aion.ApplicationError("no picture", type="Broken", non_retryable=True)
        return 1

    fake = HangsOn(fails_late, range(0))
    async with test_engine(workflows=[shrink_all]) as engine:
        with replace(shrink, fake):
            run = await engine.start(shrink_all, 1000)
            with pytest.raises(aion.WorkflowFailedError) as failed:
                await run.result()
            assert await run.query(done) < 1000
    (member,) = failed.value.failure.members
    assert member.cause is not None
    assert member.cause.type == "Broken"
