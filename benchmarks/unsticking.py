"""Keeps psycopg from waiting for ever in pipeline mode, so that the stock library can be measured at all.

psycopg (3.3.9) leaves pipeline mode's sending loop when nothing is left to queue, although the system may have taken
only a part of it; then it waits for an answer to what was never sent. A statement larger than a Unix socket's buffer
runs into this now and then: the stock library's insert of 1,000 events did in about half of the attempts on a busy
machine. The ledger sends large data by COPY, outside of pipelines.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from psycopg import Connection
from psycopg.waiting import Ready, Wait


def unstick() -> None:
    """From here on, in this process, whoever waits for an answer first gets rid of what is still unsent."""
    original = Connection.wait

    def wait(self: Connection[Any], gen: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, _sending(self, gen), *args, **kwargs)

    Connection.wait = wait  # type: ignore[method-assign]  # the pool makes its connections of this very class


def _sending(conn: Connection[Any], steps: Any) -> Generator[Any, Any, Any]:
    """The same steps; but waiting for an answer becomes waiting for either, until all is sent."""
    try:
        waits_for = next(steps)
        while True:
            unsent = waits_for == Wait.R and conn.pgconn.flush() != 0
            ready = yield Wait.RW if unsent else waits_for
            # Room to send is no answer: the steps hear that there is none yet, and ask to wait again.
            waits_for = steps.send(ready & Ready.R if unsent else ready)
    except StopIteration as done:
        return done.value
