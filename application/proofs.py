"""Proofs for whoever holds a checkpoint: an event of the log, an account's balances with the events behind them, and
that the log of an older checkpoint was only added to.

Keeps: a proof is checked before it is given, against a checkpoint whose signature is checked, so that a damaged subtree
or map gives an error and never a wrong proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from application.book_mapping import balances_of, changed, entry_of, prefix_of
from application.checkpoints import Auditing, Signed, newest_signed, sign, signed_at
from application.ports.audit_log import AuditLog, Logged, MapStore
from domain.audit.book_map import Item, map_key, map_paths
from domain.audit.checkpoint import Checkpoint
from domain.audit.leaves import leaf_of, sealed_hash, unpack
from domain.audit.merkle import KEPT_LEVELS, Node, consistency_path, extend, inclusion_path, root_at, subtree_root
from domain.audit.proofs import (
    BalanceProof,
    ConsistencyProof,
    EventProof,
    ShownEvent,
    check_balance,
    check_consistency,
    check_event,
)
from domain.errors import Corrupt, LedgerError, Rejected, Unavailable


def prove_event(auditing: Auditing, position: int, by: Signed | None = None) -> tuple[EventProof, Signed]:
    """That an event is in the log, by a checkpoint; None: by that of now. Raises Rejected ``position_unknown``."""
    signed = sign(auditing) if by is None else by
    if not 1 <= position <= signed.checkpoint.size:
        raise Rejected(
            "position_unknown",
            f"the log has no position {position}",
            field="position",
            remedy=f"give one from 1 to {signed.checkpoint.size}",
        )
    (logged,) = auditing.log.logged(position - 1, position)
    proof = EventProof(shown(logged), inclusion_path(position - 1, signed.checkpoint.size, nodes_of(auditing)))
    _made_right(lambda: check_event(proof, signed.checkpoint))
    return proof, signed


def prove_balance(auditing: Auditing, account: UUID, by: Signed | None = None) -> tuple[BalanceProof, Signed]:
    """What an account holds, with every event of it, by the newest checkpoint with a map; None: by that of now."""
    signed = sign(auditing, with_map=True) if by is None else by
    checkpoint, node = signed.checkpoint, nodes_of(auditing)
    key = map_key(account.bytes)
    prefix = prefix_of(key)
    states = dict(auditing.maps.streams([prefix]))
    if key not in states:
        raise changed(f"the account {account} is not in the stored map")
    state = states[key]
    place = map_paths(_beside(auditing.maps, prefix, (entry_of(k, s) for k, s in states.items())), [key])[key]
    events = [
        EventProof(shown(each), inclusion_path(each.position - 1, checkpoint.size, node))
        for each in auditing.log.logged_streams([account])
        if each.position <= checkpoint.size
    ]
    proof = BalanceProof(account, state.version, balances_of(state.balances), place, events)
    _made_right(lambda: check_balance(proof, checkpoint))
    return proof, signed


def prove_signed_balance(auditing: Auditing, account: UUID) -> tuple[BalanceProof, Signed]:
    """The same by the newest map that was signed already, so that whoever asks makes nobody sign.

    Raises Rejected ``no_checkpoint``, ``not_signed_yet``; Unavailable ``ledger_busy``.
    """
    for _ in range(_TRIES):
        by = newest_signed(auditing, with_map=True)
        if not auditing.book.journal.stream(account, by.checkpoint.size):
            raise _not_signed_yet("account_id", by.checkpoint.size)
        try:
            return prove_balance(auditing, account, by)
        except Corrupt:
            # A signer moves the stored map on, perhaps while it is read: then it is not wrong, only another one.
            if newest_signed(auditing, with_map=True).checkpoint == by.checkpoint:
                raise
    raise Unavailable("ledger_busy", "the map is signed anew again and again", remedy="ask again")


def prove_signed_event(auditing: Auditing, position: int) -> tuple[EventProof, Signed]:
    """That an event is in the log, by the newest checkpoint there is. Raises Rejected as above."""
    by = newest_signed(auditing)
    if by.checkpoint.size < position <= auditing.log.head().size:
        raise _not_signed_yet("position", by.checkpoint.size)
    return prove_event(auditing, position, by)


def prove_signed_consistency(
    auditing: Auditing, old: int, new: int | None = None
) -> tuple[ConsistencyProof, Signed, Signed]:
    """As ``prove_consistency``; ``new`` None: by the newest checkpoint there is."""
    return _consistency(auditing, old, newest_signed(auditing) if new is None else signed_at(auditing, new))


def prove_consistency(auditing: Auditing, old: int, new: int | None = None) -> tuple[ConsistencyProof, Signed, Signed]:
    """That the log of one checkpoint begins with that of an older one; ``new`` None: by the checkpoint of now.

    The proof, the newer checkpoint, and the older one. Raises Rejected ``no_checkpoint``.
    """
    newer = sign(auditing)
    if new is not None:
        newer = signed_at(auditing, new)
    return _consistency(auditing, old, newer)


def _consistency(auditing: Auditing, old: int, newer: Signed) -> tuple[ConsistencyProof, Signed, Signed]:
    older = signed_at(auditing, old)
    if older.checkpoint.size > newer.checkpoint.size:
        raise Rejected("sizes_reversed", "the older size is the greater one", field="size", remedy="swap the two sizes")
    proof = ConsistencyProof(older.note, path_between(auditing, older.checkpoint.size, newer.checkpoint))
    _made_right(lambda: check_consistency(proof, older.checkpoint, newer.checkpoint))
    return proof, newer, older


def path_between(auditing: Auditing, old: int, new: Checkpoint) -> list[bytes]:
    """What leads from a size to a checkpoint in the log as it stands. Raises Corrupt ``proof_not_made``.

    Whoever holds another root for the old size, and is shown this, holds another log.
    """
    node = nodes_of(auditing)
    path = consistency_path(old, new.size, node)
    began = new._replace(size=old, root=root_at(old, node), rulebook_position=0, recorded_us=0, map_position=0)
    if old < new.size:
        _made_right(lambda: check_consistency(ConsistencyProof(b"", path), began, new))
    return path


def _not_signed_yet(field: str, size: int) -> Rejected:
    return Rejected(
        "not_signed_yet",
        f"the newest checkpoint covers {size} events, and this one is younger",
        field=field,
        remedy="ask again when the log has been signed; `checkpoint run` does it all the time",
    )


def shown(logged: Logged) -> ShownEvent:
    """A stored event as a proof shows it."""
    envelope = unpack(logged.state)
    return ShownEvent(
        logged.position,
        logged.stream,
        logged.version,
        logged.topic,
        logged.recorded_us,
        envelope.salt,
        envelope.facts.decode(),
        sealed_hash(envelope.sealed),
    )


def nodes_of(auditing: Auditing) -> Node:
    """Roots of complete subtrees: from those that are kept, and below them from the events."""
    log = auditing.log
    book = log.head().book
    blocks: dict[int, list[bytes]] = {}

    def block(number: int) -> list[bytes]:
        """The leaves of a block of 256, asked for again and again along the paths of one account."""
        if number not in blocks:
            if len(blocks) >= _BLOCKS_HELD:
                blocks.clear()
            first = number << KEPT_LEVELS
            blocks[number] = _leaves(log, book, first, 1 << KEPT_LEVELS)
        return blocks[number]

    def node(level: int, number: int) -> bytes:
        if level < KEPT_LEVELS:
            first = (number << level) % (1 << KEPT_LEVELS)
            return subtree_root(block(number << level >> KEPT_LEVELS)[first : first + (1 << level)])
        above = level % KEPT_LEVELS
        kept = log.subtrees(level - above, number << above, 1 << above)
        return extend(0, (), kept)[0]

    return node


_BLOCKS_HELD = 1_000
_TRIES = 3


def _leaves(log: AuditLog, book: bytes, after: int, count: int) -> list[bytes]:
    return [
        leaf_of(book, position, stream.bytes, version, topic, recorded_us, state)
        for position, stream, version, topic, recorded_us, state in log.logged(after, after + count)
    ]


def _beside(maps: MapStore, prefix: int, entries: Iterable[Item]) -> Iterable[Item]:
    """All parts of the map in order, with a prefix's streams in the place of their part."""
    for other, item in maps.parts():
        if other == prefix:
            yield from entries
        else:
            yield item


def _made_right(check: Callable[[], None]) -> None:
    try:
        check()
    except LedgerError as error:
        raise Corrupt(
            "proof_not_made",
            f"what is kept to prove with does not lead to the checkpoint ({error.message})",
            field="views.tree_nodes, views.map_streams",
            remedy="run `carbon-ledger checkpoint rebuild`; if that fails too, keep the database as evidence",
        ) from error
