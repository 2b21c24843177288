"""Each example is killed before and after every append, and nobody can tell afterwards."""

from __future__ import annotations

from datetime import timedelta

import aion_runtime as aion
from aion_runtime.testing import explore_crashes
from aion_runtime.testing.script import Script, ask, cancel, fire, outcome, signal, update
from examples import agent, approval, children, entity, polling, race, saga

SOLD_OUT = aion.ApplicationError("sold out", type="SoldOut", non_retryable=True)


async def test_a_trip_that_is_given_back() -> None:
    script: Script = [
        outcome(saga.book, "Oslo/flight"),
        outcome(saga.book, "Oslo/hotel"),
        outcome(saga.book, SOLD_OUT),
        outcome(saga.give_back, ConnectionError("engaged")),
        fire(),
        outcome(saga.give_back, None),
        outcome(saga.give_back, None),
    ]
    found = await explore_crashes(saga.trip, script, "Oslo")
    assert found.failure is not None
    assert "sold out" in found.failure[1]
    assert found.runs == 2 * found.appends


async def test_a_trip_that_is_cancelled_just_when_a_booking_comes() -> None:
    script: Script = [
        outcome(saga.book, "Oslo/flight"),
        [outcome(saga.book, "Oslo/hotel"), cancel()],
        outcome(saga.give_back, None),
        outcome(saga.give_back, None),
    ]
    found = await explore_crashes(saga.trip, script, "Oslo")
    assert found.failure is not None
    assert found.failure[0] == "Cancelled"


async def test_an_expense_that_is_put_off_and_granted() -> None:
    script: Script = [
        outcome(approval.send_mail, None),
        signal(approval.snooze, timedelta(days=3)),
        fire("reminder"),
        outcome(approval.send_mail, None),
        ask(approval.standing),
        signal(approval.decision, approval.Decision("kim", granted=True)),
    ]
    lunch = approval.Expense("lunch", "kim", timedelta(days=1), timedelta(days=9))
    assert (await explore_crashes(approval.approve, script, lunch)).result == "granted by kim"


async def test_an_export_that_is_ready_in_the_second_run() -> None:
    script: Script = [
        outcome(polling.order, "ticket"),
        *(outcome(polling.look, None), fire()) * polling.LOOKS_PER_RUN,
        outcome(polling.look, "/orders.csv"),
    ]
    orders = polling.Export("orders", every=timedelta(hours=1))
    found = await explore_crashes(polling.export, script, orders)
    assert found.result == "/orders.csv"


async def test_an_account_that_is_bought_from_and_left() -> None:
    script: Script = [
        signal(entity.bought, 10),
        update(entity.redeem, 11),
        update(entity.redeem, 7),
        ask(entity.balance),
        [outcome(entity.send_voucher, None), signal(entity.bought, 5)],
        signal(entity.leave, "moved"),
    ]
    found = await explore_crashes(entity.account_of, script, entity.Account("ada"))
    assert found.result == 8


async def test_two_offers_that_come_together() -> None:
    north, south = race.Offer("north", 100), race.Offer("south", 100)
    script: Script = [
        [outcome(race.ask, south, nth=1), outcome(race.ask, north)],
        outcome(race.place_order, "ordered"),
    ]
    found = await explore_crashes(race.buy, script, "bolt", timedelta(days=1))
    assert found.result == "ordered"


async def test_a_shop_that_is_not_counted_in_time() -> None:
    script: Script = [
        outcome(children.count, 1, of="stock-Oslo"),
        outcome(children.count, 2, of="stock-Oslo"),
        outcome(children.count, 3, of="stock-Oslo"),
        outcome(children.count, 1, of="stock-Bern"),
        fire(),
    ]
    shops = ["Oslo", "Bern"]
    found = await explore_crashes(children.take_all_stock, script, shops, timedelta(days=1))
    assert found.result == {"Oslo": "6", "Bern": "not counted: its parent asked for it"}


async def test_an_agent_that_is_allowed_to_delete() -> None:
    listing, deleting, done = agent.SCRIPT
    script: Script = [
        outcome(agent.ask_model, listing),
        [outcome(agent.list_files, "3 files"), outcome(agent.list_files, "3 files")],
        outcome(agent.ask_model, deleting),
        update(agent.decide, agent.Verdict("c9", allowed=True)),
        update(agent.decide, agent.Verdict("c3", allowed=True)),
        outcome(agent.delete_files, "gone"),
        outcome(agent.ask_model, done),
    ]
    assert (await explore_crashes(agent.agent, script, "Tidy up!")).result == done.text
