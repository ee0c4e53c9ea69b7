"""`carbon-ledger demo`: the whole story on a generated town. Start with ``story.run_demo``."""

from __future__ import annotations

from interfaces.demo.story import DEFAULT_HOME, run_demo

__all__ = ["DEFAULT_HOME", "run_demo"]
