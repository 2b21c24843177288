"""``aion replay``: does today's code fit?"""

from __future__ import annotations

import json

import pytest

from aion_cli.exit_codes import ExitCode
from tests.cli.shop import Shop


@pytest.fixture
def recorded(shop: Shop) -> Shop:
    shop.start("checkout", "order-1")
    shop.start("approve", "order-2")
    return shop


def change(shop: Shop, old: str, new: str) -> None:
    app = shop.directory / "app.py"
    app.write_text(app.read_text().replace(old, new))


def test_code_that_has_not_changed_fits(recorded: Shop) -> None:
    assert recorded.aion("replay", "order-1", "app.py").out == "1 of 1 histories fit the code\n"
    done = recorded.aion("replay", "--all", "app.py")
    assert (done.code, done.out) == (0, "2 of 2 histories fit the code\n")


def test_where_it_does_not_fit_history_and_code_stand_side_by_side(recorded: Shop) -> None:
    change(recorded, "receipt = await charge(order)", "receipt = await ship(order)")
    done = recorded.aion("replay", "order-1", "app.py")
    assert done.code == ExitCode.CHECK_FAILED
    (row,) = (line for line in done.out.splitlines() if "≠" in line)
    assert row.split("  ")[-1] == "ActivityScheduled of 'ship' (activity:0)"
    assert "ActivityScheduled of 'charge' (activity:0)" in row
    assert "app.py:" in done.out
    assert done.out.endswith("0 of 1 histories fit the code\n")


def test_one_that_does_not_fit_hides_none_that_does(recorded: Shop) -> None:
    change(recorded, "aion.move_on_after(3600)", "aion.CancelScope()")
    done = recorded.aion("replay", "--all", "app.py", "--json")
    assert done.code == ExitCode.CHECK_FAILED
    fits = {each["workflow_id"]: each["fits"] for each in json.loads(done.out)}
    assert fits == {"order-1": True, "order-2": False}


def test_only_open_ones_are_replayed_when_asked(recorded: Shop) -> None:
    change(recorded, "receipt = await charge(order)", "receipt = await ship(order)")
    assert recorded.aion("replay", "--all", "--open", "app.py").code == 0


def test_a_type_that_no_module_holds_is_told_with_the_nearest(recorded: Shop) -> None:
    change(recorded, "async def checkout", "async def check_out")
    done = recorded.aion("replay", "order-1", "app.py")
    assert done.code == ExitCode.CHECK_FAILED
    assert "no module holds workflow 'checkout'; did you mean 'check_out'?" in done.out


def test_nothing_is_written_by_it(recorded: Shop) -> None:
    before = recorded.aion("history", "order-2", "--json").out
    recorded.aion("replay", "--all", "app.py")
    assert recorded.aion("history", "order-2", "--json").out == before


def test_what_is_to_be_replayed_has_to_be_named(recorded: Shop) -> None:
    for words in (["app.py"], ["order-1", "--open", "app.py"]):
        assert recorded.aion("replay", *words).code == ExitCode.USAGE
