"""Patterns that mean the same to every Python that the project runs on."""

from __future__ import annotations

import re

import pytest

from tests.architecture.project import PACKAGES, files

# Python before 3.11.5 gets a possessive or atomic group wrong that ends in the middle of a turn (gh-106052); the
# offline verifier runs on whatever 3.11 an auditor has. A possessive single character or class is right everywhere.
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")


@pytest.mark.parametrize("pattern", ["(?:a|b)*+", "(a)++", "(?>a)", "(a){2,3}+"])
def test_the_search_finds_every_kind_of_possessive_group(pattern: str) -> None:
    assert _POSSESSIVE_GROUP.search(pattern)


def test_no_pattern_has_a_possessive_group() -> None:
    found = [
        f"{path}:{number}"
        for path in files(*PACKAGES)
        if path.suffix == ".py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if _POSSESSIVE_GROUP.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []
