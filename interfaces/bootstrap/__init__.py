"""The composition root: the only place of the interfaces that knows which adapter stands behind which port."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from application import evidence, initializing, signing_keys
from application.book import Book, keys_absent
from application.checkpoints import Auditing
from application.ports.behavior_source import BehaviorSource
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from application.ports.views import Views
from application.ports.witness_folder import LogSide, WitnessSide
from application.ports.witness_home import Known
from application.witnessing import Witness
from domain.errors import LedgerError, Unavailable
from infrastructure import catalogue
from infrastructure.behavior_files import open_behavior_file
from infrastructure.clock import SimulatedClock, system_seconds
from infrastructure.embedded_postgres import EmbeddedPostgres, explain
from infrastructure.event_files import parquet_rows, row_format
from infrastructure.eventsourcing_journal import EventsourcingJournal, open_datastore
from infrastructure.evidence_store import EvidenceFolder
from infrastructure.gm import actor_key, self_test
from infrastructure.gm.key_store import KeyStore
from infrastructure.gm.partner_seal import kept_body
from infrastructure.gm.root_key import RootSource, passphrase_in
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import key_id, signature_from_der, signature_to_der
from infrastructure.gm.sm2_format import public_key_from_pem as public_key_of
from infrastructure.gm.sm2_format import public_key_to_pem as public_pem
from infrastructure.gm.sm4 import SM4Key
from infrastructure.gm.transport import opened_by, sealing_for
from infrastructure.gm.transport_key import new_transport_key, open_transport_key, public_path
from infrastructure.postgres.audit_log import PostgresAuditLog
from infrastructure.postgres.migrating import Migrated
from infrastructure.postgres.opening import checked_dsn, explained, prepare_database
from infrastructure.postgres.opening import migrate_database as migrate
from infrastructure.postgres.rights import Access, Kind, access, grant
from infrastructure.postgres.views import PostgresViews
from infrastructure.private_output import PrivateBytes, PrivateCsv
from infrastructure.rejects_file import RejectsFile
from infrastructure.rewrapping import Rewrapped, rewrap
from infrastructure.settings import Settings
from infrastructure.witness_files import FolderOfLog, FolderOfWitness, WitnessFiles

if TYPE_CHECKING:
    from application.ports.engine import Engine
    from application.ports.kernel import KernelFactory
    from infrastructure.archive import ParquetArchive

__all__ = [
    "Access",
    "Kind",
    "Ledger",
    "Migrated",
    "PrivateBytes",
    "PrivateCsv",
    "RejectsFile",
    "Settings",
    "behavior_file",
    "create_actor_key",
    "create_keys",
    "create_witness",
    "database_access",
    "folder_of_log",
    "folder_of_witness",
    "grant_rights",
    "initialize",
    "key_id",
    "migrate_database",
    "new_transport_key",
    "open_ledger",
    "open_transport_key",
    "open_witness",
    "opened_by",
    "parquet_rows",
    "passphrase_in",
    "public_key_of",
    "public_path",
    "public_pem",
    "read_actor_key",
    "row_format",
    "sealing_for",
    "signature_from_der",
    "signature_to_der",
    "verifier",
]


@dataclass(frozen=True)
class Ledger:
    """An open book with its read side. ``clock``: set when the book's times are told rather than measured.

    ``evidence``: the bytes that intakes were received as.
    """

    book: Book
    views: Views
    server_version: str
    clock: SimulatedClock | None
    home: Path
    key_store: KeyStore | None
    evidence: EvidenceFolder

    @property
    def keys(self) -> KeyStore:
        """The keys of the home. Raises Unavailable ``keys_absent``."""
        if self.key_store is None:
            raise keys_absent()
        return self.key_store

    @property
    def key_epoch(self) -> int:
        """Which key-encryption key is in use; where there is no key store, as the database tells."""
        return self.book.journal.key_epoch() if self.key_store is None else self.key_store.epoch

    def rewrap(self, *, leave_broken: bool = False) -> Rewrapped:
        """Everything under a new key-encryption key, then the old one destroyed. Raises Corrupt ``keys_broken``."""
        keys, journal = self.keys, self.book.journal
        assert isinstance(journal, EventsourcingJournal)
        evidence.refuse_lost(self.book, self.evidence)
        return rewrap(keys, journal, self.evidence, leave_broken=leave_broken)

    @property
    def verifier(self) -> Verifier:
        """Who checks SM2 signatures."""
        return verifier()

    @cached_property
    def auditing(self) -> Auditing:
        """What signs and proves."""
        journal = self.book.journal
        assert isinstance(journal, EventsourcingJournal)
        log = PostgresAuditLog(journal.datastore, journal.stored)

        def key_faults(used: list[str]) -> Iterator[LedgerError]:
            return iter(()) if self.key_store is None else self.key_store.faults(used)

        known, signer = self.verifier, lambda key_id: self.keys.signer(key_id)
        return Auditing(self.book, log, log, known, signer, key_faults, kept_body)

    @cached_property
    def archive(self) -> ParquetArchive:
        """The archive in the home; there is nothing of it until it is built."""
        # Its libraries take long to load; most commands do without them.
        from infrastructure.archive import ParquetArchive

        return ParquetArchive(self.home / "archive", self.book)

    @property
    def kernels(self) -> KernelFactory:
        """The fast kernel; the first use on a machine compiles it, which takes most of a minute."""
        from infrastructure.fast_kernel.kernel import FastKernel

        return FastKernel

    def engine(self, processes: int | None) -> Engine:
        """The fast kernel on this machine; None: as many processes as the archive and the cores are worth."""
        from application.fast_replaying import LocalEngine
        from infrastructure.process_engine import ProcessEngine, worthwhile

        processes = worthwhile(self.archive) if processes is None else processes
        return LocalEngine(self.archive, self.kernels) if processes == 1 else ProcessEngine(self.archive, processes)

    @property
    def spark(self) -> Callable[[str], Engine]:
        """The fast kernel inside Spark, by its master's URL; an extra."""
        from infrastructure.spark import SparkEngine

        return partial(SparkEngine, self.archive)


