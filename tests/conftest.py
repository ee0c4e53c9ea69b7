"""How far the property tests search.

Keeps: `make test` tries the same examples on every run and every machine, so that a red run can be repeated;
`make test-long` (CARBON_LEDGER_LONG=1) searches ten times as far, from a new seed that it prints on failure.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail: no deadline per example, and slow generation is not an error.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "long", max_examples=1000, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("long" if os.environ.get("CARBON_LEDGER_LONG") == "1" else "repeatable")

pytest_plugins = ["tests.fixtures.ledgers"]
