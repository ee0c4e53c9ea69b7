"""The key store of a home: ``keys/store.json``, everything in it sealed under a key-encryption key (KEK).

Keeps: root key (outside the store) seals the KEK of the epoch, that seals the pepper, the SM2 keys that sign the log
and those of the service; every seal is bound to what it is of. The pepper is never rotated, only wrapped again. A new
epoch is complete before the old KEK is destroyed. Nothing here is ever shown but ids, public keys and where the root
key comes from.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from domain.errors import Corrupt, LedgerError, Rejected, Unavailable
from infrastructure.gm import root_key, self_test
from infrastructure.gm.private_files import read_private, refuse_writable, write_private
from infrastructure.gm.root_key import RootSource
from infrastructure.gm.sm2 import Sm2Key, new_sm2_key
from infrastructure.gm.sm4 import SM4Key, aad_of, new_key, open_sealed, seal
from infrastructure.pepper import SECRET_BYTES, Pepper

FORMAT = 1
_HEX = re.compile(r"([0-9a-f]{2})+")


class _SigningKey(msgspec.Struct, forbid_unknown_fields=True):
    public_key: str
    sealed: str


class _ServiceKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key for one purpose of the service. ``certificate``: what the log's key ``log_key`` signed of it, in hex."""

    purpose: str
    public_key: str
    sealed: str
    log_key: str
    certificate: str


class ServiceKey(NamedTuple):
    """A key of the service, opened."""

    key: Sm2Key
    log_key: str
    certificate: bytes


