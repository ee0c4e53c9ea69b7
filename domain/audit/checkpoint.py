"""The checkpoint: what the log says of itself at one size, as a few lines of text that are signed.

Keeps: one spelling; a checkpoint that contradicts itself (a root for no leaf, a position beyond the size, half a map)
is neither written nor read. The text is the shape of C2SP tlog-checkpoint, so that witnesses of such logs can read it.
Leaves to ``note``: signatures. Leaves to the verifier: whether roots of two checkpoints fit together.
The bytes are specified in ``docs/spec/log.md``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import NamedTuple

from domain.audit.merkle import HASH_BYTES, empty_root
from domain.audit.note import is_name
from domain.behavior import LAST_INSTANT_US
from domain.errors import Corrupt
from domain.instants import instant_of, microsecond_text

_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_HASH = rb"([A-Za-z0-9+/]{43}=)"
_TIME = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)"
_BODY = re.compile(
    rb"([!-~]+)\n%b\n%b\nrulebook %b\ntime %b\n(?:map %b %b\n)?" % (_NUMBER, _HASH, _NUMBER, _TIME, _NUMBER, _HASH)
)


class Checkpoint(NamedTuple):
    """The log at one size.

    ``origin`` names the log for ever; ``root`` is that of its first ``size`` leaves. ``rulebook_position`` is that of
    the last rulebook event among them, ``recorded_us`` the time of the last one (microseconds since 1970). ``map_root``
    is the root of the book map as of ``map_position``; b"" and 0 when there is none.
    """

    origin: str
    size: int
    root: bytes
    rulebook_position: int
    recorded_us: int
    map_position: int = 0
    map_root: bytes = b""


def body_of(checkpoint: Checkpoint) -> bytes:
    """The text to sign. Raises Corrupt ``checkpoint_malformed``."""
    _check(checkpoint)
    origin, size, root, rulebook_position, recorded_us, map_position, map_root = checkpoint
    lines = [origin, str(size), _base64(root), f"rulebook {rulebook_position}", f"time {microsecond_text(recorded_us)}"]
    if map_position:
        lines.append(f"map {map_position} {_base64(map_root)}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def parse_body(body: bytes) -> Checkpoint:
    """The checkpoint of a text; refuses everything that ``body_of`` cannot have written."""
    found = _BODY.fullmatch(body)
    if found is None:
        raise _malformed("the text is not a checkpoint's lines in their order", "body")
    origin, size, root, rulebook_position, time, map_position, map_root = found.groups()
    try:
        recorded_us = instant_of(time.decode("ascii"))
    except ValueError as error:
        raise _malformed("there is no such time", "time") from error
    checkpoint = Checkpoint(
        origin.decode("ascii"),
        int(size),
        b64decode(root),
        int(rulebook_position),
        recorded_us,
        int(map_position or 0),
        b64decode(map_root or b""),
    )
    if body_of(checkpoint) != body:
        raise _malformed("the text is not in its one spelling", "body")
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    origin, size, root, rulebook_position, recorded_us, map_position, map_root = checkpoint
    if not is_name(origin):
        raise _malformed("an origin is 1 to 100 printable ASCII characters without space and plus", "origin")
    if not 0 <= size < 1 << 63:
        raise _malformed(f"a log cannot have {size} leaves", "size")
    if len(root) != HASH_BYTES or (size == 0) != (root == empty_root()):
        raise _malformed(f"the root of {size} leaves is another", "root")
    if not 0 <= rulebook_position <= size:
        raise _malformed(f"position {rulebook_position} is not within {size} leaves", "rulebook")
    if not 0 <= recorded_us <= LAST_INSTANT_US:
        raise _malformed("the time is not within 1970 to 9999", "time")
    if not 0 <= map_position <= size:
        raise _malformed(f"position {map_position} is not within {size} leaves", "map")
    if len(map_root) != (HASH_BYTES if map_position else 0):
        raise _malformed("a map has a position from 1 and a root, or neither", "map")


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _malformed(message: str, field: str) -> Corrupt:
    remedy = "fetch the checkpoint again; if it stays so, keep it as evidence and ask the log's operator"
    return Corrupt("checkpoint_malformed", message, field=field, remedy=remedy)
