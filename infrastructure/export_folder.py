"""Exports that the service makes, in a private folder of the home: one folder for each, with what was asked for.

Keeps: folders and files are their owner's alone (0700, 0600); a file under its final name is complete; an export is
whole when its manifest has its name. Nothing stays longer than its keepers want: personal facts in clear would outlive
an erasure here.
Leaves to others: what is written, and who may read it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from infrastructure.private_output import PrivateBytes

_ASKED: Final = "asked.json"
_FAILED: Final = "failed.json"
_MANIFEST: Final = "events.manifest"


class ExportFolder:
    """``path``: made when the first export is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, export: UUID, asked: dict[str, Any]) -> None:
        """A place for an export. Raises Unavailable ``export_file_unwritable``."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        self._of(export).mkdir(mode=0o700)
        self._note(export, _ASKED, asked)

    def asked(self, export: UUID) -> dict[str, Any] | None:
        """What was asked for; None where there is no such export."""
        return self._told(export, _ASKED)

    def output(self, export: UUID) -> tuple[PrivateBytes, PrivateBytes]:
        """The files of the manifest and of the events, to be entered in this order."""
        of = self._of(export)
        return PrivateBytes(of / _MANIFEST, "manifest"), PrivateBytes(of / "events", "events")

    def files(self, export: UUID) -> tuple[Path, Path] | None:
        """Manifest and events of an export that is whole."""
        of = self._of(export)
        return (of / _MANIFEST, of / "events") if (of / _MANIFEST).exists() else None

    def failed(self, export: UUID, code: str) -> None:
        """It came to nothing, for this reason."""
        self._note(export, _FAILED, {"code": code})

    def failure(self, export: UUID) -> str | None:
        """The code with which it came to nothing."""
        told = self._told(export, _FAILED)
        return None if told is None else str(told["code"])

    def remove(self, export: UUID) -> None:
        """Nothing of it stays."""
        shutil.rmtree(self._of(export), ignore_errors=True)

    def expire(self, before_s: float) -> None:
        """Remove what was asked for before this time (seconds since 1970)."""
        for each in self._path.glob("*/" + _ASKED):
            if each.stat().st_mtime < before_s:
                shutil.rmtree(each.parent, ignore_errors=True)

    def _of(self, export: UUID) -> Path:
        return self._path / str(export)

    def _note(self, export: UUID, name: str, told: dict[str, Any]) -> None:
        with PrivateBytes(self._of(export) / name, "export") as file:
            file.write(json.dumps(told).encode())

    def _told(self, export: UUID, name: str) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = json.loads((self._of(export) / name).read_bytes())
        except FileNotFoundError:
            return None
        return told