class _Content(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The file. ``epochs``: KEKs sealed under the root key; two of them only while a rewrap is under way.

    ``service``: by id, oldest first.
    """

    format: int
    root: str
    salt: str
    iterations: int
    epoch: int
    epochs: dict[str, str]
    pepper: str
    signing: dict[str, _SigningKey]
    service: dict[str, _ServiceKey] = {}


class KeyStore:
    """The keys of a home, opened. Raises Unavailable for everything that is missing, exposed, wrong or damaged."""

    def __init__(self, folder: Path, source: RootSource) -> None:
        self_test.run_once()
        self._folder, self._source = folder, source
        refuse_writable(folder)
        self._content = self._read()
        self._root = self._root_key()
        self._kek = self._open_kek(self._content.epoch)
        self.pepper()

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a store was made in the folder."""
        return _store(folder).exists()

    @classmethod
    def create(cls, folder: Path, source: RootSource) -> KeyStore:
        """A new store with a new pepper and a first signing key. Raises Unavailable ``key_store_exists``."""
        self_test.run_once()
        if cls.exists(folder):
            raise Unavailable("key_store_exists", f"{folder} has keys already", remedy="use them; see `keys show`")
        generated, salt = _generated(folder), secrets.token_bytes(16)
        if source.kind == root_key.GENERATED and not generated.exists():
            root_key.generate(generated)
        root, kek = source.read(generated, salt, root_key.ITERATIONS), new_key(1)
        pepper = seal(kek, secrets.token_bytes(SECRET_BYTES), _aad("pepper"))
        content = _Content(
            format=FORMAT,
            root=source.kind,
            salt=salt.hex(),
            iterations=root_key.ITERATIONS,
            epoch=1,
            epochs={"1": seal(root, kek.exposed(), _aad("kek", "1")).hex()},
            pepper=pepper.hex(),
            signing={},
        )
        _add(content, new_sm2_key(), kek)
        _write(folder, content)
        return cls(folder, source)

    def __repr__(self) -> str:
        return f"KeyStore(epoch={self.epoch})"

    @property
    def epoch(self) -> int:
        """Which KEK is in use."""
        return self._content.epoch

    @property
    def root(self) -> str:
        """Where the root key comes from: generated, file or passphrase."""
        return self._content.root

    @property
    def kek(self) -> SM4Key:
        """The KEK of the epoch; its version is the epoch."""
        return self._kek

    def pepper(self) -> Pepper:
        """The pepper of the book."""
        return Pepper(self._open(self._kek, self._content.pepper, _aad("pepper"), "pepper"))

    @property
    def signing_ids(self) -> list[str]:
        """Ids of the signing keys that are here, oldest first."""
        return list(self._content.signing)

    def signer(self, key_id: str) -> Sm2Key:
        """The signing key of an id. Raises Unavailable ``signing_key_missing``."""
        found = self._content.signing.get(key_id)
        if found is None:
            raise Unavailable(
                "signing_key_missing",
                f"the signing key {key_id} is not in the key store",
                field=f"{_store(self._folder)} signing.{key_id}",
                remedy="put back the key files of this book from their newest backup",
            )
        return self._key("signing", key_id, found)

    def service_keys(self, purpose: str) -> list[ServiceKey]:
        """The keys of the service for a purpose, newest first. Raises Unavailable ``key_damaged``, ``key_wrong``."""
        return [
            ServiceKey(self._key("service", key_id, each), each.log_key, bytes.fromhex(each.certificate))
            for key_id, each in reversed(self._content.service.items())
            if each.purpose == purpose
        ]

    def certified(self, purposes: Sequence[str], log_key: str, certify: Callable[[str, bytes], bytes]) -> None:
        """Have a key for each purpose, and all of them certified by this key of the log; others may do so meanwhile.

        ``certify``: makes the certificate of a purpose and a public key.
        """
        self._content = self._read()
        if self._lacking(purposes, log_key):
            with self._changing() as content:
                for purpose in purposes:
                    if all(each.purpose != purpose for each in content.service.values()):
                        key = new_sm2_key()
                        sealed = seal(self._kek, key.exposed(), _aad("service", key.key_id)).hex()
                        content.service[key.key_id] = _ServiceKey(purpose, key.public_key.hex(), sealed, "", "")
                for each in content.service.values():
                    if each.log_key != log_key:
                        public_key = bytes.fromhex(each.public_key)
                        each.log_key, each.certificate = log_key, certify(each.purpose, public_key).hex()

    def _lacking(self, purposes: Sequence[str], log_key: str) -> bool:
        found = self._content.service.values()
        return {*purposes} != {each.purpose for each in found} or any(each.log_key != log_key for each in found)

    def _key(self, kind: str, key_id: str, found: _SigningKey | _ServiceKey) -> Sm2Key:
        private = self._open(self._kek, found.sealed, _aad(kind, key_id), f"{kind}.{key_id}")
        try:
            key = Sm2Key(private, bytes.fromhex(found.public_key))
        except (Rejected, ValueError):
            key = None
        if key is None or key.key_id != key_id:
            raise _damaged(_store(self._folder), f"{kind}.{key_id}")
        return key

    def faults(self, used: Sequence[str]) -> Iterator[LedgerError]:
        """What does not open of all that is here, and the signing key in use where it is missing.

        ``used``: ids of the log's signing keys, oldest first. What does not open would refuse the next rewrap.
        """
        opened: list[Callable[[], object]] = [partial(self._open_kek, int(epoch)) for epoch in self._content.epochs]
        opened += [partial(self.signer, key_id) for key_id in dict.fromkeys([*used[-1:], *self._content.signing])]
        opened += [partial(self._key, "service", key_id, key) for key_id, key in self._content.service.items()]
        for each in opened:
            try:
                each()
            except LedgerError as error:
                yield error

    def next_signer(self, used: set[str]) -> Sm2Key:
        """A key that the log does not know yet; one left by an interrupted rotation is taken first."""
        for key_id in self._content.signing:
            if key_id not in used:
                return self.signer(key_id)
        with self._changing() as content:
            made = new_sm2_key()
            _add(content, made, self._kek)
        return made

    def rewrap(self, also: Callable[[SM4Key, SM4Key], None] | None = None) -> int:
        """A new epoch: wrap everything under a new KEK, then destroy the old one. Returns the new epoch.

        ``also(old, new)`` joins here: it wraps again whatever is wrapped outside the store, durably, and may be called
        again with the same two keys after an interruption. Only when it has returned is the old KEK destroyed.
        """
        with self._changing() as content:
            following = str(content.epoch + 1)
            if following not in content.epochs:
                kek = new_key(int(following))
                content.epochs[following] = seal(self._root, kek.exposed(), _aad("kek", following)).hex()
        new = self._open_kek(int(following))
        if also is not None:
            also(self._kek, new)
        with self._changing() as content:
            content.pepper = self._again(content.pepper, new, _aad("pepper"), "pepper")
            for key_id, key in content.signing.items():
                # One that does not open is of no use to anybody and stays as it is; the caller was told by ``faults``.
                with suppress(Unavailable):
                    key.sealed = self._again(key.sealed, new, _aad("signing", key_id), f"signing.{key_id}")
            for key_id, kept in content.service.items():
                with suppress(Unavailable):
                    kept.sealed = self._again(kept.sealed, new, _aad("service", key_id), f"service.{key_id}")
            content.epoch = new.version
            content.epochs = {following: content.epochs[following]}
        self._kek = new
        return new.version

    def _again(self, sealed: str, new: SM4Key, aad: bytes, name: str) -> str:
        return seal(new, self._open(self._kek, sealed, aad, name), aad).hex()

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        """The file as it stands, for one change by one process at a time. Raises Unavailable ``keys_moved``."""
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            if content.epoch != self._content.epoch:
                raise Unavailable("keys_moved", "another process has rewrapped the keys", remedy="run it again")
            yield content
            _write(self._folder, content)
            self._content = content
        finally:
            os.close(lock)

    def _read(self) -> _Content:
        path = _store(self._folder)
        try:
            content = msgspec.json.decode(read_private(path), type=_Content)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _damaged(path) from None
        if (
            content.format != FORMAT
            or not _HEX.fullmatch(content.salt)
            or not 0 < content.iterations <= root_key.MAX_ITERATIONS
        ):
            raise _damaged(path)
        return content

    def _root_key(self) -> SM4Key:
        if self._source.kind != self._content.root:
            raise Unavailable(
                "key_wrong",
                f"the keys of this home open with a root key of kind {self._content.root}, not {self._source.kind}",
                remedy="set CARBON_LEDGER_KEK_FILE or CARBON_LEDGER_PASSPHRASE_FILE as when the home was made",
            )
        salt = bytes.fromhex(self._content.salt)
        return self._source.read(_generated(self._folder), salt, self._content.iterations)

    def _open_kek(self, epoch: int) -> SM4Key:
        sealed = self._content.epochs.get(str(epoch), "")
        return SM4Key(self._open(self._root, sealed, _aad("kek", str(epoch)), f"epochs.{epoch}"), epoch)

    def _open(self, key: SM4Key, sealed: str, aad: bytes, name: str) -> bytes:
        try:
            return open_sealed(key, bytes.fromhex(sealed), aad)
        except (Corrupt, ValueError):
            raise Unavailable(
                "key_wrong",
                f"{name} in {self._folder} does not open: the root key is another one, or the store was changed",
                field=f"{_store(self._folder)} {name}",
                remedy="put back the root key and the key store that belong together",
            ) from None


def _add(content: _Content, key: Sm2Key, kek: SM4Key) -> None:
    sealed = seal(kek, key.exposed(), _aad("signing", key.key_id)).hex()
    content.signing[key.key_id] = _SigningKey(key.public_key.hex(), sealed)


def _write(folder: Path, content: _Content) -> None:
    write_private(_store(folder), msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _store(folder: Path) -> Path:
    return folder / "store.json"


def _generated(folder: Path) -> Path:
    return folder / "root.key"


def _aad(*parts: str) -> bytes:
    return aad_of(b"carbon-ledger/key-store/1", *(part.encode() for part in parts))


def _damaged(path: Path, name: str = "") -> Unavailable:
    return Unavailable(
        "key_damaged",
        f"{path} is not a key store of this release",
        field=f"{path} {name}".rstrip(),
        remedy="restore it from its backup",
    )
