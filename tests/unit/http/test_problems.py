"""Every failure has a status, and tells a caller what is his to know."""

from __future__ import annotations

import json
import re

import pytest

from domain.errors import Corrupt, LedgerError, Rejected, Unavailable
from interfaces.http.problems import STATUS, problem_of, status_of
from tests.architecture.project import ROOT, modules

HERE = "host=db.bank.example /var/lib/ledger"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Rejected("account_unknown", "m"), 404),
        (Rejected("same_actor", "m"), 409),
        (Rejected("anything_else", "m"), 422),
        (Rejected("token_invalid", "m"), 401),
        (Rejected("forbidden", "m"), 403),
        (Unavailable("server_lost", "m"), 503),
        (Corrupt("log_changed", "m"), 500),
        (LedgerError("new_kind", "m"), 500),
    ],
)
def test_each_kind_of_failure_has_its_status(error: LedgerError, status: int) -> None:
    assert status_of(error) == status


def test_the_document_names_every_code_beside_its_status() -> None:
    document = (ROOT / "docs" / "http.md").read_text("utf-8")
    rows = [line.split("|")[1:3] for line in document.splitlines() if line.startswith("| ")]
    told = {(code, int(status)) for which, text in rows for code in re.findall(r"`(\w+)`", text)
            for status in re.findall(r"\b[345]\d\d\b", which)}  # fmt: skip
    assert {(code, status) for code, status in STATUS.items() if (code, status) not in told} == set()


def test_a_callers_own_mistake_is_told_in_full() -> None:
    told = json.loads(bytes(problem_of(Rejected("c", "message", field="place", remedy="do"), "r1").body))
    assert told == {
        "type": "urn:carbon-ledger:problem:c",
        "title": "Unprocessable Content",
        "status": 422,
        "code": "c",
        "detail": "message",
        "field": "place",
        "remedy": "do",
        "request_id": "r1",
    }


@pytest.mark.parametrize("kind", [Unavailable, Corrupt])
def test_what_is_about_this_machine_or_its_data_is_told_by_its_code_alone(kind: type[LedgerError]) -> None:
    answer = problem_of(kind("some_code", HERE, field=HERE, remedy=HERE), "r1")
    assert json.loads(bytes(answer.body))["code"] == "some_code"
    assert b"bank.example" not in bytes(answer.body)
    assert answer.media_type == "application/problem+json"


def test_every_code_with_a_status_of_its_own_is_one_that_the_ledger_tells() -> None:
    texts = "".join(ast_text for path, tree in modules("domain", "application", "infrastructure", "interfaces")
                    if not path.endswith("problems.py") for ast_text in _texts(tree))  # fmt: skip
    ours = {"not_found", "method_not_allowed", "request_malformed", "partner_unknown"}
    assert sorted(code for code in STATUS if code not in ours and f"|{code}|" not in texts) == []


def _texts(tree: object) -> list[str]:
    import ast

    assert isinstance(tree, ast.AST)
    return [
        f"|{node.value}|" for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
