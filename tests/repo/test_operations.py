"""What ``docs/operations.md`` says about services and commands is so."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
UNIT = re.compile(r"^```ini\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"`aion ([a-z]+)((?: --[a-z]+)*)")


def unit() -> configparser.SectionProxy:
    (text,) = UNIT.findall(PAGE.read_text())
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser["Service"]


def help_of(verb: str) -> str:
    command = [str(Path(sys.executable).with_name("aion")), verb, "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_the_manager_of_services_waits_longer_than_the_engine() -> None:
    grace = unit()["ExecStart"].split("--grace ")[1]
    assert int(unit()["TimeoutStopSec"]) > int(grace)


def test_the_commands_that_it_names_are_there_with_their_options() -> None:
    named = COMMAND.findall(PAGE.read_text().replace("\n", " "))
    named.append(("serve", " --grace"))
    for verb in {verb for verb, _ in named}:
        says = help_of(verb)
        for options in (options for other, options in named if other == verb):
            for option in options.split():
                assert option in says, (verb, option)
