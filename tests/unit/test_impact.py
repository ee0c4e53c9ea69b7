"""The impact report: exact whatever the width, the same however it is cut, and true to every line of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.exact_columns import added, column_of, sums_by, sums_from, total
from application.impact import LARGEST, STEPS, ImpactReport, canonical, digest_of
from application.impact_lines import between
from application.ports.archive import NONE
from application.ports.kernel import REASONS, Lines
from domain.digest import sm3_hex
from domain.errors import Corrupt
from domain.values import day_number, day_text

REGIONS = ["CN-440300", "CN", ""]
FIRST_DAY = day_number("2025-11-20")


class Line(NamedTuple):
    """A line of one account, as a test writes it."""

    account: int
    before: int
    after: int
    day: int = FIRST_DAY
    region: int = 0
    reason: int = 0


def account_id(number: int) -> UUID:
    return UUID(int=number + 1)


def lines_of(rows: Sequence[Line], accounts: int, balances: Sequence[int] | None = None) -> Lines:
    """The rows in columns; balances are what the lines were worth, unless told."""
    held = [0] * accounts
    for row in rows:
        held[row.account] += row.before
    return Lines(
        account=np.array([row.account for row in rows], dtype=np.int32),
        row=np.arange(len(rows), dtype=np.int64),
        credit=np.arange(3, len(rows) + 3, dtype=np.int64),
        day=np.array([row.day for row in rows], dtype=np.int32),
        region=np.array([row.region for row in rows], dtype=np.int32),
        before_mg=column_of(row.before for row in rows),
        computed_mg=column_of(NONE if row.reason else row.after for row in rows),
        credited_mg=column_of(row.after for row in rows),
        reason=np.array([row.reason for row in rows], dtype=np.int8),
        last_version=np.full(accounts, 9, dtype=np.int64),
        balance_mg=column_of(held if balances is None else balances),
        unproven=np.empty(0, dtype=np.int32),
    )


def report_of(*parts: Sequence[Line]) -> dict[str, Any]:
    """The report of the rows, each part being added by itself; accounts keep their ids."""
    impact = ImpactReport("travel.metro")
    for part in parts:
        numbers = sorted({row.account for row in part})
        rows = [row._replace(account=numbers.index(row.account)) for row in part]
        impact.add([account_id(number) for number in numbers], REGIONS, lines_of(rows, len(numbers)))
    return impact.as_dict()


def plainly(rows: Sequence[Line]) -> dict[str, Any]:
    """The same sums by the shortest code there is."""
    by_account: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_region: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_month: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    lost: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for sums in (by_account[row.account], by_region[REGIONS[row.region]], by_month[day_text(row.day)[:7]]):
            sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + row.before, sums[2] + row.after
        if row.reason:
            counted = lost[REASONS[row.reason], REGIONS[row.region]]
            counted[0], counted[1] = counted[0] + 1, counted[1] + row.before
    deltas = {account: sums[2] - sums[1] for account, sums in by_account.items()}
    ranked = sorted((a for a in deltas if deltas[a]), key=lambda a: (-abs(deltas[a]), a))[:LARGEST]
    return {
        "accounts": len(deltas),
        "changed_accounts": sum(delta != 0 for delta in deltas.values()),
        "rising_accounts": sum(delta > 0 for delta in deltas.values()),
        "falling_accounts": sum(delta < 0 for delta in deltas.values()),
        "unchanged_accounts": sum(delta == 0 for delta in deltas.values()),
        **named([len(rows), sum(row.before for row in rows), sum(row.after for row in rows)]),
        "by_region": [{"region": region, **named(sums)} for region, sums in sorted(by_region.items())],
        "by_month": [{"month": month, **named(sums)} for month, sums in sorted(by_month.items())],
        "not_valued": sum(counted[0] for counted in lost.values()),
        "not_valued_by": [
            {"reason": reason, "region": region, "credits": counted[0], "before_mg": str(counted[1])}
            for (reason, region), counted in sorted(lost.items())
        ],
        "largest": [{"account_id": str(account_id(a)), **named(by_account[a])} for a in ranked],
    }


def named(sums: Sequence[int]) -> dict[str, Any]:
    credits, before, after = sums
    return {"credits": credits, "before_mg": str(before), "after_mg": str(after), "delta_mg": str(after - before)}


masses = st.one_of(
    st.integers(0, 5_000),
    st.integers(0, 10**9),
    st.integers(2**61, 2**62 - 1),
    st.integers(2**62, 2**70),
    st.just(10**6),
)


@st.composite
def books(draw: st.DrawFn) -> list[Line]:
    """Lines by account; some masses stay small, some need more than 62 bits."""
    accounts = draw(st.integers(1, 30))
    rows = []
    for account in range(accounts):
        for _ in range(draw(st.integers(1, 3))):
            reason = draw(st.sampled_from([0, 0, 0, 1, 2]))
            after = 0 if reason else draw(masses)
            day = FIRST_DAY + draw(st.integers(0, 90))
            rows.append(Line(account, draw(masses), after, day, draw(st.integers(0, 2)), reason))
    return rows


def cut(rows: Sequence[Line], every: int) -> list[list[Line]]:
    """Parts of whole accounts."""
    parts: dict[int, list[Line]] = {}
    for row in rows:
        parts.setdefault(row.account // every, []).append(row)
    return list(parts.values())


@settings(max_examples=150, deadline=None)
@given(books(), st.integers(1, 7))
def test_the_report_equals_plain_sums_however_the_accounts_are_cut_into_parts(rows: list[Line], every: int) -> None:
    report = report_of(rows)
    expected = plainly(rows)
    assert {key: report[key] for key in expected} == expected
    parts = cut(rows, every)
    assert report_of(*parts) == report
    assert digest_of(report_of(*reversed(parts))) == digest_of(report)


@settings(max_examples=150, deadline=None)
@given(books())
def test_months_regions_behaviors_and_histogram_add_up_to_the_totals(rows: list[Line]) -> None:
    report = report_of(rows)
    for name in ("by_month", "by_region", "by_behavior"):
        for key in ("credits", "before_mg", "after_mg", "delta_mg"):
            assert sum(int(each[key]) for each in report[name]) == int(report[key])
    bins = report["histogram"]
    assert sum(each["accounts"] for each in bins) == report["accounts"]
    assert sum(each["accounts"] for each in bins if int(each["least_mg"]) > 0) == report["rising_accounts"]
    assert sum(each["accounts"] for each in bins if int(each["most_mg"]) < 0) == report["falling_accounts"]
    assert report["changed_accounts"] + report["unchanged_accounts"] == report["accounts"]


@settings(max_examples=100, deadline=None)
@given(books())
def test_histogram_bins_hold_what_lies_between_their_borders_and_follow_without_a_gap(rows: list[Line]) -> None:
    bins = report_of(rows)["histogram"]
    deltas: dict[int, int] = defaultdict(int)
    for row in rows:
        deltas[row.account] += row.after - row.before
    for each in bins:
        inside = (int(each["least_mg"]) <= delta <= int(each["most_mg"]) for delta in deltas.values())
        assert each["accounts"] == sum(inside)
    assert all(int(a["most_mg"]) + 1 == int(b["least_mg"]) for a, b in pairwise(bins))
    assert bins[0]["accounts"]
    assert bins[-1]["accounts"]
    assert len(bins) <= 2 * (STEPS + 1) + 1


def test_histogram_borders_are_round_and_small_differences_share_one_bin() -> None:
    deltas = [0, 1, -1, 999_999, 1_000_000, 1_999_999, 2_000_000, -5_000_000]
    rows = [Line(n, 10_000_000, 10_000_000 + delta) for n, delta in enumerate(deltas)]
    shown = {(b["least_mg"], b["most_mg"]): b["accounts"] for b in report_of(rows)["histogram"]}
    assert shown["-9999999", "-5000000"] == 1
    assert shown["1000000", "1999999"] == 2
    assert shown["500000", "999999"] == 1
    assert shown["0", "0"] == 1
    # The widest bin begins at 5,000,000; nine more are kept on each side, and the rest share one.
    assert shown["1", "4999"] == shown["-4999", "-1"] == 1


def test_sums_that_64_bits_can_not_hold_are_exact() -> None:
    huge = 2**62 - 1
    rows = [Line(account, huge, 1, FIRST_DAY, account % 2) for account in range(9)] + [Line(9, 0, huge)] * 5
    report = report_of(rows)
    assert lines_of(rows, 10).before_mg.dtype == np.int64
    assert report["before_mg"] == str(9 * huge)
    assert report["after_mg"] == str(9 + 5 * huge)
    assert report["largest"][0]["delta_mg"] == str(5 * huge)


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=40), st.booleans())
def test_columns_are_summed_exactly_in_every_width(values: list[int], as_objects: bool) -> None:
    column = np.array(values, dtype=object if as_objects else np.int64)
    keys = np.array([n % 3 for n in range(len(values))])
    assert [int(s) for s in sums_by(keys, 4, column)] == [*(sum(values[n::3]) for n in range(3)), 0]
    starts = np.arange(0, len(values), 4)
    assert [int(s) for s in sums_from(column, starts)] == [sum(values[n : n + 4]) for n in starts]
    assert total(column) == sum(values)
    assert [int(s) for s in added(column, column)] == [2 * value for value in values]


def test_an_account_turns_negative_when_its_balance_over_all_behaviors_does() -> None:
    rows = [Line(0, 100, 40), Line(1, 100, 40), Line(2, 100, 40), Line(3, 100, 40), Line(4, 100, 160)]
    impact = ImpactReport("travel.metro")
    # Its lines lose 60: from 59 it turns, from 60 it ends at 0, below 0 it was before.
    impact.add([account_id(n) for n in range(5)], REGIONS, lines_of(rows, 5, [59, 60, -1, 0, -10]))
    assert impact.as_dict()["turned_negative_accounts"] == 2


def test_the_twenty_largest_changes_are_kept_and_ties_go_by_account_id() -> None:
    rows = [Line(account, 1_000, 1_000 + (-1) ** account * 7) for account in range(50)]
    rows += [Line(50, 0, 8), Line(51, 9, 0), Line(52, 5, 5)]
    expected = [account_id(n) for n in (51, 50, *range(LARGEST - 2))]
    for parts in ([rows], cut(rows, 5), list(reversed(cut(rows, 3)))):
        assert [each["account_id"] for each in report_of(*parts)["largest"]] == [str(each) for each in expected]


def test_a_report_of_nothing_is_empty_and_has_a_digest() -> None:
    report = report_of()
    assert (report["accounts"], report["credits"], report["delta_mg"]) == (0, 0, "0")
    assert [report[name] for name in ("by_month", "by_region", "by_behavior", "largest", "histogram")] == [[]] * 5
    assert digest_of(report) == sm3_hex(canonical(report))


def test_a_report_whose_sums_disagree_is_refused_rather_than_shown() -> None:
    impact = ImpactReport("travel.metro")
    impact.add([account_id(0)], REGIONS, lines_of([Line(0, 1, 2)], 1))
    impact._months.clear()
    with pytest.raises(Corrupt) as refused:
        impact.as_dict()
    assert refused.value.code == "impact_inconsistent"


SMALL = [
    Line(0, 105_028, 150_970, day_number("2019-03-31"), 0),
    Line(0, 67_760, 97_400, day_number("2019-04-01"), 2),
    Line(1, 33_880, 0, day_number("2019-04-30"), 2, REASONS.index("quantity_out_of_range")),
    Line(2, 1_500_000, 1_500_000, day_number("2019-04-02"), 1),
]

SMALL_REPORT = (
    '{"accounts":3,"after_mg":"1748370","before_mg":"1706668",'
    '"by_behavior":[{"after_mg":"1748370","before_mg":"1706668","behavior":"travel.metro","credits":4,'
    '"delta_mg":"41702"}],'
    '"by_month":[{"after_mg":"150970","before_mg":"105028","credits":1,"delta_mg":"45942","month":"2019-03"},'
    '{"after_mg":"1597400","before_mg":"1601640","credits":3,"delta_mg":"-4240","month":"2019-04"}],'
    '"by_region":[{"after_mg":"97400","before_mg":"101640","credits":2,"delta_mg":"-4240","region":""},'
    '{"after_mg":"1500000","before_mg":"1500000","credits":1,"delta_mg":"0","region":"CN"},'
    '{"after_mg":"150970","before_mg":"105028","credits":1,"delta_mg":"45942","region":"CN-440300"}],'
    '"changed_accounts":2,"credits":4,"delta_mg":"41702","falling_accounts":1,'
    '"histogram":[{"accounts":1,"least_mg":"-49999","most_mg":"-20000"},'
    '{"accounts":0,"least_mg":"-19999","most_mg":"-10000"},{"accounts":0,"least_mg":"-9999","most_mg":"-5000"},'
    '{"accounts":0,"least_mg":"-4999","most_mg":"-2000"},{"accounts":0,"least_mg":"-1999","most_mg":"-1000"},'
    '{"accounts":0,"least_mg":"-999","most_mg":"-500"},{"accounts":0,"least_mg":"-499","most_mg":"-200"},'
    '{"accounts":0,"least_mg":"-199","most_mg":"-100"},{"accounts":0,"least_mg":"-99","most_mg":"-50"},'
    '{"accounts":0,"least_mg":"-49","most_mg":"-1"},'
    '{"accounts":1,"least_mg":"0","most_mg":"0"},{"accounts":0,"least_mg":"1","most_mg":"49"},'
    '{"accounts":0,"least_mg":"50","most_mg":"99"},'
    '{"accounts":0,"least_mg":"100","most_mg":"199"},{"accounts":0,"least_mg":"200","most_mg":"499"},'
    '{"accounts":0,"least_mg":"500","most_mg":"999"},{"accounts":0,"least_mg":"1000","most_mg":"1999"},'
    '{"accounts":0,"least_mg":"2000","most_mg":"4999"},{"accounts":0,"least_mg":"5000","most_mg":"9999"},'
    '{"accounts":0,"least_mg":"10000","most_mg":"19999"},{"accounts":0,"least_mg":"20000","most_mg":"49999"},'
    '{"accounts":1,"least_mg":"50000","most_mg":"99999"}],'
    '"largest":[{"account_id":"00000000-0000-0000-0000-000000000001","after_mg":"248370","before_mg":"172788",'
    '"credits":2,"delta_mg":"75582"},{"account_id":"00000000-0000-0000-0000-000000000002","after_mg":"0",'
    '"before_mg":"33880","credits":1,"delta_mg":"-33880"}],'
    '"not_valued":1,"not_valued_by":[{"before_mg":"33880","credits":1,"reason":"quantity_out_of_range","region":""}],'
    '"rising_accounts":1,"turned_negative_accounts":0,"unchanged_accounts":1}'
)


def test_the_canonical_bytes_of_a_small_report_never_change() -> None:
    assert canonical(report_of(SMALL)).decode() == SMALL_REPORT


def test_columns_of_python_integers_give_the_same_bytes_as_columns_of_64_bits() -> None:
    narrow = lines_of(SMALL, 3)
    wide = narrow._replace(
        before_mg=narrow.before_mg.astype(object),
        credited_mg=narrow.credited_mg.astype(object),
        balance_mg=narrow.balance_mg.astype(object),
    )
    for lines in (narrow, wide, wide._replace(before_mg=narrow.before_mg)):
        impact = ImpactReport("travel.metro")
        impact.add([account_id(n) for n in range(3)], REGIONS, lines)
        assert canonical(impact.as_dict()).decode() == SMALL_REPORT


def test_from_one_candidate_to_the_other_is_the_difference_of_the_two() -> None:
    one = lines_of([Line(0, 10, 30), Line(0, 10, 10), Line(1, 10, 0, reason=1)], 2, [50, 15])
    other = lines_of([Line(0, 10, 5), Line(0, 10, 0, reason=2), Line(1, 10, 0, reason=1)], 2, [50, 15])
    lines = between(one, other)
    assert (list(lines.before_mg), list(lines.credited_mg)) == ([30, 10, 0], [5, 0, 0])
    # What each account would hold under the first candidate; what the first cannot value either is not lost again.
    assert (list(lines.balance_mg), list(lines.reason)) == ([70, 5], [0, 2, 0])


def test_two_candidates_that_do_not_take_the_same_credits_are_not_compared() -> None:
    with pytest.raises(Corrupt) as refused:
        between(lines_of([Line(0, 10, 30)], 1), lines_of([Line(0, 11, 30)], 1))
    assert refused.value.code == "candidates_differ_in_scope"
