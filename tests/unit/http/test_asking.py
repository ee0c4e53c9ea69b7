"""Cursors, tags of answers, and the log of requests."""

from __future__ import annotations

import io
import json
import logging

import pytest
from starlette.requests import Request

from domain.errors import Rejected
from interfaces.http import logs
from interfaces.http.asking import Paged, cursor_of, etag_of, is_known


@pytest.mark.parametrize("position", [1, 17, (1 << 63) - 1])
def test_a_cursor_leads_to_the_page_after_a_position(position: int) -> None:
    assert Paged.model_validate({"cursor": cursor_of(position)}).after == position
    assert cursor_of(None) is None
    assert Paged.model_validate({}).after == 0


@pytest.mark.parametrize("cursor", ["", "x", "YWZ0ZXI6", "YWZ0ZXI6LTE", "YWZ0ZXI6MSA", "ü", "=" * 8, "YWZ0ZXI6MQ=\n"])
def test_what_is_no_cursor_of_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor_malformed"):
        _ = Paged.model_validate({"cursor": cursor}).after


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ('W/"7-p"', True),
        ('"7-p"', True),
        ('"x", W/"7-p"', True),
        ("*", True),
        ('W/"7-f"', False),
        ('W/"17-p"', False),
        ("", False),
        ("7-p", False),
    ],
)
def test_an_answer_is_known_by_the_weak_comparison_of_tags(given: str, known: bool) -> None:
    request = Request({"type": "http", "headers": [(b"if-none-match", given.encode())]})
    assert is_known(request, etag_of(7, "p")) is known


def test_the_log_tells_a_failure_by_its_kind_and_lines_and_never_by_its_words() -> None:
    log = io.StringIO()
    with logs.written_to(log):
        try:
            raise ValueError("Zhang-San")
        except ValueError as error:
            logs.defect(error, "r1")
            logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
        logging.getLogger("uvicorn.error").error("Traceback:\n  values\nKeyError: last line")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [each["event"] for each in lines] == ["defect", "note", "note"]
    assert {each.get("error") for each in lines} == {"ValueError", None}
    assert lines[2]["message"] == "KeyError: last line"
    assert "Zhang-San" not in log.getvalue()
