"""The report on scale says what was measured, per credit where books differ in size, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.scale_report import BARS, SMALL, TENTH, WHOLE, WORKS, Sample, Scale, ratios, render

Key = tuple[str, str]
_CREDITS = {SMALL: 40_000, TENTH: 200_000, WHOLE: 2_000_000}


def _scale(samples: Mapping[Key, Sequence[Sample]], remarks: Sequence[str] = (), processors: int = 2) -> Scale:
    return Scale(
        processors, [("processors", "2 x model|a")], _CREDITS, samples, {"archive": (30_000_000, 2_000_000)}, remarks
    )


def _sample(rows: int, seconds: float, cpu_seconds: float = 1, peak_mib: int = 100) -> Sample:
    return Sample(rows, seconds, cpu_seconds, peak_mib << 20)


def _row(document: str, begins: str, nth: int = 0) -> list[str]:
    """The cells of the nth table row whose first cell begins so."""
    found = [line for line in document.splitlines() if line.startswith(f"| {begins}")][nth]
    return [cell.strip() for cell in found.strip("|").split(" |")]


def test_books_of_different_size_are_compared_per_credit() -> None:
    # 2 million in 2 s against 40,000 in 4 s: a million a second against ten thousand.
    samples = {("fast", WHOLE): [_sample(2_000_000, 2)], ("reference", SMALL): [_sample(40_000, 4)]}
    document = render(_scale(samples))
    assert _row(document, "replay, fast / reference") == [
        "replay, fast / reference",
        "**100x** (100x to 100x)",
        "≥ 60x",
        "yes",
    ]


def test_processor_time_is_compared_apart_from_wall_time() -> None:
    samples = {
        ("fast", WHOLE): [_sample(2_000_000, 2, cpu_seconds=4)],
        ("reference", SMALL): [_sample(40_000, 4, cpu_seconds=3)],
    }
    assert _row(render(_scale(samples)), "the same, by CPU")[1:] == ["**37x** (37x to 37x)", "≥ 60x", "**no**"]


def test_a_ratio_is_taken_within_each_round_before_the_median() -> None:
    samples = {
        ("fast", WHOLE): [_sample(10, 2), _sample(10, 20), _sample(10, 4)],
        ("decode", WHOLE): [_sample(10, 1), _sample(10, 10), _sample(10, 1)],
    }
    (bar,) = (bar for bar in BARS if bar.work == ("fast", WHOLE) and bar.against == ("decode", WHOLE))
    assert ratios(samples, bar) == [2, 2, 4]
    assert _row(render(_scale(samples)), "replay, fast / Parquet decode, time")[1:] == [
        "**2x** (2x to 4x)",
        "≤ 3x",
        "yes",
    ]


def test_a_bar_just_missed_is_not_rounded_into_a_met_one_on_either_side() -> None:
    slow = {("fast", WHOLE): [_sample(10, 3.001)], ("decode", WHOLE): [_sample(10, 1)]}
    assert _row(render(_scale(slow)), "replay, fast / Parquet decode, time")[1:] == [
        "**3.1x** (3.1x to 3.1x)",
        "≤ 3x",
        "**no**",
    ]
    weak = {("apply", WHOLE): [_sample(299, 1)], ("copy", WHOLE): [_sample(1_000, 1)]}
    assert _row(render(_scale(weak)), "revision apply / binary COPY")[1:] == [
        "**29 %** (29 % to 29 %)",
        "≥ 30 %",
        "**no**",
    ]


def test_the_greatest_peak_of_any_fast_replay_counts() -> None:
    fits = {("fast", WHOLE): [_sample(10, 1, peak_mib=400)], ("fast_revised", WHOLE): [_sample(10, 1, peak_mib=1_023)]}
    assert _row(render(_scale(fits)), "replay, fast: peak")[1:] == ["**1,023 MiB**", "< 1 GiB", "yes"]
    bursts = {("fast", WHOLE): [_sample(10, 1, peak_mib=1_024)], ("fast_revised", WHOLE): [_sample(10, 1)]}
    assert _row(render(_scale(bursts)), "replay, fast: peak")[3] == "**no**"


def test_growth_is_told_per_row_and_by_peak_memory() -> None:
    samples = {
        ("archive", TENTH): [_sample(200_000, 2, peak_mib=100)],
        ("archive", WHOLE): [_sample(2_000_000, 30, peak_mib=110)],
    }
    document = render(_scale(samples))
    assert "### Growth from 200,000 to 2,000,000 credits" in document
    growth = document[document.index("### Growth") :]
    assert _row(growth, "archive: build")[1:] == ["10.00", "15.00", "1.50", "100 MiB", "110 MiB", "1.10"]


def test_each_work_shows_its_rows_its_seconds_and_its_speed() -> None:
    samples = {("plan", WHOLE): [_sample(2_000_000, seconds, cpu_seconds=2) for seconds in (4, 2, 8)]}
    assert _row(render(_scale(samples)), "what-if plan") == [
        "what-if plan, fast kernel",
        "whole",
        "2,000,000",
        "4.000 (2.000 to 8.000)",
        "**500,000**",
        "1.00",
        "100 MiB",
    ]


def test_what_was_not_measured_is_not_passed_over_in_silence() -> None:
    document = render(_scale({}, remarks=["Spark could not be measured on this machine: there is no Java."]))
    assert [says for says in WORKS.values() if f"| {says} |  |  | not measured |" not in document] == []
    assert [bar.says for bar in BARS if f"| {bar.says} | not measured |" not in document] == []
    assert _row(document, "replay, fast: peak")[1:] == ["not measured", "< 1 GiB", ""]
    assert "- Spark could not be measured on this machine: there is no Java." in document


def test_every_bar_names_work_that_is_measured() -> None:
    assert {bar.work[0] for bar in BARS} | {bar.against[0] for bar in BARS} <= set(WORKS)


def test_sizes_are_told_in_bytes_and_per_credit() -> None:
    assert _row(render(_scale({})), "archive | 30")[1:] == ["30,000,000", "15.0"]


def test_a_bar_character_in_a_fact_does_not_break_the_table() -> None:
    assert "| processors | 2 x model\\|a |" in render(_scale({}))


def test_two_processes_must_be_faster_only_where_there_are_processors_for_them() -> None:
    samples = {("processes", WHOLE): [_sample(30, 2)], ("fast", WHOLE): [_sample(30, 3)]}
    few, enough = render(_scale(samples)), render(_scale(samples, processors=4))
    assert _row(few, "replay, fast, 2 processes / 1")[1:] == ["**1.5x** (1.5x to 1.5x)", "none", ""]
    assert _row(enough, "replay, fast, 2 processes / 1")[1:] == ["**1.5x** (1.5x to 1.5x)", "≥ 1.6x", "**no**"]
