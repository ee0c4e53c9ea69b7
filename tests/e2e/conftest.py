"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import CommandLine
from tests.fixtures.ledgers import Server, fresh_book


@contextmanager
def command_line(settings: Settings, folder: Path) -> Iterator[CommandLine]:
    """The command line on a book, in a folder; the environment names the book as long as this lasts."""
    assert settings.dsn is not None
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CARBON_LEDGER_HOME", str(settings.home))
        environment.setenv("CARBON_LEDGER_DSN", settings.dsn.get_secret_value())
        # A test runner may set a width of its own; answers are read here as another program would.
        environment.delenv("COLUMNS", raising=False)
        environment.chdir(folder)
        yield CommandLine(settings, folder)


@pytest.fixture
def cli(book_settings: Settings, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line on a fresh book with the demo catalogue."""
    with command_line(book_settings, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_cli(server: Server, book_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The same for all tests of a file that only look at what one of its fixtures made."""
    folder = tmp_path_factory.mktemp("shared")
    with fresh_book(server, book_template) as settings, command_line(settings, folder) as opened:
        yield opened
