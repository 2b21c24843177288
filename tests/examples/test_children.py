"""``examples/children.py``: a parent that makes do with what its children bring."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

import aion_runtime as aion
from aion_runtime.testing import replace, test_engine
from examples.children import SHELVES, count, take_all_stock, take_stock
from tests.examples.fakes import HangsOn

DAY = timedelta(days=1)
BOTH: list[aion.Workflow[..., Any]] = [take_all_stock, take_stock]


async def test_every_shop_is_counted_by_a_workflow_of_its_own() -> None:
    async with test_engine(workflows=BOTH) as engine:
        with replace(count, HangsOn(lambda shop, shelf: shelf, range(0))):
            run = await engine.start(take_all_stock, ["Oslo", "Bern"], DAY)
            assert await run.result() == {"Oslo": "3", "Bern": "3"}
        bern = await engine.describe("stock-Bern")
    assert bern.workflow_type == "take_stock"
    assert bern.parent is not None
    assert bern.parent.workflow_id == run.workflow_id


async def test_a_child_that_fails_is_reported_and_harms_no_other() -> None:
    async with test_engine(workflows=BOTH) as engine:

        async def fake(shop: str, shelf: int) -> int:
            if shop == "Pisa":
                raise aion.ApplicationError("the shelves have fallen over")
            return 1

        with replace(count, fake):
            run = await engine.start(take_all_stock, ["Oslo", "Pisa"], DAY)
            report = await run.result()
    assert report["Oslo"] == "3"
    assert "the shelves have fallen over" in report["Pisa"]


async def test_a_child_that_is_not_ready_in_time_is_cancelled() -> None:
    async with test_engine(workflows=BOTH) as engine:

        async def fake(shop: str, shelf: int) -> int:
            await engine.clock.sleep(30 * 24 * 3600 if shop == "Bern" else 60)
            return 1

        with replace(count, fake):
            run = await engine.start(take_all_stock, ["Oslo", "Bern"], DAY)
            report = await run.result()
        bern = await engine.describe("stock-Bern")
    assert report == {"Oslo": "3", "Bern": "not counted: its parent asked for it"}
    assert bern.status is aion.WorkflowStatus.CANCELLED


async def test_children_end_with_their_parent() -> None:
    counting = HangsOn(lambda shop, shelf: 1, range(1, 3))
    async with test_engine(workflows=BOTH) as engine:
        with replace(count, counting):
            run = await engine.start(take_all_stock, ["Oslo", "Bern"], DAY)
            await counting.hangs.wait()
            await run.cancel()
            with pytest.raises(aion.WorkflowFailedError):
                await run.result()
            for shop in ("Oslo", "Bern"):
                with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
                    await engine.get(f"stock-{shop}").result()


async def test_after_a_crash_no_shelf_is_counted_twice() -> None:
    counting = HangsOn(lambda shop, shelf: 1, range(4, 6))
    async with test_engine(workflows=BOTH) as engine:
        with replace(count, counting):
            run = await engine.start(take_all_stock, ["Oslo", "Bern"], DAY)
            await counting.hangs.wait()
            await engine.crash()
            assert await run.result() == {"Oslo": "3", "Bern": "3"}
    calls = Counter(counting.calls)
    # Those that were under way are begun again.
    assert Counter(calls.values()) == {1: 2 * SHELVES - 2, 2: 2}
