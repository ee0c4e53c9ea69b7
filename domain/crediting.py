"""Crediting: from parsed behaviors to events, a batch at a time; a single request is a batch of one.

Keeps (DESIGN 3 and 5): each row stands alone; checks run in the order of DESIGN section 5 and the first failure is
the answer; the reference is looked up before anything that depends on state, clock or rulebook; caps are consumed in
log order, which is row order; whoever first writes to an account with a revision run pending writes its
``FactorRevised`` before.
Leaves to the caller: I/O (heads, references, older history), appending, and deciding again when something moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid4

import msgspec

from domain.account import Account, close_past
from domain.applicability import NEVER
from domain.behavior import Behavior, Refusal
from domain.events import account as events
from domain.events.base import Event, NewEvent, Recorded
from domain.history import AccountHistory
from domain.instants import instant_of, instant_text
from domain.kernel.caps import credit_one
from domain.kernel.method import Method
from domain.kernel.valuation import RULE
from domain.revision import pending_revision
from domain.screening import Rules, Valued, refuse_row, screen
from domain.values import day_text, integer_of


class Row(msgspec.Struct, frozen=True, gc=False):
    """A parsed behavior with the keyed hashes of its reference and its account."""

    behavior: Behavior
    ref: bytes
    account_key: bytes


class Known(NamedTuple):
    """What a taken reference was recorded as."""

    account: UUID
    version: int
    position: int
    facts: events.BehaviorCredited
    personal: events.BehaviorCreditedPersonal | None


class Credited(msgspec.Struct, frozen=True, gc=False):
    """The row became event ``version`` of the account's stream."""

    account: UUID
    version: int
    credited_mg: int


class Duplicate(NamedTuple):
    """The reference was taken by equal content, or by what is erased by now.

    ``first`` is what it became then; None within this batch, and where it is erased.
    """

    first: Known | None


Outcome: TypeAlias = Credited | Duplicate | Refusal

STATE_CODES = frozenset(
    {
        *("account_unknown", "account_frozen", "account_closed", "no_consent"),
        # The first failure is the answer, and these come after the account's: a newer head may fail before them.
        *("no_applicable_methodology", "no_factor_for_region"),
        # Another account has the reference: or the same one, when its person was erased and begins anew.
        "conflicting_duplicate",
    }
)
"""Refusals that rest on an account's head; only given on a head that was just read."""

_STANDING = {"frozen": "account_frozen", "closed": "account_closed", "erased": "account_unknown"}
"""Status -> refusal. Nobody can ask for an erased account by its reference, so nobody is told that there was one."""


class Intake(NamedTuple):
    """Where rows come from. ``opens_accounts``: the partner asserts consent for all past, evidence = the file."""

    partner: str
    position: int
    digest: str
    received_us: int
    opens_accounts: bool


