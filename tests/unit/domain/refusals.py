"""How a test asks for a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import Rejected


def refusal(act: Callable[..., object], *args: Any, **more: Any) -> tuple[str, str]:
    """Code and field with which the act is refused; every refusal says what to do about it."""
    with pytest.raises(Rejected) as refused:
        act(*args, **more)
    assert refused.value.remedy
    return refused.value.code, refused.value.field
