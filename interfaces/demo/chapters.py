"""The chapters of the demo, in the order in which they are told.

Keeps: only public use cases; figures come from their answers. The factors and the years they belong to are the real
chain (DOMAIN section (c), R1 to R3); the days on which the town plans, approves and applies are the demo's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from application import accounts, queries, revising
from application.importing import ImportResult
from application.replaying import replay
from domain.errors import Rejected
from interfaces.demo import town
from interfaces.demo.screen import kg
from interfaces.demo.stage import Run, Stage

PLANNER, APPROVER = "alice", "bob"


class Answer(NamedTuple):
    """What Lin Lin's 2 kWh must be worth as known at an instant, in mg (2 kWh x the published factor)."""

    known_at: str
    mg: int


ANSWERS = (
    Answer("2022-02-28T00:00:00+08:00", 1_220_200),
    Answer("2022-06-30T00:00:00+08:00", 1_162_000),
    Answer("2023-03-31T00:00:00+08:00", 1_140_600),
    Answer("2024-12-31T00:00:00+08:00", 1_073_200),
)


class Revision(NamedTuple):
    """A revision of the story: version, its factor (kg/kWh), civil days [start, end), days of its three steps."""

    methodology: str
    factor: str
    start: str
    end: str
    steps: tuple[str, str, str]


NOTICE_2022 = Revision(
    "LIVING-POWER-SAVING@2", "0.5810", "2021-01-01", "2023-01-01", ("2022-03-21", "2022-03-22", "2022-03-23")
)
YEAR_END_2022 = Revision(
    "LIVING-POWER-SAVING@3", "0.5703", "2022-01-01", "2023-01-01", ("2023-02-20", "2023-02-21", "2023-02-22")
)
OTHER_SERIES = Revision(
    "LIVING-POWER-SAVING@4", "0.5366", "2022-01-01", "2023-01-01", ("2024-12-23", "2024-12-24", "2024-12-25")
)


def the_town_reports(stage: Stage, files: Sequence[town.MonthFile]) -> None:
    screen = stage.screen
    screen.chapter("A town reports what it did")
    screen.say(
        f"{town.PEOPLE} people ride the metro and the bus, cycle, walk, save electricity and pay bills online. "
        f"Once a month the partner {town.PARTNER} sends a CSV file. The first one begins:"
    )
    screen.lines(town.csv_bytes(files[0].rows[:3]).decode().splitlines())
    results = []
    for file in files:
        if file.month == "2022-02":
            _withdraw_consent(stage)
        stage.tell(file.arrives)
        results.append(stage.receive(file.month, list(file.rows)))
    _show_imports(stage, files, results)
    codes = stage.rejected_by_code()
    screen.say(
        "A row sent twice is credited once. A wrong row is refused with a code and a remedy, and holds up no other:"
    )
    screen.table(
        ("code", "the ledger says", "rows"),
        ((code, stage.refusals[code], str(rows)) for code, rows in codes.most_common()),
        left=2,
    )
    screen.say(
        f"{town.WITHDREW} withdrew the consent on 2022-02-20: nothing is credited to it since (no_consent). "
        "Refused rows wait, each with its remedy, in the rejects files beside the partner's:"
    )
    screen.lines([str(stage.folder / f"{files[0].month}-rejects.csv")])


def lin_lin(stage: Stage) -> None:
    screen = stage.screen
    screen.chapter("Lin Lin saves 2 kWh")
    worth = stage.lin_lin(ANSWERS[0].known_at)
    stage.check(f"2 kWh as known at {ANSWERS[0].known_at}", ANSWERS[0].mg, worth.mg)
    screen.say(
        f"One account of the town is {town.LINLIN}. In January 2022 its meter reported 2 kWh saved. The ledger credits "
        f"2 kWh x {worth.factor} kg/kWh, the national grid factor in force: {kg(worth.mg, 4)} kg CO2e."
    )


