"""Names that strict activations refuse, each with the reason and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import attrs

__all__ = ["CONVERSIONS", "EVENTS", "FAMILIES", "REPLACED", "Advice", "advice_on"]


@attrs.frozen
class Advice:
    """What is wrong with a call in workflow code.

    Attributes:
        why: the harm, to follow "where".
        instead: what to do, as an order.
    """

    why: str
    instead: str


_CLOCK = Advice("a replay would read another time", "use aion_runtime.now() instead")
_STOPWATCH = Advice(
    "a replay would take another time", "use aion_runtime.now(), or measure in an activity"
)
_SLEEP = Advice(
    "it would keep everybody else waiting, in each replay again", "use aion_runtime.sleep instead"
)
_RANDOM = Advice("a replay would draw something else", "use aion_runtime.rng() instead")
_UUID = Advice("a replay would get another one", "use aion_runtime.uuid4() instead")
_SECRET = Advice(
    "a replay would draw something else", "draw it in aion_runtime.side_effect, or in an activity"
)
_THREAD = Advice("nobody knows what it does when", "use aion_runtime.open_nursery, or an activity")
_WORLD = Advice("each replay would do it again", "do it in an activity")


def _of(module: str, names: Iterable[str], advice: Advice) -> dict[str, Advice]:
    return {f"{module}.{name}": advice for name in names}


REPLACED: Mapping[str, Advice] = MappingProxyType(
    _of("time", ("time", "time_ns", "gmtime", "localtime", "ctime", "asctime", "strftime"), _CLOCK)
    | _of("time", ("clock_gettime", "clock_gettime_ns"), _CLOCK)
    | _of("time", ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"), _STOPWATCH)
    | _of("time", ("process_time", "process_time_ns", "thread_time", "thread_time_ns"), _STOPWATCH)
    | _of("time", ("sleep",), _SLEEP)
    | _of("random", ("betavariate", "binomialvariate", "choice", "choices"), _RANDOM)
    | _of("random", ("expovariate", "gammavariate", "gauss", "getrandbits", "getstate"), _RANDOM)
    | _of("random", ("lognormvariate", "normalvariate", "paretovariate", "randbytes"), _RANDOM)
    | _of("random", ("randint", "random", "randrange", "sample", "seed", "setstate"), _RANDOM)
    | _of("random", ("shuffle", "triangular", "uniform", "vonmisesvariate"), _RANDOM)
    | _of("random", ("weibullvariate",), _RANDOM)
    | _of("uuid", ("uuid1", "uuid4", "uuid6", "uuid7"), _UUID)
    | _of("os", ("urandom", "getrandom"), _SECRET)
    | _of("secrets", ("choice", "randbelow", "randbits"), _SECRET)
    | _of("secrets", ("token_bytes", "token_hex", "token_urlsafe"), _SECRET)
    | _of("threading.Thread", ("start",), _THREAD)
)
"""Functions of modules, and of one class, in whose place others stand while anybody is strict.

They emit no audit event. Not every Python has all of them.
"""

CONVERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "time.gmtime": 1,
        "time.localtime": 1,
        "time.ctime": 1,
        "time.asctime": 1,
        "time.strftime": 2,
    }
)
"""Those that read no clock when they are given so many arguments."""

EVENTS: Mapping[str, Advice] = MappingProxyType(
    {
        "open": _WORLD,
        "builtins.input": _WORLD,
        "sqlite3.connect": _WORLD,
        "mmap.__new__": _WORLD,
        "time.sleep": _SLEEP,
        "_thread.start_new_thread": _THREAD,
        "_thread.start_joinable_thread": _THREAD,
    }
)
"""Audit events by their names. Not every Python emits all of them."""

FAMILIES: Mapping[str, Advice] = MappingProxyType(
    dict.fromkeys(
        (
            "fcntl",
            "ftplib",
            "glob",
            "http",
            "imaplib",
            "msvcrt",
            "os",
            "pathlib",
            "poplib",
            "pty",
            "shutil",
            "smtplib",
            "socket",
            "subprocess",
            "syslog",
            "tempfile",
            "urllib",
            "webbrowser",
            "winreg",
        ),
        _WORLD,
    )
)
"""All audit events of a module, by its name: what it will emit one day, too."""


def advice_on(event: str) -> Advice | None:
    """What is wrong with an audit event; None for one that does no harm."""
    return EVENTS.get(event) or FAMILIES.get(event.partition(".")[0])
