"""The export bundle: names of its members, and the one spelling of their lines.

Keeps: a line is JSON for people and tools, and at the same time the exact bytes that the leaf was made from: the facts
stand in it as they were stored. What is spelled in another way is refused, so that two readers cannot see two things.
Leaves to ``application.verification``: what the members mean together.
The file is specified in ``docs/spec/bundle.md``.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from uuid import UUID

from domain.audit.book_map import LEVELS, MapPart
from domain.audit.leaves import facts_hash, header, leaf, sealed_hash, unpack
from domain.audit.merkle import MAX_LEVEL, Subtree
from domain.digest import new_sm3
from domain.errors import Rejected

FORMAT = "carbon-ledger/bundle/1"
ABOUT, CHECKPOINT, BODY, SIGNATURE = "bundle.json", "checkpoint", "checkpoint.body", "checkpoint.sig.der"
KEYS, RULEBOOK, INTAKES, ACCOUNTS = "keys.jsonl", "rulebook.jsonl", "intakes.jsonl", "accounts.jsonl"
TREE, MAP, PERSONAL, SAMPLES = "tree.jsonl", "map.jsonl", "personal.jsonl", "samples.jsonl"
ACCESSES, WORKINGS = "accesses.jsonl", "workings.jsonl"
REPORT, VERIFIER = "report.html", "carbon-ledger-verify.pyz"
REQUIRED = (ABOUT, CHECKPOINT, BODY, SIGNATURE, KEYS, RULEBOOK, INTAKES, ACCOUNTS, TREE, MAP, SAMPLES)
OPTIONAL = (ACCESSES, WORKINGS, PERSONAL, REPORT, VERIFIER)
DOSSIER = re.compile(r"methodologies/[A-Z0-9][A-Z0-9-]{0,63}@[1-9][0-9]{0,8}\.json")
MAX_LINE_BYTES = 32 * 1024 * 1024
SAMPLES_DRAWN = 25

_MOST = (1 << 63) - 1
_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_EVENT = re.compile(
    rb'\{"position":%b,"stream":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})","version":%b,"topic":"([a-z0-9.-]{1,255})",'
    rb'"recorded_us":%b,"salt":"([0-9a-f]{32})","facts":(\{.*\}),"sealed_sm3":"([0-9a-f]{64})"\}' % ((_NUMBER,) * 3),
    re.DOTALL,
)
_SUBTREE = re.compile(rb'\{"level":%b,"number":%b,"root":"([0-9a-f]{64})"\}' % ((_NUMBER,) * 2))
_PART = re.compile(rb'\{"depth":%b,"prefix":"([0-9a-f]{64})","root":"([0-9a-f]{64})"\}' % _NUMBER)


class About(NamedTuple):
    """What a bundle says of itself, for people; nothing of it is believed. ``accounts``: streams of accounts."""

    origin: str
    size: int
    accounts: int
    events: int
    all_accounts: bool
    redacted: bool
    sample_seed: str


class EventLine(NamedTuple):
    """An event as a bundle shows it. ``stream``: 16 bytes; ``facts``: as stored; ``sealed``: the sealed part's hash."""

    position: int
    stream: bytes
    version: int
    topic: str
    recorded_us: int
    salt: bytes
    facts: bytes
    sealed: bytes

    def leaf(self, book: bytes) -> bytes:
        """Its leaf in the log of a book. Raises Corrupt when it is none."""
        head = header(book, self.position, self.stream, self.version, self.topic, self.recorded_us)
        return leaf(head, facts_hash(self.salt, self.facts) + self.sealed)


def event_line(position: int, stream: UUID, version: int, topic: str, recorded_us: int, state: bytes) -> bytes:
    """The line of a stored event, without its line end. Raises Corrupt when the envelope is none."""
    salt, facts, sealed = unpack(state)
    return (
        b'{"position":%d,"stream":"%b","version":%d,"topic":"%b","recorded_us":%d,"salt":"%b","facts":%b,"sealed_sm3":"%b"}'
        % (
            position,
            str(stream).encode(),
            version,
            topic.encode(),
            recorded_us,
            salt.hex().encode(),
            facts,
            sealed_hash(sealed).hex().encode(),
        )
    )


