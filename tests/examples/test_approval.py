"""``examples/approval.py``: reminders go on for days, over crashes, until somebody decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import aion_runtime as aion
from aion_runtime.testing import TestEngine, replace, run_workflow, test_engine
from examples.approval import Decision, Expense, approve, decision, send_mail, snooze, standing

DAY = 24 * 3600
LUNCH = Expense("lunch", "kim", timedelta(days=1), timedelta(days=6.5))


@contextmanager
def mails() -> Iterator[list[str]]:
    sent: list[str] = []

    async def fake(to: str, text: str) -> None:
        sent.append(text.partition(":")[0])

    with replace(send_mail, fake):
        yield sent


async def reminders(engine: TestEngine, run: aion.WorkflowHandle[str]) -> int:
    await engine.clock.advance(0)
    return (await run.query(standing)).reminders


async def test_who_does_not_answer_is_reminded_every_day() -> None:
    with mails() as sent:
        assert await run_workflow(approve, LUNCH) == "lapsed"
    assert sent == ["to be approved"] + ["still to be approved"] * 6


async def test_a_decision_ends_the_reminders() -> None:
    with mails() as sent:
        async with test_engine(workflows=[approve]) as engine:
            run = await engine.start(approve, LUNCH)
            await engine.clock.advance(2.5 * DAY)
            await run.signal(decision, Decision("kim", granted=False))
            assert await run.result() == "refused by kim"
            await engine.clock.advance(10 * DAY)
    assert len(sent) == 3


async def test_who_asks_for_a_rest_gets_it() -> None:
    with mails():
        async with test_engine(workflows=[approve]) as engine:
            run = await engine.start(approve, LUNCH)
            await engine.clock.advance(0.5 * DAY)
            await run.signal(snooze, timedelta(days=4))
            await engine.clock.advance(3.9 * DAY)
            assert await reminders(engine, run) == 0
            await engine.clock.advance(0.2 * DAY)
            assert await reminders(engine, run) == 1


async def test_a_crash_neither_repeats_a_reminder_nor_loses_one() -> None:
    with mails() as sent:
        async with test_engine(workflows=[approve]) as engine:
            run = await engine.start(approve, LUNCH)
            for _ in range(4):
                await engine.clock.advance(0.7 * DAY)
                await engine.crash()
            assert await reminders(engine, run) == 2
            await run.signal(decision, Decision("kim", granted=True))
            assert await run.result() == "granted by kim"
    assert len(sent) == 3


async def test_how_it_stood_can_be_asked_after_the_end() -> None:
    with mails():
        async with test_engine(workflows=[approve]) as engine:
            run = await engine.start(approve, LUNCH)
            await run.result()
            last = await run.query(standing)
    assert (last.stage, last.reminders) == ("lapsed", 6)
