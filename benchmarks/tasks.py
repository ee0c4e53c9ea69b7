"""The child's side of a measurement: ``python -m benchmarks.tasks MODULE.FUNCTION ARGUMENTS_AS_JSON``.

Keeps: every measurement has a process of its own, set up by nothing but its own imports, as a command of the ledger
is; so no contender pays for the memory, the threads or the warm caches of another, and the peak memory is its own.
A task returns one JSON object with at least ``rows`` and ``seconds``; it takes the time itself, so that starting
Python, connecting and preparing do not count.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(name: str, arguments: str) -> None:
    module, _, function = name.partition(".")
    task = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    json.dump(task(**json.loads(arguments)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
