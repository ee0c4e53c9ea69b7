"""Sorting on disk: the same as sorting, with few files open however many runs there were."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.verification import disk_sort
from application.verification.disk_sort import MERGED_AT_ONCE, DiskSort


@given(st.lists(st.integers(0, 255)), st.integers(1, 3), st.integers(2, 4))
def test_records_come_back_sorted_whatever_is_held_and_merged(numbers: list[int], held: int, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch, DiskSort(2, held=held) as sort:
        patch.setattr(disk_sort, "MERGED_AT_ONCE", at_once)
        for number in numbers:
            sort.add(bytes([number, 7]))
        assert list(sort.sorted()) == sorted(bytes([number, 7]) for number in numbers)


def test_thousands_of_runs_never_hold_more_files_open_than_two_levels_take(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    most, make = 0, tempfile.TemporaryFile

    def counted() -> Any:
        nonlocal most
        made.append(make())
        most = max(most, sum(not each.closed for each in made))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", counted)
    with DiskSort(4, held=1) as sort:
        for number in range(3_000):
            sort.add((number * 7_919 % 3_000).to_bytes(4, "big"))
        found = [int.from_bytes(each, "big") for each in sort.sorted()]
    assert found == list(range(3_000))
    assert len(made) > 3_000
    assert most <= 2 * MERGED_AT_ONCE
    assert all(each.closed for each in made)
