"""A large book that is right to the milligram, made in minutes: to measure on, never measured itself as crediting.

Keeps: a template of 1,000 people with 20 credits each over one civil year is valued by the law, in log order, and then
replicated with other account ids, references, lines and personal facts, none of which values anything; so replay finds
nothing wrong in a book of any size. Rows go through the recorder's own append, with real keys for every reference and
every account. The log goes month by month through all people, so the rows of one account lie far apart, as in life.
Memory does not grow with the book. Opening and closing the intake is left to ``application.intakes``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from application.book import Book
from application.intakes import close_intake, open_intake
from application.ports.journal import Appended
from application.ports.keys import Keys
from benchmarks.behaviors import CREDITS_EACH
from domain.crediting import Intake
from domain.digest import sm3_hex
from domain.events import account as events
from domain.events.registry import encode_part
from domain.instants import instant_text
from domain.kernel.caps import CapUse, credit_one
from domain.kernel.valuation import RULE
from domain.rulebook import Rulebook
from domain.values import day_text
from infrastructure.eventsourcing_journal import EventsourcingJournal

PARTNER: Final = "generated"
PEOPLE: Final = 1_000
YEAR: Final = 2024
BATCH_ROWS: Final = 50_000

_MONTHS: Final = 12
_FIRST_CREDIT: Final = 3
"""Its version in an account's stream: the account is opened and a consent recorded before."""
_REGIONS: Final = ("CN-440300", "CN-310000", "CN-110000", "CN-510100", "CN-330100", "")
_QUANTITIES: Final = {
    # Inclusive, at the scale of the methodology. Many walks and some metro days reach their day caps.
    "cycling.shared_bike": (500, 12_000),
    "living.online_bill": (1, 1),
    "living.power_saving": (100, 9_000),
    "travel.bus": (1, 3),
    "travel.metro": (2_000, 40_000),
    "travel.walking": (500, 6_000),
}
_LONG_RIDES: Final = (25_000, 60_000)

# Stand in for what differs from replica to replica.
_LINE: Final = 987_654_321_012
_REF, _SOURCE_REF, _SECOND, _ACCOUNT_REF = "@ref@", "@source@", "@second@", "@account@"

Row = tuple[UUID, int, str, bytes, bytes | None]


class Batch(NamedTuple):
    """What one append takes."""

    rows: list[Row]
    refs: list[tuple[bytes, int]]
    openings: list[tuple[bytes, UUID]]


class _Fact(NamedTuple):
    """What one person of the template did. ``month``: when it is reported, 0 to 11."""

    person: int
    month: int
    behavior: str
    region: str
    day: int
    quantity: int


class _Credit(NamedTuple):
    """A valued credit; ``facts``: around line and reference; ``personal``: around reference in clear and second."""

    person: int
    version: int
    facts: tuple[bytes, ...]
    personal: tuple[bytes, ...]


class _Template(NamedTuple):
    """``months``: credits in log order; ``opened``: facts; ``named``: personal part around the account's name."""

    months: list[list[_Credit]]
    opened: bytes
    named: tuple[bytes, ...]
    consented: bytes


def generate(book: Book, credits: int, *, seed: int = 0, batch_rows: int = BATCH_ROWS) -> int:
    """Append a generated intake of ``credits`` credits (a multiple of 20) to a book; returns how many accounts.

    The book must have the demo catalogue and no account of the generated names yet.
    """
    journal = book.journal
    assert isinstance(journal, EventsourcingJournal)
    accounts, odd = divmod(credits, CREDITS_EACH)
    if odd or not accounts:
        raise ValueError(f"{credits} is not a multiple of {CREDITS_EACH}")
    rulebook = book.rulebook()
    digest = sm3_hex(f"generated: {credits} credits, seed {seed}".encode())
    intake = open_intake(book, PARTNER, digest, 0, "generated", opens_accounts=True)
    template = _template(rulebook, intake, min(accounts, PEOPLE), seed)
    with ThreadPoolExecutor(1, thread_name_prefix="append") as appender:
        before: Future[Appended] | None = None
        for batch in _batches(template, book.keys, accounts, seed, batch_rows):
            if before is not None:
                before.result()
            rows, account_keys = journal.stored.rows_of(batch.rows, {account for _, account in batch.openings})
            before = appender.submit(
                journal.recorder.append,
                rows,
                rulebook_seen=rulebook.position,
                refs=batch.refs,
                openings=batch.openings,
                account_keys=account_keys,
            )
        if before is not None:
            before.result()
    close_intake(book, intake, credits, credits, 0, Counter())
    return accounts


def _batches(template: _Template, keys: Keys, accounts: int, seed: int, batch_rows: int) -> Iterator[Batch]:
    """Every month for all replicas of the template, of which the last one may have fewer people."""
    batch, line = Batch([], [], []), 1
    for credits in template.months:
        for first in range(0, accounts, PEOPLE):
            ids = _account_ids(seed, first, min(PEOPLE, accounts - first))
            line = _replicate(template, credits, first, ids, keys, line, batch)
            if len(batch.rows) >= batch_rows:
                yield batch
                batch = Batch([], [], [])
    if batch.rows:
        yield batch


def _account_ids(seed: int, first: int, count: int) -> list[UUID]:
    """The ids of some people, the same whenever they are asked for."""
    source = random.Random(f"{seed} {first}")
    return [UUID(int=source.getrandbits(128), version=4) for _ in range(count)]


