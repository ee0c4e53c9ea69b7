"""The archive in Parquet files (port ``application.ports.archive``; docs/archive.md says what is in a file)."""

from __future__ import annotations

from infrastructure.archive.parquet_archive import ParquetArchive
from infrastructure.archive.reader import ArchiveReader

__all__ = ["ArchiveReader", "ParquetArchive"]
