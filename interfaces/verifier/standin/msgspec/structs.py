"""Instances made of other instances, and taken apart."""

from __future__ import annotations

from typing import Any

from ._structs import Struct


def replace(struct: Any, /, **changes: Any) -> Any:
    """The same with other values in some fields."""
    if not isinstance(struct, Struct):
        raise TypeError("`struct` must be a `msgspec.Struct`")
    shape = type(struct).__struct__
    unknown = changes.keys() - set(shape.names)
    if unknown:
        raise TypeError(f"`{type(struct).__name__}` has no field {min(unknown)!r}")
    return shape.build(changes.get(name, value) for name, value in zip(shape.names, shape.values(struct), strict=True))


def asdict(struct: Any, /) -> dict[str, Any]:
    """The values of the fields by their names, in the order of the fields."""
    if not isinstance(struct, Struct):
        raise TypeError("`struct` must be a `msgspec.Struct`")
    shape = type(struct).__struct__
    return dict(zip(shape.names, shape.values(struct), strict=True))
