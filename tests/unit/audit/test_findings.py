"""What a verification says of a stranger's file is itself nothing that a stranger can steer."""

from __future__ import annotations

from application.verification.findings import FINDINGS_KEPT, Findings, printable
from domain.errors import Rejected


def test_a_strangers_text_steers_no_terminal_and_fills_no_screen() -> None:
    assert printable("碳 n°7 / ok") == "碳 n°7 / ok"
    assert printable("\x1b[2J\nverified\r\x9b\u202e\ud800") == "\\x1b[2J\\nverified\\r\\x9b\\u202e\\ud800"
    assert printable("x" * 1_000) == "x" * 500 + "..."


def fail(error: Exception) -> None:
    raise error


def test_whatever_is_raised_in_a_step_is_a_finding_and_the_next_step_begins() -> None:
    findings = Findings()
    with findings.step("one"):
        fail(Rejected("code", "what\x1b", field="where\n"))
    with findings.step("two") as step:
        for _ in range(FINDINGS_KEPT + 5):
            findings.add(step, "many", "", "")
        fail(ZeroDivisionError("planted"))
    assert [(step.name, step.wrong) for step in findings.steps] == [("one", 1), ("two", FINDINGS_KEPT + 6)]
    assert findings.total == FINDINGS_KEPT + 7
    assert len(findings.kept) == FINDINGS_KEPT
    assert findings.kept[0] == ("one", "code", "where\\n", "what\\x1b")


def test_a_defect_of_the_verifier_is_told_and_called_unreadable() -> None:
    findings = Findings()
    with findings.step("one"):
        fail(MemoryError("planted"))
    assert findings.kept == [("one", "unreadable", "", "MemoryError: planted")]
