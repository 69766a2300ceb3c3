"""Each benchmark runs, at a size that measures nothing; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest

pytest.importorskip("apscheduler", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("sqlalchemy", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("croniter", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("cronsim", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("starsessions", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("langchain_chroma", reason="the peers are not installed: `make benchmark` installs them")
pytest.importorskip("cron_converter", reason="the peers are not installed: `make benchmark` installs them")

from benchmarks import baddays
from benchmarks.rounds import find_tables, measure
from benchmarks.tables import NAMES, Case, Metric, Table, as_text

ROOT = Path(__file__).parents[1]


@pytest.mark.processes
@pytest.mark.parametrize("name", NAMES)
def test_each_case_yields_each_metric(name, tmp_path):
    for table in find_tables(name, "tiny"):
        results, _ = measure(replace(table, together=True), 1, tmp_path)

        keys = {metric.key for metric in table.metrics}
        for case, measured in results.items():
            assert len(measured) == (table.rounds or 1), case
            assert all(result is not None and keys <= result.keys() for result in measured), case
            assert all(isfinite(figure) for result in measured for figure in result.values()), case
        assert all(case in as_text(table, results) for case in table.cases)
    assert [path.name for path in tmp_path.iterdir()] == ["sync"]


@pytest.mark.processes
def test_each_disagreement_of_a_sample_has_a_cause():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.agreement", "--count", "150", "--seed", "4"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "cronsim: the same" in done.stdout
    assert "croniter: a range of one number, 7-7, is the whole field" in done.stdout


@pytest.mark.processes
def test_command_prints_the_machine_and_writes_the_figures(tmp_path):
    file = tmp_path / "figures.json"

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "imports", "--size", "tiny", "--rounds", "1", "--json", file],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "fdatasync p50" in done.stdout
    assert [table["benchmark"] for table in json.loads(file.read_text())["tables"]] == ["imports"]


def test_table_shows_median_spread_and_ratio():
    table = Table(
        "add: jobs", {"ours": Case(dict, {}), "theirs": Case(dict, {})}, [Metric("rate", "jobs/s")], bases=["theirs"]
    )
    results = {
        "ours": [{"rate": 900.0}, {"rate": 300.0}, {"rate": 400.0}],
        "theirs": [{"rate": 200.0}, None, {"rate": 200.0}],
    }

    lines = as_text(table, results).splitlines()

    assert lines[2].split() == ["ours", "400", "300..900", "2"]
    assert lines[3].split() == ["theirs", "200", "200..200", "1"]


def test_table_shows_a_case_that_failed():
    table = Table(
        "add: jobs", {"ours": Case(dict, {}), "theirs": Case(dict, {})}, [Metric("rate", "jobs/s")], bases=["theirs"]
    )

    text = as_text(table, {"ours": [{"rate": 900.0}], "theirs": [None]})

    assert "theirs      FAILED" in text


@pytest.mark.processes
def test_the_bad_days_are_lived_through_and_written_into_a_page(tmp_path):
    pytest.importorskip("llama_index", reason="the peers are not installed: `make benchmark` installs them")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{baddays.BEGIN}\nold\n{baddays.END}\nafter\n")

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.baddays", "--report", page],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    written = page.read_text()
    assert written.startswith(f"before\n{baddays.BEGIN}\n| | LangChain, incremental |")
    assert written.endswith(f".\n{baddays.END}\nafter\n")
    assert "old\n" not in written
    assert f"{len(baddays.DAYS)} of {len(baddays.DAYS)} |" in written
    assert "Error" not in written, "a tool could not live through a day"
