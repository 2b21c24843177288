"""Replay: a stream of commands held against the history of a run, up to where it goes on live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import eq
from typing import TypeAlias

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.ids import RunId, WorkflowId
from aion_core.replay.matching import SamePayload
from aion_core.replay.resolutions import Recorded, ResumeLive, RunEnded
from aion_core.replay.resolver import Resolver
from aion_core.replay.segment import cut_segment
from aion_core.replay.terminals import ReplayTerminal, terminal_of

__all__ = ["AwaitingCommand", "Driven", "Ended", "Replay", "ResumePoint", "Terminal"]


@attrs.frozen
class Terminal:
    """The run has ended; the command changes nothing any more. What `Replay.step` gives."""

    terminal: ReplayTerminal


@attrs.frozen
class ResumePoint:
    """Where the run goes on live: the first command that history cannot answer yet.

    Attributes:
        command_index: its place in the stream, from 0.
        recorded: what history answered, of the whole stream.
    """

    command_index: int
    command: c.Command
    recorded: tuple[Recorded, ...]


@attrs.frozen
class Ended:
    """The stream and the history end alike, or the run was ended from outside.

    Attributes:
        recorded: what history answered, of the whole stream.
    """

    terminal: ReplayTerminal
    recorded: tuple[Recorded, ...]


@attrs.frozen
class AwaitingCommand:
    """The stream ended while history could still answer: neither an end nor a resume point.

    Attributes:
        recorded: what history answered.
    """

    recorded: tuple[Recorded, ...]


Driven: TypeAlias = ResumePoint | Ended | AwaitingCommand


class Replay:
    """Replays one run: its commands are given by the caller, its answers come from history.

    Args:
        same: when two stored values are the same, ``PayloadConverter.same``; by default to the
            byte.

    Attributes:
        terminal: how the run ended, if it did and was not reopened since.
        head: seq of its last event.

    Raises:
        HistoryShapeError: the history has no such run, has a gap, or does not begin with
            WorkflowStarted.
    """

    def __init__(
        self,
        workflow_id: WorkflowId,
        run_id: RunId,
        history: Sequence[e.HistoryEvent],
        *,
        same: SamePayload = eq,
    ) -> None:
        segment = cut_segment(workflow_id, run_id, history)
        self.head = segment.head
        self.terminal = None if segment.terminal is None else terminal_of(segment.terminal)
        # Ended from outside there is no intent to match: whatever is asked for now comes too late.
        self._from_outside = segment.terminal is not None and not e.is_intent(segment.terminal)
        self._resolver = Resolver(segment, same=same)

    def step(self, command: c.Command) -> Recorded | ResumeLive | Terminal:
        """What becomes of the next command.

        Of a run that its own code ended, an await that history does not answer is `ResumeLive`,
        since a concurrent branch may end it all the same; `drive` sees the whole stream, and
        tells.

        Raises:
            NonDeterminismError: history holds another command at this place.
        """
        answer = self._resolver.resolve(command)
        if isinstance(answer, Recorded):
            if isinstance(answer.resolution, RunEnded):
                return Terminal(answer.resolution.terminal)
        elif self._from_outside:
            assert self.terminal is not None
            return Terminal(self.terminal)
        return answer

    def drive(self, commands: Iterable[c.Command | None]) -> Driven:
        """Go over a stream of commands, up to its end or to the first that nothing can anchor.

        A command that history cannot answer yet is remembered, and the stream goes on: so a
        divergence in a concurrent branch is found. The first one remembered is the resume point;
        but if the stream goes on to the recorded end of the run, that is the answer. Nothing is
        sent back into the stream: whoever makes it holds the history. None in it is nothing.

        Raises:
            NonDeterminismError: history holds another command at some place.
        """
        recorded: list[Recorded] = []
        waiting: tuple[int, c.Command] | None = None
        for index, command in enumerate(each for each in commands if each is not None):
            answer = self._resolver.resolve(command)
            if isinstance(answer, ResumeLive):
                waiting = waiting or (index, command)
                if isinstance(command, _NEVER_ANCHORED) or self._resolver.is_open(command):
                    continue
                break
            if isinstance(answer.resolution, RunEnded):
                return Ended(answer.resolution.terminal, tuple(recorded))
            recorded.append(answer)
        if waiting is None:
            return AwaitingCommand(tuple(recorded))
        if self._from_outside:
            assert self.terminal is not None
            return Ended(self.terminal, tuple(recorded))
        end = self._resolver.next_intent()
        if self.terminal is not None and end is not None:
            # Its code ended the run there; this code waits.
            raise self._resolver.divergence(end, waiting[1])
        return ResumePoint(*waiting, tuple(recorded))


_NEVER_ANCHORED = (c.AwaitSignal, c.AwaitTimer, c.AwaitChild, c.Park)
