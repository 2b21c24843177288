"""What is shown fits the terminal, and nothing in it has power over the terminal."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from aion_cli.demo.check import Finding
from aion_cli.demo.evidence import Evidence
from aion_cli.demo.orders import End, Outcome, load_orders
from aion_cli.demo.place import Snapshot
from aion_cli.demo.report import Report, print_report
from aion_cli.demo.sabotage import Cut
from aion_cli.demo.spectators import LiveSpectator
from aion_core.contracts import DueTimer, OpenActivity
from aion_core.history import ActivityRow, TimerRow, WorkflowSummary
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus
from tests.cli.stories import EPOCH, Story, good_evidence, kill, ran

ORDERS = load_orders()
WIDTHS = pytest.mark.parametrize("width", [80, 120])


def screen(width: int, *, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=30,
        force_terminal=terminal,
        color_system=None,
        highlight=False,
        _environ={},
    )


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def report(*findings: Finding, kept: Path | None = None) -> Report:
    """All orders but the last have ended, each as expected of its number."""
    outcomes = {
        each.workflow_id: Story(each.workflow_id).ended(
            End(
                outcome=Outcome.REFUNDED,
                customer=each.order.customer,
                currency=each.order.currency,
                reason="no answer in time",
            )
        )
        for each in ORDERS[:-1]
    }
    open_run = Story(ORDERS[0].workflow_id).events
    return Report(
        demo_orders=ORDERS,
        evidence=Evidence(
            ledger=good_evidence().ledger,
            kills=[kill(1, [], open_run), kill(2, [], open_run)],
            histories={name: story.events for name, story in outcomes.items()},
        ),
        findings=findings,
        seed=1,
        seconds=6.1,
        kept=kept,
        sabotaged=bool(findings),
    )


@WIDTHS
def test_the_table_fits_and_its_headings_are_whole(width: int) -> None:
    console = screen(width, terminal=True)
    print_report(report(), console)
    lines = shown(console).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    (heading,) = (line for line in lines if line.startswith("Order"))
    assert "Events" in heading
    assert "Crashes" in heading


def test_the_table_says_how_many_crashes_an_order_survived_and_what_is_not_over() -> None:
    console = screen(120)
    print_report(report(), console)
    rows = {line[:4]: line for line in shown(console).splitlines()}
    assert rows["1001"].split()[-1] == "2"
    assert rows["1002"].split()[-1] == "0"
    assert "refunded, no answer in time" in rows["1002"]
    assert "not over" in rows["1025"]


def test_a_hostile_name_has_no_power_over_the_terminal() -> None:
    console = screen(120)
    print_report(report(Finding("wrong-end", "order-1: \x1b[31m\u202e\n!")), console)
    text = shown(console)
    assert "\\u202eRobert'); DROP TABLE" in text
    assert all(character.isprintable() for character in text if character != "\n")


def test_findings_are_shown_up_to_a_number() -> None:
    console = screen(120)
    print_report(report(*(Finding("lost", f"finding {n}") for n in range(20))), console)
    text = shown(console)
    assert "The check failed, with 20 findings:" in text
    assert "  finding 7\n" in text
    assert "finding 8" not in text
    assert "and 12 more" in text
    assert "this was sabotage" in text


def test_what_was_kept_is_named_so_that_it_can_be_pasted() -> None:
    console = screen(120)
    print_report(report(kept=Path("my demo")), console)
    assert "sqlite3 'my demo/demo.db' 'select * from v_events'" in shown(console)


@WIDTHS
def test_the_live_view_fits_and_shows_the_state_of_every_order(width: int) -> None:
    def run(number: int, status: WorkflowStatus, reason: str | None = None) -> WorkflowSummary:
        return WorkflowSummary(
            workflow_id=WorkflowId(f"order-{number}"),
            run_id=RunId("r"),
            workflow_type="fulfil",
            status=status,
            started_at=EPOCH,
            failure_reason=reason,
        )

    def busy(number: int, activity: str, seq: int) -> OpenActivity:
        row = ActivityRow(
            activity_id=ActivityId(f"activity:{seq}"), activity_type=activity, scheduled_seq=seq
        )
        return OpenActivity(WorkflowId(f"order-{number}"), RunId("r"), row)

    snapshot = Snapshot(
        runs=[
            run(1001, WorkflowStatus.COMPLETED),
            run(1002, WorkflowStatus.FAILED, "CardDeclined: no funds"),
            run(1003, WorkflowStatus.FAILED, "OSError: no"),
            run(1004, WorkflowStatus.RUNNING),
            run(1005, WorkflowStatus.RUNNING),
            run(1006, WorkflowStatus.RUNNING),
        ],
        activities=[
            busy(1005, "reserve", 2),
            busy(1005, "reserve", 3),
            busy(1006, "send_receipt", 2),
        ],
        timers=[
            DueTimer(
                WorkflowId("order-1004"),
                RunId("r"),
                TimerRow(timer_id=TimerId("timer:0"), started_seq=2, fire_at=EPOCH),
            )
        ],
    )
    console = screen(width, terminal=True)
    with LiveSpectator(console, ORDERS, seed=1) as spectator:
        spectator.started(4_000_001)
        spectator.saw(snapshot, [ran(0, pid=4_000_001)])
        spectator.killed(kill(1, [], Story().events, pid=4_000_001))
        spectator.sabotaged(Cut("order-1001", "charge", "activity:0", 2))
        spectator.started(4_000_002)
        frame = shown(console).rpartition("Aion demo: 25 orders, seed 1")[2]
    for state in (
        "1001 ✔ done",
        "1002 ✘ declined",
        "1003 ✘ failed",
        "1004 ◌ approval?",
        "1005 ▸ reserve ×2",
        "1006 ▸ send_receipt",
        "1025 ·",
    ):
        assert state in frame
    assert "engine started again, pid 4000002: 3 of 25 orders over, 1 execution" in frame
    assert max(cell_len(line) for line in frame.splitlines()) <= width
    assert len(frame.splitlines()) < 20
