"""Signed requests of partners, version 1 (docs/spec/partner-api.md of the ledger), without any input or output."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from carbon_ledger_sdk import clock, gm
from carbon_ledger_sdk.errors import Misused, untrusted
from carbon_ledger_sdk.model import Acknowledged, Behavior, Kept, Receipt, outcome_line, result_of

PATH: Final = "/v1/behaviors"
KEYS_PATH: Final = "/v1/partner-protocol"
PLAIN: Final = "application/json"
SEALED: Final = "application/vnd.carbon-ledger.sealed+json"
MAX_ITEMS: Final = 10_000
MAX_BODY_BYTES: Final = 8 * 1024 * 1024


class HttpRequest(NamedTuple):
    """What is to be sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpAnswer(NamedTuple):
    """What came. ``headers``: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Batch(NamedTuple):
    """Behaviors that go in one request, and their JSON."""

    items: tuple[Behavior, ...]
    body: bytes


class Attempt(NamedTuple):
    """One sending of a batch. ``signed``: b"" for an unsigned one; ``content_key``: of a sealed one."""

    http: HttpRequest
    signed: bytes = b""
    signature: str = ""
    content_key: bytes = b""
    answer_aad: bytes = b""


def text(purpose: str, *parts: object) -> bytes:
    """What is signed, or sealed with: the purpose, a zero byte, and the parts as lines."""
    return f"carbon-ledger/{purpose}/v1\0".encode() + "".join(f"{part}\n" for part in parts).encode()


def batches(items: Iterable[Behavior], max_items: int, max_bytes: int) -> Iterator[Batch]:
    """Split so that each request is within the limits, in order. Raises Misused ``item_too_large``."""
    kept: list[Behavior] = []
    parts: list[bytes] = []
    size = frame = len(b'{"items":[]}')
    for item in items:
        part = json.dumps(item._asdict(), ensure_ascii=False, separators=(",", ":")).encode()
        if frame + len(part) > max_bytes:
            raise Misused("item_too_large", "one behavior is larger than a request may be", field=item.source_ref)
        if kept and (len(kept) == max_items or size + len(part) + 1 > max_bytes):
            yield Batch(tuple(kept), b'{"items":[' + b",".join(parts) + b"]}")
            kept, parts, size = [], [], frame
        size += len(part) + bool(kept)
        kept.append(item)
        parts.append(part)
    if kept:
        yield Batch(tuple(kept), b'{"items":[' + b",".join(parts) + b"]}")


@dataclass
class Protocol:
    """How one partner talks to one ledger.

    ``origin``: of the ledger's log. ``log_keys``: its public keys, 64 bytes each, which came by another way than the
    answers. ``token``: a bearer token that comes along. ``keys``: of the service, by purpose, once they were checked.
    """

    origin: str = ""
    key: gm.PartnerKey | None = None
    log_keys: Sequence[bytes] = ()
    token: str = ""
    sealed: bool = False
    keys: dict[str, dict[str, bytes]] = field(default_factory=dict)
    now: Callable[[], str] = clock.now

    @property
    def max_body_bytes(self) -> int:
        """Of a batch in clear, so that what is sent is within the limit."""
        return (MAX_BODY_BYTES - 1024) // 4 * 3 - 16 if self.sealed else MAX_BODY_BYTES

    def attempt(self, body: bytes) -> Attempt:
        """A body as it is sent now: with a time and a nonce of its own. Nothing of it is used a second time."""
        headers = {"accept": f"{PLAIN}, {SEALED}"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        if self.key is None:
            return Attempt(HttpRequest("POST", PATH, headers | {"content-type": PLAIN}, body))
        timestamp, nonce = self.now(), secrets.token_hex(16)
        kind, content_key, answer_aad = PLAIN, b"", b""
        if self.sealed:
            kind, content_key = SEALED, secrets.token_bytes(16)
            body = self._seal(body, content_key, timestamp, nonce)
            answer_aad = text("partner-sealed-answer", self.origin, nonce, self.key.id)
        where = (self.origin, "POST", PATH, kind, gm.sm3(body).hex())
        signed = text("partner-request", *where, timestamp, nonce, self.key.id)
        signature = self.key.sign(signed)
        headers |= {"content-type": kind, "carbon-key": self.key.id, "carbon-timestamp": timestamp}
        headers |= {"carbon-nonce": nonce, "carbon-signature": signature}
        return Attempt(HttpRequest("POST", PATH, headers, body), signed, signature, content_key, answer_aad)

    def learn(self, body: bytes) -> None:
        """Take the keys of the service, as far as a key of the log vouches for them.

        Raises Untrusted ``origin_differs``, ``certificate_wrong``, ``answer_malformed``.
        """
        trusted = {gm.key_id(key): key for key in self.log_keys}
        found: dict[str, dict[str, bytes]] = {"receipt": {}, "seal": {}}
        try:
            told = json.loads(body)
            if told["origin"] != self.origin:
                raise untrusted("origin_differs", f"this is the ledger {told['origin']!r}, not {self.origin!r}")
            for each in told["keys"]:
                purpose, public_key = each["purpose"], bytes.fromhex(each["public_key"])
                if purpose not in found or each["log_key"] not in trusted:
                    continue
                vouched = text("service-key", self.origin, purpose, public_key.hex())
                if not gm.verifies(trusted[each["log_key"]], vouched, each["certificate"]):
                    raise untrusted("certificate_wrong", f"the log's key does not vouch for the {purpose} key")
                found[purpose][gm.key_id(public_key)] = gm.public_key_of(public_key)
        except (KeyError, TypeError, ValueError, AttributeError, Misused):
            raise untrusted("answer_malformed", "the service tells its keys in an unknown way") from None
        if not found["receipt"] or (self.sealed and not found["seal"]):
            raise untrusted(
                "certificate_wrong", "no key of the service is vouched for by a key of the log that we have"
            )
        self.keys = found

    def opened(self, attempt: Attempt, answer: HttpAnswer) -> bytes:
        """The JSON of a good answer. Raises Untrusted ``answer_malformed``, ``seal_broken``."""
        if not attempt.content_key:
            return answer.body
        try:
            told = json.loads(answer.body)
            nonce, sealed = (base64.b64decode(told[name], validate=True) for name in ("nonce", "sealed"))
        except (KeyError, TypeError, ValueError):
            raise untrusted("answer_malformed", "the answer to a sealed request is not sealed") from None
        return gm.unseal(attempt.content_key, nonce, sealed, attempt.answer_aad)

    def receipt_key(self, answer: bytes) -> str:
        """The id of the key that signed the receipt; "" where there is none."""
        receipt = _read(answer).get("receipt")
        return str(receipt.get("key", "")) if isinstance(receipt, dict) else ""

    def acknowledged(self, batch: Batch, attempt: Attempt, answer: bytes) -> Acknowledged:
        """What the ledger says became of a batch, with the receipt verified.

        Raises Untrusted ``answer_malformed``, ``receipt_missing``, ``receipt_wrong``.
        """
        told = _read(answer)
        try:
            items = tuple(result_of(*pair) for pair in zip(batch.items, told["items"], strict=True))
            intake, line, position = (int(told[name]) for name in ("intake", "line", "position"))
            digest = str(told["digest"])
            receipt = None if not attempt.signed else self._receipt(told)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise untrusted("answer_malformed", "the answer is not one to this request") from None
        if receipt is None:
            return Acknowledged(intake, line, digest, position, items, None, None)
        outcomes = gm.sm3("".join(f"{outcome_line(item)}\n" for item in items).encode()).hex()
        said = (receipt.partner, receipt.request, receipt.received_at, intake, line, digest, position, receipt.leaf)
        public_key = self.keys.get("receipt", {}).get(receipt.key)
        if (
            receipt.request != gm.sm3(attempt.signed).hex()
            or receipt.outcomes != outcomes
            or public_key is None
            or not gm.verifies(public_key, text("partner-receipt", self.origin, *said, outcomes), receipt.signature)
        ):
            raise untrusted("receipt_wrong", "the receipt is not about this request and these results, or not signed")
        kept = Kept(attempt.signed, attempt.signature, batch.body, answer)
        return Acknowledged(intake, line, digest, position, items, receipt, kept)

    def _receipt(self, told: Mapping[str, Any]) -> Receipt:
        if told.get("receipt") is None:
            raise untrusted("receipt_missing", "the answer to a signed request has no receipt")
        return Receipt(*(str(told["receipt"][name]) for name in Receipt._fields))

    def _seal(self, body: bytes, content_key: bytes, timestamp: str, nonce: str) -> bytes:
        assert self.key is not None
        to, public_key = next(iter(self.keys["seal"].items()))
        drawn = secrets.token_bytes(12)
        aad = text("partner-sealed-request", self.origin, "POST", PATH, timestamp, nonce, self.key.id, to)
        parts = (gm.wrap(public_key, content_key), drawn, gm.seal(content_key, drawn, body, aad))
        key, number, sealed = (base64.b64encode(part).decode() for part in parts)
        return json.dumps({"to": to, "key": key, "nonce": number, "sealed": sealed}).encode()


def _read(answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise untrusted("answer_malformed", "the answer is no JSON object")
    return told
