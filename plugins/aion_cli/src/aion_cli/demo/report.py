"""The result of a demo: a table, the verdict and what to try next; or one JSON object."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aion_cli.demo.check import Finding, recorded_end
from aion_cli.demo.evidence import Evidence, is_over
from aion_cli.demo.orders import DemoOrder, End, Outcome

__all__ = ["Report", "print_report", "report_as_json"]

NARROWEST_CUSTOMER, WIDEST_CUSTOMER = 8, 30
OTHER_COLUMNS = 69
"""Width of the table without the customers' names."""

FINDINGS_SHOWN = 8
STYLES = {Outcome.SHIPPED: "green", Outcome.REFUNDED: "yellow", Outcome.DECLINED: "red"}


@attrs.frozen(kw_only=True)
class Report:
    """What is to be told.

    Attributes:
        findings: what the check found; nothing when all is well.
        kept: the directory that holds the ledger, and the database unless there is a ``store``.
        store: URL of a store that is not the demo's own.
    """

    demo_orders: Sequence[DemoOrder]
    evidence: Evidence
    findings: Sequence[Finding]
    seed: int
    seconds: float
    kept: Path | None
    sabotaged: bool
    store: str | None = None

    @property
    def attempts(self) -> int:
        """How many attempts of activities were executed, however often."""
        return len({(x.workflow_id, x.activity_id, x.attempt) for x in self.evidence.ledger})

    @property
    def activities(self) -> int:
        """How many activities were executed, in however many attempts."""
        return len({(x.workflow_id, x.activity_id) for x in self.evidence.ledger})

    @property
    def repeated(self) -> int:
        """Executions beyond the first of their attempt."""
        return len(self.evidence.ledger) - self.attempts

    def end(self, demo_order: DemoOrder) -> End | str:
        """How an order ended."""
        history = self.evidence.histories.get(demo_order.workflow_id, ())
        return recorded_end(history) if is_over(history) else "not over"

    def events(self, demo_order: DemoOrder) -> int:
        """Length of an order's history."""
        return len(self.evidence.histories.get(demo_order.workflow_id, ()))

    def crashes(self, demo_order: DemoOrder) -> int:
        """How many kills an order's run has lived through."""
        return sum(demo_order.workflow_id in kill.open_runs for kill in self.evidence.kills)


def print_report(report: Report, console: Console) -> None:
    """Print table, verdict and what to try next."""
    console.print()
    console.print(_table(report, console.width))
    console.print()
    for line in _verdict(report):
        _print_line(line, console)
    console.print()
    console.print(Text("Try next", style="bold"))
    for command, purpose in _next(report):
        _print_line(Text(f"  {command}"), console)
        _print_line(Text(f"      {purpose}"), console)


def _print_line(line: Text, console: Console) -> None:
    """Print a line; where people read, a long one is wrapped under its indent."""
    if not console.is_terminal:
        console.print(line, soft_wrap=True)
        return
    indent = len(line.plain) - len(line.plain.lstrip(" "))
    console.print(Padding(line[indent:], (0, 0, 0, indent)))


def report_as_json(report: Report) -> str:
    """The same for programs."""
    return json.dumps(
        {
            "passed": not report.findings,
            "findings": [attrs.asdict(finding) for finding in report.findings],
            "orders": [_order_as_json(report, each) for each in report.demo_orders],
            "kills": [
                {
                    "number": kill.number,
                    "pid": kill.pid,
                    "in_flight": len(kill.in_flight),
                    "waiting": len(kill.waiting),
                    "open_runs": len(kill.open_runs),
                    "outcomes_on_disk": kill.settled,
                }
                for kill in report.evidence.kills
            ],
            "executions": len(report.evidence.ledger),
            "executions_repeated": report.repeated,
            "seed": report.seed,
            "seconds": round(report.seconds, 2),
            "kept": None if report.kept is None else str(report.kept),
            "sabotaged": report.sabotaged,
        },
        ensure_ascii=False,
    )


def _order_as_json(report: Report, demo_order: DemoOrder) -> dict[str, Any]:
    end = report.end(demo_order)
    known = end if isinstance(end, End) else None
    return {
        "workflow_id": demo_order.workflow_id,
        "customer": demo_order.order.customer,
        "currency": demo_order.order.currency,
        "total": str(demo_order.order.total),
        "outcome": None if known is None else known.outcome.value,
        "charged": None if known is None else str(known.charged),
        "refunded": None if known is None else str(known.refunded),
        "detail": end if known is None else known.reason,
        "events": report.events(demo_order),
        "crashes_survived": report.crashes(demo_order),
    }


def _table(report: Report, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    customer_width = max(NARROWEST_CUSTOMER, min(width - OTHER_COLUMNS, WIDEST_CUSTOMER))
    table.add_column("Order", no_wrap=True)
    table.add_column("Customer", no_wrap=True)
    table.add_column("Total", justify="right", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Events", justify="right", no_wrap=True)
    wide = customer_width == WIDEST_CUSTOMER
    table.add_column("Crashes survived" if wide else "Crashes", justify="right", no_wrap=True)
    for each in report.demo_orders:
        customer = Text(_visible(each.order.customer))
        customer.truncate(customer_width, overflow="ellipsis")
        crashes = report.crashes(each)
        table.add_row(
            each.order.order_id,
            customer,
            f"{each.order.total} {each.order.currency}",
            _outcome(report.end(each)),
            str(report.events(each)),
            Text(str(crashes), style="bold" if crashes else "dim"),
        )
    return table


def _outcome(end: End | str) -> Text:
    if isinstance(end, str):
        return Text(_visible(end), style="bold red")
    reason = f", {end.reason}" if end.reason else ""
    return Text(f"{end.outcome.value}{reason}", style=STYLES[end.outcome])


def _verdict(report: Report) -> list[Text]:
    evidence = report.evidence
    facts = (
        f"{len(evidence.kills)} kills in {report.seconds:.1f} s. {len(evidence.ledger)} executions "
        f"= {report.activities} activities + {report.attempts - report.activities} retries + "
        f"{report.repeated} repeated"
    )
    if not report.findings:
        return [
            Text("Nothing was lost, and nothing ran again that had completed.", style="bold green"),
            Text(f"{facts},"),
            Text("as a kill came before their outcome was on disk."),
        ]
    rest = len(report.findings) - FINDINGS_SHOWN
    return [
        Text(f"The check failed, with {len(report.findings)} findings:", style="bold red"),
        *(Text(f"  {_visible(each.text)}") for each in report.findings[:FINDINGS_SHOWN]),
        *([Text(f"  … and {rest} more; --json shows all")] if rest > 0 else []),
        Text(f"{facts}."),
        *([Text("That is as it must be: this was sabotage.")] if report.sabotaged else []),
    ]


def _next(report: Report) -> list[tuple[str, str]]:
    if report.kept is None:
        look = [("aion demo --keep kept", "keep the database and the ledger, to look into them")]
    else:
        database = shlex.quote(str(report.kept / "demo.db"))
        ledger = shlex.quote(str(report.kept / "ledger.jsonl"))
        look = [(f"less {ledger}", "what the activities did, one line per execution")]
        if report.store is None:
            command = f"sqlite3 {database} 'select * from v_events'"
            look.insert(0, (command, "every event of every history"))
    return [
        *look,
        ("aion demo --kills 10", "more kills"),
        ("aion demo --sabotage", "lose one recorded outcome on purpose: the check finds it"),
    ]


def _visible(text: str) -> str:
    """Text without power over the terminal: what cannot be printed is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
