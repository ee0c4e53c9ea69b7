"""The alert rules that operators are given name metrics, labels and codes that there are."""

from __future__ import annotations

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from interfaces.http.metrics import Metrics
from interfaces.http.problems import STATUS

RULES = Path(__file__).parents[3] / "docs" / "examples" / "alerts.yml"
SERVICES_OWN = {"service_busy"}
"""Codes that have the status of their kind, and so no line in the table."""


def rules() -> list[dict[str, str]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return list(group["rules"])


def scraped() -> set[str]:
    """Every name that a scrape can have."""
    names = set()
    for line in Metrics().text().decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            names |= {name + part for part in parts}
    return names


def test_every_metric_of_the_rules_is_one_that_is_scraped() -> None:
    named = {name for rule in rules() for name in re.findall(r"carbon_ledger_[a-z_]+", rule["expr"])}
    assert named - scraped() == set()
    assert len(named) >= 10


def test_every_code_of_the_rules_is_one_that_a_request_is_refused_with() -> None:
    told = {c for rule in rules() for found in re.findall(r'code=~?"([^"]+)"', rule["expr"]) for c in found.split("|")}
    assert told - STATUS.keys() - SERVICES_OWN == set()
    assert told


def test_every_rule_has_a_name_of_its_own_and_says_what_is_wrong_and_how_urgent_it_is() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["annotations"]["summary"]  # type: ignore[index]
        assert rule["labels"]["severity"] in ("page", "ticket")  # type: ignore[index]
