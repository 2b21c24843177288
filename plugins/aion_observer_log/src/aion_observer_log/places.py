"""Places: where the lines go, as the settings say."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path

from aion_core.errors import ConfigError
from aion_core.suggestions import did_you_mean

__all__ = ["LOGGER", "FilePlace", "LoggerPlace", "Place", "place_of"]

LOGGER = "aion.observer_log"
"""Name of the logger that has the lines when no file is given."""

SETTINGS = ("file",)


class Place(ABC):
    """Takes lines, without their ends."""

    @property
    def is_open(self) -> bool:
        """Would anybody read them?"""
        return True

    @abstractmethod
    def write(self, lines: Iterable[str]) -> None:
        """Take lines. Raises `OSError` when they cannot be written."""


class LoggerPlace(Place):
    """The logger, at level INFO."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    @property
    def is_open(self) -> bool:
        return self._logger.isEnabledFor(logging.INFO)

    def write(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._logger.info("%s", line)


class FilePlace(Place):
    """A file.

    It is opened each time, so that one which was moved away by a log rotation is begun anew; and
    all lines are written at once, so that several processes may share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, lines: Iterable[str]) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())


def place_of(settings: Mapping[str, object]) -> Place:
    """The place that the settings name.

    Raises:
        ConfigError: they cannot be used.
    """
    for name in settings:
        if name not in SETTINGS:
            otherwise = f"the settings are: {', '.join(SETTINGS)}"
            raise ConfigError(
                f"observer-log has no setting {name!r}; "
                f"{did_you_mean(name, SETTINGS, otherwise=otherwise)}"
            )
    file = settings.get("file")
    if file is None:
        return LoggerPlace()
    if not isinstance(file, str) or not file:
        raise ConfigError(
            f"the setting file of observer-log is {file!r}; give the path of a file as text"
        )
    place = FilePlace(Path(file))
    try:
        place.write([])
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"observer-log cannot write to {file!r} ({error}); name a file in a directory that "
            "exists and that this user may write to"
        ) from error
    return place
