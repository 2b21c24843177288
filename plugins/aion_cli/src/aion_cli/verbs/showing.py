"""``aion show``: how a workflow stands, why it does not go on, and what happened last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aion_cli.options import Seconds, json_option, store_option, workflow_id_argument

if TYPE_CHECKING:
    from aion_cli.stores import ChosenStore
    from aion_core.events import HistoryEvent, WorkflowStarted
    from aion_core.history import WorkflowSummary
    from aion_core.ids import WorkflowId
    from aion_runtime.explaining import Explanation

__all__ = ["show"]

LAST_EVENTS = 15


@click.command(short_help="Show how a workflow stands, and why it does not go on.")
@workflow_id_argument
@click.option("--events", type=click.IntRange(0), default=LAST_EVENTS, help="How many at the end.")
@click.option("--offline", is_flag=True, help="Ask no engine what the code awaits.")
@click.option(
    "--timeout",
    type=Seconds(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an engine's answer.",
)
@store_option
@json_option
def show(
    workflow_id: str,
    events: int,
    offline: bool,
    timeout: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Show how a workflow stands, what it waits for, and its last events.

    What it waits for is read from the store. If an engine answers, it tells the signals and
    conditions, too, that the code awaits.
    """
    from aion_cli.stores import choose_store
    from aion_cli.trio_running import run_async
    from aion_core.ids import validated_workflow_id

    chosen = choose_store(store)
    wanted = validated_workflow_id(workflow_id)
    summary, history, explanation = run_async(
        lambda: _read(chosen, wanted, None if offline else timeout)
    )
    if as_json:
        _print_json(chosen, summary, history, explanation)
    else:
        _print(chosen, summary, history, explanation, events)


async def _read(
    chosen: ChosenStore, workflow_id: WorkflowId, timeout: float | None
) -> tuple[WorkflowSummary, Sequence[HistoryEvent], Explanation]:
    import aion_runtime as aion
    from aion_cli.stores import unknown_id
    from aion_runtime.explaining import explain_run

    async with chosen.reading() as store:
        summary = await store.read_summary(workflow_id)
        if summary is None:
            raise await unknown_id(store, workflow_id)
        if timeout is None or summary.status.is_closed:
            explanation = await explain_run(store, workflow_id, datetime.now(UTC))
        else:
            async with aion.open_client(
                store, plugins=chosen.plugins, answer_timeout=timeout
            ) as client:
                explanation = await client.explain(workflow_id)
        return summary, await store.read_history(workflow_id), explanation


def _print_json(
    chosen: ChosenStore,
    summary: WorkflowSummary,
    history: Sequence[HistoryEvent],
    explanation: Explanation,
) -> None:
    import attrs

    from aion_cli.describing import event_as_json, payload_as_json, summary_as_json
    from aion_cli.printing import print_json

    started = _newest_start(history)
    shown: dict[str, Any] = summary_as_json(summary)
    shown["input"] = payload_as_json(started.input, chosen.converter)
    shown["memo"] = payload_as_json(started.memo, chosen.converter)
    shown["result"] = payload_as_json(_result(history), chosen.converter)
    explained = attrs.asdict(explanation)
    explained["status"] = explanation.status.value
    explained["next_at"] = explanation.next_at
    explained["sentences"] = explanation.sentences()
    shown["explanation"] = explained
    shown["history"] = [event_as_json(event) for event in history]
    print_json(shown)


def _print(
    chosen: ChosenStore,
    summary: WorkflowSummary,
    history: Sequence[HistoryEvent],
    explanation: Explanation,
    events: int,
) -> None:
    from aion_cli.printing import print_heading, print_lines
    from aion_cli.verbs.past import print_events

    print_lines(_facts(chosen, summary, history, explanation.asked_at))
    print_heading("What it waits for" if not summary.status.is_closed else "How it ended")
    print_lines(explanation.sentences(), mark="  - ")
    if events:
        print_heading(_title(len(history), events))
        print_events(history[-events:], chosen.converter)


def _title(length: int, shown: int) -> str:
    return "All events" if length <= shown else f"The last {shown} of {length} events"


def _facts(
    chosen: ChosenStore, summary: WorkflowSummary, history: Sequence[HistoryEvent], now: datetime
) -> list[str]:
    from aion_cli.describing import payload_in_words, status_word
    from aion_runtime.wording import ago, in_words

    started = _newest_start(history)
    took = (
        ""
        if summary.closed_at is None
        else f", took {in_words(summary.closed_at - summary.started_at)}"
    )
    lines = [
        f"{summary.workflow_id}: {status_word(summary)}",
        f"type {summary.workflow_type}, run {summary.run_id}",
        f"started {_clock(summary.started_at)} ({ago(summary.started_at, now)}){took}",
        f"input {payload_in_words(started.input, chosen.converter)}",
    ]
    result = _result(history)
    if result is not None:
        lines.append(f"result {payload_in_words(result, chosen.converter)}")
    if summary.attributes:
        attributes = ", ".join(f"{name}={value}" for name, value in summary.attributes.items())
        lines.append(f"attributes {attributes}")
    if started.memo is not None:
        lines.append(f"memo {payload_in_words(started.memo, chosen.converter)}")
    if summary.parent is not None:
        lines.append(f"child of {summary.parent.workflow_id}")
    return lines


def _newest_start(history: Sequence[HistoryEvent]) -> WorkflowStarted:
    from aion_core.events import WorkflowStarted

    return next(event for event in reversed(history) if isinstance(event, WorkflowStarted))


def _result(history: Sequence[HistoryEvent]) -> Any:
    from aion_core.events import WorkflowCompleted

    last = history[-1]
    return last.result if isinstance(last, WorkflowCompleted) else None


def _clock(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
