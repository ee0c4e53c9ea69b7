"""Requests made up from the OpenAPI document of a running service, by schemathesis, and what is asked of the answers.

Made up alone, most of them name accounts and versions that are not there. So a part of what is made up is
exchanged for what the ledger of the test really has: only then the routes are tried and not their gates alone.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Err, Ok

from interfaces.http.identity import PARTNER, ROLES, Identity, TokenRules
from interfaces.http.security import PUBLIC
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.e2e.http_tools import Served, register

ISSUER, AUDIENCE, PERSONS = "https://login.example", "carbon-ledger", 3
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OF_A_PROBLEM: Final = {"type", "title", "status", "detail", "code", "field", "remedy", "request_id"}
BIKE: Final = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"
BEHAVIOR: Final = {
    "account_ref": "ann", "behavior": "travel.metro", "occurred_at": "2026-03-02T08:15:00+08:00", "quantity": "1.5",
    "unit": "km", "region": "CN-440300",
}  # fmt: skip
RELEASE_ROW: Final = {
    "statistic": "average", "region": "CN", "data_year": 2022, "value": "0.5366", "unit": "kg/kWh",
    "source": "a test", "page": "2", "document_sm3": None, "grade": "B",
}  # fmt: skip
EXCHANGED: Final = 0.7
"""How often what is made up is exchanged, where there is something real for it."""

LEARNED: Final = {
    "account_id", "code", "decision_id", "export_id", "id", "key", "methodology", "proposal", "revision_id",
    "source_ref",
}  # fmt: skip
"""What an answer tells of what is there from now on; ``id`` is that of a webhook."""

OF_SIGNING: Final = {"signature", "signed_at", "to_sign"}
REMEMBERED: Final = 20


@schemathesis.serializer("application/x-ndjson", "application/vnd.carbon-ledger.sealed+json")
def _as_lines(_: Any, value: Any) -> bytes:
    if isinstance(value, bytes | str):
        return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return json.dumps(value).encode() + b"\n"


class Tokens:
    """Tokens of an issuer of the test: several people in each role, since what one proposes another approves."""

    def __init__(self) -> None:
        self._key = OKPKey.generate_key("Ed25519", {"kid": "of the test"}, private=True)
        public = KeySet([self._key]).as_dict(private=False)
        self.identity = Identity(TokenRules(ISSUER, AUDIENCE, "roles", lambda: public, lambda: int(time.time())), None)

    def of(self, name: str, role: str) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": name, "roles": [role], "exp": int(time.time()) + 86_400}
        return jwt.encode({"alg": "Ed25519", "kid": "of the test"}, claims, self._key, algorithms=["Ed25519"])

    def by_role(self) -> dict[str, list[str]]:
        names = {role: [f"{role.replace('_', '-')}-{number}" for number in range(PERSONS)] for role in ROLES}
        # The one partner that need not sign.
        names[PARTNER] = ["dev-partner"]
        return {role: [self.of(name, role) for name in those] for role, those in names.items()}


def peopled(cli: CommandLine) -> dict[str, list[Any]]:
    """Put something of everything into the ledger; returns the real values that a field of a name may have."""
    cli.credit(METRO, BIKE, METRO.replace("t1", "t2"), METRO.replace("t1,ann", "t3,bob"))
    accounts = [cli("account", "show", name)["account_id"] for name in ("ann", "bob")]
    for account in ("ann", "bob"):
        cli.consent(account)
    register(cli, "dev-partner", "--all-behaviors")
    for owner in ((), ("--partner", "dev-partner")):
        cli("webhooks", "allow", "https://hooks.example", *owner)
    hook = cli("webhooks", "subscribe", "https://hooks.example/a", "--kind", "credited")
    name = cli.publish(methodology())
    cli("methodology", "import", cli.json_file(methodology() | {"version": 2}), "--by", "methodology-owner-0")
    cli("applicability", "propose", name, "--from", "2026-01-01", "--to", "2027-01-01", "--by", "methodology-owner-0")
    plan = ("CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01")
    cli("revision", "plan", *plan, "--by", "methodology-owner-0")
    size = cli("checkpoint", "sign", "--with-map")["size"]
    first = cli("checkpoint", "list")["checkpoints"][0]["size"]
    key = cli("partner", "show", "dev-partner")["keys"][0]["key"]
    public = People(cli).public("somebody")
    with open(public, encoding="ascii") as file:
        pem = file.read()
    return {
        "account_id": accounts, "account_ref": ["ann", "bob"], "source_ref": ["t1", "t3", "b1"],
        "version": [1, 2, 3, 4], "position": [1, size], "size": [size, first], "old": [first, size], "new": [size],
        "behavior": ["travel.metro", "cycling.shared_bike", "test.behavior"], "unit": ["km"],
        "occurred_at": ["2026-03-02T08:15:00+08:00"], "quantity": ["1.5", "3"], "region": ["*", "CN-440300"],
        "code": ["TRAVEL-METRO", "TEST-CODE"], "methodology": ["TRAVEL-METRO@1", "TEST-CODE@1", "CYCLING-SHARED@2"],
        "decision_id": ["D1", "D2", "D3"], "revision_id": ["R1", "R2"], "from": [None, "2026-01-01", "2030-01-01"],
        "to": [None, "2031-01-01"], "partner": ["dev-partner"], "proposal": ["P1", "P2", "P3"],
        "public_key": [pem], "key": [key], "webhook_id": [hook["id"]], "url": ["https://hooks.example/b"],
        "reason": ["asked for it"], "rows": [[RELEASE_ROW]], "evidence": ["0" * 64], "terms_version": ["v1"],
        "scope": [["*"]], "kinds": [["credited"]], "topics": [["carbon.account.opened.v1"]],
    }  # fmt: skip


class Tried(NamedTuple):
    """What was sent, and what was found wrong. ``statuses``: how often each operation gave each status."""

    statuses: dict[str, Counter[int]]
    wrong: list[str]

    @property
    def cases(self) -> int:
        return sum(sum(each.values()) for each in self.statuses.values())

    @property
    def table(self) -> str:
        """How often each operation gave each status."""
        return "".join(f"{name}: {dict(sorted(each.items()))}\n" for name, each in sorted(self.statuses.items()))

    @property
    def never_done(self) -> set[str]:
        """The operations that no request got through to."""
        return {name for name, each in self.statuses.items() if not any(200 <= status < 300 for status in each)}


class Fuzzing:
    """Sends what is made up and keeps what comes of it."""

    def __init__(self, served: Served, tokens: Tokens, real: dict[str, list[Any]]) -> None:
        self._url, self._tokens, self._real = f"http://127.0.0.1:{served.port}", tokens.by_role(), real
        document = served("/openapi.json").body
        found = [_usable(each) for each in schemathesis.openapi.from_dict(document).get_all_operations()]
        # What ends something comes last, so that the others have found it there.
        self._operations = sorted(found, key=lambda each: each.method == "delete" or each.path.endswith("/closure"))
        self._roles = {self._name(each): each.definition.raw["x-roles"] for each in self._operations}
        self._session = requests.Session()
        self._session.trust_env = False
        self.tried = Tried({name: Counter() for name in self._roles}, [])

    def send(self, cases: int, first_seed: int, until_s: float) -> Tried:
        """About so many requests, over all operations alike, or fewer where the time (monotonic) is over."""
        round_seed = first_seed
        while self.tried.cases < cases and time.monotonic() < until_s:
            each = -(-(cases - self.tried.cases) // len(self._operations))
            for operation in self._operations:
                self._try(operation, min(each, 50), round_seed)
            round_seed += 1
        return self.tried

    def _try(self, operation: Any, cases: int, seed_: int) -> None:
        modes = [
            operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, *_negative(operation))
        ]

        @seed(seed_)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        # Twice as often what the document admits: the rest is mostly refused by the same few lines.
        @given(case=st.one_of(modes[0], *modes), chosen=st.integers(0, 1 << 60))
        def sent(case: Any, chosen: int) -> None:
            self._send(case, Random(chosen))

        sent()

    def _send(self, case: Any, chance: Random) -> None:
        name = self._name(case.operation)
        case.path_parameters = {
            key: self._exchanged(key, value, chance) for key, value in (case.path_parameters or {}).items()
        }
        if str(case.path_parameters.get("code", "")).startswith("MADE-"):
            case.path_parameters["version"] = 1
        case.body = self._whole(name, chance) or self._made_real(case.body, chance)
        if chance.random() < EXCHANGED:
            # Most made-up signatures are refused before anything is read.
            case.headers = {key: value for key, value in case.headers.items() if not key.startswith("Carbon-")}
        headers = {}
        roles = [role for role in self._roles[name] if role != PUBLIC]
        if roles:
            role = chance.choice(roles if chance.random() < 0.95 else list(ROLES))
            headers["authorization"] = f"Bearer {chance.choice(self._tokens[role])}"
        answer = case.call(base_url=self._url, session=self._session, headers=headers, timeout=30)
        self.tried.statuses[name][answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
            _is_a_whole_problem(answer)
        except (AssertionError, schemathesis.errors.SchemathesisError, BaseExceptionGroup) as error:
            told = getattr(error, "exceptions", [error])
            self.tried.wrong.append(f"{name} {answer.status_code}: {told!r}\n{case.as_curl_command()[:2000]}")
        if answer.status_code < 300 and "json" in answer.headers.get("content-type", [""])[0]:
            self._learn(answer.json())

    def _learn(self, told: Any) -> None:
        """Keep what is there now, so that later requests name it."""
        for key in LEARNED & set(told if isinstance(told, Mapping) else ()):
            known = self._real.setdefault("webhook_id" if key == "id" else key, [])
            if isinstance(told[key], str) and told[key] not in known:
                known.append(told[key])
                del known[:-REMEMBERED]

    def _whole(self, name: str, chance: Random) -> Any:
        """A document that a made-up one would hardly ever be; None for one made up after all."""
        if chance.random() >= EXCHANGED:
            return None
        number = chance.randrange(1 << 30)
        if name == "POST /v1/methodologies":
            return methodology(f"MADE-{number}", "test.behavior")
        if name == "POST /v1/factor-releases":
            return {"factor_set": "TEST-SET", "release": number, "rows": [RELEASE_ROW]}
        if name == "POST /v1/behaviors":
            return BEHAVIOR | {"source_ref": f"made-{number}"}
        return None

    def _exchanged(self, key: str, value: Any, chance: Random) -> Any:
        known = self._real.get(key)
        return chance.choice(known) if known and chance.random() < EXCHANGED else value

    def _made_real(self, body: Any, chance: Random) -> Any:
        if isinstance(body, list):
            return [self._made_real(each, chance) for each in body]
        if not isinstance(body, Mapping):
            return body
        if chance.random() < EXCHANGED:
            # By name alone: a made-up signature is never good, and whoever asks for a text does nothing.
            body = {key: value for key, value in body.items() if key not in OF_SIGNING}
        return {key: self._exchanged(key, self._made_real(value, chance), chance) for key, value in body.items()}

    @staticmethod
    def _name(operation: Any) -> str:
        return f"{operation.method.upper()} {operation.path}"


def _usable(found: Any) -> Any:
    if isinstance(found, Ok):
        return found.ok()
    assert isinstance(found, Err)
    raise found.err()


def _negative(operation: Any) -> Iterator[GenerationMode]:
    """What the document does not admit; nothing where an operation takes nothing."""
    taken = operation.definition.raw
    if taken.get("parameters") or taken.get("requestBody"):
        yield GenerationMode.NEGATIVE


def _is_a_whole_problem(answer: Any) -> None:
    if answer.status_code < 400:
        return
    problem = answer.json()
    assert set(problem) >= OF_A_PROBLEM, problem
    assert problem["code"] not in ("", "internal"), problem
    assert problem["remedy"] or answer.status_code in (404, 405), problem
