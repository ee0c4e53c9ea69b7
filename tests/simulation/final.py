"""The comparison at the end of a world: everything that can be asked, against the model.

Keeps: balances at every position, on both clocks; replay, views and heads; the cap invariant; every intake's counts.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from application import queries
from application.ports.views import Views
from application.projections.entries import balance_changes, statement_rows
from application.replaying import replay
from domain.account import Account
from domain.events.account import BehaviorCredited
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.values import day_number
from tests.simulation.comparing import agree, broken_caps
from tests.simulation.stage import Stage, Writer


def compare_books(stage: Stage, views: Views, rng: Random) -> None:
    """Raises Disagreement."""
    model, size = stage.model, len(stage.recorded)
    book = Writer(stage.journal, stage.keys).book
    # Between the parts of one revision of an account no promise is made (DESIGN 3: they hold at the last).
    whole = [fact.position for fact in model.log if fact.kind != "FactorRevised" or fact.details[3]]
    for until in (size, rng.choice(whole), rng.choice(whole)):
        replayed = replay(book, until)
        agree(f"replay up to {until}", replayed.details, [])
        agree(f"replay digest at {until}", replayed.digest, model.digest(until))
        agree(f"totals at {until}", queries.totals(book, views, at=until).digest, model.digest(until))
    agree("totals", queries.totals(book, views).digest, model.digest(size))
    agree("views", [check for check in views.check() if check.differing], [])
    agree("caps", broken_caps(stage.recorded, model.versions), [])
    _compare_every_position(stage)
    _compare_heads(stage)
    _compare_clocks(stage, rng)
    agree("intakes", broken_intakes(stage), [])


def _compare_every_position(stage: Stage) -> None:
    balances: dict[tuple[str, str], int] = {}
    for each in stage.recorded:
        for (account, behavior), change in balance_changes(statement_rows([each])).items():
            key = (stage.refs[account], behavior)
            balances[key] = balances.get(key, 0) + change.credited_mg
        agree(f"balances at {each.position}", balances, stage.model.balances(each.position))


def _compare_heads(stage: Stage) -> None:
    """A head from snapshot and tail is the head from the whole stream."""
    heads = stage.journal.accounts(list(stage.refs))
    for account in stage.refs:
        whole = Account(account).extend(stage.journal.stream(account))
        agree(f"head of {account}", heads[account].snapshot(), whole.snapshot())


def _compare_clocks(stage: Stage, rng: Random) -> None:
    book = stage.writers[0].book
    days = [credit.day for account in stage.model.accounts.values() for credit in account.credits]
    for ref in stage.model.accounts:
        known = rng.randrange(1, len(stage.recorded) + 1)
        if not days or not any(fact.subject == ref for fact in stage.model.log[:known]):
            continue
        before = rng.choice(days)
        shown = queries.show_account(
            book, str(stage.model.ids[ref]), queries.known_at(book, position=known), day_number(before.isoformat())
        ).by_behavior
        of_ref = {b: mg for (r, b), mg in stage.model.balances(known, before).items() if r == ref}
        agree(f"{ref} at {known} before {before}", shown, of_ref)


def broken_intakes(stage: Stage) -> list[str]:
    """Closed intakes that tell of more credits than name them (fewer: a second importer of the same bytes)."""
    named = Counter(each.event.intake for each in stage.recorded if isinstance(each.event, BehaviorCredited))
    opened: dict[object, int] = {}
    broken = []
    for each in stage.recorded:
        if isinstance(each.event, IntakeOpened):
            opened[each.stream] = each.position
        elif isinstance(each.event, IntakeClosed):
            intake = opened[each.stream]
            if named[intake] < each.event.credited:
                broken.append(f"intake {intake} was closed with {each.event.credited}, {named[intake]} name it")
    return broken
