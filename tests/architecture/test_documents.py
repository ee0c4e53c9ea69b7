"""Documents that people follow step by step do not lead them astray."""

from __future__ import annotations

import re

import pytest

from tests.architecture.project import ROOT

_ADRS = ROOT / "docs" / "adr"
_TARGET = re.compile(r"(?m)^([a-z][a-z-]*):(?!=)")


def _numbered_adrs() -> list[str]:
    return sorted(path.name for path in _ADRS.glob("[0-9]*.md"))


def _make_targets() -> set[str]:
    return set(_TARGET.findall((ROOT / "Makefile").read_text("utf-8")))


def test_the_decision_records_are_numbered_without_gaps() -> None:
    numbers = [int(name.partition("-")[0]) for name in _numbered_adrs()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_record_is_in_the_index_and_the_index_names_no_other() -> None:
    index = (_ADRS / "index.md").read_text("utf-8")
    assert re.findall(r"\]\((\d{4}-[^)]+\.md)\)", index) == _numbered_adrs()


@pytest.mark.parametrize("name", _numbered_adrs())
def test_a_decision_record_has_every_part_of_the_template(name: str) -> None:
    def parts(text: str) -> list[str]:
        return re.findall(r"(?m)^## (.+)$", text)

    text = (_ADRS / name).read_text("utf-8")
    assert parts(text) == parts((_ADRS / "template.md").read_text("utf-8"))
    assert text.startswith(f"# {name[:4]}. ")


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "docs/CONTRIBUTING.md", "docs/ARCHITECTURE.md"])
def test_every_make_command_in_a_document_is_a_target_of_the_makefile(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert set(re.findall(r"(?:^|`|\$ )make ([a-z][a-z-]*)", text, re.MULTILINE)) <= _make_targets()


def test_the_readme_shows_the_two_commands_a_newcomer_needs() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text


_LINKING = (
    "CONTRIBUTING",
    "ARCHITECTURE",
    "THREATS",
    "OPERATING",
    "SCALING",
    "archive",
    "formats",
    "http",
    "events",
    "adr/index",
    "partner-recipe",
)


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{name}.md" for name in _LINKING)])
def test_every_file_a_document_links_to_exists(document: str) -> None:
    here = (ROOT / document).parent
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / document).read_text("utf-8"))
    assert [link for link in links if not (here / link).exists()] == []


def test_every_test_that_the_threats_name_exists() -> None:
    text = (ROOT / "docs" / "THREATS.md").read_text("utf-8")
    named = re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_]+)*\.py)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    explained = set(re.findall(r"(?m)^([a-z][a-z-]*):.* ## .+$", makefile))
    assert explained == _make_targets()
    assert {"setup", "check", "test", "test-long", "demo", "bench", "docs", "lock", "clean"} <= explained
