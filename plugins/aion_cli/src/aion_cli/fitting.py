"""Fitting: a history replayed by today's code, and the two side by side where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import click

from aion_cli.printing import Column, print_heading, print_json, print_lines, print_table
from aion_core import events as e
from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore
from aion_core.errors import CorruptHistoryError, HistoryShapeError, NonDeterminismError
from aion_core.ids import WorkflowId
from aion_core.payloads import PayloadConverter
from aion_core.replay.matching import describe
from aion_core.suggestions import did_you_mean
from aion_runtime.testing.replaying import replay_history

__all__ = ["Fit", "fit_of", "print_fits", "print_fits_as_json"]

BEFORE = 4
"""So many events are shown before the one where history and code part."""


@attrs.frozen(kw_only=True)
class Fit:
    """Whether code fits a history.

    Attributes:
        events: length of the history.
        problem: why it does not; None when it does.
        seq: the event where they part, when they do.
        rows: seq, history and code around it.
        place: ``file:line`` where the code asked for something else.
    """

    workflow_id: WorkflowId
    events: int
    problem: str | None = None
    seq: int | None = None
    rows: tuple[tuple[str, str, str], ...] = ()
    place: str | None = None

    @property
    def fits(self) -> bool:
        return self.problem is None


async def fit_of(
    store: EventStore,
    workflow_id: WorkflowId,
    code: Mapping[str, Workflow[..., Any]],
    converter: PayloadConverter,
) -> Fit:
    """Replay the history of a workflow, each run of it by the code for its type."""
    try:
        history = await store.read_history(workflow_id)
    except CorruptHistoryError as error:
        return Fit(workflow_id=workflow_id, events=0, problem=str(error))
    types = [each.workflow_type for each in history if isinstance(each, e.WorkflowStarted)]
    for name in dict.fromkeys(types):
        workflow = code.get(name)
        if workflow is None:
            otherwise = "name the module that holds it"
            problem = f"no module holds workflow {name!r}; " + did_you_mean(
                name, code, otherwise=otherwise
            )
            return Fit(workflow_id=workflow_id, events=len(history), problem=problem)
        try:
            replay_history(history, workflow, converter=converter)
        except NonDeterminismError as error:
            return _divergence(history, error)
        except HistoryShapeError as error:
            return Fit(workflow_id=workflow_id, events=len(history), problem=str(error))
    return Fit(workflow_id=workflow_id, events=len(history))


def print_fits(fits: Sequence[Fit]) -> None:
    """Print what fits in a line, and each that does not with history and code side by side."""
    for fit in fits:
        if not fit.fits:
            _print(fit)
    good = sum(fit.fits for fit in fits)
    click.echo(f"{good} of {len(fits)} histories fit the code")


def print_fits_as_json(fits: Sequence[Fit]) -> None:
    """Print one object for each history."""
    print_json(
        [
            {
                "workflow_id": fit.workflow_id,
                "fits": fit.fits,
                "events": fit.events,
                "problem": fit.problem,
                "seq": fit.seq,
                "place": fit.place,
                "around": [
                    {"seq": int(seq.rstrip(MARK)), "history": history, "code": code}
                    for seq, history, code in fit.rows
                ],
            }
            for fit in fits
        ]
    )


MARK = " ≠"


def _print(fit: Fit) -> None:
    print_heading(fit.workflow_id)
    if not fit.rows:
        print_lines([str(fit.problem)], mark="  ")
        return
    columns = (
        Column("event", justify="right"),
        Column("history", fit="fold"),
        Column("code", fit="fold"),
    )
    print_table(columns, fit.rows)
    if fit.place is not None:
        print_lines([f"asked for at {fit.place}"], mark="  ")
    click.echo()


def _divergence(history: Sequence[e.HistoryEvent], error: NonDeterminismError) -> Fit:
    before = history[max(0, error.seq - 1 - BEFORE) : error.seq - 1]
    rows = [
        # Of what comes from outside, and of notes, the code has nothing to say.
        (str(event.seq), describe(event), describe(event) if e.is_intent(event) else "")
        for event in before
    ]
    rows.append((f"{error.seq}{MARK}", error.expected, error.found))
    return Fit(
        workflow_id=WorkflowId(error.workflow_id),
        events=len(history),
        problem=str(error),
        seq=error.seq,
        rows=tuple(rows),
        place=None if error.file is None else f"{error.file}:{error.line}",
    )