def parse_event(line: bytes) -> EventLine:
    """Raises Rejected ``line_malformed``."""
    found = _EVENT.fullmatch(line)
    if found is None:
        raise _malformed("an event")
    position, stream, version, topic, recorded_us, salt, facts, sealed = found.groups()
    return EventLine(
        _number(position),
        bytes.fromhex(stream.replace(b"-", b"").decode()),
        _number(version),
        topic.decode(),
        _number(recorded_us),
        bytes.fromhex(salt.decode()),
        facts,
        bytes.fromhex(sealed.decode()),
    )


def subtree_line(subtree: Subtree) -> bytes:
    """The line of a subtree whose leaves are not shown."""
    return b'{"level":%d,"number":%d,"root":"%b"}' % (subtree.level, subtree.number, subtree.root.hex().encode())


def parse_subtree(line: bytes) -> Subtree:
    """Raises Rejected ``line_malformed``."""
    found = _SUBTREE.fullmatch(line)
    if found is None:
        raise _malformed("a subtree")
    return Subtree(_number(found[1], MAX_LEVEL), _number(found[2]), bytes.fromhex(found[3].decode()))


def part_line(part: MapPart) -> bytes:
    """The line of a part of the map whose streams are not shown."""
    prefix, root = part.prefix.hex().encode(), part.root.hex().encode()
    return b'{"depth":%d,"prefix":"%b","root":"%b"}' % (part.depth, prefix, root)


def parse_part(line: bytes) -> MapPart:
    """Raises Rejected ``line_malformed``."""
    found = _PART.fullmatch(line)
    if found is None:
        raise _malformed("a part of the map")
    return MapPart(_number(found[1], LEVELS), bytes.fromhex(found[2].decode()), bytes.fromhex(found[3].decode()))


def about_text(about: About) -> bytes:
    """The member ``bundle.json``."""
    return json.dumps({"format": FORMAT, **about._asdict()}, indent=1).encode() + b"\n"


def parse_about(content: bytes) -> About:
    """Raises Rejected ``about_malformed``."""
    try:
        told = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
        if told.pop("format") != FORMAT:
            raise ValueError(f"the format is not {FORMAT}")
        about = About(**told)
        about.sample_seed.encode()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise _about_malformed(str(error)) from error
    if any(type(value) is not type(example) for value, example in zip(about, _OF_EACH_TYPE, strict=True)):
        raise _about_malformed("a value is of another type")
    if not all(0 <= number <= _MOST for number in (about.size, about.accounts, about.events)):
        raise _about_malformed("a number is out of bounds")
    return about


_OF_EACH_TYPE = About("", 0, 0, 0, all_accounts=False, redacted=False, sample_seed="")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content


def _number(digits: bytes, most: int = _MOST) -> int:
    number = int(digits)
    if number > most:
        raise _malformed(f"a number up to {most}")
    return number


def draw(seed: str, stream: bytes, version: int) -> bytes:
    """What decides whether a credit is a sample: the least of these are."""
    return new_sm3(seed.encode() + b"\0" + stream + version.to_bytes(8, "big")).digest()


def sample_line(drawn: bytes, stream: bytes, version: int) -> bytes:
    """The line of a sample."""
    place = str(UUID(bytes=stream)).encode(), version, drawn.hex().encode()
    return b'{"stream":"%b","version":%d,"drawn":"%b"}' % place


def _malformed(what: str) -> Rejected:
    return Rejected(
        "line_malformed", f"not {what} in its one spelling", remedy="ask for the bundle again; docs/spec/bundle.md"
    )


def _about_malformed(what: str) -> Rejected:
    return Rejected(
        "about_malformed",
        f"{ABOUT} does not say what it must: {what}"[:200],
        field=ABOUT,
        remedy="ask for the bundle again; docs/spec/bundle.md",
    )
