"""Tables on a real terminal, 80 and 120 columns wide; plain text in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest
from rich.cells import cell_len

from tests.cli.command import AION
from tests.cli.shop import Shop

WIDTHS = pytest.mark.parametrize("width", [80, 120])
LONG = "order-" + "1234567890" * 5


@pytest.fixture
def full(shop: Shop) -> Shop:
    shop.start("checkout", LONG, "bad")
    shop.start("approve", "order-2")
    return shop


def on_terminal(
    shop: Shop, width: int, *words: str, press_at: str | None = None, code: int = 0
) -> str:
    """What a command writes to a terminal of a width.

    Args:
        press_at: Ctrl-C is pressed as soon as this has been written.
        code: with which it has to end.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [str(AION), *words, "--store", shop.url],
        cwd=shop.directory,
        env=environ | {"TERM": "xterm-256color", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
                if press_at is not None and press_at.encode() in written:
                    process.send_signal(signal.SIGINT)
                    press_at = None
        except OSError:  # Linux says so that the other side is closed
            pass
    os.close(ours)
    assert process.returncode == code, written
    return written.decode()


def plain(text: str) -> list[str]:
    """The lines without the escapes that only say bold or dim."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


@WIDTHS
def test_a_list_fits_and_loses_no_letter_of_an_id(full: Shop, width: int) -> None:
    lines = plain(on_terminal(full, width, "list"))
    assert max(cell_len(line) for line in lines) <= width
    heading = lines[0].split()
    assert heading == ["id", "type", "status", "started", "events", "reason"]
    column = lines[0].index("type")
    ids = "".join(line[:column].strip() for line in lines[2:])
    assert LONG in ids
    assert "order-2" in ids
    assert any("Running" in line for line in lines)
    assert any("Failed" in line for line in lines)


@WIDTHS
def test_what_is_shown_fits(full: Shop, width: int) -> None:
    lines = plain(on_terminal(full, width, "show", LONG, "--offline"))
    assert max(cell_len(line) for line in lines) <= width
    assert any("WorkflowStarted" in line for line in lines)
    assert lines[0] == f"{LONG}: Failed"


@WIDTHS
def test_a_history_fits(full: Shop, width: int) -> None:
    lines = plain(on_terminal(full, width, "history", LONG))
    assert max(cell_len(line) for line in lines) <= width


def test_progress_is_shown_on_the_terminal_and_then_gone(shop: Shop) -> None:
    words = ("--input", '{"order": "7", "rest": 0.3}', "--id", "order-7")
    written = on_terminal(shop, 80, "run", "app.py:checkout", *words)
    assert "timer:0 fires in" in written
    assert plain(written)[-1].endswith('"receipt for 7"')


def test_pressed_on_the_terminal_ctrl_c_says_how_to_go_on(shop: Shop) -> None:
    words = ("--input", '{"order": "7", "rest": 60}', "--id", "order-7")
    written = on_terminal(shop, 80, "run", "app.py:checkout", *words, press_at="timer:0", code=130)
    assert plain(written)[-1].endswith("aion: interrupted; run it again with --id order-7 to go on")


def test_in_a_pipe_nothing_is_drawn(full: Shop) -> None:
    for words in (["list"], ["show", LONG, "--offline"], ["history", LONG]):
        done = subprocess.run(
            [str(AION), *words],
            cwd=full.directory,
            env=os.environ | {"AION_STORE": full.url, "TERM": "xterm-256color"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "\x1b" not in done.stdout + done.stderr
        assert "─" not in done.stdout
