"""Replaying: does today's code still fit what former code has recorded?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.commands import Command
from aion_core.errors import HistoryShapeError, WorkflowUsageError
from aion_core.events import HistoryEvent, WorkflowStarted
from aion_core.ids import WorkflowId
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.payloads import PayloadConverter
from aion_core.replay import Replay, ResumePoint
from aion_runtime.guard import activation_guard

__all__ = ["Replayed", "replay_history", "save_history"]


@attrs.frozen
class Replayed:
    """What came of a replay: the code fits.

    Attributes:
        recorded: how many commands of the code history has answered.
        ended: the newest run has ended.
        ahead: what the code asks for at the end of history, and has no answer to: what it waits
            for, and what it would do next. Nothing, when the run has ended.
    """

    recorded: int
    ended: bool
    ahead: tuple[Command, ...]


def replay_history(
    history: Sequence[HistoryEvent] | str | PathLike[str],
    workflow: Workflow[..., Any],
    *,
    converter: PayloadConverter | None = None,
) -> Replayed:
    """Run a workflow's code over a recorded history. Nothing is executed, and nothing is written.

    Args:
        history: events, as of ``await handle.history()``, or a file of `save_history`. Of several
            runs each is replayed.
        workflow: the code that is to fit.
        converter: with the codecs that the history was stored with.

    Raises:
        NonDeterminismError: the code asks for something else than is recorded; says where.
        HistoryShapeError: that is no history; of a file it says why.
        CorruptHistoryError: an event in the file cannot be read.
        WorkflowUsageError: the history is of another workflow.
        OSError: the file cannot be read.
    """
    events = history if isinstance(history, Sequence) and not isinstance(history, str) else None
    if events is None:
        events = list(_read(Path(history)))  # type: ignore[arg-type]  # a path, by now
    if not events:
        raise HistoryShapeError("an empty history has nothing to replay; give all of its events")
    runs = [event for event in events if isinstance(event, WorkflowStarted)]
    names = (workflow.name, *workflow.aliases)
    own = [started for started in runs if started.workflow_type in names]
    if not own:
        found = ", ".join(sorted({repr(started.workflow_type) for started in runs})) or "none"
        raise WorkflowUsageError(
            f"the history is not of workflow {workflow.name!r} (it is of: {found}); "
            "give the history or the workflow that belongs to the other"
        )
    converter = converter or PayloadConverter()
    replayed = [_replay(started, events, workflow, converter) for started in own]
    return attrs.evolve(replayed[-1], recorded=sum(each.recorded for each in replayed))


def save_history(history: Sequence[HistoryEvent], path: str | PathLike[str]) -> None:
    """Write a history to a new JSON file, for `replay_history` to read ever after.

    Raises:
        FileExistsError: the file is there. What was recorded once is not to be written over.
    """
    rows = [
        {
            "seq": event.seq,
            "kind": kind_of(event),
            "recorded_at": event.recorded_at.isoformat(),
            "workflow_id": event.workflow_id,
            "fields": json.loads(encode_event(event)),
        }
        for event in history
    ]
    with Path(path).open("x", encoding="utf-8") as file:
        file.write(json.dumps(rows, indent=1) + "\n")


def _replay(
    started: WorkflowStarted,
    history: Sequence[HistoryEvent],
    workflow: Workflow[..., Any],
    converter: PayloadConverter,
) -> Replayed:
    machine = WorkflowMachine(started, workflow, converter, activation_guard)
    try:
        commands = machine.replaying(history)
        reached = Replay(started.workflow_id, started.run_id, history).drive(commands)
        if isinstance(reached, ResumePoint):
            return Replayed(len(reached.recorded), False, (reached.command, *commands))
        return Replayed(len(reached.recorded), True, ())
    finally:
        machine.close()


def _read(path: Path) -> Iterator[HistoryEvent]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _no_history(path, str(error)) from error
    if not isinstance(rows, list):
        raise _no_history(path, f"it holds {type(rows).__name__}, not a list of events")
    for number, row in enumerate(rows, 1):
        try:
            yield _event(row)
        except (KeyError, TypeError, ValueError) as error:
            raise _no_history(path, f"entry {number} is no event: {error!r}") from error


def _event(row: Mapping[str, Any]) -> HistoryEvent:
    return decode_event(
        row["kind"],
        json.dumps(row["fields"]),
        seq=row["seq"],
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        workflow_id=WorkflowId(row["workflow_id"]),
    )


def _no_history(path: Path, reason: str) -> HistoryShapeError:
    return HistoryShapeError(
        f"{str(path)!r} holds no history: {reason}; give a file that save_history has written"
    )
