"""Who may use which route: a table of all of them, held against what the service says and does."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI

from interfaces.bootstrap.service import ServiceSettings
from interfaces.http.app import create_app, openapi_of, roles_allowed, routes_of
from interfaces.http.identity import ROLES, Identity
from interfaces.http.security import PUBLIC
from interfaces.http.service import Service
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.e2e.http_tools import register, serving

READERS = {"bank_backend", "compliance", "auditor"}
INSIDERS = READERS | {"methodology_owner", "approver", "operator"}
EVERYBODY = set(ROLES)
KEEPERS = {"bank_backend", "partner", "operator"}

TABLE = {
    "GET /healthz": {PUBLIC},
    "GET /readyz": {PUBLIC},
    "GET /metrics": {PUBLIC},
    "GET /openapi.json": {PUBLIC},
    "GET /docs": {PUBLIC},
    "GET /v1/me": EVERYBODY,
    "GET /v1/checkpoints": {PUBLIC},
    "GET /v1/checkpoints/latest": {PUBLIC},
    "GET /v1/checkpoints/{size}": {PUBLIC},
    "GET /v1/checkpoints/{size}/note": {PUBLIC},
    "GET /v1/checkpoints/{old}/consistency/{new}": {PUBLIC},
    "GET /v1/events/{position}/proof": {PUBLIC},
    "POST /v1/accounts/lookup": {"bank_backend", "compliance"},
    "GET /v1/accounts/{account_id}": READERS,
    "GET /v1/accounts/{account_id}/statement": READERS,
    "GET /v1/accounts/{account_id}/credits/{version}": READERS,
    "POST /v1/accounts/{account_id}/credits/lookup": {"bank_backend", "compliance"},
    "GET /v1/accounts/{account_id}/proof": READERS,
    "POST /v1/behaviors": {"bank_backend", "partner"},
    "GET /v1/partner-protocol": {"public"},
    "POST /v1/behavior-files": {"bank_backend", "partner"},
    "POST /v1/accounts": {"bank_backend"},
    "POST /v1/accounts/{account_id}/consents": {"bank_backend"},
    "POST /v1/accounts/{account_id}/consents/withdrawal": {"bank_backend"},
    "POST /v1/accounts/{account_id}/credits/{version}/reversal": {"bank_backend"},
    "GET /v1/webhooks": KEEPERS,
    "POST /v1/webhooks": {"bank_backend", "partner"},
    "GET /v1/webhooks/{webhook_id}": KEEPERS,
    "DELETE /v1/webhooks/{webhook_id}": KEEPERS,
    "POST /v1/webhooks/{webhook_id}/replay": KEEPERS,
    "GET /v1/webhooks/{webhook_id}/dead-letters": KEEPERS,
    "GET /v1/totals": INSIDERS,
    "GET /v1/access-log": {"compliance"},
    "GET /v1/methodologies": EVERYBODY,
    "GET /v1/methodologies/{code}/{version}": EVERYBODY,
    "GET /v1/factor-releases": EVERYBODY,
    "GET /v1/decisions": INSIDERS,
    "GET /v1/decisions/{decision_id}": INSIDERS,
    "GET /v1/revisions": INSIDERS,
    "GET /v1/revisions/{revision_id}": INSIDERS,
    "POST /v1/methodologies": {"methodology_owner"},
    "POST /v1/methodologies/{code}/{version}/review": {"approver"},
    "POST /v1/methodologies/{code}/{version}/certification": {"approver"},
    "POST /v1/methodologies/{code}/{version}/publication": {"approver"},
    "POST /v1/methodologies/{code}/{version}/withdrawal": {"methodology_owner"},
    "POST /v1/methodologies/{code}/{version}/withdrawal/approval": {"approver"},
    "POST /v1/factor-releases": {"methodology_owner"},
    "POST /v1/decisions": {"methodology_owner"},
    "POST /v1/decisions/{decision_id}/approval": {"approver"},
    "POST /v1/revisions": {"methodology_owner"},
    "GET /v1/revisions/{revision_id}/report": INSIDERS,
    "GET /v1/revisions/{revision_id}/impact": INSIDERS,
    "POST /v1/revisions/{revision_id}/approval": {"approver"},
    "POST /v1/revisions/{revision_id}/application": {"methodology_owner", "approver", "operator"},
    "GET /v1/revisions/{revision_id}/application": INSIDERS,
    "POST /v1/exports": {"compliance", "auditor"},
    "GET /v1/exports/{export_id}": {"compliance", "auditor"},
    "GET /v1/exports/{export_id}/events": {"compliance", "auditor"},
    "GET /v1/exports/{export_id}/manifest": {"compliance", "auditor"},
    "DELETE /v1/exports/{export_id}": {"compliance", "auditor"},
    "GET /v1/partners": INSIDERS,
    "GET /v1/partners/{partner}": INSIDERS,
    "POST /v1/partners": {"operator"},
    "POST /v1/partners/{partner}/keys": {"operator"},
    "POST /v1/partners/{partner}/terms": {"operator"},
    "POST /v1/partners/{partner}/resumption": {"operator"},
    "POST /v1/partner-proposals/{proposal}/approval": {"approver"},
    "POST /v1/partners/{partner}/suspension": {"operator", "approver"},
    "POST /v1/partners/{partner}/keys/{key}/revocation": {"operator", "approver"},
    "POST /v1/accounts/{account_id}/freeze": {"bank_backend", "compliance"},
    "POST /v1/accounts/{account_id}/unfreeze": {"bank_backend", "compliance"},
    "POST /v1/accounts/{account_id}/closure": {"bank_backend"},
}
"""Every route of the service. A new one is not there before somebody has thought about who may use it."""

OF_BROWSERS = {"GET /sign-in": {PUBLIC}, "GET /signed-in": {PUBLIC}, "POST /sign-out": {PUBLIC}}
"""Not in the OpenAPI document: they answer with redirects and cookies, and hold no data."""

RELEASE = {
    "factor_set": "TEST-SET",
    "release": 1,
    "rows": [
        {"statistic": "average", "region": "CN", "data_year": 2022, "value": "0.5366", "unit": "kg/kWh",
         "source": "a test", "page": "2", "document_sm3": None, "grade": "B"},
    ],
}  # fmt: skip


def application() -> FastAPI:
    return create_app(Service(ServiceSettings(), Identity(None, None), lambda: None))  # type: ignore[arg-type,return-value]


def test_every_route_stands_in_the_table_with_the_roles_that_it_admits() -> None:
    said = {
        f"{method} {route.path}": set(roles_allowed(route))
        for route in routes_of(application())
        for method in route.methods or ()
    }
    assert said == TABLE | OF_BROWSERS


def test_the_openapi_document_tells_the_roles_of_each_operation() -> None:
    paths = openapi_of(application())["paths"]
    told = {
        f"{method.upper()} {path}": set(operation["x-roles"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert told == TABLE


def public_key(cli: CommandLine) -> str:
    return Path(People(cli).public("somebody")).read_text("ascii")


def test_each_role_gets_past_the_gate_of_its_own_routes_and_of_no_other(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    size = cli("checkpoint", "sign", "--with-map")["size"]
    register(cli, "dev-partner", "--all-behaviors")
    values = {
        "account_id": account, "version": 1, "position": 1, "size": size, "old": size, "new": size,
        "code": "TRAVEL-METRO", "webhook_id": uuid4(), "decision_id": "D1", "revision_id": "R1",
        "partner": "dev-partner", "proposal": "P1", "export_id": str(uuid4()), "key": "0" * 32,
    }  # fmt: skip
    for owner in ((), ("--partner", "dev-partner")):
        cli("webhooks", "allow", "https://hooks.example", *owner)
    bodies = {
        "POST /v1/webhooks": {"url": "https://hooks.example/", "kinds": ["credited"]},
        "POST /v1/webhooks/{webhook_id}/replay": {"dead_letters": True},
        "POST /v1/accounts/lookup": {"account_ref": "ann"},
        "POST /v1/accounts/{account_id}/credits/lookup": {"source_ref": "t1"},
        "POST /v1/behaviors": {"source_ref": "no behavior, and so refused by itself"},
        "POST /v1/behavior-files": {"source_ref": "no behavior"},
        "POST /v1/accounts": {"account_ref": "somebody new"},
        "POST /v1/accounts/{account_id}/consents": {"scope": ["*"], "terms_version": "v1", "evidence": "0" * 64},
        "POST /v1/accounts/{account_id}/consents/withdrawal": {"reason": "asked for it"},
        "POST /v1/accounts/{account_id}/credits/{version}/reversal": {"reason": "a wrong train"},
        "POST /v1/exports": {"topics": ["carbon.account.opened.v1"]},
        "POST /v1/methodologies": methodology(),
        "POST /v1/factor-releases": RELEASE,
        "POST /v1/decisions": {"methodology": "TRAVEL-METRO@1", "from": "2999-01-01", "to": None},
        "POST /v1/revisions": {"methodology": "TRAVEL-METRO@1", "from": None, "to": None},
    }
    new_key = {"public_key": public_key(cli), "to_sign": True}
    bodies |= {
        "POST /v1/partners": new_key | {"partner": "somebody", "behaviors": None},
        "POST /v1/partners/{partner}/keys": new_key,
        "POST /v1/partners/{partner}/terms": {"behaviors": None},
        "POST /v1/partners/{partner}/resumption": {"reason": "it is repaired"},
        "POST /v1/partners/{partner}/suspension": {"reason": "last night"},
        "POST /v1/partners/{partner}/keys/{key}/revocation": {"reason": "lost"},
        "POST /v1/accounts/{account_id}/freeze": {"reason": "asked for it"},
        "POST /v1/accounts/{account_id}/unfreeze": {"reason": "asked for it"},
        "POST /v1/accounts/{account_id}/closure": {"reason": "asked for it"},
    }
    headers = {"POST /v1/behavior-files": {"content-type": "application/x-ndjson"}}
    wrong = []
    with serving(cli.settings) as served:
        for name, roles in TABLE.items():
            method, _, path = name.partition(" ")
            for role in (None, *ROLES):
                body, said = bodies.get(name), headers.get(name)
                status = served(path.format(**values), role, method=method, body=body, headers=said).status
                may = PUBLIC in roles or role in roles
                expected = may or (401 if role is None else 403)
                passed = status not in (401, 403, 422, 500, 503) or status
                if (passed if may else status) != expected:
                    wrong.append((name, role, status))
    assert wrong == []


def test_a_request_is_not_even_read_where_nobody_believable_asks(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        assert served("/v1/accounts/not-an-id").code == "unauthenticated"
        assert served("/v1/accounts/not-an-id", "partner").code == "forbidden"
        assert served("/v1/accounts/not-an-id", "auditor").code == "request_malformed"
        assert served("/v1/totals", "dev_auditor_" + "0" * 64).code == "token_invalid"
        assert served("/v1/totals", headers={"authorization": "Basic YTpi"}).code == "token_invalid"
        assert served("/v1/checkpoints", "dev_auditor_wrong").code == "token_invalid"
        assert served("/v1/totals").headers["www-authenticate"].startswith("Bearer")
        assert served(f"/v1/accounts/{uuid4()}", "auditor").code == "account_unknown"
