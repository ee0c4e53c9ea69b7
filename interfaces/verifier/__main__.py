"""Starts the verifier, as a file of its own or as ``python -m interfaces.verifier``."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # whoever is sent the file has some Python, and reads why it does not do
    print("carbon-ledger-verify needs Python 3.11 or later; nothing was verified", file=sys.stderr)
    sys.exit(4)

from interfaces.verifier.main import main

if __name__ == "__main__":
    sys.exit(main())
