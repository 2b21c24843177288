"""Stock is taken in every shop: a parent starts a child for each, and waits only so long.

    python examples/children.py             # in a temporary store
    python examples/children.py stock.db    # in a file that stays

A child is a workflow with an id and a history of its own: it can be looked up, signalled and
cancelled by itself, and its failure is an error that the parent may catch.
"""

import sys
import tempfile
from datetime import timedelta

import trio

import aion_runtime as aion

SHELVES = 3


@aion.activity(retry=aion.RetryPolicy(max_attempts=1))
async def count(shop: str, shelf: int) -> int:
    if shop == "Pisa":
        raise aion.ApplicationError("the shelves have fallen over", type="Accident")
    await trio.sleep(60 if shop == "Bern" else 0.02)
    return 10 * (shelf + 1)


@aion.workflow
async def take_stock(shop: str) -> int:
    return sum([await count(shop, shelf) for shelf in range(SHELVES)])


@aion.workflow
async def take_all_stock(shops: list[str], patience: timedelta) -> dict[str, str]:
    report: dict[str, str] = {}

    async def collect(shop: str, child: aion.ChildHandle[int]) -> None:
        try:
            report[shop] = str(await child.result())
        except aion.ChildWorkflowError as error:
            report[shop] = f"not counted: {error.failure.message}"

    children = {
        shop: await take_stock.options(workflow_id=f"stock-{shop}").spawn(shop) for shop in shops
    }
    async with aion.open_nursery() as nursery:
        for shop, child in children.items():
            nursery.start_soon(collect, shop, child)
        with aion.move_on_after(patience):
            await aion.wait_until(lambda: len(report) == len(shops))
        for shop, child in children.items():
            if shop not in report:
                child.cancel()  # and `collect` sees it end
    return report


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[take_all_stock, take_stock]) as engine:
        shops = ["Oslo", "Pisa", "Bern"]
        run = await engine.start(take_all_stock, shops, timedelta(seconds=1.5), workflow_id="stock")
        for shop, result in sorted((await run.result()).items()):
            status = (await engine.describe(f"stock-{shop}")).status.value
            print(f"{shop}: {result} ({status})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/children.db"
        trio.run(main, f"sqlite:///{path}")
