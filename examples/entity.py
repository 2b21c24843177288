"""A customer's account is a workflow that lives as long as the customer stays.

    python examples/entity.py                # in a temporary store
    python examples/entity.py accounts.db    # in a file that stays

Purchases are signals: sent and forgotten. A redemption is an update: it is checked before anything
is recorded, and answered. The balance is a query. The account continues as new now and then, so
that its history stays short; signals that are under way then are received by the next run.
"""

import sys
import tempfile

import attrs
import trio

import aion_runtime as aion

bought = aion.Signal("bought", int)
leave = aion.Signal("leave", str)
redeem = aion.Update("redeem", int, int)
balance = aion.Query("balance", int)

PURCHASES_PER_RUN = 100


@attrs.define
class Account:
    customer: str
    points: int = 0


@aion.activity
async def send_voucher(customer: str, points: int) -> None:
    print(f"a voucher for {points} points to {customer}")


@aion.workflow(accepts=[bought, leave, redeem, balance])
async def account_of(account: Account) -> int:
    purchases, has_left = 0, False

    def check(points: int) -> None:
        if not 0 < points <= account.points:
            raise ValueError(f"{points} points asked for, {account.points} are there")

    async def redeem_points(points: int) -> int:
        account.points -= points  # before the await: the next one is checked against what is left
        await send_voucher(account.customer, points)
        return account.points

    async def take_purchases() -> None:
        nonlocal purchases
        async for points in bought:
            account.points += points
            purchases += 1

    async def take_leave() -> None:
        nonlocal has_left
        await leave.receive()
        has_left = True

    balance.answer(lambda: account.points)
    redeem.handle(redeem_points, validator=check)
    async with aion.open_nursery() as nursery:
        nursery.start_soon(take_purchases)
        nursery.start_soon(take_leave)
        await aion.wait_until(lambda: has_left or purchases >= PURCHASES_PER_RUN)
        # Whoever is being served has his answer before this run ends.
        await aion.wait_until(lambda: aion.workflow_info().all_handlers_finished)
        nursery.cancel_scope.cancel()
    if has_left:
        return account.points
    return account_of.continue_as_new(account)


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[account_of]) as engine:
        run = await engine.start(account_of, Account("ada"), workflow_id="account-ada")
        if not (await run.describe()).status.is_closed:
            for number in range(120):
                await run.signal(bought, 2, signal_id=f"purchase-{number}")
            print(f"{await run.update(redeem, 200, update_id='bike')} points are left")
            try:
                await run.update(redeem, 200)
            except aion.UpdateRejectedError as error:
                print(error)
            await run.signal(leave, "moved away")
        print(f"ada left with {await run.result()} points, {await run.query(balance)} by the query")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/entity.db"
        trio.run(main, f"sqlite:///{path}")
