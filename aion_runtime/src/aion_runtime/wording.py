"""Wording: what a run waits for, as a value and as a sentence for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias, assert_never

import attrs

__all__ = ["EngineState", "PendingFor", "ago", "in_words", "sentence"]

EngineState: TypeAlias = Literal["answered", "silent", "not asked"]
"""Whether an engine has said what the code awaits."""

WaitKind: TypeAlias = Literal[
    "start",
    "timer",
    "activity",
    "retry",
    "held",
    "child",
    "update",
    "signal",
    "condition",
    "task",
]


@attrs.frozen(kw_only=True)
class PendingFor:
    """One thing that a run waits for.

    Attributes:
        kind: ``start``: its own, at a time or when there is a slot; ``activity``: an attempt runs
            or may run; ``retry``: the next attempt has a time; ``held``: an operator is asked;
            ``task``: the code stands there, for something without a name.
        name: of the timer, activity, child's type, update or signal.
        id: of the timer, activity, child workflow or update.
        since: when it began to wait; of a signal or condition, when the run came to rest.
        next_at: when something happens by itself.
        attempt: the current or next one.
        failure: how the attempt before failed; of a child, why it failed or is stuck.
        limit: the limit by which the activity may have to wait.
        is_running: an attempt of the activity has begun; None where no engine has said so or not.
        cancel_requested: the code no longer wants the activity.
        deadline: when the time for all attempts is over.
        status: of the child.
        place: ``file:line`` in the author's code.
    """

    kind: WaitKind
    name: str
    id: str = ""
    since: datetime | None = None
    next_at: datetime | None = None
    attempt: int | None = None
    failure: str | None = None
    limit: str | None = None
    is_running: bool | None = None
    cancel_requested: bool = False
    deadline: datetime | None = None
    status: str | None = None
    place: str = ""


def sentence(wait: PendingFor, now: datetime, engine: EngineState) -> str:
    """What is waited for, since when, and what happens next."""
    since = "" if wait.since is None else f" for {in_words(now - wait.since)}"
    match wait.kind:
        case "start":
            return _start(wait, now)
        case "timer":
            return f"timer {wait.name!r} {_due(wait.next_at, now, 'fires')}"
        case "activity":
            return _activity(wait, since, engine)
        case "retry":
            failed = "" if wait.failure is None else f", after {wait.failure}"
            due = _due(wait.next_at, now, "begins")
            return f"attempt {wait.attempt} of activity {wait.name!r} {due}{failed}"
        case "held":
            return (
                f"activity {wait.name!r} ({wait.id}) is held{since}, after {wait.failure}: have it "
                "tried again ('aion retry'), or supply its outcome ('aion supply')"
            )
        case "child":
            failed = "" if wait.failure is None else f", {wait.failure}"
            return f"child workflow {wait.id!r} ({wait.name}){since}: {wait.status}{failed}"
        case "update":
            return f"its own handler of update {wait.name!r} ({wait.id}) is at work{since}"
        case "signal":
            return f"signal {wait.name!r}{since}{_at(wait.place)}"
        case "condition":
            return f"a condition of its own{since}{_at(wait.place)}"
        case "task":
            return f"its code stands{_at(wait.place) or ' where nobody can see'}{since}"
        case _:
            assert_never(wait.kind)


def in_words(span: timedelta) -> str:
    """A span of time in one or two units: ``3 s``, ``2 min 5 s``, ``2 d 3 h``."""
    seconds = max(0, int(span.total_seconds()))
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    for index, (size, name) in enumerate(units):
        if seconds >= size:
            text = f"{seconds // size} {name}"
            rest = seconds % size
            if rest and index + 1 < len(units):
                smaller, smaller_name = units[index + 1]
                if rest >= smaller:
                    text += f" {rest // smaller} {smaller_name}"
            return text
    return "0 s"


def ago(instant: datetime, now: datetime) -> str:
    """An instant relative to now: ``in 22 h``, ``3 min ago``."""
    return f"in {in_words(instant - now)}" if instant > now else f"{in_words(now - instant)} ago"


def _start(wait: PendingFor, now: datetime) -> str:
    if wait.next_at is not None and wait.next_at > now:
        return f"its start, {_clock(wait.next_at)} ({ago(wait.next_at, now)})"
    return (
        "its start slot: max_running, or the limit of its type, lets no more runs be under way "
        "now; it starts when one of them ends"
    )


def _activity(wait: PendingFor, since: str, engine: EngineState) -> str:
    turn = "its turn" if wait.limit is None else f"limit {wait.limit!r} to let it begin"
    if wait.is_running:
        state = "is running"
    elif wait.is_running is not None:
        state = f"is due, and waits for {turn},"
    elif engine == "answered":
        state = f"is running, or waits for {turn},"
    else:
        state = "is open" if wait.limit is None else f"is open, or waits for {turn},"
    asked = "; the code has asked it to stop" if wait.cancel_requested else ""
    return f"activity {wait.name!r} ({wait.id}) {state}{since}, attempt {wait.attempt}{asked}"


def _due(at: datetime | None, now: datetime, verb: str) -> str:
    if at is None:
        return f"{verb} at once"
    if at <= now:
        return f"was due {ago(at, now)}"
    return f"{verb} {ago(at, now)}, at {_clock(at)}"


def _at(place: str) -> str:
    return f", at {place}" if place else ""


def _clock(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
