"""``examples/saga.py``: what was booked is given back when a later step fails."""

from __future__ import annotations

import pytest

import aion_runtime as aion
from aion_runtime.testing import replace, run_workflow, test_engine
from examples.saga import book, give_back, trip
from tests.examples.fakes import HangsOn


def sold_out_is(what: str) -> HangsOn:
    def booked(wanted: str, city: str) -> str:
        if wanted == what:
            raise aion.ApplicationError("sold out", type="SoldOut", non_retryable=True)
        return f"{city}/{wanted}"

    return HangsOn(booked, range(0))


def given_back(fake: HangsOn) -> list[str]:
    return [booking for (booking,) in fake.calls]


async def test_a_whole_trip_is_kept() -> None:
    nothing = HangsOn(lambda booking: None, range(0))
    with replace(book, sold_out_is("nothing")), replace(give_back, nothing):
        assert await run_workflow(trip, "Oslo") == ["Oslo/flight", "Oslo/hotel", "Oslo/car"]
    assert nothing.calls == []


async def test_half_a_trip_is_given_back_in_reverse() -> None:
    fake = HangsOn(lambda booking: None, range(0))
    with (
        replace(book, sold_out_is("car")),
        replace(give_back, fake),
        pytest.raises(aion.WorkflowFailedError) as failed,
    ):
        await run_workflow(trip, "Oslo")
    assert given_back(fake) == ["Oslo/hotel", "Oslo/flight"]
    assert failed.value.failure.cause is not None
    assert failed.value.failure.cause.type == "SoldOut"


async def test_what_cannot_be_given_back_is_tried_again() -> None:
    attempts: list[int] = []

    async def hesitant(booking: str) -> None:
        attempts.append(aion.activity_info().attempt)
        if len(attempts) < 10:
            raise ConnectionError("engaged")

    with (
        replace(book, sold_out_is("hotel")),
        replace(give_back, hesitant),
        pytest.raises(aion.WorkflowFailedError),
    ):
        await run_workflow(trip, "Oslo")
    assert attempts == list(range(1, 11))


async def test_a_trip_that_is_cancelled_is_given_back() -> None:
    booking = HangsOn(lambda what, city: f"{city}/{what}", range(2, 3))
    fake = HangsOn(lambda booking: None, range(0))
    async with test_engine(workflows=[trip]) as engine:
        with replace(book, booking), replace(give_back, fake):
            run = await engine.start(trip, "Oslo")
            await booking.hangs.wait()
            await run.cancel("changed their mind")
            with pytest.raises(aion.WorkflowFailedError, match="Cancelled: changed their mind"):
                await run.result()
    assert given_back(fake) == ["Oslo/flight"]


async def test_a_crash_while_giving_back_is_gone_on_from() -> None:
    fake = HangsOn(lambda booking: None, range(2, 3))
    async with test_engine(workflows=[trip]) as engine:
        with replace(book, sold_out_is("car")), replace(give_back, fake):
            run = await engine.start(trip, "Oslo")
            await fake.hangs.wait()
            await engine.crash()
            with pytest.raises(aion.WorkflowFailedError):
                await run.result()
    # The flight was under way: it is begun again. The hotel was recorded: it is not.
    assert given_back(fake) == ["Oslo/hotel", "Oslo/flight", "Oslo/flight"]
