"""Every route that names something, for every role: what is one's own, what is somebody else's, and what is not there.

Whoever may not see a thing cannot tell whether it is there: the answers are the same.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from interfaces.http.identity import ROLES
from interfaces.http.security import PUBLIC
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import Reply, Served, register, serving
from tests.e2e.test_http_exports import exported
from tests.e2e.test_http_roles import TABLE

OWNERS = {"webhook_id": {"bank_backend", "partner"}, "export_id": {"compliance", "auditor"}}
"""Things that are their maker's alone. All others are the book's: whoever may use their routes may see them."""
OVERSEERS = {"webhook_id": {"operator"}, "export_id": set[str]()}
"""Who sees everybody's."""
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/webhooks/{webhook_id}/replay": {"dead_letters": True},
    "POST /v1/accounts/{account_id}/credits/lookup": {"source_ref": "t1"},
    "POST /v1/accounts/{account_id}/consents": {"scope": ["*"], "terms_version": "v1", "evidence": "0" * 64},
    "POST /v1/accounts/{account_id}/consents/withdrawal": {"reason": "asked for it"},
    "POST /v1/accounts/{account_id}/credits/{version}/reversal": {"reason": "a wrong train"},
    "POST /v1/partners/{partner}/terms": {"behaviors": None},
    "POST /v1/partners/{partner}/resumption": {"reason": "it is repaired"},
    "POST /v1/partners/{partner}/suspension": {"reason": "last night"},
    "POST /v1/partners/{partner}/keys/{key}/revocation": {"reason": "lost"},
    "POST /v1/accounts/{account_id}/freeze": {"reason": "asked for it"},
    "POST /v1/accounts/{account_id}/unfreeze": {"reason": "asked for it"},
    "POST /v1/accounts/{account_id}/closure": {"reason": "asked for it"},
}
NOTHING = {
    "account_id": uuid4(), "version": 9_999, "position": 1 << 40, "size": 1 << 40, "old": 1 << 40, "new": 1 << 41,
    "code": "NO-SUCH", "decision_id": "D9999", "revision_id": "R9999", "partner": "no-such", "proposal": "P9999",
    "key": "f" * 32, "webhook_id": uuid4(), "export_id": uuid4(),
}  # fmt: skip


def essence(reply: Reply) -> tuple[int, Any]:
    """An answer without what is of this request alone."""
    body = reply.body
    return reply.status, {k: v for k, v in body.items() if k != "request_id"} if isinstance(body, dict) else body


def made(cli: CommandLine, served: Served) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """What is there: of the book, and by kind and maker."""
    cli.credit(METRO)
    size = cli("checkpoint", "sign", "--with-map")["size"]
    book = {
        "account_id": cli("account", "show", "ann")["account_id"],
        "version": 1,
        "position": 1,
        "size": size,
        "old": size,
        "new": size,
        "code": "TRAVEL-METRO",
        "decision_id": served("/v1/decisions", "auditor").body["decisions"][0]["decision_id"],
        "partner": "dev-partner",
        "key": served("/v1/partners/dev-partner", "auditor").body["keys"][0]["key"],
    }
    sought = f"/v1/accounts/{book['account_id']}/credits/lookup"
    book["credit"] = served(sought, "bank_backend", method="POST", body={"source_ref": "t1"}).body["version"]
    own = dict[tuple[str, str], str]()
    for role in sorted(OWNERS["webhook_id"]):
        wish = {"url": "https://hooks.example/", "kinds": ["credited"]}
        own["webhook_id", role] = served("/v1/webhooks", role, method="POST", body=wish).body["id"]
    for role in sorted(OWNERS["export_id"]):
        address = exported(served, role, {"topics": ["carbon.account.opened.v1"]})
        own["export_id", role] = address.rpartition("/")[2]
    return book, own


def said(name: str, role: str | None, served: Served, book: dict[str, Any], own: dict[tuple[str, str], str]) -> str:
    """What is wrong with how a role is answered by a route; "" where nothing is."""
    method, _, path = name.partition(" ")
    named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
    kind = next((each for each in OWNERS if each in named), "")

    def ask(values: dict[str, Any]) -> tuple[int, Any]:
        return essence(served(path.format(**values), role, method=method, body=BODIES.get(name)))

    none = ask(NOTHING)
    foreign = [ask(book | {kind: thing}) for (what, maker), thing in own.items() if what == kind and maker != role]
    if PUBLIC not in TABLE[name] and role not in TABLE[name]:
        others = foreign if kind else [ask(NOTHING | book)]
        same = all(each == none for each in others) and none[0] == (401 if role is None else 403)
        return "" if same else f"not admitted: {none[0]}"
    if kind and role not in OVERSEERS[kind]:
        if none[0] != 404 or any(each != none for each in foreign):
            return f"none {none[0]}, foreign {[each[0] for each in foreign]}"
        mine = ask({kind: own[kind, str(role)]})[0]
        return "" if mine in (200, 202, 204) else f"own {mine}"
    if none[0] < 400:
        return f"none {none[0]}"
    there = book | ({"version": book["credit"]} if "/credits/" in path else {})
    if method == "GET" and named <= set(there) and ask(there)[0] != 200:
        return f"of the book {ask(there)[0]}"
    return ""


def test_what_is_somebody_elses_cannot_be_told_from_what_is_not_there(cli: CommandLine) -> None:
    register(cli, "dev-partner", "--all-behaviors")
    for owner in ((), ("--partner", "dev-partner")):
        cli("webhooks", "allow", "https://hooks.example", *owner)
    # What ends a thing comes last.
    naming = sorted((name for name in TABLE if "{" in name), key=lambda name: name.startswith("DELETE"))
    with serving(cli.settings) as served:
        book, own = made(cli, served)
        wrong = {
            (name, role): told
            for name in naming
            for role in (None, *ROLES)
            if (told := said(name, role, served, book, own))
        }
    assert wrong == {}
