"""Decimal texts and scales."""

from __future__ import annotations

import pytest

from domain.kernel.decimals import at_scale, decimal_from_text
from domain.values import Scaled


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("0", Scaled(0, 0)),
        ("12.350", Scaled(12350, 3)),
        ("-0.5", Scaled(-5, 1)),
        ("-0", Scaled(0, 0)),
        ("007", Scaled(7, 0)),
        ("9" * 38, Scaled(10**38 - 1, 0)),
    ],
)
def test_a_decimal_is_read_as_it_is_written(text: str, decimal: Scaled) -> None:
    assert decimal_from_text(text) == decimal


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "+1", "1e3", ".5", "5.", "1,5", "１", "٣", "--1", "1.2.3", "NaN", "0x1", "1_000", "1\n", "9" * 39],
)
def test_what_is_not_a_plain_decimal_is_not_read(text: str) -> None:
    assert decimal_from_text(text) is None


def test_only_trailing_zeros_may_be_dropped() -> None:
    assert at_scale(Scaled(1500, 3), 1) == 15
    assert at_scale(Scaled(-1500, 3), 1) == -15
    assert at_scale(Scaled(1501, 3), 1) is None
    assert at_scale(Scaled(15, 1), 3) == 1500
    assert at_scale(Scaled(15, 1), 1) == 15
