"""What is measured, how often, and what is aimed at."""

from __future__ import annotations

import attrs

__all__ = ["BENCHMARKS", "Benchmark", "Target"]


@attrs.frozen
class Target:
    """A limit of one figure, in the unit of the figure."""

    figure: str
    limit: float
    is_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.is_least else '<='} {self.limit:,}"


def at_least(figure: str, limit: float) -> Target:
    return Target(figure, limit, is_least=True)


def at_most(figure: str, limit: float) -> Target:
    return Target(figure, limit, is_least=False)


@attrs.frozen
class Benchmark:
    """One module of this package.

    Attributes:
        rounds: of which the median is shown. Those that take a minute each get fewer.
    """

    name: str
    targets: tuple[Target, ...]
    rounds: int = 5


QUESTIONS = (
    "feed",
    "list",
    "list_open",
    "list_failed",
    "count",
    "count_closed",
    "due_work",
    "timers",
    "history",
    "purge",
)
"""Of `scale`: what is asked of a store with many events behind it."""

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("sequential", (at_least("ratio", 0.5),)),
        Benchmark("throughput", (at_least("activities_per_second", 20_000),)),
        Benchmark("fanout", (at_least("activities_per_second", 15_000),)),
        Benchmark("timers", (at_most("runs_done_s", 1.15), at_most("tasks_done_s", 1.15))),
        Benchmark("recovery", (at_most("done_s", 0.5), at_most("repeated", 0))),
        Benchmark("codec", (at_most("encode_us", 3), at_most("decode_us", 4))),
        Benchmark(
            "startup",
            (at_most("import_ratio", 1.25), at_most("help_ms", 250), at_most("idle_mb", 45)),
        ),
        Benchmark(
            "history",
            (at_least("replay_events_per_second", 150_000), at_most("with_decoding_s", 0.2)),
            rounds=3,
        ),
        Benchmark("messages", (at_most("signal_ms", 50), at_most("idle_percent", 1)), rounds=1),
        Benchmark(
            "parked",
            (
                at_most("evicted_bytes", 1_024),
                at_most("resident_bytes", 8_192),
                at_most("open_s", 2),
            ),
            rounds=1,
        ),
        Benchmark("scale", tuple(at_most(f"{name}_ratio", 2) for name in QUESTIONS), rounds=1),
    )
}
