"""The word that was probably meant. For the ends of messages about names that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known word that is most like another, if one is like it at all.

    Args:
        likeness: 0 to 1, as `difflib.SequenceMatcher.ratio` measures it.
    """
    close = get_close_matches(word, sorted(known), 1, likeness)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """The way out that a message ends with.

    Args:
        otherwise: what else can be done, when no known word is near.
    """
    close = nearest(word, known)
    return f"did you mean {close!r}?" if close is not None else otherwise
