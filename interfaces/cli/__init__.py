"""The command line ``carbon-ledger`` (DESIGN 7): a module per topic, and what they share.

Keeps: only ``command`` opens ledgers, only ``output`` writes answers, only ``main`` turns failures into exit codes.
"""

from __future__ import annotations
