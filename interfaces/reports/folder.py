"""The folder that a report's three files are written to.

Keeps: no file is ever overwritten, since somebody may have signed it; that there is room is found out before the work
begins, not after the plan is recorded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from domain.errors import Rejected, Unavailable

NAMES: Final = ("report.json", "report.csv", "report.html")


class ReportFolder:
    """A folder that was made ready for one report."""

    def __init__(self, path: Path) -> None:
        """Raises Rejected ``report_exists``, Unavailable ``report_folder_unusable``."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        for name in NAMES:
            if (path / name).exists():
                raise Rejected(
                    "report_exists",
                    "there is a report already",
                    field=str(path / name),
                    remedy="name another folder; a report is never overwritten",
                )
        if not os.access(path, os.W_OK | os.X_OK):
            raise self._unusable("no permission to write into it")

    def write(self, as_json: bytes, as_csv: str, as_html: str) -> list[str]:
        """Write the three files; returns their names. Raises Unavailable ``report_folder_unusable``."""
        contents = (as_json, as_csv.encode(), as_html.encode())
        try:
            return [self._write(self.path / name, content) for name, content in zip(NAMES, contents, strict=True)]
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _write(self, path: Path, content: bytes) -> str:
        with path.open("xb") as file:
            file.write(content)
        return str(path)

    def _unusable(self, why: str) -> Unavailable:
        return Unavailable("report_folder_unusable", why, field=str(self.path), remedy="name another folder")