class Initialized(NamedTuple):
    """What was made, or was there."""

    server_version: str
    retention_days: int
    signed_acts: bool


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of a home that was initialized. Raises Unavailable with a remedy for everything that is missing."""
    if settings.without_keys and settings.dsn is not None:
        # Only an archive will be in it.
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not KeyStore.exists(_folder(settings)):
        _refuse_absent_server(settings)
    with _journal(settings) as (journal, server_version):
        keys = None if settings.without_keys else KeyStore(_folder(settings), _root(settings))
        if keys is not None:
            journal.unlock(keys.kek)
        book = Book(journal, None if keys is None else keys.pepper())
        genesis = book.rulebook().genesis
        clock = _simulate(journal) if genesis is not None and genesis.clock == "simulated" else None

        def kek() -> SM4Key:
            if keys is None:
                raise keys_absent()
            return keys.kek

        kept = EvidenceFolder(settings.home / "evidence", kek)
        yield Ledger(book, PostgresViews(journal.datastore, journal), server_version, clock, settings.home, keys, kept)


def initialize(
    settings: Settings,
    *,
    with_catalogue: bool = True,
    simulated_start_us: int | None = None,
    retention_days: int | None = None,
    signed_acts: bool = False,
) -> Initialized:
    """Make the home, the database, the keys, the genesis event and the catalogue.

    ``simulated_start_us``: the book tells its times, beginning with this instant (microseconds since 1970).
    ``signed_acts``: people must sign; so nothing of the catalogue, which nobody signs.

    Running it again finishes what was interrupted and changes nothing else.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _journal(settings) as (journal, server_version):
        keys = _keys(settings, is_new_book=journal.head().size == 0)
        journal.unlock(keys.kek)
        book = Book(journal, keys.pepper())
        if simulated_start_us is not None:
            _simulate(journal).tell(simulated_start_us)
        clock = "system" if simulated_start_us is None else "simulated"
        initializing.open_book(book, clock=clock, retention_days=retention_days, signed_acts=signed_acts)
        signing_keys.register_first(book, keys.next_signer(set()), PyxVerifier(), "init")
        if with_catalogue:
            initializing.load_catalogue(book, catalogue.documents())
        genesis = book.rulebook().genesis
        assert genesis is not None
        return Initialized(server_version, genesis.retention_days, genesis.signed_acts)


def migrate_database(settings: Settings) -> Migrated:
    """The newest schema. Raises Unavailable ``schema_newer``, ``right_missing``."""
    with _existing_server(settings) as conninfo:
        return migrate(conninfo)


def grant_rights(settings: Settings, role: str, kind: Kind) -> None:
    """Give a role what the service or a reader needs, and nothing else.

    Raises Rejected ``role_unknown``, ``role_not_limited``; Unavailable ``schema_older``, ``right_missing``.
    """
    with _existing_server(settings) as conninfo:
        grant(conninfo, role, kind)


def database_access(settings: Settings) -> Access:
    """Who may do what. Raises Unavailable ``schema_older``, ``right_missing``."""
    with _existing_server(settings) as conninfo:
        return access(conninfo)


