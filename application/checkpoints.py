"""Checkpoints: the log's own signed word on what it holds, and how it is found out that it was changed before.

Keeps: nothing is signed that was not computed from the stored events since the last checkpoint, whose signature is
checked first: a head, a frontier or an event that was edited in between is found, and nothing is signed any more, nor
where times go back, which no witness would sign. The
key that signs is the one whose range holds the size (``domain.signing_keys``).
Leaves to witnesses: that everybody is shown the same checkpoints, and that none was taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from application import signing_keys
from application.book import Book
from application.book_mapping import MapChanges, check_root, stored_root
from application.ports.audit_log import AuditLog, Kept, MapStore, TreeHead
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from application.tree_walk import Grown, beginning, log_behind_checkpoint, log_changed, recorded_of, walk
from domain.audit.book_map import EMPTY
from domain.audit.checkpoint import Checkpoint, body_of, parse_body
from domain.audit.merkle import root_of
from domain.audit.note import key_hash_of, note_of, parse_note, signed_message
from domain.errors import Corrupt, LedgerError, Rejected
from domain.requests import ReceivedRequest
from domain.signing_keys import SigningKey, key_at

UNCOMPRESSED = b"\x04"


class Signed(NamedTuple):
    """A checkpoint with its note. ``is_new``: it was made by this call."""

    checkpoint: Checkpoint
    note: bytes
    is_new: bool


OpenKept: TypeAlias = Callable[[str, ReceivedRequest], bytes | None]
"""What a kept request sealed, by the name of the log; None where it does not open."""


@dataclass(frozen=True)
class Auditing:
    """What signing and proving share. ``signer``: the signing key of an id.

    ``key_faults``: what does not open of the key store, given the ids of the log's signing keys, oldest first.
    ``open_kept``: opens what partners sent sealed.
    """

    book: Book
    log: AuditLog
    maps: MapStore
    verifier: Verifier
    signer: Callable[[str], Signer]
    key_faults: Callable[[list[str]], Iterator[LedgerError]]
    open_kept: OpenKept | None = None

    def keys(self) -> list[SigningKey]:
        """Every signing key of the log with its range of sizes."""
        return signing_keys.keys_of(self.book, self.verifier)


def origin_of(book: bytes) -> str:
    """``carbon-ledger/`` and the id of the book in hex: the name under which a log signs."""
    return f"carbon-ledger/{book.hex()}"


def sign(auditing: Auditing, *, with_map: bool = False) -> Signed:
    """The checkpoint of the log as it stands; a new one where there is none of this size.

    Raises Corrupt ``log_changed``, ``checkpoint_forged``, ``map_changed``; Rejected ``no_signing_key``.
    """
    log = auditing.log
    with log.signing():
        head, keys = log.head(), auditing.keys()
        newest = newest_of(auditing, head, keys)
        if newest is not None and newest.checkpoint.size == head.size:
            was = newest.checkpoint
            told = (was.root, was.rulebook_position, was.recorded_us)
            if told != (head.root, head.rulebook_position, head.recorded_us):
                raise log_changed(head.size, "the head of the log is another one than when it was signed at this size")
            if newest.checkpoint.map_position or not with_map:
                return newest
        return _sign(auditing, head, keys, with_map=with_map, anew=False)


def rebuild(auditing: Auditing) -> Signed:
    """Make subtrees and map anew from the log, compare with every checkpoint there is; the newest one with a map.

    Raises Corrupt ``log_changed``, ``checkpoint_forged``; Rejected ``no_signing_key``.
    """
    log = auditing.log
    with log.signing():
        head, keys = log.head(), auditing.keys()
        newest_of(auditing, head, keys)
        log.forget()
        return _sign(auditing, head, keys, with_map=True, anew=True)


def newest_of(auditing: Auditing, head: TreeHead, keys: list[SigningKey], *, with_map: bool = False) -> Signed | None:
    """The last checkpoint, checked. Raises Corrupt ``checkpoint_forged``, ``log_behind_checkpoint``."""
    kept = auditing.log.newest(with_map=with_map)
    if kept is None:
        return None
    if kept.size > head.size:
        raise log_behind_checkpoint(head.size, kept.size)
    return Signed(checked(auditing.verifier, head.book, kept, keys), kept.note, is_new=False)


def newest_signed(auditing: Auditing, *, with_map: bool = False) -> Signed:
    """The last checkpoint, checked; nothing is signed for it. Raises as ``newest_of``; Rejected ``no_checkpoint``."""
    found = newest_of(auditing, auditing.log.head(), auditing.keys(), with_map=with_map)
    if found is None:
        raise Rejected("no_checkpoint", "nothing was signed yet", remedy="run `carbon-ledger checkpoint sign`")
    return found


def signed_at(auditing: Auditing, size: int) -> Signed:
    """The checkpoint of a size, the one with a map if there are two. Raises Rejected ``no_checkpoint``."""
    log = auditing.log
    found = list(log.checkpoints(size - 1, size))
    if not found:
        raise Rejected(
            "no_checkpoint",
            f"nothing was signed at the size {size}",
            field="size",
            remedy="give a size that `checkpoint list` shows",
        )
    return Signed(checked(auditing.verifier, log.head().book, found[-1], auditing.keys()), found[-1].note, is_new=False)


def last(auditing: Auditing, count: int) -> list[Checkpoint]:
    """The last checkpoints, newest first, each checked. Raises Corrupt ``checkpoint_forged``."""
    book, keys = auditing.log.head().book, auditing.keys()
    return [checked(auditing.verifier, book, kept, keys) for kept in auditing.log.last_checkpoints(count)]


def checked(verifier: Verifier, book: bytes, kept: Kept, keys: list[SigningKey]) -> Checkpoint:
    """A kept checkpoint, its signature and frontier checked. Raises Corrupt ``checkpoint_forged``."""
    try:
        checkpoint = verified(verifier, origin_of(book), kept.note, keys)
    except Corrupt as error:
        raise _forged(kept) from error
    fits = (checkpoint.size, checkpoint.map_position) == (kept.size, kept.map_position)
    if not fits or len(kept.frontier) != kept.size.bit_count() or root_of(kept.frontier) != checkpoint.root:
        raise _forged(kept)
    return checkpoint


def verified(verifier: Verifier, origin: str, note: bytes, keys: list[SigningKey]) -> Checkpoint:
    """The checkpoint of a note that the log's own key of that size signed.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``, ``signature_wrong``.
    """
    body, signatures = parse_note(note)
    checkpoint = parse_body(body)
    key = key_at(keys, checkpoint.size)
    if key is not None and checkpoint.origin == origin:
        public_key = UNCOMPRESSED + key.public_key
        own = [s for s in signatures if (s.name, s.key_hash) == (origin, key_hash_of(origin, public_key))]
        if own and all(verifier.verify(key.public_key, signed_message(body), each.signature) for each in own):
            return checkpoint
    raise Corrupt(
        "signature_wrong",
        f"the checkpoint of size {checkpoint.size} is not signed by the key of {origin} for that size",
        field="checkpoint",
        remedy="fetch it again; if it stays so, keep it as evidence",
    )


def _sign(auditing: Auditing, head: TreeHead, keys: list[SigningKey], *, with_map: bool, anew: bool) -> Signed:
    """A new checkpoint from the last one and the events after it."""
    log, maps = auditing.log, auditing.maps
    newest = log.newest()
    subtrees_until = 0 if newest is None or anew else newest.size
    began, began_map = beginning(), EMPTY
    kept = None if anew else log.newest(with_map=with_map)
    if kept is not None:
        was = checked(auditing.verifier, head.book, kept, keys)
        began = Grown(kept.size, kept.frontier, was.rulebook_position, was.recorded_us, [], [], [kept])
        began_map = was.map_root
    changes = MapChanges(maps) if with_map else None
    if changes is not None:
        check_root(maps, began_map)
    for grown in walk(log, head, began):
        for each in grown.kept:
            _compare(auditing.verifier, head.book, grown, each, keys)
        log.keep_subtrees([each for each in grown.subtrees if each.number + 1 << each.level > subtrees_until])
        if changes is not None:
            changes.add([recorded_of(each) for each in grown.page])
        began = grown
    position, root = 0, b""
    if changes is not None and head.size:
        changes.write()
        position, root = head.size, stored_root(maps)
    checkpoint = Checkpoint(
        origin_of(head.book), head.size, head.root, head.rulebook_position, head.recorded_us, position, root
    )
    if newest is not None and (newest.size, newest.map_position) == (head.size, position):
        was = checked(auditing.verifier, head.book, newest, keys)
        if was != checkpoint:
            raise log_changed(head.size, "the log leads to another checkpoint than was signed at this size")
        return Signed(checkpoint, newest.note, is_new=False)
    note = signed_text(auditing, checkpoint.origin, checkpoint.size, body_of(checkpoint), keys)
    log.keep(Kept(head.size, position, began.frontier, note))
    return Signed(checkpoint, note, is_new=True)


def _compare(verifier: Verifier, book: bytes, grown: Grown, kept: Kept, keys: list[SigningKey]) -> None:
    was = checked(verifier, book, kept, keys)
    told = (was.root, was.rulebook_position, was.recorded_us)
    if told != (root_of(grown.frontier), grown.rulebook_position, grown.recorded_us):
        raise log_changed(grown.size, "the log was changed after it was signed at this size")


def signed_text(auditing: Auditing, name: str, size: int, body: bytes, keys: list[SigningKey]) -> bytes:
    """A text as a note, signed with the key of a log of this size. Raises Rejected ``no_signing_key``."""
    key = key_at(keys, size)
    if key is None:
        raise Rejected(
            "no_signing_key",
            f"no key signs a log of {size} events",
            remedy="run `carbon-ledger init` again: it makes and records the first key",
        )
    signer = auditing.signer(key.key)
    key_hash = key_hash_of(name, UNCOMPRESSED + signer.public_key)
    return note_of(body, [(name, key_hash, signer.sign(signed_message(body)))])


def _forged(kept: Kept) -> Corrupt:
    return Corrupt(
        "checkpoint_forged",
        f"the checkpoint of size {kept.size} is not what this log's key signed",
        field=f"journal.checkpoints {kept.size}",
        remedy="keep the database as evidence, and compare with the last checkpoint that a witness holds",
    )
