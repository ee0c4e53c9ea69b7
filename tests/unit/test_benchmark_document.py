"""docs/BENCHMARKS.md: what was measured is replaced, everything else stays."""

from __future__ import annotations

import pytest

from benchmarks.document import NOTES, SECTIONS, document

_NOTED = f"{NOTES}\n\n## What was tried\n\nEverything.\n"
_BOTH = document({"crediting": "## Crediting\n\nold figures\n", "scale": "## Scale\n\nold sizes\n"}, _NOTED)


@pytest.mark.parametrize(
    ("only", "gone", "kept"), [("scale", "old sizes", "old figures"), ("crediting", "old figures", "old sizes")]
)
def test_measuring_one_section_leaves_the_other_as_it_stands(only: str, gone: str, kept: str) -> None:
    made = document({only: "## Measured\n\nnew\n"}, _BOTH)
    assert (gone in made, kept in made, "new" in made) == (False, True, True)
    assert made == _BOTH.replace(f"## {only.capitalize()}\n\n{gone}", "## Measured\n\nnew")


def test_a_new_run_leaves_the_notes_below_the_marker_as_they_were() -> None:
    for measured in ({"scale": "new"}, {"crediting": "new"}, {"crediting": "new", "scale": "newer"}):
        made = document(measured, _BOTH)
        assert made.endswith(_NOTED)
        assert made.count(NOTES) == 1


def test_a_run_with_the_same_figures_changes_nothing() -> None:
    assert document({"scale": "## Scale\n\nold sizes\n"}, _BOTH) == _BOTH
    assert document({}, _BOTH) == _BOTH


def test_sections_stand_in_the_same_order_whichever_was_measured_first() -> None:
    made = document({"crediting": "of crediting"}, document({"scale": "of scale"}, ""))
    assert made.index("of crediting") < made.index("of scale") < made.index(NOTES)
    assert SECTIONS == ("crediting", "scale", "auditing", "serving")


def test_a_first_report_ends_with_a_marker_for_notes_to_follow() -> None:
    assert document({"scale": "report\n"}, "").endswith(f"\n\nreport\n\n{NOTES}\n")


def test_a_report_from_before_there_were_sections_is_kept_as_the_one_on_crediting() -> None:
    former = f"# Benchmarks\n\n<!-- Made by `make bench`. -->\n\n## Against the bars\n\nold figures\n\n{_NOTED}"
    made = document({"scale": "new sizes"}, former)
    assert made.count("# Benchmarks\n") == 1
    assert made.index("old figures") < made.index("new sizes") < made.index("Everything.")
    assert "old figures" not in document({"crediting": "newer"}, made)
