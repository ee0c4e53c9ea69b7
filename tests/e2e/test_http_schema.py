"""Whatever anybody sends, the service answers as its OpenAPI document says: requests made up by schemathesis.

A slice here; `make fuzz` sends twenty thousand. The seed of a run is printed where it fails.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from tests.e2e.cli_tools import CommandLine
from tests.e2e.fuzz_tools import Fuzzing, Tokens, peopled
from tests.e2e.http_tools import serving

CASES = int(os.environ.get("CARBON_LEDGER_FUZZ_CASES", "220"))
SECONDS = float(os.environ.get("CARBON_LEDGER_FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("CARBON_LEDGER_FUZZ_SEED", "1"))
MANY = 10_000
"""From so many on every operation has to have been got through to."""


def test_no_made_up_request_is_answered_otherwise_than_the_document_says(cli: CommandLine) -> None:
    real, tokens = peopled(cli), Tokens()
    limits: dict[str, Any] = {"requests_per_second": 100_000, "patience_seconds": 0}
    with serving(cli.settings, tokens.identity, **limits) as served:
        tried = Fuzzing(served, tokens, real).send(CASES, SEED, time.monotonic() + SECONDS)
        logged = [line for line in served.logged if line.get("level") == "error"]
    sys.stdout.write(f"{tried.cases} requests, seed {SEED}\n{tried.table}")
    assert tried.wrong == [], "\n\n".join(tried.wrong[:5])
    assert logged == [], f"{logged[:3]}"
    assert tried.cases >= CASES, f"{tried.cases} in {SECONDS:.0f} s"
    assert all(tried.statuses.values())
    if tried.cases >= MANY:
        assert tried.never_done == set()
    # A book that anybody could have spoiled by a request would show it here.
    cli("check")
