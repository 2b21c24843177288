"""What the engine of a command, and the code that it runs, log."""

from __future__ import annotations

import logging
import sys

__all__ = ["log_on_stderr"]


def log_on_stderr(level: str | None) -> None:
    """Log from a level on; None logs nothing: what matters the command says itself, in a line."""
    if level is None:
        logging.getLogger().addHandler(logging.NullHandler())
    else:
        logging.basicConfig(
            stream=sys.stderr,
            level=level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
