"""``aion list``: what is there."""

from __future__ import annotations

import pytest

import aion_runtime as aion
from aion_cli.exit_codes import ExitCode
from tests.cli.shop import Shop


@pytest.fixture
def full(shop: Shop) -> Shop:
    """Three workflows, one of them open, the newest last."""
    shop.start("checkout", "order-1", attributes={"customer": "kim", "vip": True})
    shop.start("checkout", "order-2", "bad", attributes={"customer": "lee"})
    shop.start("approve", "order-3")
    return shop


def ids(shop: Shop, *words: str) -> list[str]:
    return [run["workflow_id"] for run in shop.json("list", *words)["runs"]]


def test_the_newest_comes_first(full: Shop) -> None:
    assert ids(full) == ["order-3", "order-2", "order-1"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--type", "approve"], ["order-3"]),
        (["--status", "failed"], ["order-2"]),
        (["--status", "running", "--type", "checkout"], []),
        (["--attribute", "customer=kim", "--attribute", "vip=true"], ["order-1"]),
        (["--attribute", "vip=false"], []),
        (["--text", "no funds"], ["order-2"]),
        (["--stuck"], []),
        (["--limit", "2"], ["order-3", "order-2"]),
    ],
)
def test_what_is_wanted_can_be_said(full: Shop, words: list[str], found: list[str]) -> None:
    assert ids(full, *words) == found


def test_the_cursor_of_a_page_leads_to_the_next(full: Shop) -> None:
    page = full.json("list", "--limit", "2")
    rest = full.json("list", "--cursor", page["cursor"])
    assert [run["workflow_id"] for run in rest["runs"]] == ["order-1"]
    assert rest["cursor"] is None


def test_a_cursor_that_is_none_is_a_usage_error(full: Shop) -> None:
    done = full.aion("list", "--cursor", "x")
    assert done.code == ExitCode.USAGE
    assert "--cursor" in done.error


def test_in_a_pipe_each_workflow_is_one_plain_line(full: Shop) -> None:
    heading, *rows = full.aion("list").out.splitlines()
    assert heading.split() == ["id", "type", "status", "started", "events", "reason"]
    assert [row.split()[:3] for row in rows] == [
        ["order-3", "approve", "Running"],
        ["order-2", "checkout", "Failed"],
        ["order-1", "checkout", "Completed"],
    ]
    assert "ActivityError: activity 'charge' (activity:0) failed at attempt 1" in rows[1]


def test_what_is_left_out_is_said_on_stderr(full: Shop) -> None:
    assert full.aion("list", "--limit", "1").err == "1 of 3; --limit shows more\n"
    assert full.aion("list", "--type", "none").err == "no workflow is like that\n"


def test_a_stuck_run_says_why(full: Shop) -> None:
    app = full.directory / "app.py"
    app.write_text(app.read_text().replace("aion.move_on_after(3600)", "aion.CancelScope()"))

    async def work(engine: aion.Engine, app: object) -> None:
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("order-3").result()

    full.engine(work)
    assert ids(full, "--stuck") == ["order-3"]
    row = full.aion("list", "--stuck").out.splitlines()[1]
    assert row.split()[2] == "stuck"
    assert "no longer fits its history" in row
