"""JSON documents, read strictly: a key given twice or NaN is refused, not guessed about."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from domain.errors import Rejected


def strict_json(content: bytes, field: str) -> Any:
    """The document in these bytes (UTF-8). Raises Rejected ``json_malformed``."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Rejected(
            "json_malformed",
            f"not a JSON document: {error}",
            field=field,
            remedy="compare with the example in docs/formats.md",
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        repeated = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {repeated!r} is given twice")
    return keys


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
