"""Lists of workflows: `RunFilter` as SQL, with every value bound, and summaries from rows."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from aion_core.codec import from_micros, to_micros
from aion_core.contracts import RunFilter, RunPage
from aion_core.events import ParentRef
from aion_core.history import WorkflowSummary
from aion_core.ids import ActivityId, ChildKey, RunId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.storing import write_cursor
from aion_store_sqlite.attributes import from_json, search_key
from aion_store_sqlite.columns import instant_of

__all__ = [
    "Condition",
    "Query",
    "condition",
    "count",
    "count_query",
    "run_page",
    "summary_of",
    "workflow_ids",
]


class Condition(NamedTuple):
    """A condition on a row of workflows, with the values of its question marks.

    Attributes:
        of_open: only open workflows meet it.
    """

    sql: str
    values: tuple[object, ...]
    of_open: bool = False

    @property
    def started_at(self) -> str:
        """The column to order by.

        As an expression it keeps SQLite from walking through all starts, most of them of closed
        workflows, where an index has the open ones together.
        """
        return "+started_at" if self.of_open else "started_at"


class Query(NamedTuple):
    """A statement, with the values of its question marks."""

    sql: str
    values: tuple[object, ...]


def condition(filter: RunFilter) -> Condition:
    """The rows that a filter lets through, just as `RunFilter.matches` does.

    Raises:
        TypeError: a bound has no zone.
    """
    return _all_of(_parts(filter))


def summary_of(connection: sqlite3.Connection, workflow_id: WorkflowId) -> WorkflowSummary | None:
    """The summary of a workflow, if there is one."""
    row = connection.execute(_SUMMARY + "WHERE workflow_id = ?", (workflow_id,)).fetchone()
    return None if row is None else _summary(*row)


def run_page(
    connection: sqlite3.Connection, where: Condition, limit: int, after: tuple[int, str] | None
) -> RunPage:
    """A page of summaries: newest start first, then by id, from behind ``after``."""
    micros, workflow_id = after or _BEFORE_ALL
    start = where.started_at
    rows = connection.execute(
        f"""
        {_SUMMARY}
        WHERE {start} <= ? AND ({start} < ? OR workflow_id > ?) AND {where.sql}
        ORDER BY {start} DESC, workflow_id LIMIT ?
        """,
        # One more than asked for, to know whether there is another page.
        (micros, micros, workflow_id, *where.values, min(limit + 1, sys.maxsize)),
    ).fetchall()
    runs = [_summary(*row) for row in rows[:limit]]
    return RunPage(runs, write_cursor(runs[-1]) if len(rows) > limit else None)


def count_query(filter: RunFilter) -> Query:
    """The query that counts the workflows which a filter lets through.

    Raises:
        TypeError: a bound has no zone.
    """
    kind = RunFilter(workflow_type=filter.workflow_type, status=filter.status, stuck=filter.stuck)
    if filter == kind:
        where = _all_of(_parts_of_kind(filter))
        return Query(
            f"SELECT coalesce(sum(runs), 0) FROM run_counts WHERE {where.sql}", where.values
        )
    where = condition(filter)
    return Query(f"SELECT count(*) FROM workflows WHERE {where.sql}", where.values)


def count(connection: sqlite3.Connection, query: Query) -> int:
    """How many there are, by a `count_query`."""
    (found,) = connection.execute(*query).fetchone()
    return int(found)


def workflow_ids(connection: sqlite3.Connection, where: Condition) -> list[WorkflowId]:
    """Ids of the workflows that meet a condition, oldest start of a newest run first."""
    rows = connection.execute(
        f"SELECT workflow_id FROM workflows WHERE {where.sql} "
        f"ORDER BY {where.started_at}, workflow_id",
        where.values,
    ).fetchall()
    return [WorkflowId(workflow_id) for (workflow_id,) in rows]


_BEFORE_ALL = (sys.maxsize, "")
"""The cursor of the first page."""

_SUMMARY = """
    SELECT workflow_id, run_id, workflow_type, status, started_at, closed_at,
        (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow),
        parent_id, parent_run_id, parent_child_key, attributes,
        failed_activity, failure_reason, stuck
    FROM workflows w