def the_notice_of_2022(stage: Stage, files: Sequence[town.MonthFile]) -> None:
    stage.screen.chapter("2022: the factor falls, for a year that is already booked")
    stage.screen.say(
        "A notice lowers the national grid average from 0.6101 to 0.5810 kg/kWh: for 2021, which is over, and for "
        "2022, which is running. Nothing is overwritten. A revision is planned by one person, approved by another, "
        "then applied; every account gets its own entry with the difference."
    )
    stage.before_revisions = stage.totals()
    _revise(stage, NOTICE_2022, show_refusal=True)
    results = []
    for file in files:
        stage.tell(file.arrives)
        results.append(stage.receive(file.month, list(file.rows)))
    stage.screen.say("The months go on. What is reported from now on is valued at 0.5810 kg/kWh from the start:")
    _show_imports(stage, files, results)


def the_year_2022_is_closed(stage: Stage) -> None:
    stage.screen.chapter("2023: a new value for 2022, after 2022 has ended")
    stage.screen.say(
        "In February 2023 the value for accounting year 2022 becomes 0.5703 kg/kWh. 2021 keeps 0.5810: the revision "
        "takes the civil days of 2022 and no others."
    )
    _revise(stage, YEAR_END_2022)


def another_series_is_adopted(stage: Stage) -> None:
    stage.screen.chapter("2024: another statistic is adopted")
    stage.screen.say(
        "On 2024-12-20 the average-electricity series is published with 0.5366 kg/kWh for data year 2022. It is "
        "another statistic: publishing it changes no account. Adopting it for 2022 is a choice. In this story "
        f"{PLANNER} and {APPROVER} make it, and the ledger keeps who did, when, and what it changed."
    )
    _revise(stage, OTHER_SERIES)


def a_mistake_is_taken_back(stage: Stage) -> None:
    screen = stage.screen
    screen.chapter("A mistake is taken back")
    booked = queries.explain(stage.ledger.book, town.MISREAD, town.MISREAD_READING, town.PARTNER)["valuations"][0]
    stage.tell("2025-01-06T10:00:00+08:00")
    _, reversed_mg = accounts.reverse(
        stage.ledger.book, town.MISREAD, town.MISREAD_READING, PLANNER, "88 kWh sent for 8.8 kWh", town.PARTNER
    )
    stage.tell("2025-01-07T09:30:00+08:00")
    corrected = stage.receive("2022-01-correction", [town.correction()])
    stage.check("88 kWh are taken back at their current value", 47_220_800, reversed_mg)
    stage.check("8.8 kWh are credited with the factor in force now", 4_722_080, corrected.credited_mg)
    screen.say(
        f"In January 2025 somebody notices that a reading of {town.MISREAD} was 8.8 kWh, not 88 kWh. It was booked at "
        f"{kg(booked['credited_mg'], 4)} kg and revised three times since. The reversal takes back what it is worth "
        f"now, {kg(reversed_mg, 4)} kg; the right reading comes in as a late row under its own reference and is "
        f"valued with today's factor: {kg(corrected.credited_mg, 4)} kg. Both stay in the history."
    )


def the_history_is_recomputed(stage: Stage) -> dict[str, Any]:
    """Replays the book; returns the figures for the demo's answer."""
    screen, book = stage.screen, stage.ledger.book
    screen.chapter("The whole history, recomputed")
    with screen.busy("replaying every event"):
        replayed = replay(book)
    with screen.busy("building the views anew"):
        totals = stage.totals()
        views = stage.ledger.views.check()
    differing = sum(view.differing for view in views)
    stage.check("mismatches found by replay", 0, replayed.mismatches)
    stage.check("rows in which a view differs from one built anew", 0, differing)
    stage.check("digest of the views and of the replay", replayed.digest, totals.digest)
    then = stage.before_revisions
    if then is not None:
        stage.check("totals as known before the first revision", then.digest, stage.totals(then.position).digest)
    screen.say(
        "Replay starts from the facts alone (2 kWh, that day, that method) and decides, values, caps and revises "
        "everything again, then compares with what was booked."
    )
    screen.facts(
        [
            ("events replayed", f"{replayed.events:,}"),
            ("credits recomputed", f"{replayed.credits:,}"),
            ("revisions recomputed", str(replayed.revisions)),
            ("mismatches", str(replayed.mismatches)),
            ("rows of the views that differ from views built anew", str(differing)),
        ]
    )
    screen.say("One digest over all balances (SM3), from the replay and from the views:")
    screen.lines([replayed.digest, totals.digest])
    return {
        "events": replayed.events,
        "credits": totals.credits,
        "accounts": totals.accounts,
        "credited_mg": str(totals.credited_mg),
        "revisions": replayed.revisions,
        "mismatches": replayed.mismatches,
        "views_equal": differing == 0,
        "position": totals.position,
        "digest": replayed.digest,
        "digest_by_ref": stage.totals(by_ref=True).digest,
    }


