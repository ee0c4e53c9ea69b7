"""Use cases of one account: open, consent, freeze, close, reverse a credit.

Keeps: an act on one account is rare and must come through, so it is decided under the append lock. A reversal first
records what a pending revision run owes the account, in the same append (DESIGN 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar
from uuid import UUID, uuid4

from application.book import Book, keys_absent
from application.lookups import heads_of, known_of
from application.ports.journal import Append
from domain import account as rules
from domain.account import Account
from domain.actors import check_actor
from domain.behavior import reference_fault
from domain.errors import Rejected
from domain.events import account as events
from domain.events.base import Event, NewEvent, Personal
from domain.history import AccountHistory
from domain.instants import instant_of, instant_text
from domain.revision import pending_revision, scope_of
from domain.rulebook import Rulebook

T = TypeVar("T")

Act: TypeAlias = tuple[Event, Personal | None]
"""What is to be recorded: facts, and the personal part."""


class Acted(NamedTuple):
    """An act on an account: its id and the log position of the last event."""

    account_id: UUID
    position: int


def account_id(book: Book, account_ref: str | UUID) -> UUID:
    """The account of a reference; or the account with this id, the only name that an erased one has.

    An id that is no text is nothing but an id: a reference that is spelled like it leads nowhere else.
    Raises Rejected ``account_unknown``, Unavailable ``keys_absent``.
    """
    if isinstance(account_ref, UUID):
        return account_named(book, account_ref)
    found = (referred(book, account_ref) if book.opens else None) or _by_id(book, account_ref)
    if found is None and not book.opens:
        raise keys_absent()
    if found is None:
        raise Rejected(
            "account_unknown",
            "there is no account with this reference or id",
            field="account_ref",
            remedy="open it with `account open`, or import behaviors with --open-accounts",
        )
    return found


def account_named(book: Book, account: UUID) -> UUID:
    """The account with this id and no other: an id is never looked up as a reference.

    Raises Rejected ``account_unknown``.
    """
    if account not in book.journal.accounts([account]):
        raise Rejected(
            "account_unknown",
            "there is no account with this id",
            field="account_id",
            remedy="look its id up by the account's reference",
        )
    return account


def referred(book: Book, account_ref: str) -> UUID | None:
    """The account of a reference and of nothing else; an erased one has none. Raises Unavailable ``keys_absent``."""
    key = book.keys.account(account_ref)
    return book.journal.find_accounts([key]).get(key)


def _by_id(book: Book, text: str) -> UUID | None:
    try:
        named = UUID(text)
    except ValueError:
        return None
    return named if str(named) == text and named in book.journal.accounts([named]) else None


def open_account(book: Book, account_ref: str, kind: str = "individual") -> Acted:
    """Raises Rejected ``account_exists``, ``kind_unknown``, ``account_ref_malformed``."""
    fault = reference_fault(account_ref)
    if fault is not None:
        raise Rejected("account_ref_malformed", fault[0], field="account_ref", remedy=fault[1])
    event, personal = rules.open_account(kind, account_ref)
    key, new_id = book.keys.account(account_ref), uuid4()
    with book.journal.exclusive() as head:
        if book.journal.find_accounts([key]):
            raise Rejected(
                "account_exists",
                "an account has this reference",
                field="account_ref",
                remedy="use the existing account",
            )
        opening = Append([NewEvent(new_id, 1, event, personal)], head.rulebook_position, openings=[(key, new_id)])
        return Acted(new_id, book.journal.append(opening).last)


def grant_consent(
    book: Book,
    account_ref: str | UUID,
    *,
    scope: tuple[str, ...],
    terms_version: str,
    valid_from: str | None,
    valid_to: str | None,
    evidence: str,
    by: str,
) -> Acted:
    """A direct consent.

    Raises Rejected ``account_unknown``, ``account_closed``, ``account_erased``, ``consent_malformed``.
    """
    try:
        bounds = [None if text is None else instant_of(text) for text in (valid_from, valid_to)]
    except ValueError as error:
        raise _consent_malformed("validity", str(error), "give RFC 3339 instants with an offset") from error
    if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
        raise _consent_malformed("validity", "it ends before it begins", "give --from before --to")
    if not scope or not all(scope):
        raise _consent_malformed("scope", "it is empty", "name behaviors, or * for all")
    event = events.ConsentGranted(
        scope=scope,
        terms_version=terms_version,
        basis="direct",
        valid_from=None if bounds[0] is None else instant_text(bounds[0]),
        valid_to=None if bounds[1] is None else instant_text(bounds[1]),
        evidence=evidence,
        asserter=None,
    )
    personal = events.ConsentGrantedPersonal(asserter=check_actor(by))

    def decide(account: Account) -> Act:
        rules.refuse_ended(account)
        return event, personal

    return _act(book, account_ref, decide)


def withdraw_consent(book: Book, account_ref: str | UUID, by: str, reason: str, consent: int | None = None) -> Acted:
    """Withdraw one consent, or every active one. Raises Rejected ``consent_unknown``."""

    def decide(_: Rulebook, account: Account) -> tuple[list[Act], None]:
        named = [each.version for each in account.consents] if consent is None else [consent]
        if not named:
            raise Rejected(
                "consent_unknown", "the account has no active consent", field="consent", remedy="nothing to withdraw"
            )
        return [rules.withdraw_consent(account, each, by, reason) for each in named], None

    return _append(book, account_id(book, account_ref), decide)[0]


def freeze(book: Book, account_ref: str | UUID, by: str, reason: str) -> Acted:
    return _act(book, account_ref, lambda account: rules.freeze(account, by, reason))


def unfreeze(book: Book, account_ref: str | UUID, by: str, reason: str) -> Acted:
    return _act(book, account_ref, lambda account: rules.unfreeze(account, by, reason))


def close(book: Book, account_ref: str | UUID, by: str, reason: str) -> Acted:
    return _act(book, account_ref, lambda account: rules.close(account, by, reason))


def reverse(book: Book, account_ref: str, source_ref: str, by: str, reason: str, partner: str) -> tuple[Acted, int]:
    """Reverse the credit of a partner's reference; returns also the mg that it was worth.

    Raises Rejected ``account_unknown``, ``credit_unknown``, ``already_reversed``, ``account_erased`` (a reversal needs
    a reason on record, and nothing can be sealed for who was erased).
    """
    found = account_id(book, account_ref)
    ref = book.keys.ref(partner, source_ref)
    known = known_of(book.journal, [ref]).get(ref)
    if known is None or known.account != found:
        raise Rejected(
            "credit_unknown",
            "this account has no credit with this reference",
            field="source_ref",
            remedy="`account statement` lists its credits; name the partner with --partner",
        )

    return _reverse(book, found, known.version, by, reason)


def reverse_credit(book: Book, account: UUID, version: int, by: str, reason: str) -> tuple[Acted, int]:
    """The same for a credit that is named by its version in the account's stream. Raises Rejected as ``reverse``."""
    return _reverse(book, account_id(book, account), version, by, reason)


