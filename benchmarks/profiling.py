"""Where the time of one benchmark goes: a profile as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["profiled"]


@contextmanager
def profiled() -> Iterator[list[str]]:
    """Sample what runs; at the end the profile is the one text in the list.

    The samples are those of the event loop's thread, whatever task runs there. Processes that a
    benchmark starts are not in it.
    """
    # Here, so that only who asks for a profile needs it.
    from pyinstrument import Profiler

    profiler = Profiler(async_mode="disabled")
    texts: list[str] = []
    profiler.start()
    try:
        yield texts
    finally:
        profiler.stop()
        texts.append(profiler.output_text(unicode=True))
