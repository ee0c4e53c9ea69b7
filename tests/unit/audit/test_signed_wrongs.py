"""Acts that no ledger would have recorded, and signatures of a key that is over: signed, and found all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from application.verification.bundle import verify_bundle
from application.verification.notes import Trusted
from domain import account as account_rules
from domain import opening
from domain.behavior import Refusal
from domain.crediting import Batch, Credited
from domain.events import account as events
from domain.events.base import NewEvent
from domain.events.keys import SigningKeyRotated
from domain.events.rulebook import RevisionCompleted
from domain.rulebook import Rulebook
from domain.signing_keys import SIGNING_KEYS, statement
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import key_id
from tests.golden.signing_story import FIRST, SECOND, public_of, signed
from tests.unit.audit.test_signed_lies import codes, independent, told
from tests.unit.domain.documents import metro
from tests.unit.domain.signed_books import BOOK_ID, SignedBook, begun
from tests.unit.domain.worlds import World, trip


@pytest.fixture
def town() -> World:
    """Ann with one credit, under the consent that the partner asserted."""
    town = begun()
    town.introduce(metro(late_window_days=60))
    town.tell("2026-03-02T00:00:00Z")
    town.credited(trip("t1", "ann"))
    return town


def found_in(town: World, folder: Path) -> set[tuple[str, str]]:
    """What the verifier finds; a program written from the documents finds something, or nothing, with it."""
    path = SignedBook(town).bundle(folder / "bundle.zip")
    found = codes(told(path))
    assert (independent(path) != "") == bool(found)
    return found


def asserted(town: World, **changes: Any) -> None:
    """The consent that the partner asserted for ann is recorded once more, changed."""
    granted = town.all_of(events.ConsentGranted)[0]
    town.on_account(msgspec.structs.replace(granted, **changes))


def test_a_partner_who_overrules_a_withdrawal_and_goes_on_crediting_is_found(
    town: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (consent,) = town.head().consents
    town.on_account(account_rules.withdraw_consent(town.head(), consent.version, "ann", "no more"))
    monkeypatch.setattr(Batch, "_may_assert", lambda *_: True)
    assert town.credited(trip("t2", "ann"))
    assert town.replayed().found == [(5, "consent")]
    assert found_in(town, tmp_path) == {("accounts", "mismatch")}


def test_a_partners_word_beside_the_persons_own_is_found(town: World, tmp_path: Path) -> None:
    town.grant(scope=("cycling.shared_bike",))
    assert found_in(town, tmp_path) == set()
    asserted(town)
    assert town.replayed().found == [(5, "consent")]
    assert found_in(town, tmp_path) == {("accounts", "mismatch")}


@pytest.mark.parametrize(
    "changes",
    [{"valid_to": None}, {"valid_from": "2020-01-01T00:00:00Z"}, {"basis": "guessed"}],
)
def test_a_partners_word_for_the_future_or_of_no_known_kind_is_found(
    town: World, tmp_path: Path, changes: dict[str, Any]
) -> None:
    asserted(town)
    assert found_in(town, tmp_path) == set()
    asserted(town, **changes)
    assert town.replayed().found == [(5, "consent")]
    assert found_in(town, tmp_path) == {("accounts", "mismatch")}


def test_an_erasure_of_a_frozen_account_is_found(town: World, tmp_path: Path) -> None:
    town.on_account(account_rules.freeze(town.head(), "olga", "an order of the court"))
    asked = town.on_account(events.ErasureRequested(ground="unlawful", by="olga"))
    town.on_account(events.PersonalDataErased(request=asked, epoch=1, by="otto"))
    assert town.replayed().found == [(6, "erasure")]
    assert found_in(town, tmp_path) == {("accounts", "mismatch")}


@pytest.mark.parametrize(
    ("days", "at", "found"),
    [
        (0, "2026-03-02T00:00:00Z", set()),
        (10, "2026-03-12T15:59:59Z", {("accounts", "mismatch")}),
        (10, "2026-03-12T16:00:00Z", set()),
    ],
)
def test_an_erasure_before_the_retention_period_is_over_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: int, at: str, found: set[tuple[str, str]]
) -> None:
    open_book = opening.open_book

    def kept_for_days(rulebook: Rulebook, book: str, clock: str, pepper: str, _: int, *, signed_acts: bool) -> NewEvent:
        return open_book(rulebook, book, clock, pepper, days, signed_acts=signed_acts)

    monkeypatch.setattr(opening, "open_book", kept_for_days)
    town = begun()
    town.introduce(metro(late_window_days=60))
    town.tell("2026-03-02T00:00:00Z")
    town.credited(trip("t1", "ann"))
    asked = town.on_account(events.ErasureRequested(ground="unlawful", by="olga"))
    town.tell(at)
    town.on_account(events.PersonalDataErased(request=asked, epoch=1, by="otto"))
    assert found_in(town, tmp_path) == found


@pytest.mark.parametrize(("ahead", "found"), [(-1, set()), (2, {("references", "intake_missing")})])
def test_a_credit_of_an_intake_that_was_opened_after_it_is_found(
    town: World, tmp_path: Path, ahead: int, found: set[tuple[str, str]]
) -> None:
    (credit,) = town.all_of(events.BehaviorCredited)
    if ahead < 0:
        town.intake(content="one row")
    place = town.size + (0 if ahead < 0 else ahead)
    town.append_to(town.account_id(), msgspec.structs.replace(credit, intake=place, ref="ab" * 16, line=9))
    if ahead > 0:
        assert town.intake(content="one row").position == place
    assert found_in(town, tmp_path) == found


def test_a_checkpoint_by_a_key_whose_sizes_are_over_is_found_also_by_whoever_trusts_that_key(
    town: World, tmp_path: Path
) -> None:
    one, two, size = public_of(FIRST), public_of(SECOND), town.size + 1
    message = statement(str(BOOK_ID), two, size, key_id(one), "alice")
    rotated = SigningKeyRotated(
        key=key_id(two),
        public_key=two.hex(),
        first_size=size,
        replaces=key_id(one),
        by="alice",
        signature_of_replaced=signed(FIRST, message),
        signature=signed(SECOND, message),
    )
    town.append(NewEvent(SIGNING_KEYS, 2, rotated))
    path = SignedBook(town).bundle(tmp_path / "bundle.zip")  # signed by the first key, as ever
    found = verify_bundle(path, Trusted([one, two]), PyxVerifier().verify)
    assert codes(found) == {("keys", "key_unknown")}


@pytest.mark.parametrize(
    "change",
    [
        lambda sums: {"lines_root": "0" * 64},
        lambda sums: {"accounts": sums.accounts + 1},
        lambda sums: {"credits": sums.credits + 1},
        lambda sums: {"before_mg": "0", "delta_mg": sums.after_mg},
    ],
)
def test_a_run_that_is_completed_with_other_sums_than_its_lines_have_is_found(
    town: World, tmp_path: Path, change: Callable[[RevisionCompleted], dict[str, Any]]
) -> None:
    town.revise(town.publish(metro(2, "90", late_window_days=60)), "2026-01-01", "2026-02-01")
    assert found_in(town, tmp_path) == set()
    entry = town.log[-1]
    sums = msgspec.structs.replace(entry.recorded.event, **change(entry.recorded.event))
    town.log[-1] = entry._replace(recorded=entry.recorded._replace(event=sums))
    town.streams[entry.recorded.stream][-1] = town.log[-1].recorded
    (tmp_path / "bundle.zip").unlink()
    assert found_in(town, tmp_path) == {("accounts", "mismatch")}


def test_what_is_credited_after_a_clock_ran_ahead_and_was_set_back_still_verifies(town: World, tmp_path: Path) -> None:
    """The time of the log stays ahead: what the late window is over for then is refused, and not credited for ever."""
    town.tell("2026-05-01T00:00:00Z")
    town.open_account("zoe", UUID(int=7))
    town.tell("2026-03-02T00:00:00Z")
    late, fresh = town.send(trip("t2", "ann"), trip("t3", "ann", at="2026-03-01T08:00:00+08:00"))
    assert isinstance(late, Refusal)
    assert (late.code, type(fresh)) == ("too_late", Credited)
    assert found_in(town, tmp_path) == set()
