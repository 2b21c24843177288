"""The order data is as varied as it claims to be, and its ends are as computed by hand."""

import subprocess
import sys
from collections import Counter
from decimal import Decimal

from aion_cli.demo.expected import expected_end
from aion_cli.demo.orders import Outcome, load_orders

ORDERS = load_orders()
BY_ID = {each.order.order_id: each for each in ORDERS}


def test_there_are_25_orders_with_ids_of_their_own() -> None:
    assert len(ORDERS) == len({each.workflow_id for each in ORDERS}) == 25


def test_orders_differ_in_lines_currencies_and_amounts() -> None:
    assert {len(each.order.lines) for each in ORDERS} >= {1, 2, 3, 4}
    assert len({each.order.currency for each in ORDERS}) >= 6
    assert len({each.order.total for each in ORDERS}) == 25


def test_every_way_to_end_occurs() -> None:
    ends = Counter(expected_end(each).outcome for each in ORDERS)
    assert ends == {Outcome.SHIPPED: 19, Outcome.REFUNDED: 3, Outcome.DECLINED: 3}


def test_orders_that_are_not_shipped_are_those_chosen_by_hand() -> None:
    found = {
        each.order.order_id: expected_end(each).reason
        for each in ORDERS
        if expected_end(each).outcome is not Outcome.SHIPPED
    }
    assert found == {
        "1005": "insufficient funds",
        "1008": "denied by kim",
        "1013": "card expired",
        "1014": "no answer in time",
        "1019": "limit reached",
        "1023": "no answer in time",
    }


def test_some_large_orders_are_approved() -> None:
    approved = [each for each in ORDERS if each.answer is not None and each.answer.granted]
    assert {each.order.order_id for each in approved} >= {"1002", "1006", "1012", "1016", "1020"}
    assert all(each.order.needs_approval for each in approved)


def test_an_answer_comes_long_before_the_goods_are_given_free() -> None:
    """Else a slow restart could change how an order ends."""
    for each in ORDERS:
        if each.answer is not None:
            assert each.order.hold_s >= each.answer.after_s + 30


def test_an_order_that_nobody_answers_is_given_up_within_seconds() -> None:
    unanswered = [
        each
        for each in ORDERS
        if each.order.needs_approval and expected_end(each).reason == "no answer in time"
    ]
    assert all(1 <= each.order.hold_s <= 2 for each in unanswered)


def test_totals_are_exact() -> None:
    assert BY_ID["1009"].order.total == Decimal("31.000")
    assert BY_ID["1021"].order.total == Decimal("0.01")
    assert BY_ID["1002"].order.total == 749 + 2 * Decimal("219.50")


def test_a_refund_gives_back_what_was_charged() -> None:
    for each in ORDERS:
        end = expected_end(each)
        assert end.charged - end.refunded == (
            each.order.total if end.outcome is Outcome.SHIPPED else 0
        )


def test_one_customer_has_a_hostile_name() -> None:
    name = BY_ID["1011"].order.customer
    for hostile in (
        "\u202e",
        "\u2028",
        "\x00",
        "\x1b[31m",
        "\n",
        "'); DROP TABLE",
        '"',
        "\\",
        "👩",
    ):
        assert hostile in name
    assert name.encode().decode() == name, "no lone surrogates: they are no text"


def test_the_expected_ends_are_computed_without_aion() -> None:
    code = "import sys, aion_cli.demo.expected; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "aion_cli" in packages
    assert not packages & {"aion_core", "aion_runtime", "aion_store_sqlite", "trio"}
