"""What the demo shows: short chapters, tables with units, and commands that work as printed.

Keeps: at most 80 columns, nothing that only a color says; masses come in as integer milligrams and are shown exactly.
Leaves to the chapters: what to say.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interfaces.bootstrap import Settings

WIDTH = 80
_MG_PER_KG = 1_000_000


def kg(mg: int | str, places: int = 6) -> str:
    """Exact kilograms, with at least ``places`` decimals: 1162000 mg is 1.162000, or 1.1620 with 4 places."""
    whole, rest = divmod(abs(int(mg)), _MG_PER_KG)
    decimals = f"{rest:06}".rstrip("0").ljust(places, "0")
    return f"{'-' if int(mg) < 0 else ''}{whole:,}.{decimals}"


class Screen:
    """Writes the story to a console. ``home`` is the folder as the user gave it, for the commands."""

    def __init__(self, console: Console, home: Path) -> None:
        self._console = console
        self._width = min(WIDTH, console.width)
        self._prefix = _prefix(home)
        self._chapters = 0

    def title(self, text: str) -> None:
        self._print(Text(text, style="bold"))

    def chapter(self, title: str) -> None:
        """A numbered heading."""
        self._chapters += 1
        heading = f"{self._chapters}. {title}"
        self._print("", Text(heading, style="bold cyan"), Text("-" * len(heading), style="cyan"))

    def say(self, *paragraphs: str) -> None:
        """Plain sentences, wrapped."""
        self._print(*(Text(paragraph) for paragraph in paragraphs))

    def warn(self, text: str) -> None:
        self._print(Text(text, style="bold red"))

    def lines(self, lines: Iterable[str]) -> None:
        """Lines shown as they are, each cut at the edge."""
        for line in lines:
            self._print(Padding(Text(line, style="dim", overflow="ellipsis", no_wrap=True), (0, 0, 0, 2)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
        """A table; the first ``left`` columns are texts, the others numbers. Headings break at line ends."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=True, padding=(0, 1))
        for index, column in enumerate(columns):
            # A shortened figure would be a wrong one: where a narrow screen forces it, it goes on in the next line.
            table.add_column(column, justify="left" if index < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._print(table)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Labels and their figures, one a line."""
        table = Table.grid(padding=(0, 2), pad_edge=True)
        table.add_column()
        table.add_column(justify="right", overflow="fold")
        for label, figure in facts:
            table.add_row(Text(label), Text(figure))
        self._print("", table, "")

    def command(self, *arguments: object) -> str:
        """Show the ledger's command with these arguments, ready to paste; returns it on one line."""
        words = [shlex.quote(str(argument)) for argument in arguments]
        whole = " ".join((self._prefix, *words))
        lines = [f"  {whole}"] if len(whole) + 2 <= self._width else [f"  {self._prefix}", *self._broken(words)]
        # Never wrapped by the console: a line end inside a word would break what is pasted.
        self._console.print(Text(" \\\n".join(lines), style="green"), soft_wrap=True)
        return whole

    def _broken(self, words: Sequence[str]) -> list[str]:
        """The words on lines that leave room for the shell's sign of continuation."""
        lines = [f"    {words[0]}"]
        for word in words[1:]:
            if len(lines[-1]) + len(word) + 3 <= self._width:
                lines[-1] += f" {word}"
            else:
                lines.append(f"      {word}")
        return lines

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Shows on a terminal that something is going on."""
        return self._console.status(Text(what), spinner="line")

    def _print(self, *renderables: object) -> None:
        for each in renderables:
            self._console.print(each, width=self._width, highlight=False)


def ledger_command(home: Path, *arguments: object) -> str:
    """The ledger's command on that home, quoted for a shell."""
    return f"{_prefix(home)} {shlex.join(str(argument) for argument in arguments)}"


def _prefix(home: Path) -> str:
    words = [_program(), "--home", str(home)]
    if Settings(home=home).dsn is not None:
        # The demo never touches a configured server; its commands must not either.
        words = ["env", "-u", "CARBON_LEDGER_DSN", *words]
    return shlex.join(words)


def _program() -> str:
    """The command as this user can call it: by its name when that finds it, else by its path."""
    name = "carbon-ledger"
    here = next((p for p in (Path(sys.argv[0]), Path(sys.executable).with_name(name)) if p.name == name), Path(name))
    found = shutil.which(name)
    if not here.exists() or (found is not None and os.path.samefile(found, here)):
        return name
    return str(here)
