"""View rows straight from the archive's columns: the fast way to build the views anew.

Keeps: the same rows as ``application.projections.entries`` makes of the events; an account with an irregular row is
left to the caller, who takes it from the log.
Leaves to ``views``: tables, position, and what was recorded after the archive.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.csv as pa_csv

from application.ports.archive import CREDITED, IRREGULAR, LINE, REVERSED, REVISED, Rows
from domain.values import day_text

Array = npt.NDArray[Any]

COLUMNS = frozenset(
    {"kind", "behavior", "position", "version", "refers_to", "day", "credited_mg", "before_mg", "decision"}
)

_VERSION_BITS = 40
_WRITING = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")


class ViewText(NamedTuple):
    """Rows of the statement as text for COPY, by account, and the accounts (indexes) that it leaves out."""

    statement: bytes
    left_out: list[int]


def view_text(rows: Rows) -> ViewText:
    """The statement of whole accounts."""
    irregular = (rows.kind == IRREGULAR) | ((rows.kind == REVISED) & (rows.refers_to == 0))
    left_out = np.unique(rows.account[irregular])
    kept = ~np.isin(rows.account, left_out) if len(left_out) else np.ones(len(rows.account), np.bool_)
    shown = np.flatnonzero(kept & (rows.kind >= CREDITED))
    kind, change = rows.kind[shown], rows.credited_mg[shown].copy()
    change[kind == REVERSED] *= -1
    lines = kind == LINE
    change[lines] -= rows.before_mg[shown[lines]]
    if lines.any():
        # The lines of one event are one row of the statement; they stand together only within a year.
        of_line = shown[lines]
        events = rows.account[of_line].astype(np.int64) << _VERSION_BITS | rows.version[of_line]
        _, first, place = np.unique(events, return_index=True, return_inverse=True)
        summed = np.zeros(len(first), np.int64)
        np.add.at(summed, place, change[lines])
        shown = np.concatenate([shown[~lines], of_line[first]])
        change = np.concatenate([change[~lines], summed])
    return ViewText(_statement(rows, shown, change), left_out.tolist())


def _statement(rows: Rows, at: Array, change: Array) -> bytes:
    kind = rows.kind[at]
    words = rows.names.words
    source = pa.DictionaryArray.from_arrays(rows.decision[at], pa.array(words["decision"], pa.string())).cast(
        pa.string()
    )
    source = pa_compute.if_else(pa.array(kind == REVERSED), pa.array(rows.refers_to[at]).cast(pa.string()), source)
    days, day_at = np.unique(rows.day[at], return_inverse=True)
    day_words = pa.array([day_text(day) if day else None for day in days.tolist()], pa.string())
    day = pa.DictionaryArray.from_arrays(day_at.astype(np.int32), day_words).cast(pa.string())
    day = pa_compute.if_else(pa.array(kind == LINE), pa.scalar("\\N"), day)
    kinds = np.where(kind == CREDITED, 0, np.where(kind == REVERSED, 1, 2)).astype(np.int32)
    columns = [
        _ids(rows, rows.account[at]),
        pa.array(rows.position[at]),
        pa.array(rows.version[at]),
        pa.DictionaryArray.from_arrays(kinds, pa.array(["credited", "reversed", "revised"])).cast(pa.string()),
        _words(rows.behavior[at], words["behavior"]),
        day,
        pa.array(change),
        source,
    ]
    return _text(columns)


def _ids(rows: Rows, accounts: Array) -> Any:
    used, at = np.unique(accounts, return_inverse=True)
    return _words(at.astype(np.int32), [str(rows.ids[account]) for account in used.tolist()])


def _words(codes: Array, words: list[str]) -> Any:
    return pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string())).cast(pa.string())


def _text(columns: list[Any]) -> bytes:
    names = [str(index) for index in range(len(columns))]
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(pa.Table.from_arrays(columns, names=names), sink, _WRITING)
    return bytes(sink.getvalue())
