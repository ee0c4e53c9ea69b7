"""Questions about accounts and the whole book (DESIGN 2.6: occurred and known; DESIGN 7).

Keeps: an answer names the log position it shows; ``known`` may be a position or an instant, which is resolved to a
position; an instant after the head's time is provisional and the answer says so. One account is answered from its
stream, the whole book from the views after they have caught up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from application.accounts import account_id
from application.book import Book
from application.erasing import Erasure, erasure_of
from application.lookups import known_of
from application.ports.journal import Head
from application.ports.views import BehaviorTotal, Views
from domain.account import Account
from domain.digest import new_sm3
from domain.errors import Rejected, Unavailable
from domain.events.account import AccountOpened
from domain.history import AccountHistory, Credit
from domain.instants import instant_text
from domain.rulebook import Rulebook


class Known(NamedTuple):
    """A position that a question is asked as of; ``instant_us``: the instant that it was asked by, if so.

    ``provisional``: more may still be recorded before that instant.
    """

    position: int
    provisional: bool
    instant_us: int | None = None


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account at (occurred, known). Masses in mg."""

    account_id: str
    kind: str
    status: str
    account_ref: str | None
    by_behavior: dict[str, int]
    consents: list[dict[str, Any]]
    erasure: Erasure | None
    position: int
    provisional: bool
    changed: int
    """Position of the last event of the account that is shown: it stays while the answer does."""

    @property
    def credited_mg(self) -> int:
        return sum(self.by_behavior.values())


@dataclass(frozen=True, slots=True)
class BookTotals:
    """The whole book at a position. ``digest``: SM3 over its balances (DESIGN 7)."""

    position: int
    accounts: int
    behaviors: list[BehaviorTotal]
    digest: str

    @property
    def credited_mg(self) -> int:
        return sum(total.credited_mg for total in self.behaviors)

    @property
    def credits(self) -> int:
        return sum(total.credits for total in self.behaviors)


def known_at(
    book: Book, *, position: int | None = None, instant_us: int | None = None, field: str = "at_position"
) -> Known:
    """Resolve a position or an instant; the head when neither is given.

    ``field``: what the caller calls the position. Raises Rejected ``position_unknown``.
    """
    head: Head = book.journal.head()
    if instant_us is not None:
        return Known(book.journal.position_at(instant_us), instant_us > head.recorded_us, instant_us)
    if position is None:
        return Known(head.size, False)
    if not 0 <= position <= head.size:
        raise Rejected(
            "position_unknown",
            f"the log has {head.size} events",
            field=field,
            remedy=f"give a position from 0 to {head.size}",
        )
    return Known(position, False)


def show_account(book: Book, account_ref: str, known: Known, before_day: int | None = None) -> AccountView:
    """Raises Rejected ``account_unknown``."""
    return account_at(book, account_id(book, account_ref), known, before_day, personal=book.opens)


def account_at(book: Book, found: UUID, known: Known, before_day: int | None = None, *, personal: bool) -> AccountView:
    """The same by id. ``personal``: with what is personal, unsealed. Raises Rejected ``account_unknown``."""
    recorded = book.journal.stream(found, known.position, personal=personal)
    account = Account(found).extend(recorded)
    history = AccountHistory().extend(recorded)
    if account.version == 0:
        at = f"position {known.position}" if known.instant_us is None else instant_text(known.instant_us)
        raise Rejected(
            "account_unknown",
            f"the account did not exist at {at}",
            field="account_ref",
            remedy=f"ask as of a later {'position' if known.instant_us is None else 'time'}",
        )
    consents = [
        {
            "consent": consent.version,
            "scope": list(consent.scope),
            "basis": consent.basis,
            "valid_from": None if consent.from_us is None else instant_text(consent.from_us),
            "valid_to": None if consent.to_us is None else instant_text(consent.to_us),
        }
        for consent in account.consents
    ]
    return AccountView(
        str(found),
        account.kind,
        account.status,
        history.account_ref,
        history.balances(known=known.position, before_day=before_day),
        consents,
        erasure_of(recorded),
        known.position,
        known.provisional,
        recorded[-1].position,
    )


def explain(book: Book, account_ref: str, source_ref: str, partner: str) -> dict[str, Any]:
    """Why a credit is worth what it is worth: formula, inputs, factors, sources, decision, every valuation over time.

    Raises Rejected ``account_unknown``, ``credit_unknown``.
    """
    found = account_id(book, account_ref)
    return explain_credit(book, found, credit_of(book, found, partner, source_ref), personal=True)


def credit_of(book: Book, account: UUID, partner: str, source_ref: str) -> int:
    """The stream version of an account's credit, by its reference. Raises Rejected ``credit_unknown``."""
    ref = book.keys.ref(partner, source_ref)
    known = known_of(book.journal, [ref]).get(ref)
    if known is None or known.account != account:
        raise _credit_unknown("source_ref")
    return known.version


