"""What every evidence store promises (``application.ports.evidence``)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from application.ports.evidence import EvidenceStore
from domain.behavior import Behavior
from domain.digest import sm3_hex
from domain.errors import Corrupt, Rejected
from tests.e2e.cli_tools import HEADER, METRO

PROMPTLY = 20.0
ROW = METRO.encode()


def keep(store: EvidenceStore, content: bytes, digest: str | None = None) -> str:
    """Store bytes; returns what the store says."""
    with store.keeping(digest or sm3_hex(content), [content]) as said:
        return said


def opened(store: EvidenceStore, content: bytes) -> bytes:
    return b"".join(store.read(sm3_hex(content)))


class EvidenceContract:
    """Run for the real store and for its twin in memory."""

    def test_what_was_stored_is_read_back_to_the_same_bytes(self, store: EvidenceStore) -> None:
        for content in (b"", b"a", b"\0" * 70_000, bytes(range(256)) * 5_000):
            assert keep(store, content) == "stored"
            assert opened(store, content) == content

    def test_the_same_bytes_are_stored_once_and_not_asked_for_again(self, store: EvidenceStore) -> None:
        keep(store, b"the same")
        asked = []

        def blocks() -> Iterator[bytes]:
            asked.append("read again")
            yield b"the same"

        with store.keeping(sm3_hex(b"the same"), blocks()) as said:
            assert (said, asked) == ("present", [])
        assert list(store.digests()) == [sm3_hex(b"the same")]

    def test_bytes_that_are_not_those_of_the_digest_are_refused_and_nothing_of_them_stays(
        self, store: EvidenceStore
    ) -> None:
        with pytest.raises(Rejected, match="file_changed"):
            keep(store, b"other bytes", sm3_hex(b"bytes"))
        assert list(store.digests()) == []
        assert keep(store, b"bytes") == "stored"

    def test_a_source_that_fails_on_the_way_leaves_nothing(self, store: EvidenceStore) -> None:
        def blocks() -> Iterable[bytes]:
            yield b"x" * 3_000_000
            raise Rejected("file_changed", "", remedy="again")

        with pytest.raises(Rejected), store.keeping(sm3_hex(b"x"), blocks()):
            pass
        assert list(store.digests()) == []

    def test_all_digests_are_told_in_order(self, store: EvidenceStore) -> None:
        contents = [bytes([n]) for n in range(20)]
        for content in contents:
            keep(store, content)
        digests = list(store.digests())
        assert digests == sorted(map(sm3_hex, contents))
        assert all(store.holds(digest) for digest in digests)
        assert not store.holds("0" * 64)

    def test_what_was_destroyed_opens_no_more_and_its_neighbor_does(self, store: EvidenceStore) -> None:
        for content in (b"one", b"two"):
            keep(store, content)
        with store.still():
            store.destroy(sm3_hex(b"one"))
            store.destroy(sm3_hex(b"one"))
        with pytest.raises(Corrupt) as missing:
            opened(store, b"one")
        assert (missing.value.code, bool(missing.value.remedy)) == ("evidence_missing", True)
        assert list(store.digests()) == [sm3_hex(b"two")]
        assert opened(store, b"two") == b"two"
        assert keep(store, b"one") == "stored"

    def test_a_stored_file_is_read_as_behaviors_in_each_of_its_formats(self, store: EvidenceStore) -> None:
        columns, texts = HEADER.split(","), METRO.split(",")
        parquet = io.BytesIO()
        pq.write_table(pa.table({name: [text] for name, text in zip(columns, texts, strict=True)}), parquet)
        pairs = ",".join(f'"{name}": "{text}"' for name, text in zip(columns, texts, strict=True))
        for media, content in (
            ("csv", HEADER.encode() + b"\n" + ROW + b"\n"),
            ("jsonl", b"{" + pairs.encode() + b"}"),
            ("parquet", parquet.getvalue()),
        ):
            keep(store, content)
            source = store.source(sm3_hex(content), media)
            assert (source.format, source.digest, source.size_bytes) == (media, sm3_hex(content), len(content))
            assert b"".join(source.blocks()) == content
            ((row,),) = source.rows(10)
            assert isinstance(row, Behavior)
            assert (row.source_ref, row.quantity, row.scale) == ("t1", 1235, 2)

    def test_whoever_wants_it_still_waits_for_those_who_store(self, store: EvidenceStore) -> None:
        def destroy() -> list[str]:
            with store.still():
                return list(store.digests())

        with ThreadPoolExecutor(1) as threads:
            with store.keeping(sm3_hex(b"one"), [b"one"]), store.keeping(sm3_hex(b"two"), [b"two"]):
                coming = threads.submit(destroy)
                with pytest.raises(TimeoutError):
                    coming.result(0.2)
            assert len(coming.result(PROMPTLY)) == 2

    def test_two_that_store_the_same_bytes_at_once_leave_one_that_opens(self, store: EvidenceStore) -> None:
        content = bytes(range(256)) * 9_000
        with ThreadPoolExecutor(4) as threads:
            said = [each.result(PROMPTLY) for each in [threads.submit(keep, store, content) for _ in range(8)]]
        assert "stored" in said
        assert opened(store, content) == content
        assert keep(store, content) == "present"