class Batch:
    """One batch of rows being decided: events in log order, and an outcome per row.

    Accounts given are changed as events are decided: after a failed append they must be thrown away.
    """

    def __init__(
        self,
        rules: Rules,
        intake: Intake,
        accounts: dict[bytes, Account],
        load_history: Callable[[UUID], AccountHistory],
    ) -> None:
        """``accounts``: heads by account key, of accounts that exist; those opened here are added."""
        self.rules = rules
        self.intake = intake
        self.accounts = accounts
        self.events: list[NewEvent] = []
        self.refs: list[tuple[bytes, int]] = []
        self.openings: list[tuple[bytes, UUID]] = []
        self.outcomes: list[Outcome] = []
        self._load_history = load_history
        self._reopened: dict[tuple[UUID, str], Account] = {}
        self._taken: dict[bytes, Row] = {}

    def decide(
        self, rows: Sequence[Row | Refusal], known: Mapping[bytes, Known], now_us: int, recorded_us: int = 0
    ) -> Sequence[Outcome]:
        """Outcome of each row, in order; rows refused by the grammar pass through.

        ``known``: what the references among the rows that are taken were recorded as. ``recorded_us``: when the log
        was last written to.
        """
        behaviors = [row.behavior for row in rows if isinstance(row, Row)]
        screened = iter(screen(self.rules, self.intake.partner, behaviors, now_us, recorded_us))
        for row in rows:
            self.outcomes.append(self._answer(row, next(screened), known) if isinstance(row, Row) else row)
        for (_, code), account in self._reopened.items():
            account.close_years(code)
        return self.outcomes

    def _answer(self, row: Row, value: Valued | Refusal, known: Mapping[bytes, Known]) -> Outcome:
        if known and (first := known.get(row.ref)) is not None:
            return self._answer_again(row, first)
        if row.ref in self._taken:
            return self._answer_twice(row)
        if isinstance(value, Refusal):
            return value
        behavior = row.behavior
        account = self.accounts.get(row.account_key)
        consent = None if account is None else account.consent_for(behavior.behavior, behavior.instant_us or 0)
        if account is None or account.status != "open" or consent is None or value.computed is None:
            refusal = self._standing(behavior, account, consent, value)
            if refusal is not None:
                return refusal
        if account is None:
            account = self._open(row)
        elif self.rules.runs:
            self._revise_first(account)
        if consent is None:
            consent = self._assert_consent(account)
        return self._credit(row, value, account, consent)

    def _credit(self, row: Row, value: Valued, account: Account, consent: int) -> Credited:
        behavior, intake = row.behavior, self.intake
        decision, computed = value.decision, value.computed
        assert decision is not None
        assert computed is not None
        credited, computed_text = self._apply_caps(account, decision.method, value.day, computed), str(computed)
        event = events.BehaviorCredited(
            partner=intake.partner,
            intake=intake.position,
            line=behavior.line,
            ref=row.ref.hex(),
            behavior=behavior.behavior,
            day=day_text(value.day),
            region=behavior.region,
            quantity=str(value.quantity),
            scale=decision.method.scale,
            unit=behavior.unit,
            methodology=decision.methodology,
            decision=decision.id,
            rule=RULE,
            consent=consent,
            computed_mg=computed_text,
            credited_mg=computed_text if credited == computed else str(credited),
        )
        personal = events.BehaviorCreditedPersonal(source_ref=behavior.source_ref, occurred_at=behavior.occurred_at)
        account.version += 1
        self.refs.append((row.ref, len(self.events)))
        self._taken[row.ref] = row
        self.events.append(NewEvent(account.id, account.version, event, personal))
        return Credited(account.id, account.version, credited)

    def _standing(self, row: Behavior, account: Account | None, consent: int | None, value: Valued) -> Refusal | None:
        """The checks that need the account, in order; None when the row may be credited after all."""
        if account is None:
            if not self.intake.opens_accounts:
                return refuse_row(row, "account_unknown")
        elif account.status != "open":
            return refuse_row(row, _STANDING[account.status])
        if consent is None and not self._may_assert(account, row):
            return refuse_row(row, "no_consent")
        if value.decision is None:
            return refuse_row(row, "no_applicable_methodology")
        if value.computed is None:
            return refuse_row(row, "no_factor_for_region")
        return None

    def _may_assert(self, account: Account | None, row: Behavior) -> bool:
        """A partner may assert consent for the past only where the person never granted or withdrew one."""
        if not self.intake.opens_accounts or row.instant_us is None or row.instant_us >= self.intake.received_us:
            return False
        return account is None or not (account.withdrawn or any(c.basis == "direct" for c in account.active.values()))

    def _open(self, row: Row) -> Account:
        account = self.accounts[row.account_key] = Account(uuid4())
        self.openings.append((row.account_key, account.id))
        personal = events.AccountOpenedPersonal(account_ref=row.behavior.account_ref)
        self._record(account, events.AccountOpened(kind="individual"), personal)
        return account

    def _assert_consent(self, account: Account) -> int:
        granted = events.ConsentGranted(
            scope=("*",),
            terms_version="imported",
            basis="imported",
            valid_from=None,
            valid_to=instant_text(self.intake.received_us),
            evidence=self.intake.digest,
            asserter=self.intake.partner,
        )
        self._record(account, granted)
        return account.version

    def _apply_caps(self, account: Account, method: Method, day: int, computed: int) -> int:
        code = method.code
        if account.needs_history(code, day):
            account.uses[code] = self._history(account.id).use_of(code)
            self._reopened[account.id, code] = account
        use = account.use_of(code)
        credited = credit_one(method.caps, day, computed, use)
        # Asked of an empty dict too, the hash of an account id would be made for every row.
        if not self._reopened or (account.id, code) not in self._reopened:
            # Years read back stay until the end of the batch, so that rows of several years read the stream once.
            close_past(use, day)
        return credited

    def _history(self, account_id: UUID) -> AccountHistory:
        """The account's stream including what this batch adds to it."""
        added = (
            Recorded(e.stream, e.version, NEVER, e.event, e.personal) for e in self.events if e.stream == account_id
        )
        return self._load_history(account_id).extend(added)

    def _revise_first(self, account: Account) -> None:
        for run, scope in self.rules.runs:
            for event in pending_revision(account, run, scope, self._load_history):
                self._record(account, event)

    def _record(self, account: Account, event: Event, personal: events.AccountOpenedPersonal | None = None) -> None:
        account.apply(account.version + 1, event)
        self.events.append(NewEvent(account.id, account.version, event, personal))

    def _answer_again(self, row: Row, first: Known) -> Outcome:
        same_intake = first.facts.intake == self.intake.position and first.facts.line == row.behavior.line
        if same_intake:
            # The same bytes of the same open intake after a crash: this very row was credited before it.
            return Credited(first.account, first.version, integer_of(first.facts.credited_mg))
        account = self.accounts.get(row.account_key)
        same_account = account is not None and account.id == first.account
        if first.personal is None:
            # Erased: what it was is nobody's to know any more, nor to be compared with.
            return Duplicate(None)
        if same_account and _same_content(row.behavior, first.facts, first.personal.occurred_at):
            return Duplicate(first)
        return refuse_row(row.behavior, "conflicting_duplicate")

    def _answer_twice(self, row: Row) -> Outcome:
        earlier = self._taken[row.ref]
        now, then = row.behavior, earlier.behavior
        same = (now.behavior, now.instant_us, now.quantity, now.scale, now.unit, now.region) == (
            then.behavior, then.instant_us, then.quantity, then.scale, then.unit, then.region
        )  # fmt: skip
        if same and row.account_key == earlier.account_key:
            return Duplicate(None)
        return refuse_row(row.behavior, "conflicting_duplicate")


def _same_content(row: Behavior, facts: events.BehaviorCredited, occurred_at: str) -> bool:
    """Equal behavior, instant, normalized decimal, unit and region (DESIGN 3, Idempotency)."""
    return (
        row.instant_us == instant_of(occurred_at)
        and row.behavior == facts.behavior
        and row.unit == facts.unit
        and row.region == facts.region
        and row.quantity * 10**facts.scale == integer_of(facts.quantity) * 10**row.scale
    )
