"""From parsed JSON to values, held to a type as strictly as msgspec does (ADR 0021).

Keeps: nothing is converted: no number from text, no integer from ``1.0``, no 1 for true; an object has every required
field and no other; of a field given twice each is held to the type, and the last one stands. JSON objects come as
tuples of pairs, so that no repetition is lost, arrays as lists. A type that the ledger does not use is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ._errors import ValidationError
from ._structs import REQUIRED, StructMeta

Read = Callable[[Any], Any]

_NAMES = {str: "str", int: "int", bool: "bool", float: "float", NoneType: "null", tuple: "object", list: "array"}


@cache
def types_of(cls: StructMeta) -> dict[str, Any]:
    """The types of the fields of a class, in order."""
    hints = get_type_hints(cls)
    return {name: hints[name] for name in cls.__struct__.names}


def reader(kind: Any) -> Read:
    """What makes a value of this type from parsed JSON, or raises ValidationError.

    Raises TypeError for a type that is not in use.
    """
    arguments, origin = get_args(kind), get_origin(kind)
    if kind in (str, int, bool):
        return _exact(kind)
    if isinstance(kind, StructMeta):
        return _array_of_fields(kind) if kind.__struct__.options["array_like"] else _object_of_fields(kind)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        return _nullable(reader(next(each for each in arguments if each is not NoneType)))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _array(reader(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _mapping(reader(arguments[1]))
    raise TypeError(f"the stand-in for msgspec does not read {kind}")


def _refused(expected: str, value: Any) -> ValidationError:
    return ValidationError(f"Expected `{expected}`, got `{_NAMES[type(value)]}`")


def _exact(kind: type) -> Read:
    name = _NAMES[kind]

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _refused(name, value)
        return value

    return read


def _nullable(inner: Read) -> Read:
    return lambda value: None if value is None else inner(value)


def _array(inner: Read) -> Read:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise _refused("array", value)
        return tuple(map(inner, value))

    return read


def _mapping(inner: Read) -> Read:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not tuple:
            raise _refused("object", value)
        return {key: inner(each) for key, each in value}

    return read


def _array_of_fields(cls: StructMeta) -> Read:
    readers = [reader(kind) for kind in types_of(cls).values()]
    build = cls.__struct__.build
    if not cls.__struct__.options["forbid_unknown_fields"] or any(
        field.default is not REQUIRED for field in cls.__struct__.fields
    ):
        raise TypeError(f"{cls.__name__}: the stand-in for msgspec reads arrays of all fields only")

    def read(value: Any) -> Any:
        if type(value) is not list:
            raise _refused("array", value)
        if len(value) != len(readers):
            raise ValidationError(f"Expected `array` of length {len(readers)}, got {len(value)}")
        return build([inner(each) for inner, each in zip(readers, value, strict=True)])

    return read


def _object_of_fields(cls: StructMeta) -> Read:
    readers = {name: reader(kind) for name, kind in types_of(cls).items()}
    defaults = {field.name: field.default for field in cls.__struct__.fields}
    build = cls.__struct__.build
    if not cls.__struct__.options["forbid_unknown_fields"]:
        raise TypeError(f"{cls.__name__}: the stand-in for msgspec reads classes that forbid unknown fields only")

    def read(pairs: Any) -> Any:
        if type(pairs) is not tuple:
            raise _refused("object", pairs)
        found = defaults.copy()
        for key, value in pairs:
            inner = readers.get(key)
            if inner is None:
                raise ValidationError(f"Object contains unknown field `{key}`")
            try:
                found[key] = inner(value)
            except ValidationError as error:
                raise ValidationError(f"{error} - at `{key}`") from None
        for key, value in found.items():
            if value is REQUIRED:
                raise ValidationError(f"Object missing required field `{key}`")
        return build(found.values())

    return read
