"""Events twice: on msgspec, and on its stand-in, as the offline verifier has them.

Keeps: both come from the same files; outcomes are compared as plain values, since a class of one is not a class of the
other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import msgspec

from domain.events import registry
from interfaces.verifier.standin import msgspec as standin

REFUSED = "refused"

_LOADED = ("domain.events.registry", "domain.rulebook_replay", "domain.signing_keys")


@contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Modules of these packages are loaded anew inside; afterwards everything is as before."""

    def ours() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}

    kept = ours()
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(kept)


@cache
def on_standin() -> dict[str, Any]:
    """The modules of the domain as they are inside the verifier, by name."""
    with _without("domain", "msgspec"):
        sys.modules.update({"msgspec": standin, "msgspec.json": standin.json, "msgspec.structs": standin.structs})
        for name in _LOADED:
            importlib.import_module(name)
        return {name: module for name, module in sys.modules.items() if name.startswith("domain.")}


def plain(value: Any) -> Any:
    """A value of either side: structs by class name and fields, everything with its type."""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, [(name, plain(getattr(value, name))) for name in value.__struct_fields__]
    if isinstance(value, standin.Struct):
        names = type(value).__struct__.names
        return type(value).__name__, [(name, plain(getattr(value, name))) for name in names]
    if isinstance(value, tuple | list):
        return type(value), [plain(each) for each in value]
    if isinstance(value, dict):
        return dict, [(key, plain(each)) for key, each in value.items()]
    return type(value), value


def outcome(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], content: bytes) -> Any:
    """What is read from bytes and written again; nothing but a refusal where they are refused."""
    try:
        value = decode(content)
    except (msgspec.MsgspecError, standin.MsgspecError, UnicodeDecodeError):
        return REFUSED
    return plain(value), encode(value)


def by_msgspec(topic: str, content: bytes, form: str = "_FACTS") -> Any:
    """How the ledger reads an event's bytes. ``form``: the decoders to ask."""
    return outcome(getattr(registry, form)[topic].decode, registry.encode_part, content)


def by_standin(topic: str, content: bytes, form: str = "_FACTS") -> Any:
    """How the verifier reads them."""
    twin = on_standin()["domain.events.registry"]
    return outcome(getattr(twin, form)[topic].decode, twin.encode_part, content)
