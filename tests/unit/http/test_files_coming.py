"""Places of files that come in, and whose they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, cast

import pytest

from domain.errors import Unavailable
from interfaces.http.files import Files


def test_one_caller_leaves_places_for_others_and_gives_back_what_it_held() -> None:
    files = Files(cast(Any, None), cast(Any, None))
    with ExitStack() as slow:
        for _ in range(2):
            slow.enter_context(files.coming("slow"))
        with pytest.raises(Unavailable, match="too many files"), files.coming("slow"):
            pass
        with files.coming("another"), files.coming("a third"):
            with pytest.raises(Unavailable) as refused, files.coming("a fourth"):
                pass
            assert refused.value.code == "too_busy"
        with files.coming("a fourth"):
            pass
    with files.coming("slow"), files.coming("slow"):
        pass
