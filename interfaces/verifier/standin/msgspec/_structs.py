"""``Struct``: classes of named fields, in which the ledger's events are written down (ADR 0021).

Keeps: what ``msgspec.Struct`` does with the options in use: ``frozen``, ``kw_only``, ``array_like``, ``omit_defaults``,
``forbid_unknown_fields``; ``gc`` is taken and means nothing here. Whatever the ledger does not use is refused when the
class is made, so that nothing is different in silence. As there, types are checked when bytes are read, not when an
instance is made in code.
Leaves to ``_reading`` and ``json``: types and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, get_origin

REQUIRED: Any = object()
_PLAIN = (type(None), bool, int, str)
_OPTIONS = ("frozen", "array_like", "forbid_unknown_fields", "omit_defaults")


class Field(NamedTuple):
    """One field; ``default`` is ``REQUIRED`` when it has none."""

    name: str
    default: Any
    kw_only: bool


class Shape(NamedTuple):
    """What a class of structs is made of, its fields in the order of their bytes."""

    fields: tuple[Field, ...]
    names: tuple[str, ...]
    options: dict[str, bool]
    values: Callable[[Any], tuple[Any, ...]]
    """The values of an instance, in the order of its fields."""
    build: Callable[[Iterable[Any]], Any]
    """The instance with these values: the inverse."""

    @property
    def omits(self) -> bool:
        """Whether a field may be left out where it has its default."""
        return self.options["omit_defaults"] and any(field.default is not REQUIRED for field in self.fields)


class StructMeta(type):
    """Makes slots of annotations; options stand in the line of the class."""

    __struct__: Shape

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, kw_only: bool = False, **options: bool
    ) -> StructMeta:
        above = bases[0].__struct__ if bases and isinstance(bases[0], StructMeta) else None
        if len(bases) > 1 or set(options) - {*_OPTIONS, "gc"}:
            raise TypeError(f"{name}: the stand-in for msgspec has no such bases or options")
        own = [field for field, kind in namespace.get("__annotations__", {}).items() if not _is_class_variable(kind)]
        fields = {field.name: field for field in above.fields} if above else {}
        slots = tuple(field for field in own if field not in fields)
        for field in own:
            # Named anew, a field goes to the end.
            fields[field] = Field(field, namespace.get(field, REQUIRED), kw_only)
        settings = {option: options.get(option, above is not None and above.options[option]) for option in _OPTIONS}
        namespace = {key: value for key, value in namespace.items() if key not in own}
        namespace["__slots__"] = slots
        frozen = settings["frozen"]
        namespace["__setattr__"] = _refuse_change if frozen else object.__setattr__
        namespace["__delattr__"] = _refuse_change if frozen else object.__delattr__
        namespace["__hash__"] = _hash if frozen else None
        made = super().__new__(mcs, name, bases, namespace)
        made._complete(list(fields.values()), settings)
        return made

    def _complete(cls, fields: Sequence[Field], settings: dict[str, bool]) -> None:
        at_place = [field for field in fields if not field.kw_only]
        required = [field.default is REQUIRED for field in at_place]
        if required != sorted(required, reverse=True):
            raise TypeError(f"{cls.__name__}: a field without a default follows one with a default")
        if any(field.default is not REQUIRED and type(field.default) not in _PLAIN for field in fields):
            raise TypeError(f"{cls.__name__}: the stand-in for msgspec takes plain defaults only")
        ordered = (*at_place, *(field for field in fields if field.kw_only))
        names = tuple(field.name for field in ordered)
        if not all(name.isidentifier() and not name.startswith("_") and not name.endswith("_") for name in names):
            raise TypeError(f"{cls.__name__}: the stand-in for msgspec takes plain names of fields only")
        cls.__struct__ = Shape(ordered, names, settings, _getter(names), builder(cls, names, {}))
        new = _compiled(cls, names, f"def make_({_parameters(ordered)}):", [], {})
        type.__setattr__(cls, "__new__", staticmethod(new))


def _is_class_variable(kind: Any) -> bool:
    """By its annotation, which is text wherever annotations are kept for later."""
    return kind.startswith(("ClassVar", "typing.ClassVar")) if isinstance(kind, str) else get_origin(kind) is ClassVar


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda struct: tuple(getattr(struct, name) for name in names)


def builder(
    cls: StructMeta, names: Sequence[str], converted: Mapping[str, Callable[[Any], Any]]
) -> Callable[[Iterable[Any]], Any]:
    """What makes an instance of the values of all fields in order; some of them are converted on the way."""
    unpacked = [f"{', '.join(names)}, = values_"] if names else []
    made: Callable[[Iterable[Any]], Any] = _compiled(cls, names, "def make_(values_):", unpacked, converted)
    return made


def _compiled(
    cls: StructMeta, names: Sequence[str], head: str, lines: Sequence[str], converted: Mapping[str, Any]
) -> Any:
    """A function that makes an instance, as code of its own: a loop over the fields takes four times as long.

    Names of its own end with ``_``, which no field's does.
    """
    lines = [*lines, "made_ = new_(open_)"]
    lines += [f"made_.{name} = {f'to_{name}_({name})' if name in converted else name}" for name in names]
    opened = cls
    if cls.__dict__["__setattr__"] is _refuse_change:
        # So an instance is filled as one of a class with the same slots that refuses nothing, and becomes what it is
        # when it is complete.
        opened = type.__new__(type(cls), cls.__name__, (cls,), dict(_OPEN))
        lines.append("made_.__class__ = cls_")
    known: dict[str, Any] = {f"to_{name}_": convert for name, convert in converted.items()}
    known |= {"new_": object.__new__, "open_": opened, "cls_": cls}
    exec("\n    ".join([head, *lines, "return made_"]), known)
    return known["make_"]


def _parameters(fields: Sequence[Field]) -> str:
    at_place = [_parameter(field) for field in fields if not field.kw_only]
    by_name = [_parameter(field) for field in fields if field.kw_only]
    return ", ".join(["class_", *at_place, *(["*", *by_name] if by_name else [])])


def _parameter(field: Field) -> str:
    return field.name if field.default is REQUIRED else f"{field.name}={field.default!r}"


_OPEN: dict[str, Any] = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}


def _refuse_change(struct: Any, *_: Any) -> None:
    raise AttributeError(f"immutable type: {type(struct).__name__!r}")


def _hash(struct: Any) -> int:
    cls = type(struct)
    return hash((cls, *cls.__struct__.values(struct)))


class Struct(metaclass=StructMeta):
    """Base of all structs."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        values = type(self).__struct__.values
        return values(self) == values(other)

    def __repr__(self) -> str:
        shape = type(self).__struct__
        shown = (f"{name}={value!r}" for name, value in zip(shape.names, shape.values(self), strict=True))
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), type(self).__struct__.values(self))


def _rebuilt(cls: StructMeta, values: tuple[Any, ...]) -> Any:
    return cls.__struct__.build(values)


def defstruct(name: str, fields: Iterable[tuple[Any, ...]], **options: bool) -> StructMeta:
    """A class from names, types and, where there is one, defaults of its fields."""
    listed = list(fields)
    namespace: dict[str, Any] = {each[0]: each[2] for each in listed if len(each) > 2}
    namespace["__annotations__"] = {each[0]: each[1] for each in listed}
    return StructMeta(name, (Struct,), namespace, **options)
