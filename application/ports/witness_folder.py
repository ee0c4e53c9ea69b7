"""What lies between a log and one of its witnesses: a place that both reach, one file of each kind at a time.

Keeps: whoever reads sees a whole file, the old one or the new one; what is read comes from the other side and is
believed only as far as it is signed.
"""

from __future__ import annotations

from typing import Protocol


class LogSide(Protocol):
    """Port of the log's end."""

    @property
    def place(self) -> str:
        """How people know it."""

    def answer(self) -> bytes | None:
        """The note that the witness signed last. Raises Unavailable ``folder_failed``."""

    def refusal(self) -> bytes | None:
        """The refusal that the witness wrote last. Raises Unavailable ``folder_failed``."""

    def asked(self) -> bytes | None:
        """What was asked last. Raises Unavailable ``folder_failed``."""

    def ask(self, request: bytes) -> None:
        """Ask for the newer checkpoint of a consistency proof. Raises Unavailable ``folder_failed``."""


class WitnessSide(Protocol):
    """Port of the witness's end."""

    def request(self) -> bytes | None:
        """What the log asks for. Raises Unavailable ``folder_failed``."""

    def answer(self, note: bytes) -> None:
        """Give out a note with a cosignature. Raises Unavailable ``folder_failed``."""

    def refuse(self, refusal: bytes) -> None:
        """Say no. Raises Unavailable ``folder_failed``."""
