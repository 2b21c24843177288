"""The comparison with DBOS: Aion's side of each workload, small, and what is said of the figures.

DBOS itself is measured by ``make versus`` alone: it is not installed here.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from benchmarks.versus.comparing import AION, equally_durable, table
from benchmarks.versus.environment import REQUIREMENTS
from benchmarks.versus.measuring import WORKLOADS, Settings, Workload, measure, settings_of

SEQUENTIAL, THROUGHPUT, RECOVERY = WORKLOADS
FULL = Settings(journal_mode="wal", synchronous=2)
NORMAL = Settings(journal_mode="wal", synchronous=1)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements make their databases in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "workload",
    [attrs.evolve(SEQUENTIAL, steps=3), attrs.evolve(THROUGHPUT, runs=3, steps=2)],
    ids=lambda workload: workload.name,
)
@pytest.mark.usefixtures("elsewhere")
def test_aion_runs_the_chains(workload: Workload) -> None:
    figures = measure(AION, workload)
    assert figures[workload.figure] > 0
    assert figures[workload.processor] > 0


@pytest.mark.usefixtures("elsewhere")
def test_aion_ends_all_runs_after_a_kill_and_repeats_no_step() -> None:
    figures = measure(AION, attrs.evolve(RECOVERY, runs=3))
    assert (figures["steps_lost"], figures["steps_repeated"]) == (0, 0)


@pytest.mark.usefixtures("elsewhere")
def test_aion_commits_as_it_is_said_to() -> None:
    (less,) = equally_durable([FULL, NORMAL])
    assert [settings_of(AION), settings_of(less)] == [FULL, NORMAL]


def test_aion_runs_once_more_only_where_the_other_syncs_less() -> None:
    assert equally_durable([FULL, FULL]) == []


def test_a_ratio_above_one_means_that_aion_is_better() -> None:
    rates = {"steps_per_second": 300.0, "processor_us_per_step": 1.0}
    slower = rates | {"steps_per_second": 100.0}
    times = {"done_s": 2.0, "processor_s": 1.0}
    longer = times | {"done_s": 8.0}
    of_rates = table(SEQUENTIAL, {AION.name: [rates], "DBOS": [slower]})
    of_times = table(RECOVERY, {AION.name: [times], "DBOS": [longer]})
    assert "3.0 (3.0 to 3.0)" in of_rates
    assert "4.0 (4.0 to 4.0)" in of_times


def test_a_side_that_repeats_a_step_is_told_in_its_row() -> None:
    figures = {"done_s": 1.0, "processor_s": 1.0, "steps_repeated": 2, "steps_lost": 0}
    assert "2 steps repeated, 0 lost" in table(RECOVERY, {AION.name: [figures]})


def test_what_the_other_side_installs_has_exact_versions_and_no_host() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line[:1] not in ("", "#")]
    assert "dbos==3.4.0" in lines
    assert [line for line in lines if not re.fullmatch(r"[\w-]+==[\w.]+", line)] == []
