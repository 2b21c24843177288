"""The queues before limits, without an engine: who has a turn, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aion_core.policies import Limit
from aion_runtime.limits import Limits, Moment, Ticket

START = datetime(2030, 1, 1, tzinfo=UTC)


def moment(seconds: float, set_on: float = 0.0) -> Moment:
    """So many seconds after the start; the wall clock has been set on by some more."""
    return Moment(seconds, START + timedelta(seconds=seconds + set_on))


def called(limits: Limits[str], now: Moment) -> list[Ticket[str]]:
    tickets = []
    while (ticket := limits.next(now)) is not None:
        tickets.append(ticket)
    return tickets


def names(tickets: Sequence[Ticket[str]]) -> str:
    return "".join(ticket.who for ticket in tickets)


def rated(limits: Limits[str], text: str, limit: Limit) -> list[Ticket[str]]:
    """Have one wait for each letter, under a limit of which nobody has begun before."""
    tickets = [limits.wait(who, limit, START) for who in text]
    for name, window in limits.take_unknown():
        limits.learn(name, window, [], moment(0))
    return tickets


def test_so_many_have_a_turn_as_are_allowed_at_a_time() -> None:
    limits, two = Limits[str](), Limit("api", concurrency=2)
    first, *_ = [limits.wait(who, two, START) for who in "abc"]
    assert names(called(limits, moment(0))) == "ab"
    limits.end(first)
    assert names(called(limits, moment(0))) == "c"


def test_the_higher_priority_is_first_and_then_who_has_waited_longer() -> None:
    limits = Limits[str](total=1)
    order, running = "", limits.occupy("x", None)
    for who, since, priority in (("a", 2, 0), ("b", 1, 0), ("c", 3, 5), ("d", 2, 0), ("e", 0, -1)):
        limits.wait(who, Limit("api"), START + timedelta(seconds=since), priority)
    for _ in range(5):
        limits.end(running)
        (running,) = called(limits, moment(0))
        order += running.who
    assert order == "cbade"


def test_of_two_names_none_waits_for_the_other() -> None:
    limits = Limits[str]()
    for who in "ab":
        limits.wait(who, Limit("slow", concurrency=1), START)
    limits.wait("c", Limit("quick", concurrency=1), START + timedelta(seconds=1))
    assert names(called(limits, moment(0))) == "ac"


def test_who_waits_for_a_name_keeps_nobody_waiting_for_the_total() -> None:
    limits = Limits[str](total=2)
    for who in "ab":
        limits.wait(who, Limit("one", concurrency=1), START)
    limits.wait("c", None, START + timedelta(seconds=1))
    assert names(called(limits, moment(0))) == "ac"


def test_who_has_left_the_queue_has_no_turn() -> None:
    limits, one = Limits[str](), Limit("api", concurrency=1)
    first, second, _ = [limits.wait(who, one, START) for who in "abc"]
    called(limits, moment(0))
    limits.end(second)
    limits.end(second)
    limits.end(first)
    assert names(called(limits, moment(0))) == "c"


def test_a_rate_counts_from_when_they_really_begin() -> None:
    limits = Limits[str]()
    rated(limits, "abc", Limit("api", rate=(1, 60)))
    (a,) = called(limits, moment(0))
    assert (called(limits, moment(500)), limits.next_due) == ([], None)
    limits.begin(a, moment(500))
    limits.end(a)
    assert (called(limits, moment(500)), limits.next_due) == ([], 560)
    assert called(limits, moment(559.999)) == []
    assert names(called(limits, moment(560))) == "b"


def test_one_that_waits_for_a_thread_has_not_begun() -> None:
    limits = Limits[str]()
    rated(limits, "ab", Limit("api", rate=(1, 60)))
    (a,) = called(limits, moment(0))
    limits.begin(a, moment(0))
    limits.hold_back(a)
    assert called(limits, moment(100)) == []
    limits.begin(a, moment(100))
    assert called(limits, moment(159)) == []
    assert names(called(limits, moment(160))) == "b"


def test_a_turn_that_is_given_back_counts_for_no_window() -> None:
    limits = Limits[str]()
    rated(limits, "ab", Limit("api", rate=(1, 60)))
    (a,) = called(limits, moment(0))
    limits.end(a)
    assert names(called(limits, moment(0))) == "b"


def test_nobody_has_a_turn_before_it_is_known_who_has_begun() -> None:
    limits, limit = Limits[str](), Limit("api", rate=(2, 60))
    for who in "abc":
        limits.wait(who, limit, START)
    assert called(limits, moment(0)) == []
    assert limits.take_unknown() == [("api", 60)]
    assert limits.take_unknown() == []
    limits.learn("api", 60, [moment(-50).wall, moment(-70).wall], moment(0))
    assert names(called(limits, moment(0))) == "a"
    assert called(limits, moment(9)) == []
    # The one that has its turn has not begun, so it still counts.
    assert names(called(limits, moment(10))) == "b"


def test_a_longer_window_of_the_same_name_is_found_out_too() -> None:
    limits = Limits[str]()
    (a,) = rated(limits, "a", Limit("api", rate=(1, 60)))
    assert called(limits, moment(100)) == [a]
    limits.begin(a, moment(100))
    limits.end(a)
    limits.wait("b", Limit("api", rate=(2, 3600)), START)
    assert called(limits, moment(200)) == []
    assert limits.take_unknown() == [("api", 3600)]
    limits.learn("api", 3600, [moment(-3000).wall, moment(99).wall], moment(200))
    assert called(limits, moment(599)) == []
    assert names(called(limits, moment(600))) == "b"


def test_what_began_after_now_by_a_clock_set_back_counts_as_begun_now() -> None:
    limits, limit = Limits[str](), Limit("api", rate=(1, 60))
    limits.wait("a", limit, START)
    called(limits, moment(0))
    limits.learn("api", 60, [moment(10_000_000).wall], moment(0))
    assert called(limits, moment(59)) == []
    assert names(called(limits, moment(60))) == "a"


def test_a_wall_clock_that_is_set_neither_frees_nor_blocks() -> None:
    limits = Limits[str]()
    rated(limits, "abc", Limit("api", rate=(1, 60)))
    for seconds, set_on in ((0, 0), (60, 3600), (120, -3600)):
        assert seconds == 0 or called(limits, moment(seconds - 0.001, set_on)) == []
        (ticket,) = called(limits, moment(seconds, set_on))
        limits.begin(ticket, moment(seconds, set_on))
        limits.end(ticket)


def test_a_wall_clock_that_goes_slower_is_waited_for() -> None:
    """What is recorded must keep to the limit as well."""
    limits = Limits[str]()
    rated(limits, "ab", Limit("api", rate=(1, 60)))
    (a,) = called(limits, moment(0))
    limits.begin(a, moment(0))
    assert called(limits, moment(60, -0.5)) == []
    assert limits.next_due == 60.5
    assert names(called(limits, moment(60.5, -0.5))) == "b"


def test_of_different_numbers_for_one_name_the_strictest_count() -> None:
    limits = Limits[str]()
    first = limits.wait("a", Limit("api", concurrency=1), START)
    for who in "bcd":
        limits.wait(who, Limit("api", concurrency=3), START)
    assert names(called(limits, moment(0))) == "a"
    limits.end(first)
    assert names(called(limits, moment(0))) == "bcd"


def test_one_found_under_way_counts_even_if_it_is_one_too_many() -> None:
    limits, one = Limits[str](), Limit("api", concurrency=1)
    under_way = [limits.occupy(who, one) for who in "xy"]
    limits.wait("a", one, START)
    limits.end(under_way[0])
    assert called(limits, moment(0)) == []
    limits.end(under_way[1])
    assert names(called(limits, moment(0))) == "a"


def test_names_that_nobody_uses_are_forgotten() -> None:
    limits = Limits[str]()
    for number in range(10_000):
        ticket = limits.wait("a", Limit(f"customer {number}", concurrency=1), START)
        assert called(limits, moment(0)) == [ticket]
        limits.end(ticket)
    assert len(limits._gates) < 200


LIMITS = [
    None,
    Limit("api", concurrency=2, rate=(3, 10)),
    Limit("db", concurrency=1),
    Limit("mail", rate=(1, 7)),
]


class Queueing(RuleBasedStateMachine):
    """Attempts come, begin late, end, and give up, while time passes and the wall clock is set."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: Limits[int] = Limits()
        self.total: int | None = None
        self.seconds, self.set_on = 0.0, 0.0
        self.waiting: dict[int, tuple[Ticket[int], int, float]] = {}
        self.called: dict[int, Ticket[int]] = {}
        self.under_way: dict[int, Ticket[int]] = {}
        self.begun: list[tuple[float, str]] = []
        self.count = 0

    @initialize(total=st.sampled_from([None, 1, 3]))
    def open(self, total: int | None) -> None:
        self.limits, self.total = Limits(total), total

    @property
    def now(self) -> Moment:
        return moment(self.seconds, self.set_on)

    @rule(limit=st.sampled_from(LIMITS), priority=st.integers(-1, 1))
    def arrive(self, limit: Limit | None, priority: int) -> None:
        self.count += 1
        since = START + timedelta(seconds=self.count)
        ticket = self.limits.wait(self.count, limit, since, priority)
        self.waiting[self.count] = ticket, -priority, self.count
        for name, window in self.limits.take_unknown():
            self.limits.learn(name, window, [], self.now)

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 11.0]))
    def let_pass(self, seconds: float) -> None:
        self.seconds += seconds

    @rule(seconds=st.sampled_from([-3600.0, -1.0, 2.0, 3600.0]))
    def set_clock(self, seconds: float) -> None:
        self.set_on += seconds

    @precondition(lambda self: self.called)
    @rule(data=st.data())
    def really_begin(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.called)))
        ticket = self.under_way[who] = self.called.pop(who)
        self.limits.begin(ticket, self.now)
        if ticket.limit is not None:
            self.begun.append((self.seconds, ticket.limit.name))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.under_way)))
        self.limits.end(self.under_way.pop(who))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.waiting)))
        self.limits.end(self.waiting.pop(who)[0])

    @rule()
    def call(self) -> None:
        while (ticket := self.limits.next(self.now)) is not None:
            name = None if ticket.limit is None else ticket.limit.name
            before = [
                place
                for each, *place in self.waiting.values()
                if (None if each.limit is None else each.limit.name) == name
            ]
            _, *place = self.waiting.pop(ticket.who)
            assert place == min(before), "somebody of the same name should have come first"
            self.called[ticket.who] = ticket

    @invariant()
    def never_too_many(self) -> None:
        held = [*self.called.values(), *self.under_way.values()]
        assert self.total is None or len(held) <= self.total
        for limit in filter(None, LIMITS):
            under_it = [each for each in held if each.limit == limit]
            assert limit.concurrency is None or len(under_it) <= limit.concurrency
            if limit.rate is not None:
                begun = [at for at, name in self.begun if name == limit.name]
                pairs = zip(begun, begun[limit.rate.count :], strict=False)
                assert all(last - first >= limit.rate.window for first, last in pairs)

    def teardown(self) -> None:
        """Everybody who waits has a turn in the end."""
        for _ in range(10 * self.count + 10):
            self.call()
            for who in tuple(self.called):
                self.limits.begin(self.called[who], self.now)
                self.limits.end(self.called.pop(who))
            for who in tuple(self.under_way):
                self.limits.end(self.under_way.pop(who))
            if not self.waiting:
                return
            if (due := self.limits.next_due) is not None:
                self.seconds = max(self.seconds, due)
        raise AssertionError(f"{len(self.waiting)} still wait")


