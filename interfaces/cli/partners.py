"""``carbon-ledger partner``: who may send which behaviors, with which keys (docs/spec/rulebook.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from application import partners
from application.acts import Signing
from application.partner_answers import partner_json, partners_json
from application.partners import PartnerAct
from domain.partners import Terms
from interfaces.cli.acting import signable, signature_by, signer_of
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import write_new
from interfaces.cli.options import By, OpenReason, RegisteredPartner
from interfaces.cli.output import Answer, facts, heading, table
from interfaces.cli.verifying import key_text

app = group("Partners: what each may send and with which keys; proposed by one, approved by another, stopped at once.")

Allowed = Annotated[
    list[str] | None,
    typer.Option("--behavior", metavar="NAME", help="A behavior that it may send; once for each.", show_default=False),
]
AllBehaviors = Annotated[bool, typer.Option("--all-behaviors", help="It may send every behavior, also those to come.")]
RowsPerDay = Annotated[
    int | None,
    typer.Option(
        "--rows-per-day", metavar="N", help="Rows per civil day at most; no quota without it.", show_default=False
    ),
]
RowsPerRequest = Annotated[
    int | None,
    typer.Option(
        "--rows-per-request",
        metavar="N",
        help="Rows of one request at most; no quota without it.",
        show_default=False,
    ),
]
KeyAtHand = Annotated[
    Path | None,
    typer.Option(
        "--partner-key",
        metavar="FILE",
        help="The partner's key, where its file is at hand, as `actor key new` makes one.",
        show_default=False,
    ),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="PUB",
        help="Instead: its public key as PEM; the private half stays with the partner.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Possession = Annotated[
    Path | None,
    typer.Option(
        "--possession",
        metavar="SIG",
        help="Signature (DER) of that key over what --to-sign wrote.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
KeyText = Annotated[
    Path | None,
    typer.Option(
        "--to-sign",
        metavar="OUT",
        help="Do nothing: write the text that the partner's key signs into this new file.",
        show_default=False,
    ),
]
KeyId = Annotated[str, typer.Option("--key", metavar="ID", help="Which of its keys; `partner show` tells their ids.")]
ProposalId = Annotated[
    str, typer.Argument(metavar="ID", help="The proposal, as it was named when it was made: P3.", show_default=False)
]


@command(
    app,
    "register",
    example="partner register metro-co --behavior travel.metro --key metro.pem --possession metro.sig --by alice",
)
def register(
    cli: Cli,
    partner: RegisteredPartner,
    by: By,
    behavior: Allowed = None,
    all_behaviors: AllBehaviors = False,
    rows_per_day: RowsPerDay = None,
    rows_per_request: RowsPerRequest = None,
    partner_key: KeyAtHand = None,
    key: PublicKey = None,
    possession: Possession = None,
    to_sign: KeyText = None,
) -> Answer:
    """Propose a partner with its terms and its first key; it is one once somebody else approves.

    The key has to sign that it is the partner's: --to-sign writes the text. Rows of names that are not registered are
    credited as before. Quotas are counted by the service that partners send to; files are not counted.
    """
    terms = _terms(behavior, all_behaviors, rows_per_day, rows_per_request)
    asked = _Key(cli, partner, partner_key, key, possession, to_sign)
    with cli.ledger() as ledger:
        text = partners.to_prove(ledger.book, partner, asked.public_key)
        if to_sign is not None:
            return asked.text(text)
        done = partners.propose(ledger.book, partner, terms, asked.public_key, by, *asked.proof(text))
    return _proposed(cli, done, by, key=True)


@command(app, "add-key", example="partner add-key metro-co --key metro-2027.pem --possession metro-2027.sig --by alice")
def add_key(
    cli: Cli,
    partner: RegisteredPartner,
    by: By,
    partner_key: KeyAtHand = None,
    key: PublicKey = None,
    possession: Possession = None,
    to_sign: KeyText = None,
) -> Answer:
    """Propose a further key. Once approved it is good beside the others; `partner revoke-key` ends the old one."""
    asked = _Key(cli, partner, partner_key, key, possession, to_sign)
    with cli.ledger() as ledger:
        text = partners.to_prove(ledger.book, partner, asked.public_key)
        if to_sign is not None:
            return asked.text(text)
        done = partners.propose_key(ledger.book, partner, asked.public_key, by, *asked.proof(text))
    return _proposed(cli, done, by, key=True)


@command(app, "terms", example="partner terms metro-co --behavior travel.metro --behavior travel.bus --by alice")
def terms_(
    cli: Cli,
    partner: RegisteredPartner,
    by: By,
    behavior: Allowed = None,
    all_behaviors: AllBehaviors = False,
    rows_per_day: RowsPerDay = None,
    rows_per_request: RowsPerRequest = None,
) -> Answer:
    """Propose other terms, in whole: what is not given again is gone, once somebody else approves."""
    terms = _terms(behavior, all_behaviors, rows_per_day, rows_per_request)
    with cli.ledger() as ledger:
        done = partners.propose_terms(ledger.book, partner, terms, by)
    return _proposed(cli, done, by)


@command(app, "resume", example='partner resume metro-co --reason "the fault is repaired" --by alice')
def resume(cli: Cli, partner: RegisteredPartner, by: By, reason: OpenReason) -> Answer:
    """Propose the end of a suspension; rows are credited again once somebody else approves."""
    with cli.ledger() as ledger:
        done = partners.propose_resumption(ledger.book, partner, by, reason)
    return _proposed(cli, done, by)


@command(app, "approve", example="partner approve P3 --by bob")
@signable
def approve(cli: Cli, signing: Signing, proposal: ProposalId, by: By) -> Answer:
    """Approve what was proposed about a partner; not by its proposer. It holds from this log position on.

    `partner show` tells what it asks for; compare the id of a key with the partner itself. A proposal is void once
    anything else about its partner has taken effect.
    """
    with cli.ledger() as ledger:
        done = partners.approve(ledger.book, proposal, by, signing)
    pairs = [("partner", done.event.partner), ("state", done.state), ("position", done.position)]
    payload = {"partner": done.event.partner, "proposal": proposal, "state": done.state, "position": done.position}
    return Answer(payload, [heading(f"{proposal} is approved"), facts(pairs)])


@command(
    app,
    "revoke-key",
    example='partner revoke-key metro-co --key 459090a9b0fac7cd57c1aad6a6a55bcf --reason "lost" --by carol',
)
@signable
def revoke_key(
    cli: Cli, signing: Signing, partner: RegisteredPartner, key: KeyId, by: By, reason: OpenReason
) -> Answer:
    """End one of a partner's keys, at once. Its other keys go on; without any it cannot sign what it sends."""
    with cli.ledger() as ledger:
        done = partners.revoke_key(ledger.book, partner, key, by, reason, signing)
    pairs = [("partner", partner), ("key", key), ("position", done.position)]
    payload = {"partner": partner, "key": key, "state": done.state, "position": done.position}
    return Answer(payload, [heading("the key is revoked"), facts(pairs)])


