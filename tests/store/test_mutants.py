"""The conformance kit finds what it is made to find: each defect by its case.

All runs are made at once by a pytest of its own, without this repository's settings: as a third
party would use the kit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import pytest

from aion_store_memory.store import MemoryStore
from tests.store.mutants import BY_MODEL, MUTANTS, UNTOUCHED, suite_name

ROOT = Path(__file__).parents[2]
MODULE = "test_suites.py"
MODEL_CASE = "test_a_store_says_what_its_model_says"

Results: TypeAlias = dict[tuple[str, str], list[str]]
"""By suite and case, for each parameter: why it failed, or nothing."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = tmp_path_factory.mktemp("mutants")
    (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (place / MODULE).write_text(
        "from tests.store.mutants import suites\n\nglobals().update(suites())\n"
    )
    cases = [(MemoryStore, case) for case in dict.fromkeys((*MUTANTS.values(), *UNTOUCHED))]
    for mutant, case in MUTANTS.items():
        cases += [(mutant, each) for each in (case, *UNTOUCHED)]
    cases += [(mutant, MODEL_CASE) for mutant in (MemoryStore, *BY_MODEL)]
    ids = [f"{MODULE}::{suite_name(store)}::{case}" for store, case in cases]
    report = place / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *ids], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    # 1: some have failed. All else is a mistake of ours.
    assert done.returncode == 1, done.stdout + done.stderr
    return _read(report)


def _read(report: Path) -> Results:
    found: Results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        suite = case.attrib["classname"].rpartition(".")[2]
        assert case.find("error") is None, ElementTree.tostring(case, encoding="unicode")
        assert case.find("skipped") is None
        failure = case.find("failure")
        said = "" if failure is None else failure.attrib["message"] + (failure.text or "")
        found.setdefault((suite, case.attrib["name"].partition("[")[0]), []).append(said)
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_killed_by_its_case(results: Results, mutant: type[MemoryStore]) -> None:
    failures = [said for said in results[suite_name(mutant), MUTANTS[mutant]] if said]
    assert failures
    for said in failures:
        assert "AssertionError" in said or "DID NOT RAISE" in said


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_passes_what_its_defect_does_not_touch(
    results: Results, mutant: type[MemoryStore]
) -> None:
    for case in UNTOUCHED:
        assert not any(results[suite_name(mutant), case]), case


@pytest.mark.parametrize("case", dict.fromkeys((*MUTANTS.values(), *UNTOUCHED)))
def test_the_original_passes_the_cases_that_kill(results: Results, case: str) -> None:
    assert not any(results[suite_name(MemoryStore), case])


def test_no_two_mutants_have_the_same_case() -> None:
    assert len(set(MUTANTS.values())) == len(MUTANTS)


@pytest.mark.parametrize("mutant", BY_MODEL, ids=lambda mutant: mutant.__name__)
def test_the_model_finds_a_mutant(results: Results, mutant: type[MemoryStore]) -> None:
    (said,) = results[suite_name(mutant), MODEL_CASE]
    assert "AssertionError" in said


def test_the_original_does_what_the_model_does(results: Results) -> None:
    assert results[suite_name(MemoryStore), MODEL_CASE] == [""]
