"""Races: things that happen to a run at the same time, in every order in which they may be taken.

What comes of a race is a matter of the order in which history has it, and of nothing else: whether
they came in one batch or in several, whether the process lived through it or not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import permutations
from typing import Any

import attrs

from aion_core import events as e
from aion_core.authoring.workflows import Workflow
from aion_core.errors import AionError
from aion_core.machine import arrivals as a
from aion_core.machine.run import LATER, Step
from aion_runtime.entries import Entry, Mail
from tests.machine.driver import CONVERTER, Driver, W, at

Order = tuple[str, ...]


def _names(names: Collection[str]) -> frozenset[str]:
    return frozenset(names)


@attrs.frozen
class Outcome:
    """What comes of a race.

    Attributes:
        end: how the run ended, in words.
        refused: whose senders are told that it was too late.
        dropped: what nobody needs any more.
    """

    end: str
    refused: frozenset[str] = attrs.field(default=(), converter=_names)
    dropped: frozenset[str] = attrs.field(default=(), converter=_names)


def _start(driver: Driver) -> None:
    driver.start()


def _nothing(driver: Driver) -> None:
    pass


@attrs.frozen(kw_only=True)
class Race:
    """A race.

    Attributes:
        code: of the run.
        arrivals: what is going to arrive, by name, made when the run stands at the line.
        outcomes: for every order.
        before: brings a new run to the line.
        after: what happens then, whatever the order was.
        others: more workflows that the code calls.
    """

    name: str
    code: Workflow[..., Any]
    arrivals: Callable[[Driver], dict[str, a.Arrival]]
    outcomes: Mapping[Order, Outcome]
    before: Callable[[Driver], None] = _start
    after: Callable[[Driver], None] = _nothing
    others: tuple[Workflow[..., Any], ...] = ()

    def orders(self) -> Iterable[Order]:
        """All of them."""
        names = sorted(next(iter(self.outcomes)))
        return list(permutations(names))

    def driver(self, crashes: Collection[int] = ()) -> CrashingDriver:
        return CrashingDriver(self.code, *self.others, crashes=crashes)


class CrashingDriver(Driver):
    """Forgets everything but the history before some of its steps.

    Attributes:
        steps: how many it has taken.
    """

    def __init__(
        self,
        code: Workflow[..., Any],
        *others: Workflow[..., Any],
        crashes: Collection[int] = (),
    ) -> None:
        super().__init__(code, others=others)
        self.steps = 0
        self._crashes = crashes

    def step(self, *arrivals: a.Arrival) -> Step:
        if self.steps in self._crashes:
            self.reload()
        self.steps += 1
        return super().step(*arrivals)


@attrs.frozen
class Finished:
    """A race that has been run.

    Attributes:
        order: in which the arrivals were taken.
        refused: those that were refused.
    """

    driver: CrashingDriver
    order: Order
    arrivals: Mapping[str, a.Arrival]
    refused: frozenset[str]

    @property
    def outcome(self) -> Outcome:
        dropped = {
            name
            for name, arrival in self.arrivals.items()
            if name not in self.refused and not _is_recorded(arrival, self.driver.history)
        }
        return Outcome(_end(self.driver), self.refused, dropped)


class _Mailbox:
    """Gives arrivals out to a run as an engine does."""

    def __init__(self, driver: CrashingDriver, arrivals: Mapping[str, a.Arrival]) -> None:
        self._driver = driver
        self._arrivals = arrivals
        self._entry = Entry(W)
        self._refused: set[str] = set()
        self.order: list[str] = []

    @property
    def refused(self) -> frozenset[str]:
        """Those that were refused."""
        return frozenset(self._refused)

    def take(self, names: Iterable[str], *, is_lost: bool = False) -> None:
        """Take arrivals, and those that had to wait for the next run, in one step."""
        self._entry.mailbox = [Mail(self._arrivals[name]) for name in names]
        mails = self._entry.take_mail()
        taken = [mail.arrival for mail in mails]
        if is_lost:
            self._driver.run.step(taken, at(self._driver.at))
            self._driver.reload()
        step = self._driver.step(*taken)
        for mail, refusal in zip(mails, step.refusals, strict=True):
            name = next(each for each in self._arrivals if self._arrivals[each] is mail.arrival)
            if refusal is LATER:
                self._entry.later.append(mail)
                continue
            self.order.append(name)
            if isinstance(refusal, AionError):
                self._refused.add(name)

    def take_what_waits(self) -> None:
        """The run that some have waited for is there."""
        if self._entry.later:
            self.take(())


def run_in_steps(race: Race, order: Order, crashes: Collection[int] = ()) -> Finished:
    """Take each arrival in a step of its own."""
    driver = race.driver(crashes)
    race.before(driver)
    arrivals = race.arrivals(driver)
    mailbox = _Mailbox(driver, arrivals)
    for name in order:
        mailbox.take([name])
    mailbox.take_what_waits()
    race.after(driver)
    return Finished(driver, tuple(mailbox.order), arrivals, mailbox.refused)


def run_in_one_batch(race: Race, order: Order, *, is_lost: bool = False) -> Finished:
    """Take all in one step, as a mailbox gives them out.

    Args:
        is_lost: the append of the step fails at first.
    """
    driver = race.driver()
    race.before(driver)
    arrivals = race.arrivals(driver)
    mailbox = _Mailbox(driver, arrivals)
    mailbox.take(order, is_lost=is_lost)
    mailbox.take_what_waits()
    race.after(driver)
    return Finished(driver, tuple(mailbox.order), arrivals, mailbox.refused)


def _end(driver: Driver) -> str:
    match driver.run.terminal:
        case None:
            return "open"
        case e.WorkflowCompleted(result=result):
            return f"returned {CONVERTER.decode(result, Any)!r}"
        case e.WorkflowCancelled(reason=reason):
            return f"cancelled: {reason}"
        case e.WorkflowFailed(error=error):
            return f"failed: {error.type}"
        case terminal:
            return type(terminal).__name__


def _is_recorded(arrival: a.Arrival, history: Iterable[e.HistoryEvent]) -> bool:
    return any(_is_of(event, arrival) for event in history)


def _is_of(event: e.HistoryEvent, arrival: a.Arrival) -> bool:
    match event, arrival:
        case e.SignalReceived(), a.SignalSentToRun():
            return event.signal_id == arrival.signal_id
        case e.UpdateAccepted(), a.UpdateSentToRun():
            return event.update_id == arrival.update_id
        case e.TimerFired(), a.TimerDue():
            return event.started_seq == arrival.started_seq
        case e.WorkflowCancelRequested(), a.CancelRequest():
            return event.reason == arrival.reason
        case e.WorkflowTerminated(), a.TerminateRequest():
            return event.reason == arrival.reason
        case e.WorkflowStarted(), a.StartRequest():
            return event.run_id == arrival.run_id
        case e.ActivityCompleted(), a.ActivityOutcome(outcome=a.AttemptCompleted()):
            return event.activity_id == arrival.activity_id
        case e.ActivityCancelled(), a.ActivityOutcome(outcome=a.AttemptCancelled()):
            return event.activity_id == arrival.activity_id
        case e.ChildWorkflowCompleted(), a.ChildEnded(outcome=a.ChildCompleted()):
            return event.child_key == arrival.child_key
        case e.ChildWorkflowCancelled(), a.ChildEnded(outcome=a.ChildCancelled()):
            return event.child_key == arrival.child_key
        case _:
            return False
