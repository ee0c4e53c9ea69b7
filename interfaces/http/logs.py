"""The service's own log: one JSON object a line, on stderr, without personal data.

Keeps: a request is told by its route's template and by ids, never by its query, its body or a path that is no route,
where somebody may have put a person's name; a defect by its kind and the lines of code that it passed, never by its
message.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from domain.errors import LedgerError, Unavailable

LOGGER: Final = logging.getLogger("carbon_ledger.http")
_OTHERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")
_FRAMES: Final = 8


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "note"),
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            # The server's own words; of a traceback only what it ends with, since its lines may show values.
            told["message"] = record.getMessage().strip().rpartition("\n")[2][:500]
        else:
            told |= fields
        if record.exc_info is not None and record.exc_info[1] is not None:
            told |= where(record.exc_info[1])
        return json.dumps(told, ensure_ascii=False)


@contextmanager
def written_to(stream: TextIO) -> Iterator[None]:
    """For as long as the block lasts, this log and the server's go to a stream as JSON."""
    before = [(each, each.handlers, each.level, each.propagate) for each in _loggers()]
    write_to(stream)
    try:
        yield
    finally:
        for each, handlers, level, propagate in before:
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)


def write_to(stream: TextIO) -> None:
    """From now on this log and the server's go to a stream as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for each in _loggers():
        each.handlers, each.propagate = [handler], False
        each.setLevel(logging.INFO if each is LOGGER else logging.WARNING)


def _loggers() -> list[logging.Logger]:
    return [LOGGER, *(logging.getLogger(name) for name in _OTHERS)]


def note(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log something."""
    LOGGER.log(level, event, extra={"event": event, "fields": fields})


def failure(error: LedgerError, request_id: str) -> None:
    """What a caller is not told of a failure. A place is one of tables, files, settings and positions."""
    message = error.message if isinstance(error, Unavailable) else ""
    note(
        "failed",
        logging.ERROR,
        request_id=request_id,
        code=error.code,
        kind=type(error).__name__.lower(),
        place=error.field,
        message=message,
    )


def defect(error: BaseException, request_id: str) -> None:
    """A fault of the program."""
    note("defect", logging.ERROR, request_id=request_id, **where(error))


def where(error: BaseException) -> dict[str, Any]:
    """A failure without its message, which may hold a value: its kind, and the last lines of code that it passed."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    lines = [f"{'/'.join(Path(each.filename).parts[-3:])}:{each.lineno} {each.name}" for each in frames]
    return {"error": type(error).__name__, "at": lines}
