"""Telling stories at random: one more event that is valid where a story stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs

from aion_core.events import ActivityScheduled, ReopenedActivity, WorkflowStarted
from aion_core.history import RunProjection
from aion_core.policies import Limit
from aion_core.status import WorkflowStatus
from aion_core.testing.histories import Story, at

__all__ = ["TELLING", "tell"]


@attrs.frozen
class _Scene:
    """A story, where it stands, and what is left to chance in what follows."""

    story: Story
    state: RunProjection
    choice: int
    limit: Limit
    stuck: bool


def tell(story: Story, name: str, choice: int, limit: Limit, stuck: bool) -> None:
    """Tell one more event, if there is a valid one of this name.

    Args:
        name: one of `TELLING`.
        choice: from 0 to 9.
        limit: a rate limit for some of the activities.
        stuck: the workflow is, and so it is not paused.
    """
    state = RunProjection(story.workflow_id, story.events)
    story.now = max(story.now, at(choice))
    if state.summary is None:
        story.started(run_id="0", attributes={"n": (1, True, "x")[choice % 3]})
    elif state.is_open:
        TELLING[name](_Scene(story, state, choice, limit, stuck))
    elif name == "reopen":
        _reopen(story, choice)
    else:
        story.started(run_id=f"run-{story.head}", continued_from=story.run_id)


def _reopen(story: Story, choice: int) -> None:
    of_this_run = itertools.takewhile(
        lambda event: not isinstance(event, WorkflowStarted), reversed(story.events)
    )
    # The rows of reopened activities have no limit, and so those with one are left alone.
    again = [
        ReopenedActivity(
            activity_id=event.activity_id,
            activity_type=event.activity_type,
            scheduled_seq=event.seq,
            attempt=choice + 1,
        )
        for event in of_this_run
        if isinstance(event, ActivityScheduled) and event.options.limit is None
    ]
    story.reopened(story.head, again[:2])


def _pause(scene: _Scene) -> None:
    assert scene.state.summary is not None
    if scene.state.summary.status is WorkflowStatus.PAUSED:
        scene.story.resumed()
    elif not scene.stuck:
        scene.story.paused()


def _attributes(scene: _Scene) -> None:
    value = (1, True, None, 1.0, at(scene.choice))[scene.choice % 5]
    scene.story.attributes(n=value, m=scene.choice)


def _schedule(scene: _Scene) -> None:
    limit = scene.limit if scene.choice % 3 == 0 else None
    scene.story.scheduled(f"activity:{scene.story.head}", limit=limit)


def _activity(scene: _Scene) -> None:
    story, choice = scene.story, scene.choice
    activities = list(scene.state.activities.values())
    if not activities:
        _schedule(scene)
        return
    row = activities[choice % len(activities)]
    name, attempt = row.activity_id, row.attempt
    match choice:
        case 0 | 1:
            story.delivered(name, attempt, row.delivery + 1)
        case 2 | 3:
            story.activity_failed(name, attempt, next_attempt_at=at(choice + 2))
        case 4:
            story.activity_failed(name, attempt)
        case 5:
            story.activity_failed(name, attempt, held=True)
        case 6 | 7:
            story.activity_completed(name, attempt)
        case 8:
            story.cancel_requested(name)
        case _:
            story.activity_cancelled(name)


def _timer(scene: _Scene) -> None:
    story, choice = scene.story, scene.choice
    timers = list(scene.state.timers.values())
    if not timers or choice < 6:
        story.timer(f"timer:{story.head}", at(choice * 2))
        return
    timer = timers[choice % len(timers)]
    if choice % 2:
        story.fired(timer.timer_id, timer.started_seq)
    else:
        story.timer_cancelled(timer.timer_id)


def _end(scene: _Scene) -> None:
    story = scene.story
    (story.completed, story.failed, story.terminated, story.timed_out)[scene.choice % 4]()


def _signal(scene: _Scene) -> None:
    scene.story.signal(id=f"s{scene.choice}")


TELLING: dict[str, Callable[[_Scene], object]] = {
    "signal": _signal,
    "update": lambda scene: scene.story.update(f"s{scene.choice}"),
    "attributes": _attributes,
    "pause": _pause,
    "schedule": _schedule,
    "activity": _activity,
    "activity again": _activity,
    "timer": _timer,
    "end": _end,
    "continue": lambda scene: scene.story.continued(f"run-{scene.story.head}"),
    # Of a run that is open, and goes on with a signal.
    "reopen": _signal,
}
"""What may come next, by name."""