def _reverse(book: Book, found: UUID, version: int, by: str, reason: str) -> tuple[Acted, int]:
    def decide(rulebook: Rulebook, account: Account) -> tuple[list[Act], int]:
        rules.refuse_erased(account)
        owed: list[Event] = []
        for run in rulebook.pending_runs():
            owed += pending_revision(account, run, scope_of(rulebook, run), lambda i: _history(book, i))
        history = _history(book, account.id)
        credit = history.credits.get(version)
        if credit is None:
            raise Rejected(
                "credit_unknown", "this is no credit of the account", field="credit", remedy="its statement lists them"
            )
        if credit.reversed_at is not None:
            raise Rejected(
                "already_reversed", "the credit was reversed before", field="source_ref", remedy="nothing to do"
            )
        worth = credit.worth
        for event in owed:
            assert isinstance(event, events.FactorRevised)
            worth = next((int(line.credited_mg) for line in event.lines if line.credit == version), worth)
        facts = credit.facts
        reversal = events.BehaviorReversed(
            credit=version,
            behavior=facts.behavior,
            day=facts.day,
            reversed_mg=str(worth),
            by=check_actor(by),
        )
        return [*((event, None) for event in owed), (reversal, rules.because(reason))], worth

    return _append(book, found, decide)


def _act(book: Book, account_ref: str | UUID, decide: Callable[[Account], Act]) -> Acted:
    acted, _ = _append(book, account_id(book, account_ref), lambda _, account: ([decide(account)], None))
    return acted


def _append(book: Book, stream: UUID, decide: Callable[[Rulebook, Account], tuple[list[Act], T]]) -> tuple[Acted, T]:
    with book.journal.exclusive() as head:
        rulebook = book.rulebook(head.rulebook_position)
        account = heads_of(book.journal, [stream])[stream]
        decided, answer = decide(rulebook, account)
        new = [NewEvent(stream, account.version + n, *act) for n, act in enumerate(decided, start=1)]
        return Acted(stream, book.journal.append(Append(new, rulebook.position)).last), answer


def _history(book: Book, stream: UUID) -> AccountHistory:
    return AccountHistory().extend(book.journal.stream(stream))


def _consent_malformed(field: str, message: str, remedy: str) -> Rejected:
    return Rejected("consent_malformed", message, field=field, remedy=remedy)
