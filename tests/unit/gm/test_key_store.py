"""The key store: what opens it, what does not, and what it never shows."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from domain.errors import Unavailable
from infrastructure.gm import key_store, private_files
from infrastructure.gm.key_store import KeyStore
from infrastructure.gm.private_files import read_private, write_private
from infrastructure.gm.root_key import RootSource
from infrastructure.gm.sm4 import SM4Key, open_sealed, seal

GENERATED = RootSource()


def code_of(folder: Path, source: RootSource = GENERATED) -> str:
    with pytest.raises(Unavailable) as refused:
        KeyStore(folder, source)
    assert refused.value.remedy
    return refused.value.code


def private(path: Path, content: bytes) -> Path:
    write_private(path, content)
    return path


def test_a_new_store_opens_again_with_the_same_keys_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    made, again = KeyStore.create(tmp_path / "keys", GENERATED), KeyStore(tmp_path / "keys", GENERATED)
    assert made.pepper().check() == again.pepper().check()
    assert made.signing_ids == again.signing_ids
    assert again.signer(made.signing_ids[0]).key_id == made.signing_ids[0]
    assert (again.root, again.epoch, again.kek.version) == ("generated", 1, 1)
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    with pytest.raises(Unavailable, match="key_store_exists"):
        KeyStore.create(tmp_path / "keys", GENERATED)


@pytest.mark.parametrize("name", ["store.json", "root.key"])
def test_a_start_without_or_with_a_readable_key_file_is_refused(tmp_path: Path, name: str) -> None:
    KeyStore.create(tmp_path, GENERATED)
    for mode in (0o640, 0o604, 0o620):
        (tmp_path / name).chmod(mode)
        assert code_of(tmp_path) == "key_exposed"
    (tmp_path / name).unlink()
    assert code_of(tmp_path) == "key_missing"


def test_a_start_with_another_or_a_damaged_root_key_is_refused(tmp_path: Path) -> None:
    KeyStore.create(tmp_path, GENERATED)
    for content, code in ((b"00" * 16, "key_wrong"), (b"00" * 15, "key_damaged"), (b"zz", "key_damaged")):
        write_private(tmp_path / "root.key", content)
        assert code_of(tmp_path) == code


def test_a_root_key_of_another_kind_is_refused_and_so_are_two(tmp_path: Path) -> None:
    kek = private(tmp_path / "kek", b"0123456789abcdef" * 2)
    phrase = private(tmp_path / "phrase", b"correct horse battery\n")
    for source, kind in ((RootSource(kek_file=kek), "file"), (RootSource(passphrase_file=phrase), "passphrase")):
        folder = tmp_path / kind
        check = KeyStore.create(folder, source).pepper().check()
        assert KeyStore(folder, source).pepper().check() == check
        assert not (folder / "root.key").exists()
        assert code_of(folder) == "key_wrong"
        assert code_of(folder, RootSource(kek, phrase)) == "settings_malformed"
    write_private(phrase, b"correct horse batteries")
    assert code_of(tmp_path / "passphrase", RootSource(passphrase_file=phrase)) == "key_wrong"
    write_private(phrase, b"short")
    assert code_of(tmp_path / "passphrase", RootSource(passphrase_file=phrase)) == "key_damaged"
    kek.chmod(0o644)
    assert code_of(tmp_path / "file", RootSource(kek_file=kek)) == "key_exposed"


def test_a_flip_of_any_byte_of_the_store_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    made = KeyStore.create(tmp_path, GENERATED)
    right, check, key_id = read_private(tmp_path / "store.json"), made.pepper().check(), made.signing_ids[0]
    refused = 0
    for number, place in enumerate(range(0, len(right), 3)):
        changed = bytearray(right)
        # The highest bit leaves bytes that are no UTF-8.
        changed[place] ^= (0x01, 0x80)[number % 2]
        write_private(tmp_path / "store.json", bytes(changed))
        try:
            store = KeyStore(tmp_path, GENERATED)
            assert (store.pepper().check(), store.signer(key_id).key_id) == (check, key_id)
        except Unavailable:
            refused += 1
    assert refused > len(right) / 3 * 0.8


def test_no_bit_of_a_root_key_file_can_be_changed(tmp_path: Path) -> None:
    KeyStore.create(tmp_path, GENERATED)
    right = read_private(tmp_path / "root.key")
    for place in range(8 * len(right)):
        changed = bytearray(right)
        changed[place // 8] ^= 1 << place % 8
        write_private(tmp_path / "root.key", bytes(changed))
        assert code_of(tmp_path) in {"key_damaged", "key_wrong"}, bytes(changed)


def test_a_rewrap_keeps_every_key_and_destroys_the_old_kek(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path, GENERATED)
    check, ids, old_kek = store.pepper().check(), store.signing_ids, store.kek
    before = (tmp_path / "store.json").read_text()
    assert store.rewrap() == 2
    for each in (store, KeyStore(tmp_path, GENERATED)):
        assert (each.pepper().check(), each.signing_ids, each.epoch) == (check, ids, 2)
        assert each.kek.exposed() != old_kek.exposed()
        assert each.signer(ids[0]).key_id == ids[0]
    epochs = [line for line in before.splitlines() if '"1":' in line]
    assert epochs
    assert epochs[0] not in (tmp_path / "store.json").read_text()


def test_what_is_wrapped_elsewhere_joins_a_rewrap_and_an_interruption_loses_nothing(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path, GENERATED)
    check, elsewhere = store.pepper().check(), [seal(store.kek, b"account key", b"")]
    seen: list[bytes] = []

    def interrupted(old: SM4Key, new: SM4Key) -> None:
        seen.append(new.exposed())
        raise KeyboardInterrupt

    def wrap_again(old: SM4Key, new: SM4Key) -> None:
        seen.append(new.exposed())
        elsewhere[:] = [seal(new, open_sealed(old, each, b""), b"") for each in elsewhere]

    with pytest.raises(KeyboardInterrupt):
        store.rewrap(interrupted)
    again = KeyStore(tmp_path, GENERATED)
    assert (again.epoch, again.pepper().check()) == (1, check)
    assert again.rewrap(wrap_again) == 2
    assert seen[0] == seen[1]
    assert open_sealed(KeyStore(tmp_path, GENERATED).kek, elsewhere[0], b"") == b"account key"


def test_a_process_that_holds_an_older_epoch_changes_nothing(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path, GENERATED)
    late = KeyStore(tmp_path, GENERATED)
    store.rewrap()
    with pytest.raises(Unavailable, match="keys_moved"):
        late.next_signer(set(late.signing_ids))


def test_the_next_signing_key_is_new_unless_an_interrupted_rotation_left_one(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path, GENERATED)
    first = store.next_signer(set())
    second = store.next_signer({first.key_id})
    assert second.key_id != first.key_id
    assert KeyStore(tmp_path, GENERATED).next_signer({first.key_id}).key_id == second.key_id
    with pytest.raises(Unavailable, match="signing_key_missing"):
        store.signer("00")


def test_secrets_are_neither_stored_in_clear_nor_shown(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path, GENERATED)
    signer = store.signer(store.signing_ids[0])
    stored = (tmp_path / "store.json").read_text()
    for secret in (signer.exposed(), store.kek.exposed()):
        assert secret.hex() not in stored
        assert secret.hex() not in repr(store) + repr(signer) + repr(store.kek)


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff"])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    KeyStore.create(tmp_path, GENERATED)
    write_private(tmp_path / "store.json", content)
    assert code_of(tmp_path) == "key_damaged"


def test_a_store_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyStore.create(tmp_path, GENERATED)
    monkeypatch.setattr(key_store, "FORMAT", 2)
    assert code_of(tmp_path) == "key_damaged"


def test_a_failed_write_leaves_the_old_content_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = private(tmp_path / "key", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        private_files.write_private(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    assert read_private(path) == b"old"
