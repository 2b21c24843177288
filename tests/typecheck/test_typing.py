"""What type checkers make of the authoring API."""

import json
import subprocess
import sys
from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [f"tests/typecheck/{name}.py" for name in ("right", "wrong")]


def test_mypy_accepts_right_uses_and_rejects_each_wrong_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    # In strict mode an ignored error that does not occur is reported, so one run proves both.
    report, errors, status = mypy.api.run(["--no-error-summary", *FILES])
    assert (report, errors, status) == ("", "", 0)


def test_basedpyright_accepts_right_uses_and_rejects_each_wrong_one(tmp_path: Path) -> None:
    project = {
        "include": [str(ROOT / file) for file in FILES],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    config = tmp_path / "pyrightconfig.json"
    config.write_text(json.dumps(project))
    command = [sys.executable, "-m", "basedpyright", "--project", str(config), "--outputjson"]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    report = json.loads(done.stdout)
    found = [
        f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in report["generalDiagnostics"]
    ]
    assert (found, report["summary"]["filesAnalyzed"] >= 2) == ([], True)