def explain_credit(book: Book, found: UUID, version: int, *, personal: bool) -> dict[str, Any]:
    """The same by the account's id and the stream version of the credit. Raises Rejected ``credit_unknown``."""
    history = AccountHistory().extend(book.journal.stream(found, personal=personal))
    if version not in history.credits:
        raise _credit_unknown("version")
    credit = history.credits[version]
    rulebook = book.rulebook()
    times = book.journal.recorded_at([v.position for v in credit.valuations])
    return {
        "account_id": str(found),
        "version": credit.version,
        "position": credit.position,
        "partner": credit.facts.partner,
        "intake": credit.facts.intake,
        "line": credit.facts.line,
        "source_ref": None if credit.personal is None else credit.personal.source_ref,
        "behavior": credit.facts.behavior,
        "occurred_at": None if credit.personal is None else credit.personal.occurred_at,
        "day": credit.facts.day,
        "region": credit.facts.region,
        "quantity": credit.facts.quantity,
        "scale": credit.facts.scale,
        "unit": credit.facts.unit,
        "consent": credit.facts.consent,
        "rule": credit.facts.rule,
        "credited_mg": str(credit.worth),
        "valuations": [_valuation(rulebook, credit, index, times) for index in range(len(credit.valuations))],
    }


def _credit_unknown(field: str) -> Rejected:
    return Rejected(
        "credit_unknown",
        "this account has no credit with this reference",
        field=field,
        remedy="`account statement` lists its credits; name the partner with --partner",
    )


def _valuation(rulebook: Rulebook, credit: Credit, index: int, times: dict[int, int]) -> dict[str, Any]:
    valuation = credit.valuations[index]
    answer: dict[str, Any] = {
        "position": valuation.position,
        "recorded_at": instant_text(times[valuation.position]),
        "by": valuation.by,
        "methodology": valuation.methodology,
        "computed_mg": None if valuation.computed_mg is None else str(valuation.computed_mg),
        "credited_mg": str(valuation.credited_mg),
        "reason": valuation.reason,
    }
    if valuation.by == "reversal":
        return answer | {"reason": valuation.reason or None}
    version = rulebook.methodologies[valuation.methodology]
    source = rulebook.revisions.get(valuation.by) or rulebook.proposals[valuation.by]
    decision = rulebook.decision_from(source, valuation.position)
    workings = decision.valuer.explain(credit.facts.region, credit.day, credit.quantity)
    answer |= {
        "formula": version.method.formula_text,
        "rounding": version.method.rounding,
        "methodology_digest": version.digest,
        "decided_by": [source.by, source.approver],
        "releases": source.releases,
        "parameters": [
            {"name": name, "region": row.region, "value": row.value.value, "scale": row.value.scale}
            for name, row in workings.rows
            if row is not None
        ],
        "exact": None
        if workings.exact is None
        else {"value": str(workings.exact.value), "scale": workings.exact.scale},
        "sources": rulebook.sources_of(valuation.methodology),
    }
    return answer


def totals(
    book: Book, views: Views, *, at: int | None = None, by_ref: bool = False, least: int | None = None
) -> BookTotals:
    """The whole book; as of log position ``at``; ``by_ref``: the digest names accounts by account_ref instead of id.

    ``least``: a position that it must show or be later than. Raises Unavailable ``views_behind``.
    """
    views.advance(book.journal.head().size)
    with views.still() as shown:
        refuse_behind(shown, max(at or 0, least or 0))
        balances = views.balances(at)
        digest = digest_by_ref(book, balances) if by_ref else digest_of(balances)
        return BookTotals(shown if at is None else at, views.accounts(at), views.totals(at), digest)


def refuse_behind(shown: int, least: int) -> None:
    """Raises Unavailable ``views_behind`` where the views show less of the log than is asked for."""
    if shown < least:
        raise Unavailable(
            "views_behind",
            f"the views show the log up to position {shown}, and this database role may not write them",
            field="at_position",
            remedy="ask as of an earlier position, or run `totals` once with the role of the service",
        )


def digest_of(balances: Iterable[tuple[UUID, str, int]]) -> str:
    """SM3 over (account, behavior, mg), given by account id and behavior (DESIGN 7)."""
    state = new_sm3()
    for account, behavior, mg in balances:
        state.update(f"{account},{behavior},{mg}\n".encode())
    return state.hexdigest()


def digest_by_ref(book: Book, balances: Iterable[tuple[UUID, str, int]]) -> str:
    """The same with the accounts' references instead of their ids; nothing stands for who was erased."""
    refs = _account_refs(book)
    lines = sorted(f"{refs.get(account, '')},{behavior},{mg}\n".encode() for account, behavior, mg in balances)
    return new_sm3(b"".join(lines)).hexdigest()


def _account_refs(book: Book) -> dict[Any, str]:
    opened: Iterator[Any] = book.journal.log(0, book.journal.head().size, (AccountOpened.TOPIC,), personal=True)
    return {each.stream: each.personal.account_ref for each in opened if each.personal is not None}