@command(app, "suspend", example='partner suspend metro-co --reason "readings of last night" --by carol')
@signable
def suspend(cli: Cli, signing: Signing, partner: RegisteredPartner, by: By, reason: OpenReason) -> Answer:
    """Stop a partner, at once and by one person: its rows are refused from here on, also of an import under way."""
    with cli.ledger() as ledger:
        done = partners.suspend(ledger.book, partner, by, reason, signing)
    hint = cli.following(f'partner resume {partner} --reason "..." --by SOMEBODY   (approved by somebody else)')
    payload = {"partner": partner, "state": done.state, "position": done.position}
    return Answer(payload, [heading("suspended: its rows are refused"), facts(list(payload.items())), hint])


@command(app, "list", example="partner list")
def list_(cli: Cli) -> Answer:
    """All registered partners with their terms, and those that wait to be."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    listed = partners_json(rulebook.partners)
    rows = [
        (
            each["partner"],
            each["state"],
            "all" if each["behaviors"] is None else ", ".join(each["behaviors"]),
            _quota(each["rows_per_day"]),
            _quota(each["rows_per_request"]),
            len(each["keys"]),
            ", ".join(each["waiting"]),
        )
        for each in listed
    ]
    columns = ("partner", "state", "behaviors", "rows a day>", "rows a request>", "keys>", "waiting")
    shown = table(columns, rows) if rows else heading("no partners are registered: rows of every name are credited")
    return Answer({"partners": listed, "position": rulebook.position}, [shown])


@command(app, "show", example="partner show metro-co")
def show(cli: Cli, partner: RegisteredPartner) -> Answer:
    """One partner: its terms, every key it had, everything that was proposed about it."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    told = partner_json(rulebook.partners, partner)
    keys, asked = told["keys"], told["proposals"]
    pairs = [
        ("partner", partner),
        ("state", told["state"]),
        ("behaviors", "all" if told["behaviors"] is None else ", ".join(told["behaviors"])),
        ("rows per civil day", _quota(told["rows_per_day"])),
        ("rows per request", _quota(told["rows_per_request"])),
        ("since position", told["since"] or "not yet"),
        *((("reason", told["reason"]),) if told["reason"] else ()),
    ]
    shown: list[Any] = [facts(pairs)]
    if keys:
        shown.append(table(("key", "state", "from>"), [(k["key"], k["state"], k["approved"]) for k in keys]))
    rows = [(p["proposal"], p["about"], _asked(p["asks"]), p["state"], p["by"], p["approved_by"] or "") for p in asked]
    shown.append(table(("proposal", "about", "asks for", "state", "proposed by", "approved by"), rows))
    return Answer(told | {"position": rulebook.position}, shown)