def verifier() -> Verifier:
    """Who checks SM2 signatures, once the algorithms gave their known answers.

    Raises Unavailable ``crypto_self_test_failed``.
    """
    self_test.run_once()
    return PyxVerifier()


def behavior_file(path: Path) -> BehaviorSource:
    """A behavior file in any of the supported formats."""
    return open_behavior_file(path)


def create_keys(settings: Settings) -> KeyStore:
    """The keys of a home that has none yet. Raises Unavailable ``key_store_exists``."""
    return KeyStore.create(_folder(settings), _root(settings))


def create_actor_key(settings: Settings, path: Path) -> Signer:
    """A new key of a person in a new file, sealed where the environment names a passphrase."""
    return actor_key.create(path, settings.actor_passphrase_file)


def read_actor_key(settings: Settings, path: Path) -> Signer:
    """The key of a person. Raises Unavailable as ``actor_key.read``."""
    return actor_key.read(path, settings.actor_passphrase_file)


def create_witness(settings: Settings, known: Known) -> Witness:
    """A new witness with a key of its own. Raises Rejected ``witness_exists``, Unavailable ``home_taken``."""
    if KeyStore.exists(_folder(settings)):
        raise Unavailable(
            "home_taken",
            f"there is a ledger in {settings.home}",
            remedy="give the witness a home of its own, on a machine of its own",
        )
    folder = settings.home / "witness"
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = WitnessFiles(folder)
    if not home.exists and not KeyStore.exists(folder / "keys"):
        KeyStore.create(folder / "keys", _root(settings))
    home.create(known)
    return open_witness(settings)


def open_witness(settings: Settings) -> Witness:
    """The witness of a home. Raises Unavailable ``not_initialized`` and as ``KeyStore``."""
    folder = settings.home / "witness"
    home = WitnessFiles(folder)
    if not home.exists:
        raise Unavailable(
            "not_initialized",
            f"there is no witness in {settings.home}",
            remedy="run `carbon-ledger witness init` with this home first",
        )
    keys = KeyStore(folder / "keys", _root(settings))
    return Witness(home, keys.signer(keys.signing_ids[0]), PyxVerifier(), system_seconds)


def folder_of_log(path: Path) -> LogSide:
    """The log's end of an exchange with a witness."""
    return FolderOfLog(path)


def folder_of_witness(inbox: Path, outbox: Path) -> WitnessSide:
    """The witness's end of it."""
    return FolderOfWitness(inbox, outbox)


def _folder(settings: Settings) -> Path:
    return settings.home / "keys"


def _root(settings: Settings) -> RootSource:
    return RootSource(settings.kek_file, settings.passphrase_file)


def _keys(settings: Settings, *, is_new_book: bool) -> KeyStore:
    if is_new_book and not KeyStore.exists(_folder(settings)):
        return create_keys(settings)
    return KeyStore(_folder(settings), _root(settings))


def _simulate(journal: EventsourcingJournal) -> SimulatedClock:
    clock = SimulatedClock(lambda: journal.head().recorded_us)
    journal.recorder.clock = clock
    return clock


def _refuse_absent_server(settings: Settings) -> None:
    if not (settings.home / "postgres").exists():
        raise Unavailable(
            "not_initialized",
            f"there is no ledger in {settings.home}",
            remedy=f"run `carbon-ledger init --home {shlex.quote(str(settings.home))}` first",
        )


@contextmanager
def _existing_server(settings: Settings) -> Iterator[str]:
    """As ``_server``; an embedded one must be there already."""
    if settings.dsn is None:
        _refuse_absent_server(settings)
    with _server(settings) as conninfo:
        yield conninfo


@contextmanager
def _journal(settings: Settings) -> Iterator[tuple[EventsourcingJournal, str]]:
    with _server(settings) as conninfo, _open(conninfo) as opened:
        yield opened


@contextmanager
def _server(settings: Settings) -> Iterator[str]:
    """How to connect to the server of the DSN, or to the embedded one, which runs meanwhile."""
    if settings.dsn is not None:
        with explained(explain):
            yield checked_dsn(settings.dsn.get_secret_value())
        return
    postgres = EmbeddedPostgres(settings.home)
    with explained(postgres.explain), postgres as conninfo:
        yield conninfo


@contextmanager
def _open(conninfo: str) -> Iterator[tuple[EventsourcingJournal, str]]:
    version = prepare_database(conninfo)
    datastore = open_datastore(conninfo)
    try:
        yield EventsourcingJournal(datastore), version
    finally:
        datastore.close()
