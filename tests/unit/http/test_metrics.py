"""Several processes count in one folder, also when one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interfaces.http.metrics import SHARED

COUNT = """
import os, signal, sys
from application.receiving import Group
from interfaces.http.metrics import Metrics
metrics = Metrics()
metrics.in_flight.inc()
metrics.waiting_rows.inc(7)
metrics.recorded(Group(10, [0.2, 0.3], 0.05))
metrics.answered("POST", "/v1/behaviors", 429, 0.1, "too_busy")
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
print(metrics.text().decode())
"""


def counted(folder: Path, end: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT, end], env=os.environ | {SHARED: str(folder)}, capture_output=True, timeout=60
    )
    return ran.stdout.decode()


@pytest.mark.parametrize("line", [
    "http_requests_in_flight 1.0", "waiting_rows 7.0", "group_rows_sum 20.0", "group_requests_sum 4.0",
    "waiting_seconds_sum 1.0", 'http_refused_total{code="too_busy"} 2.0',
])  # fmt: skip
def test_what_was_done_by_a_killed_process_counts_and_what_was_under_way_in_it_does_not(
    lines: list[str], line: str
) -> None:
    assert f"carbon_ledger_{line}" in lines


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("counting")
    assert counted(folder, "killed") == ""
    return counted(folder, "asked").splitlines()
