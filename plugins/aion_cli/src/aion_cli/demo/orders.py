"""The orders of the demo, read from ``orders.jsonl``, and how an order can end.

Data and business rules only: nothing here may know that there is a workflow engine.
"""

from __future__ import annotations

import enum
import json
from decimal import Decimal
from importlib import resources
from typing import Any

import attrs

__all__ = ["CARD_DECLINED", "Answer", "DemoOrder", "End", "Line", "Order", "Outcome", "load_orders"]

APPROVAL_ABOVE = {
    "CHF": Decimal(1000),
    "EUR": Decimal(1000),
    "GBP": Decimal(900),
    "JPY": Decimal(150_000),
    "KWD": Decimal(330),
    "SEK": Decimal(11_000),
    "USD": Decimal(1100),
}
"""By currency: an order of a larger total is shipped only when somebody has approved it."""

CARD_DECLINED = "CardDeclined"
"""Type of the failure with which a declined order's run ends."""


@attrs.frozen
class Line:
    """Some pieces of one article, with the price of a piece."""

    sku: str
    quantity: int
    price: Decimal


@attrs.frozen
class Order:
    """What a customer sends.

    Attributes:
        card: a token of the payment provider.
        hold_s: seconds for which the goods are held for an approval.
    """

    order_id: str
    customer: str
    currency: str
    card: str
    lines: tuple[Line, ...]
    hold_s: float

    @property
    def total(self) -> Decimal:
        """What the card is charged."""
        return sum((line.quantity * line.price for line in self.lines), Decimal(0))

    @property
    def needs_approval(self) -> bool:
        """Is it too large to be shipped without asking?"""
        return self.total > APPROVAL_ABOVE[self.currency]


@attrs.frozen
class Answer:
    """How somebody answers the question for approval, ``after_s`` seconds after the order."""

    by: str
    granted: bool
    after_s: float


@attrs.frozen
class DemoOrder:
    """An order and the answer it gets; None when nobody answers."""

    order: Order
    answer: Answer | None

    @property
    def workflow_id(self) -> str:
        """The id of the order's workflow."""
        return f"order-{self.order.order_id}"


class Outcome(enum.Enum):
    """How an order can end."""

    SHIPPED = "shipped"
    REFUNDED = "refunded"
    DECLINED = "declined"


@attrs.frozen(kw_only=True)
class End:
    """What is true when an order is over.

    Attributes:
        reason: why it was not shipped.
    """

    outcome: Outcome
    customer: str
    currency: str
    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    reason: str | None = None


DEFAULT_HOLD_S = 60.0
"""Longer than any restart, so that an answer that is to come always comes in time."""


def load_orders() -> tuple[DemoOrder, ...]:
    """The orders of the demo, in the order in which they come in."""
    text = resources.files("aion_cli.demo").joinpath("orders.jsonl").read_text(encoding="utf-8")
    # Not splitlines(): a customer's name may hold separators that it takes for line ends.
    return tuple(_demo_order(json.loads(row)) for row in text.split("\n") if row)


def _demo_order(row: dict[str, Any]) -> DemoOrder:
    order, answer = row["order"], row["answer"]
    lines = (Line(line["sku"], line["quantity"], Decimal(line["price"])) for line in order["lines"])
    return DemoOrder(
        Order(
            order["order_id"],
            order["customer"],
            order["currency"],
            order["card"],
            tuple(lines),
            float(order.get("hold_s", DEFAULT_HOLD_S)),
        ),
        None if answer is None else Answer(**answer),
    )