"""


_OPEN = Condition("closed_at IS NULL", (), of_open=True)


def _all_of(parts: Iterable[Condition]) -> Condition:
    parts = list(parts)
    return Condition(
        " AND ".join(part.sql for part in parts) or "1",
        tuple(value for part in parts for value in part.values),
        any(part.of_open for part in parts),
    )


def _parts_of_kind(filter: RunFilter) -> Iterator[Condition]:
    if filter.workflow_type is not None:
        yield Condition("workflow_type = ?", (filter.workflow_type,))
    if filter.status is not None:
        yield Condition("status = ?", (filter.status.value,))
    if filter.stuck is not None:
        yield Condition("stuck = ?", (filter.stuck,))


def _parts(filter: RunFilter) -> Iterator[Condition]:
    # SQLite goes by one index, and would rather have one that gives the order than the one by which
    # the fewest are found: attributes, then the status, then the type. A plus forbids the others.
    if filter.workflow_type is not None:
        plus = "+" if filter.attributes or filter.status is not None else ""
        yield Condition(f"{plus}workflow_type = ?", (filter.workflow_type,))
    if filter.status is not None:
        plus = "+" if filter.attributes else ""
        yield Condition(f"{plus}status = ?", (filter.status.value,))
    if filter.stuck:
        yield _OPEN
    if filter.stuck is not None:
        yield Condition("(stuck IS NOT NULL) = ?", (filter.stuck,))
    for column, first, last in (
        ("started_at", filter.started_from, filter.started_to),
        ("closed_at", filter.closed_from, filter.closed_to),
    ):
        if first is not None:
            yield Condition(f"{column} >= ?", (to_micros(first),))
        if last is not None:
            yield Condition(f"{column} <= ?", (to_micros(last),))
    for name, value in filter.attributes.items():
        yield Condition(
            "workflow IN (SELECT workflow FROM attributes WHERE name = ? AND value = ?)",
            (name, search_key(value)),
        )
    if filter.text is not None:
        yield Condition(
            "(instr(workflow_id, ?) OR instr(workflow_type, ?) "
            "OR instr(coalesce(failure_reason, ''), ?))",
            (filter.text,) * 3,
        )


def _summary(workflow_id: str, *columns: Any) -> WorkflowSummary:
    try:
        return _summary_of(workflow_id, *columns)
    except (TypeError, ValueError, OverflowError) as error:
        # One such row fails the whole list: it is to be found.
        raise ValueError(f"of workflow {workflow_id!r}: {error}") from error


def _summary_of(
    workflow_id: str,
    run_id: str,
    workflow_type: str,
    status: str,
    started_at: int,
    closed_at: int | None,
    events: int | None,
    parent_id: str | None,
    parent_run_id: str | None,
    parent_child_key: str | None,
    attributes: str | None,
    failed_activity: str | None,
    failure_reason: str | None,
    stuck: str | None,
) -> WorkflowSummary:
    parent = None
    if parent_id is not None and parent_run_id is not None and parent_child_key is not None:
        parent = ParentRef(
            workflow_id=WorkflowId(parent_id),
            run_id=RunId(parent_run_id),
            child_key=ChildKey(parent_child_key),
        )
    return WorkflowSummary(
        workflow_id=WorkflowId(workflow_id),
        run_id=RunId(run_id),
        workflow_type=workflow_type,
        status=WorkflowStatus(status),
        started_at=from_micros(started_at),
        closed_at=instant_of(closed_at),
        events=events or 0,
        parent=parent,
        attributes=from_json(attributes),
        failed_activity=None if failed_activity is None else ActivityId(failed_activity),
        failure_reason=failure_reason,
        stuck=stuck,
    )
