"""Writes examples and vectors into docs/spec: ``python -m tests.unit.domain.write_vectors``.

Keeps: only what stands between the fences changes. That the documents show what the code makes is held by the tests of
the vectors; until a format is released its vectors may change, after that never.
"""

from __future__ import annotations

import re

from tests.architecture.project import ROOT
from tests.unit.domain import (
    act_vectors,
    audit_vectors,
    bundle_vectors,
    event_vectors,
    events_vectors,
    valuation_vectors,
)
from tests.unit.gm import partner_vectors, transport_vectors


def blocks() -> list[tuple[str, str, list[str]]]:
    """Document, language of the blocks, what stands in each of them."""
    return [
        ("canonical-event.md", "event", [event_vectors.event_text()]),
        ("canonical-event.md", "json", [event_vectors.event_vectors() + "\n"]),
        ("log.md", "note", [audit_vectors.note_text(), audit_vectors.cosigned_text()]),
        ("log.md", "json", [audit_vectors.log_vectors() + "\n"]),
        ("book-map.md", "json", [audit_vectors.map_vectors() + "\n"]),
        ("proofs.md", "proof", [bundle_vectors.event_proof()]),
        ("proofs.md", "json", [bundle_vectors.proof_vectors() + "\n"]),
        ("bundle.md", "bundle", [bundle_vectors.example()]),
        ("acts.md", "act", [act_vectors.example()]),
        ("acts.md", "json", [act_vectors.vectors() + "\n", act_vectors.partner_vectors() + "\n"]),
        ("bundle.md", "json", [bundle_vectors.vectors() + "\n"]),
        ("events-export.md", "events", [events_vectors.example()]),
        ("events-export.md", "json", [events_vectors.vectors() + "\n"]),
        ("valuation.md", "valuation", [valuation_vectors.example()]),
        ("valuation.md", "json", [valuation_vectors.vectors() + "\n"]),
        ("partner-api.md", "request", [partner_vectors.example()]),
        ("partner-api.md", "json", [partner_vectors.vector_text() + "\n"]),
        ("transport.md", "transport", [transport_vectors.example()]),
        ("transport.md", "json", [transport_vectors.vector_text() + "\n"]),
    ]


def main() -> None:
    for document, language, contents in blocks():
        path = ROOT / "docs" / "spec" / document
        block = re.compile(rf"(?ms)^```{language}\n.*?^```$")
        first, *rest = block.split(path.read_text("utf-8"))
        assert len(rest) == len(contents), f"{document} has {len(rest)} blocks {language}"
        text = first + "".join(f"```{language}\n{made}```{after}" for made, after in zip(contents, rest, strict=True))
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
