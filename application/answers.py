"""Answers for machines: what the command line and the HTTP service say of the same thing, in one shape.

Keeps: masses, quantities and factors are decimal text, instants RFC 3339 in UTC; what cannot be read because nobody
holds its key any more, or because the one who asks may not read it, is null. Leaves to the callers: who may be told
what, and where a key of a reader stands.
"""

from __future__ import annotations

from typing import Any

from application.access import Access
from application.erasing import Erasure
from application.ports.webhooks import Dead, Subscription
from application.queries import AccountView, BookTotals, Known
from application.statements import Statement
from domain.applicability import NEVER
from domain.audit.checkpoint import Checkpoint
from domain.behavior import decimal_text
from domain.events.rulebook import FactorReleaseLoaded
from domain.instants import instant_text
from domain.rulebook import MethodologyVersion, Proposal, RevisionRun, Rulebook, period_texts


def account_json(
    view: AccountView, key_epoch: int, *, occurred_before: str | None = None, known_at: str | None = None
) -> dict[str, Any]:
    """What an account holds. ``key_epoch``: that of the key store, by which an erasure is effective or not yet."""
    return {
        "account_id": view.account_id,
        "credited_mg": str(view.credited_mg),
        "by_behavior": {behavior: str(mg) for behavior, mg in view.by_behavior.items()},
        "position": view.position,
        "provisional": view.provisional,
        "occurred_before": occurred_before,
        "known_at": known_at,
        "account_ref": view.account_ref,
        "kind": view.kind,
        "status": view.status,
        "consents": view.consents,
        "erasure": erasure_json(view.erasure, key_epoch),
    }


def statement_json(shown: Statement) -> dict[str, Any]:
    """An account's statement, or a part of it; the sums are of the whole."""
    return {
        "account_id": shown.account_id,
        "credited_mg": str(sum(shown.by_behavior.values())),
        "by_behavior": {behavior: str(mg) for behavior, mg in shown.by_behavior.items()},
        "position": shown.position,
        "entries": shown.entries,
    }


def erasure_json(found: Erasure | None, key_epoch: int) -> dict[str, Any] | None:
    """``effective``: whether the KEK that opened the account's key is gone from the key store."""
    if found is None:
        return None
    return {**found._asdict(), "effective": found.epoch is not None and found.epoch < key_epoch}


def explanation_json(found: dict[str, Any], position: int) -> dict[str, Any]:
    """Why a credit is worth what it is. ``position``: log size it shows; ``credit_position``: that of the credit."""
    return {
        **{key: value for key, value in found.items() if key not in ("position", "scale", "valuations")},
        "credit_position": found["position"],
        "position": position,
        "quantity": decimal_text(int(found["quantity"]), found["scale"]),
        "by_behavior": {found["behavior"]: found["credited_mg"]},
        "valuations": [_valuation(each) for each in found["valuations"]],
    }


def _valuation(found: dict[str, Any]) -> dict[str, Any]:
    valuation = dict(found)
    if "parameters" in found:
        exact = found["exact"]
        valuation["parameters"] = [
            {"name": each["name"], "region": each["region"], "value": decimal_text(each["value"], each["scale"])}
            for each in found["parameters"]
        ]
        valuation["exact"] = None if exact is None else decimal_text(int(exact["value"]), exact["scale"])
    return valuation


def totals_json(
    answer: BookTotals, known: Known, *, occurred_before: str | None = None, known_at: str | None = None
) -> dict[str, Any]:
    """What the whole book holds."""
    return {
        "accounts": answer.accounts,
        "credits": answer.credits,
        "credited_mg": str(answer.credited_mg),
        "by_behavior": {total.behavior: str(total.credited_mg) for total in answer.behaviors},
        "position": answer.position,
        "digest": answer.digest,
        "provisional": known.provisional,
        "occurred_before": occurred_before,
        "known_at": known_at,
    }


