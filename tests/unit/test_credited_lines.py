"""Lines of intakes that were credited: each is new once, wherever it lies and in whatever order lines come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from application.log_checks import CreditedLines

lines = st.integers(-3, 40) | st.integers(0, 3_000) | st.integers((1 << 30) - 2, 1 << 80)


@given(st.lists(st.tuples(st.integers(1, 3), lines), max_size=60))
def test_a_line_of_an_intake_is_new_the_first_time_and_never_again(credits: list[tuple[int, int]]) -> None:
    credited, seen = CreditedLines(), set[tuple[int, int]]()
    for credit in credits:
        assert credited.is_new(*credit) is (credit not in seen)
        seen.add(credit)
