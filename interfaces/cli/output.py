"""What the command line writes: one JSON object, or text and tables for people.

Keeps: every mass is shown exactly, in kg to the milligram; with ``--json`` there is one object on stdout and
nothing else; nothing is cut off, whatever the width; colors and frames appear on a terminal only.
Leaves to others: what an answer says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 10_000
_GAP = 2
_MG_PER_KG = 1_000_000


class Answer(NamedTuple):
    """What a command has to say: for machines, for people, and its exit code."""

    payload: dict[str, Any]
    human: Sequence[RenderableType] = ()
    exit_code: int = 0


def console_on(stream: TextIO) -> Console:
    """A console that folds long lines on a terminal (or at COLUMNS), and never where another program reads."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def write_answer(answer: Answer, *, as_json: bool) -> None:
    """Write an answer to stdout."""
    if as_json:
        write_json(answer.payload)
        return
    if hasattr(sys.stdout, "reconfigure"):
        # A name that the terminal cannot show must not turn a finished command into a failed one.
        sys.stdout.reconfigure(errors="backslashreplace")
    console = console_on(sys.stdout)
    with console.capture() as shown:
        for number, part in enumerate(answer.human):
            if number and not _belongs_to_previous(part):
                console.print()
            console.print(part)
    lines = shown.get().split("\n")
    sys.stdout.write("\n".join(lines if console.is_terminal else [line.rstrip() for line in lines]))
    sys.stdout.flush()


def _belongs_to_previous(part: RenderableType) -> bool:
    return isinstance(part, Table)


def write_json(payload: dict[str, Any]) -> None:
    """One JSON object on one line; only what the encoding of stdout cannot hold is escaped."""
    text = json.dumps(payload, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(payload)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def mass_text(mg: int) -> str:
    """An exact mass in kg: 15672079172 mg is ``15,672.079172 kg``, 55800 mg is ``0.055800 kg``."""
    whole, rest = divmod(abs(mg), _MG_PER_KG)
    return f"{'-' if mg < 0 else ''}{whole:,}.{rest:06d} kg"


def count_text(count: int) -> str:
    """A count with thousands marked: ``91,914``."""
    return f"{count:,}"


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Labelled values, one a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(Text(f"{label}:", style="bold"), Text(str(value)))
    return grid


class Rows:
    """Rows under a heading each; where the width does not take a table, one block of lines for each row."""

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str) -> None:
        self._columns = columns
        self._rows = [["" if cell is None else str(cell) for cell in row] for row in rows]
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield heading(self._title)
        names = [column.rstrip(">") for column in self._columns]
        widths = [max(map(cell_len, cells)) for cells in zip(names, *self._rows, strict=True)]
        if sum(widths) + _GAP * (len(widths) - 1) > options.max_width:
            for number, row in enumerate(self._rows):
                yield from ([""] if number else [])
                yield facts([pair for pair in zip(names, row, strict=True) if pair[1]])
            return
        made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for column, name in zip(self._columns, names, strict=True):
            made.add_column(name, justify="right" if column.endswith(">") else "left", no_wrap=True)
        for row in self._rows:
            made.add_row(*map(Text, row))
        yield made


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> Rows:
    """A table; a column whose name ends with ``>`` is set to the right."""
    return Rows(columns, rows, title)


def masses_table(by_behavior: dict[str, int]) -> Rows:
    """Mass per behavior, and the sum when there are several."""
    rows: list[tuple[str, str]] = [(behavior, mass_text(mg)) for behavior, mg in by_behavior.items()]
    if len(rows) > 1:
        rows.append(("all", mass_text(sum(by_behavior.values()))))
    return table(("behavior", "credited>"), rows)


def heading(text: str) -> Text:
    """The line that an answer begins with."""
    return Text(text, style="bold")


def following(*commands: str) -> Text:
    """Commands that a person would run next."""
    text = Text()
    for number, command in enumerate(commands):
        text.append("next: " if number == 0 else "\n      ", style="bold")
        text.append(command)
    return text
