"""Requests that partners sign: each attack on them is refused, and what was acknowledged can be shown later."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from application.checkpoints import origin_of
from application.partner_requests import signature_fault
from domain.audit.leaves import leaf_of
from domain.digest import sm3_hex
from domain.partner_protocol import (
    PLAIN,
    SEALED,
    Acknowledged,
    Addressed,
    Headers,
    answer_aad,
    outcomes_digest,
    receipt_text,
    request_text,
    seal_aad,
    service_key_text,
)
from domain.requests import request_of
from infrastructure.evidence_store import EvidenceFolder
from infrastructure.gm import actor_key
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.partner_seal import open_answer, seal_body
from infrastructure.gm.sm2 import Sm2Key
from infrastructure.gm.sm2_format import public_key_to_pem, signature_from_der, signature_to_der
from interfaces.bootstrap import open_ledger
from tests.e2e.cli_tools import CommandLine
from tests.e2e.http_tools import Reply, Served, register, serving
from tests.e2e.test_http_behaviors import item

PATH = "/v1/behaviors"


def now(seconds: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Sent(NamedTuple):
    """A request as it goes over the wire, to be tampered with."""

    body: bytes
    headers: dict[str, str]
    method: str = "POST"
    path: str = PATH

    def by(self, served: Served, **changed: str) -> Reply:
        return served(self.path, method=self.method, body=self.body, headers=self.headers | changed)


class Partner:
    """A partner that signs as the document says."""

    def __init__(self, origin: str, key: Sm2Key) -> None:
        self.origin, self.key = origin, key

    def sign(self, body: object, *, seconds: int = 0, kind: str = PLAIN, origin: str = "") -> Sent:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        where = Addressed(origin or self.origin, "POST", PATH, kind)
        timestamp, nonce = now(seconds), secrets.token_hex(16)
        signature = self.key.sign(request_text(where, content, timestamp, nonce, self.key.key_id))
        return Sent(
            content,
            {
                "content-type": kind,
                "carbon-key": self.key.key_id,
                "carbon-timestamp": timestamp,
                "carbon-nonce": nonce,
                "carbon-signature": base64.b64encode(signature_to_der(signature)).decode(),
            },
        )

    def seal(self, body: object, to: bytes) -> tuple[Sent, bytes]:
        """Sealed first, signed then; and what opens the answer."""
        where, timestamp, nonce = Addressed(self.origin, "POST", PATH, SEALED), now(), secrets.token_hex(16)
        headers = Headers(self.key.key_id, timestamp, nonce, "", 0)
        sent, content_key = seal_body(to, json.dumps(body).encode(), lambda key: seal_aad(where, headers, key))
        signature = self.key.sign(request_text(where, sent, timestamp, nonce, self.key.key_id))
        named = {"carbon-key": self.key.key_id, "carbon-timestamp": timestamp, "carbon-nonce": nonce}
        text = base64.b64encode(signature_to_der(signature)).decode()
        return Sent(sent, {"content-type": SEALED, "carbon-signature": text, **named}), content_key


@pytest.fixture
def people(cli: CommandLine) -> CommandLine:
    for name in ("ann", "bob"):
        cli("account", "open", name)
        cli.consent(name)
    register(cli, "metro", "--all-behaviors")
    return cli


@pytest.fixture
def served(people: CommandLine) -> Iterator[Served]:
    with serving(people.settings, unsigned_partners="") as running:
        yield running


@pytest.fixture
def metro(people: CommandLine, served: Served) -> Partner:
    return Partner(served("/v1/partner-protocol").body["origin"], actor_key.read(people.folder / "metro.key"))


def another_key(people: CommandLine, partner: str = "metro") -> tuple[Sm2Key, str]:
    """A further key of the partner, and the proposal that waits for its approval."""
    path = people.folder / f"further-{secrets.token_hex(4)}.key"
    people("actor", "key", "new", str(path))
    proposal = people("partner", "add-key", partner, "--partner-key", str(path), "--by", "alice")["proposal"]
    return actor_key.read(path), proposal


def key_of_service(served: Served, purpose: str) -> bytes:
    keys = served("/v1/partner-protocol").body["keys"]
    return bytes.fromhex(next(each["public_key"] for each in keys if each["purpose"] == purpose))


def lines_of(items: list[dict[str, Any]]) -> Iterator[str]:
    for each in items:
        if each["status"] == "refused":
            yield f"refused {each['code']}"
        else:
            told = each if each["status"] == "credited" else each["first"]
            yield each["status"] if told is None else f"{each['status']} {told['position']} {told['credited_mg']}"


def test_a_signed_request_needs_no_token_and_is_credited_and_its_evidence_verifies(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    reply = metro.sign(item()).by(served)
    assert (reply.status, [each["status"] for each in reply.body["items"]]) == (200, ["credited"])
    assert people("evidence", "list")["intakes"][0]["partner"] == "metro"
    assert people("check")["ok"]
    assert people("replay")["mismatches"] == 0


def test_a_partner_is_not_believed_by_its_token_alone_unless_the_operator_says_so(
    people: CommandLine, served: Served
) -> None:
    register(people, "dev-partner", "--all-behaviors")
    reply = served(PATH, "partner", method="POST", body=item())
    assert (reply.status, reply.code) == (401, "signature_missing")
    with serving(people.settings, unsigned_partners="x dev-partner") as lenient:
        assert lenient(PATH, "partner", method="POST", body=item()).status == 200


def test_a_request_that_is_sent_once_more_is_refused_in_every_process_and_after_a_restart(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    sent = metro.sign(item())
    assert sent.by(served).status == 200
    assert (sent.by(served).status, sent.by(served).code) == (409, "request_replayed")
    with serving(people.settings) as other:
        assert sent.by(other).code == "request_replayed"
    fresh = metro.sign(item(source_ref="t2"))
    with ThreadPoolExecutor(8) as pool:
        told = sorted(reply.status for reply in pool.map(lambda _: fresh.by(served), range(8)))
    assert told == [200, *[409] * 7]


def test_after_a_lost_answer_the_same_body_signed_anew_is_told_what_it_became(served: Served, metro: Partner) -> None:
    first = metro.sign(item()).by(served).body["items"][0]
    assert metro.sign(item()).by(served).body["items"] == [{"status": "duplicate", "first": first}]


def test_requests_that_are_late_or_early_are_refused(served: Served, metro: Partner) -> None:
    for seconds, code in ((-302, "request_late"), (310, "request_early")):
        reply = metro.sign(item(), seconds=seconds).by(served)
        assert (reply.status, reply.code) == (401, code)
    assert metro.sign(item(), seconds=-280).by(served).status == 200


def test_nothing_of_a_request_can_be_changed_on_its_way(people: CommandLine, served: Served, metro: Partner) -> None:
    size = people("totals")["position"]
    sent = metro.sign({"items": [item(), item(source_ref="t2")]})
    other = metro.sign(item())
    for changed in (
        sent._replace(body=json.dumps({"items": [item()]}).encode()),
        sent._replace(body=sent.body[:-1]),
        sent._replace(body=sent.body + b" "),
        sent._replace(path=f"{PATH[:-1]}%73"),
        sent._replace(headers=sent.headers | {"carbon-timestamp": now(-1)}),
        sent._replace(headers=sent.headers | {"carbon-nonce": secrets.token_hex(16)}),
        sent._replace(headers=sent.headers | {"carbon-signature": other.headers["carbon-signature"]}),
        sent._replace(headers=sent.headers | {"content-type": SEALED}),
        metro.sign(item(), origin="carbon-ledger/00000000000000000000000000000000"),
    ):
        reply = changed.by(served)
        assert (reply.status, reply.code) == (401, "signature_wrong")
    assert people("totals")["position"] == size
    # None of these used up the nonce.
    assert sent.by(served).status == 200


def test_a_request_under_another_key_is_refused(people: CommandLine, served: Served, metro: Partner) -> None:
    register(people, "rail", "--all-behaviors")
    rail = actor_key.read(people.folder / "rail.key")
    sent = metro.sign(item())
    assert sent.by(served, **{"carbon-key": rail.key_id}).code == "signature_wrong"
    assert sent.by(served, **{"carbon-key": "0" * 32}).code == "signature_key_unknown"
    reply = served(PATH, "partner", method="POST", body=sent.body, headers=sent.headers)
    assert (reply.status, reply.code) == (403, "signer_differs")


def test_headers_that_lack_or_are_misspelled_are_named(served: Served, metro: Partner) -> None:
    sent = metro.sign(item())
    for name in ("carbon-key", "carbon-timestamp", "carbon-nonce", "carbon-signature"):
        less = {key: value for key, value in sent.headers.items() if key != name}
        reply = sent._replace(headers=less).by(served)
        assert (reply.code, reply.body["field"]) == ("signature_incomplete", name)
        reply = sent.by(served, **{name: "?"})
        assert (reply.code, reply.body["field"]) == ("signature_malformed", name)
    assert sent.by(served, **{"carbon-timestamp": "2026-02-30T00:00:00Z"}).code == "signature_malformed"


def test_keys_overlap_and_a_revoked_one_ends_at_once(people: CommandLine, served: Served, metro: Partner) -> None:
    key, proposal = another_key(people)
    further = Partner(metro.origin, key)
    assert further.sign(item()).by(served).code == "signature_key_unknown"
    people("partner", "approve", proposal, "--by", "bob")
    told = [each.sign(item(source_ref=ref)).by(served).status for each, ref in ((metro, "a"), (further, "b"))]
    assert told == [200, 200]
    people(
        "partner", "revoke-key", "metro", "--key", metro.key.key_id, "--by", "carol", "--reason", "its machine is sold"
    )
    assert metro.sign(item(source_ref="c")).by(served).code == "partner_key_revoked"
    assert further.sign(item(source_ref="d")).by(served).status == 200
    assert people("check")["ok"]


def test_a_suspension_holds_from_the_next_request_on(people: CommandLine, served: Served, metro: Partner) -> None:
    assert metro.sign(item()).by(served).status == 200
    people("partner", "suspend", "metro", "--by", "carol", "--reason", "readings that nobody explains")
    items = metro.sign({"items": [item(), item(source_ref="t2")]}).by(served).body["items"]
    assert [each.get("code", each["status"]) for each in items] == ["duplicate", "partner_suspended"]


def test_a_request_with_more_items_than_its_terms_allow_is_refused_whole(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    register(people, "rail", "--all-behaviors", "--rows-per-request", "1")
    rail = Partner(metro.origin, actor_key.read(people.folder / "rail.key"))
    reply = rail.sign({"items": [item(), item(source_ref="t2")]}).by(served)
    assert (reply.status, reply.code) == (413, "rows_over_request_quota")
    assert rail.sign(item()).by(served).status == 200
    assert people("totals")["credits"] == 1


def test_two_processes_that_race_for_a_partners_day_credit_exactly_its_quota(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    register(people, "rail", "--all-behaviors", "--rows-per-day", "10")
    rail = Partner(metro.origin, actor_key.read(people.folder / "rail.key"))
    sent = [rail.sign({"items": [item(source_ref=f"r{n}"), item(source_ref=f"s{n}")]}) for n in range(8)]
    with serving(people.settings, unsigned_partners="") as other, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: sent[n].by((served, other)[n % 2]), range(8)))
    full = [reply for reply in replies if reply.status != 200]
    assert [(reply.status, reply.code) for reply in full] == [(429, "rows_over_day_quota")] * 3
    assert all(0 < int(reply.headers["retry-after"]) <= 86_400 for reply in full)
    assert people("totals")["credits"] == 10
    again = [rail.sign(sent[n].body).by(served) for n in range(8) if replies[n].status == 200]
    assert {each["status"] for reply in again for each in reply.body["items"]} == {"duplicate"}
    assert metro.sign(item()).by(served).status == 200
    assert people("check")["ok"]


def test_a_receipt_binds_request_items_and_a_place_that_a_checkpoint_proves(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    sent = metro.sign({"items": [item(), item(source_ref="t2", quantity="no"), item()]})
    answer = sent.by(served).body
    receipt = answer["receipt"]
    where = Addressed(metro.origin, "POST", PATH, PLAIN)
    named = (sent.headers[f"carbon-{name}"] for name in ("timestamp", "nonce", "key"))
    assert receipt["request"] == sm3_hex(request_text(where, sent.body, *named))
    said = Acknowledged(
        "metro", receipt["request"], receipt["received_at"], answer["intake"], answer["line"], answer["digest"],
        answer["position"], receipt["leaf"], outcomes_digest(lines_of(answer["items"])),
    )  # fmt: skip
    assert said.outcomes == receipt["outcomes"]
    signature = signature_from_der(base64.b64decode(receipt["signature"]))
    public_key = key_of_service(served, "receipt")
    assert GmsslVerifier().verify(public_key, receipt_text(metro.origin, said), signature)
    changed = receipt_text(metro.origin, said._replace(position=said.position + 1))
    assert not GmsslVerifier().verify(public_key, changed, signature)
    with open_ledger(people.settings) as ledger:
        (event,) = ledger.auditing.log.logged(said.intake - 1, said.intake)
        book = ledger.book.journal.book_id().bytes
    assert origin_of(book) == metro.origin
    where_in_log = (event.position, event.stream.bytes, event.version, event.topic, event.recorded_us)
    assert receipt["leaf"] == leaf_of(book, *where_in_log, event.state).hex()


def test_the_keys_of_the_service_are_certified_by_the_key_of_the_log(
    people: CommandLine, served: Served, tmp_path: Path
) -> None:
    told = served("/v1/partner-protocol").body
    (log_key,) = people("keys", "show")["signing"]
    assert [each["purpose"] for each in told["keys"]] == ["receipt", "seal"]
    assert len({each["key"] for each in told["keys"]} | {log_key["key"]}) == 3
    (tmp_path / "log.pem").write_text(public_key_to_pem(bytes.fromhex(log_key["public_key"])))
    for each in told["keys"]:
        text = service_key_text(told["origin"], each["purpose"], bytes.fromhex(each["public_key"]))
        (tmp_path / "text").write_bytes(text)
        (tmp_path / "signature").write_bytes(base64.b64decode(each["certificate"]))
        verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "log.pem", "-rawin", "-in", "text", "-sigfile",
                  "signature", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]  # fmt: skip
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        assert each["log_key"] == log_key["key"]
    people("keys", "rotate", "--by", "alice")
    people("keys", "rewrap")
    with serving(people.settings) as again:
        later = again("/v1/partner-protocol").body["keys"]
    assert [each["public_key"] for each in later] == [each["public_key"] for each in told["keys"]]
    assert {each["log_key"] for each in later} == {people("keys", "show")["signing"][-1]["key"]}


def test_a_sealed_request_is_answered_sealed_and_opens_for_this_request_alone(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    sent, content_key = metro.seal(item(), key_of_service(served, "seal"))
    reply = sent.by(served)
    assert (reply.status, reply.headers["content-type"], set(reply.body)) == (200, SEALED, {"nonce", "sealed"})
    headers = Headers(metro.key.key_id, sent.headers["carbon-timestamp"], sent.headers["carbon-nonce"], "", 0)
    aad = answer_aad(metro.origin, headers)
    answer = json.loads(open_answer(content_key, msgspec.json.encode(reply.body), aad))
    assert (answer["items"][0]["status"], answer["receipt"]["partner"]) == ("credited", "metro")
    # Taken out of its request, and signed by another key of a partner.
    key, proposal = another_key(people)
    people("partner", "approve", proposal, "--by", "bob")
    stolen = Partner(metro.origin, key).sign(sent.body, kind=SEALED).by(served)
    assert (stolen.status, stolen.code) == (422, "seal_broken")
    for body, code in ((b"{}", "sealed_malformed"), (sealed_with(sent.body, to="0" * 32), "sealed_for_another"),
                       (sealed_with(sent.body, key="MAA="), "key_wrap_broken")):  # fmt: skip
        assert metro.sign(body, kind=SEALED).by(served).code == code
    assert people("check")["ok"]


def test_check_finds_a_sealed_request_that_was_kept_with_another_body(
    people: CommandLine, served: Served, metro: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, _ = metro.seal(item(), key_of_service(served, "seal"))
    assert sent.by(served).status == 200
    assert people("check")["findings"] == []
    read = EvidenceFolder.read

    def changed(store: EvidenceFolder, digest: str) -> Iterator[bytes]:
        yield b"".join(read(store, digest)).replace(b"12.350", b"99.350")

    monkeypatch.setattr(EvidenceFolder, "read", changed)
    found = {each["code"] for each in people("check", code=3)["findings"]}
    assert "request_signature_wrong" in found


def sealed_with(body: bytes, **changed: str) -> bytes:
    return json.dumps(json.loads(body) | changed).encode()


def test_check_finds_kept_evidence_whose_signature_is_not_the_partners(
    people: CommandLine, served: Served, metro: Partner
) -> None:
    metro.sign(item()).by(served)
    with open_ledger(people.settings) as ledger:
        (intake,) = people("evidence", "list")["intakes"]
        content = b"".join(ledger.evidence.read(intake["digest"]))
        kept, partners = request_of(content.rstrip(b"\n")), ledger.book.rulebook().partners
        position = intake["intake_id"]
        arguments = (partners, ledger.verifier, metro.origin, "metro")
        assert signature_fault(*arguments, position, kept) == ""
        for other, at in (
            (msgspec.structs.replace(kept, body=kept.body + " "), position),
            (msgspec.structs.replace(kept, by="rail"), position),
            (kept, 1),
        ):
            assert signature_fault(*arguments, at, other)
