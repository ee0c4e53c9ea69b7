"""Small files of commands: JSON documents and evidence that are read, proofs that are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from domain.digest import new_sm3
from domain.errors import Rejected, Unavailable
from interfaces.strict_json import strict_json

_MAX_BYTES = 16_000_000
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")


def read_json(path: Path) -> Any:
    """A JSON document (UTF-8), read strictly: a key given twice or NaN is refused, not guessed about.

    Raises Rejected ``file_not_found``, ``file_too_large``, ``json_malformed``.
    """
    if not path.is_file():
        raise Rejected("file_not_found", "there is no such file", field=str(path), remedy="check the name")
    if path.stat().st_size > _MAX_BYTES:
        raise Rejected("file_too_large", f"more than {_MAX_BYTES:,} bytes", field=str(path), remedy="check the name")
    return strict_json(path.read_bytes(), str(path))


def evidence_digest(text: str) -> str:
    """SM3 as 64 hex digits: given as such, or of the file of this name. Raises Rejected ``evidence_not_found``."""
    if _DIGEST.fullmatch(text):
        return text.lower()
    path = Path(text)
    if not path.is_file():
        raise Rejected(
            "evidence_not_found",
            "neither a file nor an SM3 digest of 64 hex digits",
            field="evidence",
            remedy="name the document that proves the consent, or its digest",
        )
    state = new_sm3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def read_small(path: Path, most: int) -> bytes:
    """The content of a file that has at most so many bytes. Raises Rejected ``file_too_large``."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Rejected("file_too_large", f"more than {most:,} bytes", field=str(path), remedy="check the name")
    return content


def write_new(path: Path, content: bytes) -> Path:
    """A new file with this content; its folder is made.

    Raises Rejected ``file_exists``, Unavailable ``file_not_written``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise Rejected(
            "file_exists", "there is a file of this name", field=str(path), remedy="name another; none is overwritten"
        ) from error
    except OSError as error:
        raise Unavailable(
            "file_not_written", error.strerror or str(error), field=str(path), remedy="name another folder"
        ) from error
    return path
