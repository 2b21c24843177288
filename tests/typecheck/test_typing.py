"""What a type checker makes of the authoring API."""

from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_mypy_accepts_right_uses_and_rejects_each_wrong_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    # In strict mode an ignored error that does not occur is reported, so one run proves both.
    files = [f"tests/typecheck/{name}.py" for name in ("right", "wrong")]
    report, errors, status = mypy.api.run(["--no-error-summary", *files])
    assert (report, errors, status) == ("", "", 0)
