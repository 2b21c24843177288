"""Looking at the stack of an activation: on whose behalf is a call, and where did it come from?"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from types import FrameType

from aion_core.payloads import PayloadCodec

__all__ = ["author_at", "is_for_the_host"]

_EDGE = "aion_core.machine.workflow_machine"
"""The module that starts an activation: frames beyond it are the host's."""

_FOR_THE_HOST = {
    # Modules are imported once, whoever comes first, and may do so lazily.
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    # Log lines, warnings and tracebacks tell people something, and the code nothing.
    "linecache",
    "logging",
    # Finalisers run where garbage is collected, on behalf of whoever left it.
    "weakref",
    # Who debugs or measures code does so from within.
    "bdb",
    "coverage",
    "pdb",
    "pydevd",
    "_pydevd_bundle",
    "_pydevd_frame_eval",
}

_STDLIB = sysconfig.get_path("stdlib")
_INSTALLED = ("site-packages", "dist-packages")
_OURS = {"aion_core", "aion_runtime"}


def is_for_the_host(frame: FrameType) -> bool:
    """Is a call of this frame none of the workflow's, though it is made in its activation?"""
    return any(_passes(each) for each in _frames_inside(frame))


def author_at(frame: FrameType) -> str:
    """File and line of the author's that a call came from, as far as they can be told apart."""
    nearest = min(_frames_inside(frame), key=_remoteness, default=frame)
    return f"{nearest.f_code.co_filename}, line {nearest.f_lineno}"


def _frames_inside(frame: FrameType | None) -> Iterator[FrameType]:
    """The innermost first."""
    while frame is not None and frame.f_globals.get("__name__") != _EDGE:
        yield frame
        frame = frame.f_back


def _passes(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    if module in _FOR_THE_HOST or module.partition(".")[0] in _FOR_THE_HOST:
        return True
    name = frame.f_code.co_name
    if name in ("encode", "decode"):
        # To seal a payload takes random bytes; compared is what is within.
        return isinstance(frame.f_locals.get("self"), PayloadCodec)
    return name == "__del__"


def _remoteness(frame: FrameType) -> int:
    """0 for code of the program's, 1 for what is installed or generated, 2 for Python and Aion."""
    file = frame.f_code.co_filename
    if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS:
        return 2
    if any(folder in file for folder in _INSTALLED):
        return 1
    if file.startswith(("<frozen", _STDLIB)):
        return 2
    return 1 if file.startswith("<") else 0
