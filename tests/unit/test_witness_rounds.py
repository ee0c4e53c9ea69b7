"""When the log signs by itself, and which checkpoint its witnesses are asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from application import background_signing, witness_exchange
from application.background_signing import BackgroundSigner
from application.checkpoints import Signed
from application.witness_exchange import AHEAD, ASKED, COSIGNED, REFUSED, SILENT, Exchanged, Rounds
from domain.audit.checkpoint import Checkpoint


def signed(size: int, *, mapped: bool = False) -> Signed:
    checkpoint = Checkpoint("log", size, b"r" * 32, 1, size, size if mapped else 0, b"m" * 32 if mapped else b"")
    return Signed(checkpoint, f"{size} {mapped}".encode(), is_new=True)


class Asked:
    """Witnesses that answer as told, and what they were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: str) -> None:
        self.states = list(states)
        self.wanted: list[int] = []
        monkeypatch.setattr(witness_exchange, "exchange", self._exchange)

    def _exchange(self, auditing: Any, folder: Any, keys: Any, wanted: Signed) -> Exchanged:
        self.wanted.append(wanted.checkpoint.size)
        return Exchanged(folder, self.states[int(folder)])


def rounds(count: int, patience: int) -> Rounds:
    folders: Any = [str(number) for number in range(count)]
    return Rounds(None, folders, [], patience)  # type: ignore[arg-type]  # nothing of it is used here


def test_all_witnesses_are_asked_for_one_checkpoint_until_all_have_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asking = Asked(monkeypatch, COSIGNED, ASKED), rounds(2, 10)
    for size in (5, 6, 7):
        asking.step(signed(size))
    assert asked.wanted == [5] * 6
    asked.states[1] = COSIGNED
    asking.step(signed(8))
    asking.step(signed(9))
    assert asked.wanted[6:] == [5, 5, 9, 9]


@pytest.mark.parametrize("state", [AHEAD, REFUSED])
def test_a_witness_that_will_not_sign_it_any_more_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    asked, asking = Asked(monkeypatch, COSIGNED, state), rounds(2, 10)
    asking.step(signed(5))
    asking.step(signed(6))
    assert asked.wanted == [5, 5, 6, 6]


def test_patience_with_a_silent_witness_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asking = Asked(monkeypatch, SILENT), rounds(1, 3)
    for size in range(1, 8):
        asking.step(signed(size))
    assert asked.wanted == [1, 1, 1, 4, 4, 4, 7]


def test_a_checkpoint_with_a_map_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asking = Asked(monkeypatch, ASKED), rounds(1, 10)
    for each in (signed(5), signed(6, mapped=True), signed(7), signed(7, mapped=True)):
        asking.step(each)
    assert asked.wanted == [5, 6, 6, 7]


def test_nobody_is_asked_again_for_what_all_have_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asking = Asked(monkeypatch, COSIGNED, REFUSED), rounds(2, 10)
    for _ in range(3):
        asking.step(signed(5))
    assert len(asked.wanted) == 6  # one refused: its mind may change
    asked.states[1] = AHEAD
    states = [[each.state for each in asking.step(signed(5))] for _ in range(3)]
    assert (len(asked.wanted), states) == (8, [[COSIGNED, AHEAD]] * 3)


class Head(NamedTuple):
    """The part of a head that is looked at."""

    size: int


class Log:
    """A log that grows, and what was signed of it. ``auditing.log`` too."""

    def __init__(self) -> None:
        self.size = 5
        self.kept: list[Signed] = []
        self.log = self

    def head(self) -> Head:
        return Head(self.size)

    def newest(self) -> Any:
        class Kept(NamedTuple):
            """As it is kept."""

            size: int
            map_position: int
            note: bytes

        if not self.kept:
            return None
        checkpoint, note, _ = self.kept[-1]
        return Kept(checkpoint.size, checkpoint.map_position, note)

    def sign(self, auditing: Any, *, with_map: bool) -> Signed:
        newest = self.kept[-1] if self.kept else signed(0)
        if newest.checkpoint.size == self.size and (newest.checkpoint.map_position or not with_map):
            return newest._replace(is_new=False)
        self.kept.append(signed(self.size, mapped=with_map))
        return self.kept[-1]


def test_news_is_signed_and_a_map_every_so_often_while_there_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = Log(), [0.0]
    monkeypatch.setattr(background_signing, "sign", log.sign)
    signer = BackgroundSigner(60, lambda: now[0])

    def step(after_s: float, grows: int) -> tuple[int, bool, bool]:
        now[0] += after_s
        log.size += grows
        checkpoint, _, is_new = signer.step(log)  # type: ignore[arg-type]  # the parts that are used
        return checkpoint.size, checkpoint.map_position > 0, is_new

    assert step(0, 0) == (5, True, True)
    assert step(1, 0) == (5, True, False)
    assert step(1, 1) == (6, False, True)
    assert step(1, 0) == (6, False, False)
    assert step(57, 0) == (6, True, True)  # due, and the last one had none
    assert step(1, 1) == (7, False, True)
    assert step(59, 2) == (9, True, True)
    assert step(600, 0) == (9, True, False)  # nothing happened in ten minutes
    assert step(1, 1) == (10, True, True)
    log.kept.append(signed(10, mapped=True)._replace(note=b"by somebody else"))
    assert step(1, 0) == (10, True, False)
    assert [each.checkpoint.size for each in log.kept] == [5, 6, 6, 7, 9, 10, 10]
