"""What ``docs/cli.md`` shows is what happens: its console blocks are run, one after another."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aion_cli.exit_codes import ExitCode
from tests.cli.command import AION, finish
from tests.cli.shop import Shop

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Session:
    """A shell that knows ``export`` and ``aion``, in the foreground and behind."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shop = shop
        self._monkeypatch = monkeypatch
        self.behind: list[subprocess.Popen[str]] = []

    def run(self, command: str) -> str:
        words = shlex.split(command)
        if words[0] == "export":
            self._monkeypatch.setenv(*words[1].split("=", 1))
            return ""
        assert words[0] == "aion"
        if words[-1] != "&":
            done = self._shop.aion(*words[1:], store=False)
            return done.out + done.err
        process = subprocess.Popen(
            [str(AION), *words[1:-1]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.behind.append(process)
        assert process.stderr is not None
        return process.stderr.readline()


@pytest.fixture
def session(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    session = Session(shop, monkeypatch)
    yield session
    for process in session.behind:
        process.terminate()
        finish(process)


def test_the_page_shows_what_happens(session: Session) -> None:
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "python":
            Path("app.py").write_text(text)
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            said = session.run(command)
            assert is_like(said, expected), f"$ {command}\n{said}"


def is_like(said: str, expected: str) -> bool:
    """The same but for spaces, and for what stands for ``…``."""
    pattern = re.escape(" ".join(expected.split())).replace("…", ".*?")
    return re.fullmatch(pattern, " ".join(said.split())) is not None


@pytest.mark.parametrize("page", [PAGE, PAGE.parents[1] / "plugins" / "aion_cli" / "README.md"])
def test_every_exit_code_is_in_the_table(page: Path) -> None:
    table = page.read_text().rpartition("\n## Exit codes\n")[2]
    assert re.findall(r"^\| (\d) \|", table, re.MULTILINE) == [str(int(code)) for code in ExitCode]