class _Key:
    """The key that a command is about, and how it shows that it is the partner's."""

    def __init__(
        self,
        cli: Cli,
        partner: str,
        at_hand: Path | None,
        public: Path | None,
        possession: Path | None,
        to_sign: Path | None,
    ) -> None:
        from interfaces.bootstrap import public_key_of

        if (at_hand is None) == (public is None):
            raise typer.BadParameter("give one of --partner-key and --key", param_hint="'--key'")
        self._signer = None if at_hand is None else signer_of(cli.settings(), at_hand)
        self.public_key = (
            public_key_of(key_text(public)) if public is not None else self._signer.public_key if self._signer else b""
        )
        self._partner, self._possession, self._to_sign = partner, possession, to_sign

    def text(self, text: bytes) -> Answer:
        """Nothing is done but the text written that the key signs."""
        assert self._to_sign is not None
        payload = {"partner": self._partner, "file": str(write_new(self._to_sign, text))}
        return Answer(payload, [heading("nothing is done yet"), facts(list(payload.items()))])

    def proof(self, text: bytes) -> tuple[bytes, Any]:
        """The key's signature of the text, and what checks it."""
        from interfaces.bootstrap import verifier

        return signature_by(self._signer, self._possession, text), verifier().verify


def _terms(behaviors: list[str] | None, all_behaviors: bool, per_day: int | None, per_request: int | None) -> Terms:
    if all_behaviors == bool(behaviors):
        raise typer.BadParameter("give --behavior, once for each, or --all-behaviors", param_hint="'--behavior'")
    return Terms(None if all_behaviors else tuple(behaviors or ()), per_day, per_request)


def _proposed(cli: Cli, done: PartnerAct, by: str, *, key: bool = False) -> Answer:
    event = done.event
    payload = {"partner": event.partner, "proposal": event.proposal, "state": done.state, "position": done.position}
    if key:
        payload |= {"key": event.key}
    hint = cli.following(f"partner approve {event.proposal} --by SOMEBODY-ELSE   (not {by})")
    return Answer(payload, [heading("proposed, and nothing has changed yet"), facts(list(payload.items())), hint])


def _asked(asks: dict[str, Any]) -> str:
    """What an approver decides on, in words."""
    said = []
    if "behaviors" in asks:
        said.append("all behaviors" if asks["behaviors"] is None else ", ".join(asks["behaviors"]))
        said.append(f"rows a day: {_quota(asks['rows_per_day'])}, a request: {_quota(asks['rows_per_request'])}")
    said += [f"key {asks['key']}"] if "key" in asks else []
    said += [asks["reason"]] if "reason" in asks else []
    return "; ".join(said)


def _quota(rows: int | None) -> str:
    return "none" if rows is None else f"{rows:,}"