def _replicate(
    template: _Template, credits: list[_Credit], first: int, ids: list[UUID], keys: Keys, line: int, batch: Batch
) -> int:
    """One month of one replica into the batch; returns the last line given out."""
    rows, refs, openings = batch
    named_before, named_after = template.named
    people = len(ids)
    for person, version, (before, after_line, after_ref), (start, after_source, end) in credits:
        if person >= people:
            continue
        stream = ids[person]
        if version == _FIRST_CREDIT:
            name = f"person-{first + person:08d}"
            named = named_before + name.encode() + named_after
            rows.append((stream, 1, events.AccountOpened.TOPIC, template.opened, named))
            rows.append((stream, 2, events.ConsentGranted.TOPIC, template.consented, None))
            openings.append((keys.account(name), stream))
        line += 1
        source_ref = f"generated-{line}"
        ref = keys.ref(PARTNER, source_ref)
        refs.append((ref, len(rows)))
        facts = b"".join((before, b"%d" % line, after_line, ref.hex().encode(), after_ref))
        personal = b"".join((start, source_ref.encode(), after_source, b"%02d" % (line % 60), end))
        rows.append((stream, version, events.BehaviorCredited.TOPIC, facts, personal))
    return line


def _template(rulebook: Rulebook, intake: Intake, people: int, seed: int) -> _Template:
    source = random.Random(seed)
    facts = [fact for person in range(people) for fact in _facts(source, person)]
    source.shuffle(facts)
    months: list[list[_Credit]] = [[] for _ in range(_MONTHS)]
    versions: Counter[int] = Counter()
    uses: dict[tuple[int, str], CapUse] = {}
    for fact in sorted(facts, key=lambda each: each.month):
        version = _FIRST_CREDIT + versions[fact.person]
        versions[fact.person] += 1
        event = _valued(rulebook, intake, fact, uses)
        second = f"{day_text(fact.day)}T08:{version:02d}:{_SECOND}+08:00"
        personal = events.BehaviorCreditedPersonal(source_ref=_SOURCE_REF, occurred_at=second)
        parts = _cut(encode_part(event), str(_LINE), _REF)
        personal_parts = _cut(encode_part(personal), _SOURCE_REF, _SECOND)
        months[fact.month].append(_Credit(fact.person, version, parts, personal_parts))
    opened = encode_part(events.AccountOpened(kind="individual"))
    named = _cut(encode_part(events.AccountOpenedPersonal(account_ref=_ACCOUNT_REF)), _ACCOUNT_REF)
    return _Template(months, opened, named, encode_part(_consent(intake)))


def _facts(source: random.Random, person: int) -> Iterator[_Fact]:
    """Twenty behaviors of one person: of three kinds, a quarter on the day of the one before, some reported late."""
    kinds, days = source.sample(sorted(_QUANTITIES), 3), _days(1, _MONTHS)
    bounds = dict(_QUANTITIES)
    if person % 25 == 0:
        # Somebody who rides so far within a month that its cap is reached.
        month = source.randint(1, _MONTHS)
        kinds, days = ["cycling.shared_bike"], _days(month, month)
        bounds[kinds[0]] = _LONG_RIDES
    elif person % 25 == 1:
        # Somebody with more rides on a day than count.
        day = source.choice(days)
        kinds, days = ["travel.bus", "travel.metro"], range(day, day + 1)
    home = source.choice(_REGIONS)
    day = source.choice(days)
    for _ in range(CREDITS_EACH):
        behavior = source.choice(kinds)
        if source.random() >= 0.25:
            day = source.choice(days)
        quantity = source.randint(*bounds[behavior])
        if behavior == "cycling.shared_bike" and source.random() < 0.5:
            quantity += 5 - quantity % 10  # whose value lies half way between two milligrams under version 2
        month = date.fromordinal(day).month - 1
        late = source.random() < 0.05
        region = home if source.random() < 0.9 else source.choice(_REGIONS)
        yield _Fact(person, min(_MONTHS - 1, month + late), behavior, region, day, quantity)


def _days(first_month: int, last_month: int) -> range:
    after = date(YEAR + last_month // 12, last_month % 12 + 1, 1)
    return range(date(YEAR, first_month, 1).toordinal(), after.toordinal())


def _valued(
    rulebook: Rulebook, intake: Intake, fact: _Fact, uses: dict[tuple[int, str], CapUse]
) -> events.BehaviorCredited:
    """What the law makes of a fact, after all that come before it in the log."""
    decision = rulebook.lookup(fact.behavior, fact.region).on(fact.day)
    assert decision is not None
    method = decision.method
    (computed,) = decision.valuer.compute((fact.region,), (fact.day,), (fact.quantity,))
    assert computed is not None
    use = uses.setdefault((fact.person, method.code), CapUse())
    return events.BehaviorCredited(
        partner=PARTNER,
        intake=intake.position,
        line=_LINE,
        ref=_REF,
        behavior=fact.behavior,
        day=day_text(fact.day),
        region=fact.region,
        quantity=str(fact.quantity),
        scale=method.scale,
        unit=method.unit,
        methodology=decision.methodology,
        decision=decision.id,
        rule=RULE,
        consent=_FIRST_CREDIT - 1,
        computed_mg=str(computed),
        credited_mg=str(credit_one(method.caps, fact.day, computed, use)),
    )


def _consent(intake: Intake) -> events.ConsentGranted:
    return events.ConsentGranted(
        scope=("*",),
        terms_version="imported",
        basis="imported",
        valid_from=None,
        valid_to=instant_text(intake.received_us),
        evidence=intake.digest,
        asserter=PARTNER,
    )


def _cut(state: bytes, *marks: str) -> tuple[bytes, ...]:
    """What stands around the marks, in this order."""
    parts = []
    for mark in marks:
        before, _, state = state.partition(mark.encode())
        parts.append(before)
    return (*parts, state)
