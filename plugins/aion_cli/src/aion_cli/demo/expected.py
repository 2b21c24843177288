"""How every order must end, computed from the data alone.

The other half of the check. It may not use Aion, and knows of payment, approval and shipping only
what ``orders.jsonl`` says.
"""

from __future__ import annotations

from decimal import Decimal

from aion_cli.demo.orders import DemoOrder, End, Outcome

__all__ = ["expected_end", "expected_executions"]

DECLINED_PREFIX = "tok_declined_"


def expected_end(demo_order: DemoOrder) -> End:
    """The one way in which an order can end, however often the engine dies meanwhile."""
    order, answer = demo_order.order, demo_order.answer
    if order.card.startswith(DECLINED_PREFIX):
        return End(
            outcome=Outcome.DECLINED,
            customer=order.customer,
            currency=order.currency,
            reason=order.card.removeprefix(DECLINED_PREFIX).replace("_", " "),
        )
    refused = None
    if order.needs_approval and answer is None:
        refused = "no answer in time"
    elif order.needs_approval and answer is not None and not answer.granted:
        refused = f"denied by {answer.by}"
    return End(
        outcome=Outcome.SHIPPED if refused is None else Outcome.REFUNDED,
        customer=order.customer,
        currency=order.currency,
        charged=order.total,
        refunded=Decimal(0) if refused is None else order.total,
        reason=refused,
    )


def expected_executions(demo_order: DemoOrder) -> int:
    """About how many executions of activities the order takes when nothing is killed."""
    match expected_end(demo_order).outcome:
        case Outcome.DECLINED:
            return 1
        case Outcome.REFUNDED:
            return 2 + len(demo_order.order.lines)
        case Outcome.SHIPPED:
            return 3 + len(demo_order.order.lines)
