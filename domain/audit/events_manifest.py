"""The manifest of exported events: what was chosen, what the file is, and which log it was cut from, as text to sign.

Keeps: one spelling; its first two lines are those of no checkpoint, so that no signature over one can be taken for one
over the other; what contradicts itself is neither written nor read.
Leaves to ``note``: signatures. Leaves to the verifier: whether the file is that file.
The bytes are specified in ``docs/spec/events-export.md``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from domain.audit.event_rows import FORMATS
from domain.audit.leaves import HASH_BYTES
from domain.audit.note import is_name
from domain.digest import new_sm3
from domain.errors import Corrupt
from domain.values import day_number

TITLE: Final = "carbon-ledger/events/1"
SUFFIX: Final = ".manifest"
OPEN: Final = "open"

_MOST = (1 << 63) - 1
_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_HASH = rb"([0-9a-f]{64})"
_DAY = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}|open)"
_TOPIC = r"[a-z][a-z0-9-]*\.[a-z0-9.-]{1,200}"
_SOFTWARE = re.compile(r"[!-~]{1,100}( [!-~]{1,100})?")
_BODY = re.compile(
    rb"carbon-ledger/events/1\nlog ([!-~]+)\nsize %b\nroot ([A-Za-z0-9+/]{43}=)\nformat (jsonl|csv|parquet)\n"
    rb"personal (left out|in clear)\nrecorded %b %b\naccounts (?:all|%b %b)\ntopics (all|%b(?: %b)*)\n"
    rb"positions %b %b\nrows %b\nbytes %b\nsm3 %b\nsoftware ([!-~ ]+)\n"
    % (_NUMBER, _DAY, _DAY, _NUMBER, _HASH, _TOPIC.encode(), _TOPIC.encode(), *((_NUMBER,) * 4), _HASH)
)


class Accounts(NamedTuple):
    """Which accounts were asked for, without naming them: how many, and SM3 over their ids in order."""

    number: int
    sm3: bytes


class Chosen(NamedTuple):
    """What was asked for. Days are of recording, in UTC: from ``from_day``, before ``to_day``; "" where it is open.

    ``accounts``, ``topics``: None and () for all of them. ``first``, ``last``: the positions that were looked at.
    """

    from_day: str
    to_day: str
    accounts: Accounts | None
    topics: tuple[str, ...]
    first: int
    last: int

    @property
    def is_unfiltered(self) -> bool:
        """Whether every event of these positions was asked for."""
        return self.accounts is None and not self.topics


class Manifest(NamedTuple):
    """``log``: its name; ``size``, ``root``: the checkpoint it was cut at. ``size_bytes``, ``sm3``: of the file."""

    log: str
    size: int
    root: bytes
    format: str
    personal: bool
    chosen: Chosen
    rows: int
    size_bytes: int
    sm3: bytes
    software: str

    @property
    def is_whole_log(self) -> bool:
        """Whether the rows are all events of the log, so that their leaves lead to the root."""
        return self.chosen.is_unfiltered and (self.chosen.first, self.chosen.last) == (1, self.size)


def accounts_of(ids: list[bytes]) -> Accounts:
    """What a manifest says of the accounts with these ids (16 bytes each)."""
    distinct = sorted(set(ids))
    return Accounts(len(distinct), new_sm3(b"".join(distinct)).digest())


def body_of(manifest: Manifest) -> bytes:
    """The text to sign. Raises Corrupt ``manifest_malformed``."""
    _check(manifest)
    chosen = manifest.chosen
    accounts = "all" if chosen.accounts is None else f"{chosen.accounts.number} {chosen.accounts.sm3.hex()}"
    lines = [
        TITLE,
        f"log {manifest.log}",
        f"size {manifest.size}",
        f"root {b64encode(manifest.root).decode()}",
        f"format {manifest.format}",
        f"personal {'in clear' if manifest.personal else 'left out'}",
        f"recorded {chosen.from_day or OPEN} {chosen.to_day or OPEN}",
        f"accounts {accounts}",
        f"topics {' '.join(chosen.topics) or 'all'}",
        f"positions {chosen.first} {chosen.last}",
        f"rows {manifest.rows}",
        f"bytes {manifest.size_bytes}",
        f"sm3 {manifest.sm3.hex()}",
        f"software {manifest.software}",
    ]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def parse_body(body: bytes) -> Manifest:
    """The manifest of a text; refuses everything that ``body_of`` cannot have written."""
    found = _BODY.fullmatch(body)
    if found is None:
        raise _malformed("the text is not a manifest's lines in their order", "body")
    texts = [None if each is None else each.decode("ascii") for each in found.groups()]
    log, size, root, form, personal, start, end, count, ids, topics, first, last, rows, length, sm3, software = (
        each or "" for each in texts
    )
    chosen = Chosen(
        start.replace(OPEN, ""),
        end.replace(OPEN, ""),
        Accounts(int(count), bytes.fromhex(ids)) if ids else None,
        () if topics == "all" else tuple(topics.split(" ")),
        int(first),
        int(last),
    )
    manifest = Manifest(
        log,
        int(size),
        b64decode(root),
        form,
        personal == "in clear",
        chosen,
        int(rows),
        int(length),
        bytes.fromhex(sm3),
        software,
    )
    if body_of(manifest) != body:
        raise _malformed("the text is not in its one spelling", "body")
    return manifest


def _check(manifest: Manifest) -> None:
    chosen, size = manifest.chosen, manifest.size
    if not is_name(manifest.log):
        raise _malformed("a log's name is 1 to 100 printable ASCII characters without space and plus", "log")
    if manifest.format not in FORMATS:
        raise _malformed(f"a format is one of {', '.join(FORMATS)}", "format")
    numbers = (size, chosen.first, chosen.last, manifest.rows, manifest.size_bytes)
    if not all(0 <= each <= _MOST for each in numbers):
        raise _malformed("a number is from 0 to 2^63 - 1", "size")
    if not (1 <= chosen.first <= chosen.last + 1 and chosen.last <= size):
        raise _malformed(f"positions {chosen.first} to {chosen.last} are not within {size} events", "positions")
    if manifest.rows > chosen.last + 1 - chosen.first:
        raise _malformed("there are more rows than positions", "rows")
    if len(manifest.root) != HASH_BYTES or len(manifest.sm3) != HASH_BYTES:
        raise _malformed(f"a root and a digest have {HASH_BYTES} bytes", "root")
    if chosen.accounts is not None and (
        not 0 <= chosen.accounts.number <= _MOST or len(chosen.accounts.sm3) != HASH_BYTES
    ):
        raise _malformed("accounts are told by their number and a digest", "accounts")
    topics = chosen.topics
    if list(topics) != sorted(set(topics)) or not all(re.fullmatch(_TOPIC, each) for each in topics):
        raise _malformed("topics are named once each, in order", "topics")
    if _SOFTWARE.fullmatch(manifest.software) is None:
        raise _malformed("software is a name and a version", "software")
    if not (_is_day(chosen.from_day) and _is_day(chosen.to_day)):
        raise _malformed("there is no such day", "recorded")


def _is_day(text: str) -> bool:
    try:
        return not text or day_number(text) > 0
    except ValueError:
        return False


def _malformed(message: str, field: str) -> Corrupt:
    remedy = "ask for the export again; if it stays so, keep it as evidence and ask the log's operator"
    return Corrupt("manifest_malformed", message, field=field, remedy=remedy)
