"""``aion list``: workflows, newest first. Reads the store; no engine is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aion_cli.given import attributes_of
from aion_cli.options import attributes_option, json_option, store_option

if TYPE_CHECKING:
    from aion_core.contracts import RunFilter, RunPage
    from aion_core.history import WorkflowSummary

__all__ = ["list_command"]

STATUSES = (
    "running",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "terminated",
    "timed-out",
)


@click.command(name="list", short_help="List workflows, newest first.")
@click.option("--type", "workflow_type", metavar="TYPE", help="Only workflows of this type.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those that stand so.")
@click.option("--stuck", is_flag=True, help="Only those that cannot go on in their engine.")
@attributes_option
@click.option("--text", help="Only those with this in id, type or failure reason; case counts.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many."
)
@click.option("--cursor", metavar="TEXT", help="Go on behind a page: its 'cursor' in JSON.")
@store_option
@json_option
def list_command(
    workflow_type: str | None,
    status: str | None,
    stuck: bool,
    attributes: tuple[str, ...],
    text: str | None,
    limit: int,
    cursor: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List workflows, newest first, each by its newest run."""
    from aion_cli.stores import choose_store
    from aion_cli.trio_running import run_async
    from aion_core.contracts import RunFilter
    from aion_core.values import checked_attributes

    try:
        checked = checked_attributes(attributes_of(attributes))
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    wanted = RunFilter(
        workflow_type=workflow_type,
        status=None if status is None else _status(status),
        stuck=True if stuck else None,
        attributes={name: value for name, value in checked.items() if value is not None},
        text=text,
    )
    chosen = choose_store(store)

    async def read() -> tuple[RunPage, int]:
        async with chosen.reading() as opened:
            try:
                page = await opened.list_runs(wanted, limit=limit, cursor=cursor)
            except ValueError as error:
                raise click.UsageError(f"--cursor: {error}") from error
            more = page.cursor is not None
            return page, await opened.count(wanted) if more else len(page.runs)

    page, total = run_async(read)
    if as_json:
        _print_json(page)
    else:
        _print(page, total, wanted)


def _status(name: str) -> Any:
    from aion_core.status import WorkflowStatus

    return WorkflowStatus[name.replace("-", "_").upper()]


def _print_json(page: RunPage) -> None:
    from aion_cli.describing import summary_as_json
    from aion_cli.printing import print_json

    print_json({"runs": [summary_as_json(run) for run in page.runs], "cursor": page.cursor})


def _print(page: RunPage, total: int, wanted: RunFilter) -> None:
    from aion_cli.printing import Column, print_table

    now = datetime.now(UTC)
    columns = (
        Column("id", fit="fold"),
        Column("type", fit="fold"),
        Column("status"),
        Column("started"),
        Column("events", justify="right"),
        Column("reason", fit="fold"),
    )
    print_table(columns, [_row(run, now) for run in page.runs])
    if page.cursor is not None:
        click.echo(f"{len(page.runs)} of {total}; --limit shows more", err=True)
    elif not page.runs:
        click.echo("no workflow is like that", err=True)


def _row(run: WorkflowSummary, now: datetime) -> tuple[str, ...]:
    from aion_cli.describing import status_word
    from aion_runtime.wording import ago

    reason = run.stuck or run.failure_reason or ""
    return (
        run.workflow_id,
        run.workflow_type,
        status_word(run),
        ago(run.started_at, now),
        str(run.events),
        reason,
    )