def methodology_json(rulebook: Rulebook, version: MethodologyVersion) -> dict[str, Any]:
    """A methodology version and where it stands."""
    return {
        "code": version.method.code,
        "version": version.method.version,
        "state": rulebook.state_of(version.name),
        "digest": version.digest,
        "behavior": version.method.behavior,
        "unit": version.method.unit,
        "in_force": [d.id for d in rulebook.decisions(version.method.behavior) if d.methodology == version.name],
        "title": version.method.title,
        "formula": version.method.formula_text,
        "drafted_by": version.drafter,
        "reviewed_by": version.reviewer or None,
        "certified_by": version.certifier or None,
        "withdrawal_proposed_by": version.withdrawal_proposer or None,
    }


def release_json(loaded: FactorReleaseLoaded) -> dict[str, Any]:
    """A release of a factor set."""
    return {
        "factor_set": loaded.factor_set,
        "release": loaded.release,
        "rows": len(loaded.rows),
        "digest": loaded.digest,
        "by": loaded.by,
    }


def decisions_json(rulebook: Rulebook) -> list[dict[str, Any]]:
    """Every proposal, decision and revision, by when it was approved."""
    ended = _ended(rulebook)
    sources: list[Proposal | RevisionRun] = [*rulebook.proposals.values(), *rulebook.revisions.values()]
    return sorted(
        (_decision(source, ended) for source in sources),
        key=lambda each: (each["position"] or NEVER, each["decision_id"]),
    )


def _ended(rulebook: Rulebook) -> set[str]:
    behaviors = {version.method.behavior for version in rulebook.methodologies.values()}
    return {d.id for behavior in behaviors for d in rulebook.all_decisions(behavior) if d.ended != NEVER}


def _decision(source: Proposal | RevisionRun, ended: set[str]) -> dict[str, Any]:
    start, end = period_texts(source.period)
    if source.id in ended:
        state = "withdrawn"
    elif isinstance(source, RevisionRun):
        state = source.state
    else:
        state = "proposed" if source.approved is None else "approved"
    return {
        "decision_id": source.id,
        "mode": "requantify" if isinstance(source, RevisionRun) else "forward",
        "methodology": source.methodology,
        "from": start,
        "to": end,
        "region": source.region,
        "releases": source.releases,
        "state": state,
        "by": source.by,
        "position": source.approved,
    }


def revision_json(run: RevisionRun) -> dict[str, Any]:
    """A revision run and where it stands."""
    start, end = period_texts(run.period)
    return {
        "revision_id": run.id,
        "methodology": run.methodology,
        "from": start,
        "to": end,
        "region": run.region,
        "releases": run.releases,
        "state": run.state,
        "planned_by": run.by,
        "approved_by": run.approver or None,
        "plan_digest": run.plan_digest,
    }


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint says."""
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "rulebook_position": checkpoint.rulebook_position,
        "recorded_at": instant_text(checkpoint.recorded_us),
        "map_position": checkpoint.map_position,
        "map_root": checkpoint.map_root.hex(),
    }


def access_json(each: Access) -> dict[str, Any]:
    """An entry of the access log."""
    return {
        "position": each.position,
        "recorded_at": instant_text(each.recorded_us),
        "kind": each.kind,
        "by": each.by,
        "known_by": each.known_by,
        "command": each.command,
        "account_id": None if each.account is None else str(each.account),
        "object": each.object,
        "accounts": each.accounts,
    }


def webhook_json(each: Subscription) -> dict[str, Any]:
    """A subscription and how it stands; its secret is told elsewhere, and once."""
    threshold, failing_us = each.wish.threshold_mg, each.failing_since_us
    return {
        "id": str(each.id),
        "partner": each.owner or None,
        "url": each.url,
        "kinds": list(each.wish.kinds),
        "behaviors": list(each.wish.behaviors),
        "threshold_mg": None if threshold is None else str(threshold),
        "by": each.by,
        "since": instant_text(each.since_us),
        "state": each.state,
        "reason": each.reason,
        "position": each.position,
        "delivered": each.delivered,
        "failed": each.failed,
        "waiting": each.waiting,
        "dead": each.dead,
        "failing_since": None if failing_us == 0 else instant_text(failing_us),
    }


def dead_letter_json(each: Dead) -> dict[str, Any]:
    """A message that was given up."""
    return {
        "position": each.position,
        "kind": each.kind,
        "tries": each.tries,
        "first_failed_at": instant_text(each.first_us),
        "given_up_at": instant_text(each.dead_us),
        "error": each.error,
    }
