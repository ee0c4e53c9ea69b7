"""Writes examples and vectors into docs/spec: ``python -m tests.unit.domain.write_vectors``.

Keeps: only what stands between the fences changes. That the documents show what the code makes is held by the tests of
the vectors; until a format is released its vectors may change, after that never.
"""

from __future__ import annotations

import re

from tests.architecture.project import ROOT
from tests.unit.domain import audit_vectors, bundle_vectors, event_vectors


def blocks() -> list[tuple[str, str, str]]:
    """Document, language of the block, what stands in it."""
    return [
        ("canonical-event.md", "event", event_vectors.event_text()),
        ("canonical-event.md", "json", event_vectors.event_vectors() + "\n"),
        ("log.md", "note", audit_vectors.note_text()),
        ("log.md", "json", audit_vectors.log_vectors() + "\n"),
        ("book-map.md", "json", audit_vectors.map_vectors() + "\n"),
        ("proofs.md", "proof", bundle_vectors.event_proof()),
        ("proofs.md", "json", bundle_vectors.proof_vectors() + "\n"),
        ("bundle.md", "bundle", bundle_vectors.example()),
        ("bundle.md", "json", bundle_vectors.vectors() + "\n"),
    ]


def main() -> None:
    for document, language, content in blocks():
        path = ROOT / "docs" / "spec" / document
        block = re.compile(rf"(?ms)^```{language}\n.*?^```$")
        parts = block.split(path.read_text("utf-8"))
        assert len(parts) == 2, f"{document} has {len(parts) - 1} blocks {language}"
        path.write_text(f"```{language}\n{content}```".join(parts), "utf-8")


if __name__ == "__main__":
    main()
