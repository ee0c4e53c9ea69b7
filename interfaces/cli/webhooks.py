"""``carbon-ledger webhooks``: who is told what as it happens, and the process that tells them (docs/webhooks.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from application import webhooks
from application.answers import dead_letter_json, webhook_json
from application.ports.webhooks import Subscription
from domain.errors import Unavailable
from domain.instants import instant_text
from domain.webhooks import BANK
from interfaces.cli.accessing import ReadBy, reader
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import partner_text
from interfaces.cli.output import Answer, count_text, facts, heading, table
from interfaces.cli.stopping import Stop, stoppable

if TYPE_CHECKING:
    from application.webhooks import Hooks
    from interfaces.bootstrap import Ledger

app = group("Webhooks: messages to programs of the bank and of partners, as things happen in the log.")

_LONGEST_PAUSE_S = 10.0
_FIRST_PAUSE_S = 0.5
_WORTH_TRYING = {
    *("server_lost", "server_stopped", "server_not_ready", "server_busy", "server_read_only"),
    *("ledger_busy", "disk_full", "keys_moved", "key_missing", "signing_key_missing"),
}
"""What may be over in a while."""

Origin = Annotated[
    str, typer.Argument(metavar="ORIGIN", help="https://HOST[:PORT], and nothing behind it.", show_default=False)
]
Url = Annotated[
    str, typer.Argument(metavar="URL", help="Where to send to, within an allowed origin.", show_default=False)
]
Owner = Annotated[
    str | None,
    typer.Option(
        "--partner",
        metavar="NAME",
        help="For this partner, which is told of its own credits; for the bank without it.",
        parser=partner_text,
        show_default=False,
    ),
]
Private = Annotated[
    bool, typer.Option("--private", help="It may lie within the house: private and loopback addresses.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", metavar="KIND", help="credited, reversed, revised or crossed; once for each.", show_default=False
    ),
]
Behaviors = Annotated[
    list[str] | None,
    typer.Option("--behavior", metavar="NAME", help="Only this behavior; once for each.", show_default=False),
]
Threshold = Annotated[
    int | None,
    typer.Option(
        "--threshold-mg", metavar="MG", help="For crossed: the balance that is crossed, in mg.", show_default=False
    ),
]
From = Annotated[
    int | None,
    typer.Option(
        "--from-position",
        metavar="N",
        min=1,
        help="Begin with this log position; with what comes next without it.",
        show_default=False,
    ),
]
Id = Annotated[UUID, typer.Argument(metavar="ID", help="The subscription; `list` tells ids.", show_default=False)]
Dead = Annotated[bool, typer.Option("--dead-letters", help="Instead: only what was given up, and go on from there.")]


@command(app, "allow", example="webhooks allow https://hooks.metro.example --partner metro")
def allow(cli: Cli, origin: Origin, partner: Owner = None, private: Private = False, by: ReadBy = None) -> Answer:
    """Let messages go to an origin. With a server of your own, the owner of the schema does it: the service may not."""
    with cli.ledger() as ledger:
        made = webhooks.allow(_hooks(ledger), origin, partner or BANK, reader(by), is_private=private)
    payload = {"origin": made.origin, "partner": made.owner or None, "private": made.is_private}
    return Answer(payload, [heading(f"messages may go to {made.origin}")])


@command(app, "disallow", example="webhooks disallow https://hooks.metro.example --partner metro")
def disallow(cli: Cli, origin: Origin, partner: Owner = None, by: ReadBy = None) -> Answer:
    """Send nothing there any more, from within seconds on; what waits goes on waiting."""
    with cli.ledger() as ledger:
        named = webhooks.disallow(_hooks(ledger), origin, partner or BANK, reader(by))
    return Answer({"origin": named, "partner": partner}, [heading(f"nothing goes to {named}")])


@command(app, "targets", example="webhooks targets")
def targets(cli: Cli) -> Answer:
    """The origins that messages may go to."""
    with cli.ledger() as ledger:
        found = _hooks(ledger).store.targets()
    told = [
        {
            "origin": each.origin,
            "partner": each.owner or None,
            "private": each.is_private,
            "by": each.by,
            "since": instant_text(each.since_us),
        }
        for each in found
    ]
    rows = [(e.origin, e.owner or "the bank", "private" if e.is_private else "", e.by) for e in found]
    return Answer({"targets": told}, [table(("origin", "for", "", "by"), rows)])


@command(app, "subscribe", example="webhooks subscribe https://hooks.example/carbon --kind credited --kind revised")
def subscribe(
    cli: Cli,
    url: Url,
    kind: Kinds = None,
    behavior: Behaviors = None,
    threshold_mg: Threshold = None,
    partner: Owner = None,
    from_position: From = None,
    by: ReadBy = None,
) -> Answer:
    """Tell a program what happens. Its secret is shown once: with it the program checks where a message comes from."""
    after = None if from_position is None else from_position - 1
    asked = webhooks.Asked(url, kind or (), behavior or (), threshold_mg, after)
    with cli.ledger() as ledger:
        made, secret = webhooks.subscribe(_hooks(ledger), partner or BANK, asked, reader(by))
    human: list[Any] = [
        heading("subscribed"),
        facts([("id", str(made.id)), ("secret", f"{secret} (this is the only time that it is shown)")]),
        cli.following("webhooks run", f"webhooks show {made.id}"),
    ]
    return Answer({**webhook_json(made), "secret": secret}, human)


@command(app, "unsubscribe", example="webhooks unsubscribe 0f6a6d3e-3c4b-4a57-8a53-2f6d0f7c9a11")
def unsubscribe(cli: Cli, subscription: Id, by: ReadBy = None) -> Answer:
    """End a subscription; what waited for it is not sent."""
    with cli.ledger() as ledger:
        found = webhooks.unsubscribe(_hooks(ledger), subscription, None, reader(by))
    return Answer({"id": str(found.id)}, [heading("it is told nothing any more")])


@command(app, "list", example="webhooks list")
def list_(cli: Cli) -> Answer:
    """All subscriptions, and how they stand."""
    with cli.ledger() as ledger:
        found = webhooks.listed(_hooks(ledger), None)
    rows = [
        (str(e.id), e.owner or "the bank", ", ".join(e.wish.kinds), e.state, count_text(e.waiting), count_text(e.dead))
        for e in found
    ]
    payload = {"webhooks": [webhook_json(each) for each in found]}
    return Answer(payload, [table(("id", "for", "told of", "state", "waiting>", "given up>"), rows)])


@command(app, "show", example="webhooks show 0f6a6d3e-3c4b-4a57-8a53-2f6d0f7c9a11")
def show(cli: Cli, subscription: Id) -> Answer:
    """One subscription: how far it is, what went wrong last."""
    with cli.ledger() as ledger:
        found = webhooks.shown(_hooks(ledger), subscription, None)
    return Answer(webhook_json(found), _shown(found))


@command(app, "dead-letters", example="webhooks dead-letters 0f6a6d3e-3c4b-4a57-8a53-2f6d0f7c9a11")
def dead_letters(cli: Cli, subscription: Id) -> Answer:
    """Messages that were given up, the oldest five hundred."""
    with cli.ledger() as ledger:
        found = webhooks.dead_letters(_hooks(ledger), subscription, None)
    rows = [(count_text(e.position), e.kind, count_text(e.tries), instant_text(e.dead_us), e.error) for e in found]
    human = [table(("position>", "kind", "tries>", "given up", "why"), rows)]
    return Answer({"dead_letters": [dead_letter_json(each) for each in found]}, human)


@command(app, "replay", example="webhooks replay 0f6a6d3e-3c4b-4a57-8a53-2f6d0f7c9a11 --from-position 5000")
def replay(cli: Cli, subscription: Id, from_position: From = None, dead: Dead = False, by: ReadBy = None) -> Answer:
    """Tell it again from a log position on, or what was given up; a disabled subscription is active again."""
    if (from_position is None) != dead:
        raise typer.BadParameter("give --from-position or --dead-letters", param_hint="'--from-position'")
    with cli.ledger() as ledger:
        hooks = _hooks(ledger)
        if from_position is None:
            found, _ = webhooks.revive(hooks, subscription, None, reader(by))
        else:
            found = webhooks.replay(hooks, subscription, None, from_position, reader(by))
    return Answer(webhook_json(found), _shown(found))


@command(app, "run", example="webhooks run")
def run(cli: Cli) -> Answer:
    """Send messages until SIGTERM or Ctrl-C. A database that is lost is waited for; several may run at once."""
    from interfaces.bootstrap.webhooks import webhook_settings

    settings = webhook_settings()
    with stoppable() as stop:

        def work(ledger: Ledger) -> None:
            from interfaces.bootstrap.webhooks import deliverer

            _tell("sending messages; SIGTERM or Ctrl-C ends it")
            deliverer(ledger, settings, _tell).run(lambda: stop.wait(0))

        _again_and_again(cli, stop, work)
    return Answer({"stopped": True}, [heading("the deliverer has stopped")])


def _again_and_again(cli: Cli, stop: Stop, work: Callable[[Ledger], None]) -> None:
    """Until asked to stop; what may be over in a while is waited for, once it has begun."""
    has_begun, failures = False, 0
    while not stop.wait(min(_FIRST_PAUSE_S * 2**failures, _LONGEST_PAUSE_S) if failures else 0):
        try:
            with cli.ledger() as ledger:
                has_begun, failures = True, 0
                work(ledger)
        except Unavailable as error:
            if not has_begun or error.code not in _WORTH_TRYING:
                raise
            failures += 1
            _tell(f"{error.code}: {error.message} (nothing is sent meanwhile; trying again)")


def _hooks(ledger: Ledger) -> Hooks:
    from interfaces.bootstrap.webhooks import hooks_of

    return hooks_of(ledger)


def _shown(found: Subscription) -> list[Any]:
    threshold = found.wish.threshold_mg
    pairs = [
        ("id", str(found.id)),
        ("for", found.owner or "the bank"),
        ("sent to", found.url),
        ("told of", ", ".join(found.wish.kinds)),
        ("behaviors", ", ".join(found.wish.behaviors) or "all"),
        ("threshold", "none" if threshold is None else f"{count_text(threshold)} mg"),
        ("state", found.state + (f": {found.reason}" if found.reason else "")),
        ("log read up to", count_text(found.position)),
        ("delivered", count_text(found.delivered)),
        ("waiting", count_text(found.waiting)),
        ("given up", count_text(found.dead)),
    ]
    return [heading("webhook"), facts(pairs)]


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
