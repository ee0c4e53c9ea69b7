"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import CommandLine


@pytest.fixture
def cli(book_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on a fresh book with the demo catalogue."""
    assert book_settings.dsn is not None
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(book_settings.home))
    monkeypatch.setenv("CARBON_LEDGER_DSN", book_settings.dsn.get_secret_value())
    # A test runner may set a width of its own; answers are read here as another program would.
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return CommandLine(book_settings, tmp_path)
