"""The page in a bundle: what it is, what it holds, and how to check it without trusting the page.

Keeps: the figures are as they were booked; nothing on the page is proven by being there, and it says so.
"""

from __future__ import annotations

from application.exporting import Exported
from domain.instants import instant_text
from interfaces.reports.figures import count
from interfaces.reports.markup import element, facts, page, section, table

_CHECK = (
    "Take the verifier and the log's public key from somewhere else than from this bundle, then run "
    "carbon-ledger-verify.pyz verify BUNDLE.zip --key log.pem. It computes every hash and every credit again and says "
    "what differs. The copy in this bundle is a convenience: compare its SM3 with that of yours."
)
_MEMBERS = (
    ("checkpoint, checkpoint.body, checkpoint.sig.der", "what the log signed; the last two as openssl reads them"),
    ("accounts.jsonl", "every event of the accounts shown, from the first to the last"),
    (
        "rulebook.jsonl, keys.jsonl, intakes.jsonl",
        "all rules, the log's keys, the files that credits came from",
    ),
    ("tree.jsonl, map.jsonl", "hashes in the place of what is not shown"),
    ("methodologies/", "the documents of the methodologies, as the log holds them"),
    ("samples.jsonl", "credits drawn by the auditor's seed"),
    (
        "workings.jsonl",
        "for each the file and line it came from, the decision, and the formula with its values",
    ),
    ("personal.jsonl", "personal facts in clear, where they were not left out: the operator's word, proven by nothing"),
)


def bundle_page(done: Exported, *, redacted: bool, sample_seed: str) -> str:
    """The whole page."""
    checkpoint = done.checkpoint
    everything = done.events == checkpoint.size
    rows = [(behavior, f"{mg:,}") for behavior, mg in done.balances.items()]
    total = ("all behaviors", f"{sum(done.balances.values()):,}")
    pairs = [
        ("log", checkpoint.origin),
        ("events in the log", count(checkpoint.size)),
        ("root", checkpoint.root.hex()),
        ("last event recorded", instant_text(checkpoint.recorded_us)),
        ("accounts shown", count(done.accounts)),
        ("credits shown", count(done.credits)),
        (
            "events shown",
            f"{count(done.events)}: {'the whole log' if everything else 'the accounts that were asked for'}",
        ),
        ("samples", f"{count(done.samples)}, drawn by the seed {sample_seed!r}" if sample_seed else "none"),
        ("personal facts", "left out" if redacted else "in clear"),
    ]
    return page(
        f"Bundle of {checkpoint.origin}",
        element("p", "Export for an audit ", element("span", "审计导出包", lang="zh"), class_="kind"),
        element("h1", "What this bundle shows"),
        facts(pairs),
        section("Booked, in mg CO2e", "入账减排量（毫克）", table(("behavior", "credited mg>"), rows, foot=total)),
        section("How to check it", "如何核验", element("p", _CHECK)),
        section("What is in it", "内容", table(("member", "what it is"), _MEMBERS)),
    )