def _withdraw_consent(stage: Stage) -> None:
    stage.tell("2022-02-20T12:00:00+08:00")
    accounts.withdraw_consent(stage.ledger.book, town.WITHDREW, "holder", "moved away")


def _show_imports(stage: Stage, files: Sequence[town.MonthFile], results: Sequence[ImportResult]) -> None:
    stage.screen.table(
        ("month", "rows", "credited", "sent twice", "refused", "kg CO2e saved"),
        (
            (file.month, str(r.read), str(r.credited), str(r.duplicates), str(r.rejected), kg(r.credited_mg))
            for file, r in zip(files, results, strict=True)
        ),
    )


def _revise(stage: Stage, revision: Revision, *, show_refusal: bool = False) -> None:
    screen, book = stage.screen, stage.ledger.book
    plan_day, approve_day, apply_day = revision.steps
    stage.tell(f"{plan_day}T10:00:00+08:00")
    with screen.busy("planning"):
        planned = revising.plan(book, revision.methodology, revision.start, revision.end, PLANNER)
    stage.tell(f"{approve_day}T10:00:00+08:00")
    refused = _own_approval(stage, planned.revision_id)
    revising.approve(book, planned.revision_id, APPROVER)
    before = {ref: stage.power_mg(ref) for ref in town.EXAMPLES}
    stage.tell(f"{apply_day}T10:00:00+08:00")
    with screen.busy("applying"):
        done = revising.apply(book, planned.revision_id)
    for name, value in planned.impact.items():
        stage.check(f"{done.revision} did what its plan said: {name}", value, getattr(done, name))
    factor = stage.lin_lin().factor
    stage.check(f"factor of {revision.methodology}", revision.factor, factor)
    stage.runs.append(Run(done, revision.methodology, factor, revision.start, revision.end))
    screen.say(f"{done.revision}: {PLANNER} plans it on {plan_day} ({revision.methodology}, {factor} kg/kWh).")
    if show_refusal:
        screen.say(f"{PLANNER} tries to approve it as well and is refused: {refused}.")
    screen.say(f"{APPROVER} approves it on {approve_day}. It is applied on {apply_day}, and did what the plan said:")
    screen.facts(
        [
            ("accounts", f"{done.accounts:,}"),
            ("credits valued anew", f"{done.credits:,}"),
            ("before, kg", kg(done.before_mg)),
            ("after, kg", kg(done.after_mg)),
            ("difference, kg", kg(done.delta_mg)),
        ]
    )
    screen.say("Why did my number change? What three of the accounts held and hold for saved electricity:")
    rows = [(ref, kg(old), kg(new), kg(new - old)) for ref, old in before.items() for new in (stage.power_mg(ref),)]
    screen.table(("account", "before, kg", "after, kg", "difference, kg"), rows)


def _own_approval(stage: Stage, revision_id: str) -> str:
    """The refusal that the planner gets on approving the own plan."""
    refused = "approved"
    try:
        revising.approve(stage.ledger.book, revision_id, PLANNER)
    except Rejected as rejected:
        refused = rejected.code
    stage.check(f"{PLANNER} approves the own plan {revision_id}", "same_actor", refused)
    return refused
