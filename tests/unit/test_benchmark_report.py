"""The benchmark report says what was measured, and no more."""

from __future__ import annotations

from benchmarks.report import BARS, PATHS, Measured, Memory, Rate, Round, ratios, render


def _round(**speeds: int) -> Round:
    """Every path at 1,000 events/s, save those named."""
    return {path: Rate(1_000, 1_000 / speeds.get(path, 1_000), 0.5) for path in PATHS}


def _measured(*rounds: Round, memory: tuple[Memory, ...] = (), remarks: tuple[str, ...] = ()) -> Measured:
    return Measured([("processors", "2 x model|a")], rounds, memory, (100_000, 400_000), remarks)


def _row(document: str, begins: str) -> list[str]:
    """The cells of the first table row whose first cell begins so."""
    found = next(line for line in document.splitlines() if line.startswith(f"| {begins}"))
    return [cell.strip() for cell in found.strip("|").split(" |")]


def test_a_ratio_is_taken_within_each_round_before_the_median() -> None:
    # A slow minute slows both: the ratio of the medians would say 100 %, the rounds say 50 %.
    rounds = [_round(credit=100, copy=200), _round(credit=200, copy=400), _round(credit=900, copy=200)]
    assert ratios(rounds, "credit", "copy") == [0.5, 0.5, 4.5]
    assert _row(render(_measured(*rounds)), "crediting, sealed and proven / binary COPY") == [
        "crediting, sealed and proven / binary COPY",
        "**50 %** (50 % to 450 %)",
        "≥ 35 %",
        "yes",
    ]


def test_a_bar_just_missed_is_not_rounded_into_a_met_one() -> None:
    document = render(_measured(_round(credit=347, copy=1_000)))
    assert _row(document, "crediting, sealed and proven / binary COPY")[1:] == [
        "**34 %** (34 % to 34 %)",
        "≥ 35 %",
        "**no**",
    ]
    document = render(_measured(_round(credit=4_999, stock_loaded=1_000)))
    assert _row(document, "crediting / stock batch save, loaded")[1:] == ["**4.9x** (4.9x to 4.9x)", "≥ 5x", "**no**"]


def test_every_path_and_every_bar_has_its_row_in_the_report() -> None:
    document = render(_measured(_round()))
    assert [says for says in PATHS.values() if f"| {says} |" not in document] == []
    assert [bar.says for bar in BARS if f"| {bar.says} |" not in document] == []


def test_a_rival_that_could_not_run_is_named_and_everything_else_still_reported() -> None:
    without = {path: rate for path, rate in _round(credit=600).items() if not path.startswith("umadb")}
    document = render(_measured(without, remarks=("umadb could not be measured on this machine: no such wheel",)))
    assert _row(document, "crediting / umadb, no condition")[1:] == ["not measured", "none", ""]
    assert _row(document, "umadb server, the same bytes")[1:] == ["", "not measured", ""]
    assert "- umadb could not be measured on this machine: no such wheel" in document
    assert _row(document, "crediting, sealed and proven / binary COPY")[3] == "yes"


def test_events_per_second_show_the_median_the_spread_and_the_processor_time() -> None:
    document = render(_measured(_round(replay=10_000), _round(replay=30_000), _round(replay=20_000)))
    assert _row(document, "replay with the reference kernel") == [
        "replay with the reference kernel",
        "1,000",
        "**20,000** (10,000 to 30,000)",
        "500.0",
    ]


def test_memory_that_grows_with_the_book_is_not_called_flat() -> None:
    flat, growing = Memory("import", 100 << 20, 125 << 20), Memory("replay", 100 << 20, 126 << 20)
    document = render(_measured(_round(), memory=(flat, growing)))
    assert _row(document, "import ")[1:] == ["100 MiB", "125 MiB", "1.25", "yes"]
    assert _row(document, "replay |")[1:] == ["100 MiB", "126 MiB", "1.26", "**no**"]


def test_a_bar_character_in_a_fact_does_not_break_the_table() -> None:
    assert "| processors | 2 x model\\|a |" in render(_measured(_round()))