Queueing.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestQueueing = Queueing.TestCase


@given(
    rate=st.tuples(st.integers(1, 4), st.sampled_from([1.0, 5.0, 60.0, 0.1])),
    concurrency=st.sampled_from([None, 1, 3]),
    latencies=st.lists(st.sampled_from([0.0, 0.3, 7.0]), min_size=1, max_size=40),
    gaps=st.lists(st.sampled_from([0.0, 0.05, 2.0, 70.0]), min_size=1, max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_no_window_has_one_more_than_is_allowed(
    rate: tuple[int, float],
    concurrency: int | None,
    latencies: list[float],
    gaps: list[float],
) -> None:
    """Of the real beginnings, and of what is recorded just before each."""
    limits, limit = Limits[str](), Limit("api", rate=rate, concurrency=concurrency)
    seconds = 0.0
    begun: list[float] = []
    recorded: list[datetime] = []
    for latency, gap in zip(latencies, gaps, strict=False):
        rated(limits, "a", limit)
        seconds += gap
        due: float | None = seconds
        while due is not None:
            seconds = max(seconds, due)
            for ticket in called(limits, moment(seconds)):
                recorded.append(moment(seconds).wall)
                seconds += latency
                limits.begin(ticket, moment(seconds))
                begun.append(seconds)
                limits.end(ticket)
            due = limits.next_due
    assert len(begun) == min(len(latencies), len(gaps))
    count, window = rate
    for first, last in zip(begun, begun[count:], strict=False):
        assert last - first >= window - 1e-9
    for earlier, later in zip(recorded, recorded[count:], strict=False):
        assert later - earlier >= timedelta(seconds=window)
