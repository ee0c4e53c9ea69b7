"""Structs of the stand-in behave as those of msgspec, and the ledger's own rules give the same on both."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given

from domain.events import registry
from domain.instants import instant_of
from interfaces.verifier.standin import msgspec as standin
from tests.architecture.project import dotted, modules
from tests.property.verifier.twins import on_standin, plain
from tests.unit.domain.test_events_registry import any_event

GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("v*/*.jsonl"))
LIBRARIES: list[Any] = [msgspec, standin]

NOT_NEEDED = {
    ("domain/factors.py", "convert"),  # loading a release, which only a writer does
}


class Made(NamedTuple):
    """The same classes on one library."""

    base: Any
    event: Any
    late: Any
    line: Any
    loose: Any
    clear: Any


_CLASSES = """
class Base(library.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    KIND: ClassVar[str] = "base"
    previous: int

class Event(Base, frozen=True, kw_only=True):
    name: str
    note: str | None = None

class Late(Base, frozen=True):
    name: str
    count: int = 3

class Line(library.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    credit: int
    reason: str

class Loose(library.Struct, gc=False):
    first: int
    second: object = None
"""


def classes_of(library: Any) -> Made:
    made: dict[str, Any] = {"library": library, "ClassVar": ClassVar, "__name__": __name__}
    exec(_CLASSES, made)
    fields = [("facts", made["Event"]), ("personal", made["Line"] | None, None)]
    clear = library.defstruct("Clear", fields, frozen=True, forbid_unknown_fields=True)
    return Made(made["Base"], made["Event"], made["Late"], made["Line"], made["Loose"], clear)


ACTS: list[Callable[[Made], Any]] = [
    lambda m: m.event(previous=1, name="x"),
    lambda m: m.event(name="x", previous=1, note="y"),
    lambda m: m.event(1, "x"),
    lambda m: m.event(previous=1),
    lambda m: m.event(previous=1, name="x", other=2),
    lambda m: m.event(previous="text where a number should be", name=3),
    lambda m: m.late("x", previous=1),
    lambda m: m.late("x", 4, previous=1),
    lambda m: m.late("x", 4, 5, previous=1),
    lambda m: m.late("x", name="y", previous=1),
    lambda m: m.line(1, "x"),
    lambda m: m.line(reason="x", credit=1),
    lambda m: m.loose(1),
    lambda m: m.loose(1, [2]),
    lambda m: m.clear(m.event(previous=1, name="x")),
    lambda m: m.clear(facts=1, personal=2),
    lambda m: m.event.KIND,
    lambda m: setattr(m.event(previous=1, name="x"), "name", "y"),
    lambda m: setattr(m.event(previous=1, name="x"), "other", "y"),
    lambda m: delattr(m.event(previous=1, name="x"), "name"),
    lambda m: setattr(m.loose(1), "first", 2),
    lambda m: setattr(m.loose(1), "third", 2),
    lambda m: changed(m.loose(1), "second", 5),
    lambda m: m.line(1, "x") == m.line(1, "x"),
    lambda m: m.line(1, "x") == m.line(2, "x"),
    lambda m: m.line(1, "x") != m.line(1, "x"),
    lambda m: m.line(1, "x") == (1, "x"),
    lambda m: m.event(previous=1, name="x") == m.late("x", previous=1),
    lambda m: m.line(1, "x") < m.line(2, "x"),
    lambda m: hash(m.line(1, "x")) == hash(m.line(1, "x")),
    lambda m: len({m.line(1, "x"), m.line(1, "x"), m.line(2, "x")}),
    lambda m: hash(m.loose(1)),
    lambda m: hash(m.clear(m.loose(1))),
    lambda m: repr(m.event(previous=1, name="x")),
    lambda m: repr(m.line(1, "x")),
    lambda m: copy.copy(m.event(previous=1, name="x")),
    lambda m: copy.deepcopy(m.event(previous=1, name="x")),
    lambda m: isinstance(m.event(previous=1, name="x"), m.base),
    lambda m: m.event(previous=1, name="x").__class__ is m.event,
    lambda m: type(copy.copy(m.line(1, "x"))) is m.line,
]


def changed(struct: Any, name: str, value: Any) -> Any:
    setattr(struct, name, value)
    return struct


def told(library: Any, act: Callable[..., Any], *arguments: Any) -> Any:
    """What comes of it: a value, or the kind of error."""
    try:
        return plain(act(*arguments))
    except (TypeError, AttributeError, ValueError) as error:
        return type(error).__name__


@pytest.mark.parametrize("act", ACTS, ids=range(len(ACTS)))
def test_instances_are_made_compared_and_protected_as_by_msgspec(act: Callable[[Made], Any]) -> None:
    assert told(standin, act, classes_of(standin)) == told(msgspec, act, classes_of(msgspec))


@pytest.mark.parametrize("changes", [{}, {"name": "z"}, {"previous": 7, "note": "n"}, {"other": 1}])
def test_an_instance_with_other_values_is_made_as_by_msgspec(changes: dict[str, Any]) -> None:
    results = []
    for library in LIBRARIES:
        event = classes_of(library).event(previous=1, name="x")
        results.append(told(library, lambda: library.structs.replace(event, **changes)))  # noqa: B023
        assert told(library, library.structs.replace, 3) == "TypeError"
    assert results[0] == results[1]


def test_an_instance_is_taken_apart_as_by_msgspec() -> None:
    for library in LIBRARIES:
        inner = classes_of(library).event(previous=1, name="x")
        outer = classes_of(library).event(previous=inner, name="y")
        assert list(library.structs.asdict(outer).items())[:2] == [("previous", inner), ("name", "y")]
        assert told(library, library.structs.asdict, 3) == "TypeError"


VALUES: list[Any] = [
    None, True, False, 0, -1, 2**63, -(2**70), "", 'a"b\\c/d', "张三 \x00\x1f\x7f\u2028😀", [], [1, [None]], (1, "x"),
    {},
    {"b": 1, "aa": {"d": 1, "c": 2}}, {"é": 1, "z": 2, "😀": 3, "\uffff": 4}, {"a": (1, {"c": [{"y": 1, "x": 2}]})},
]  # fmt: skip


@pytest.mark.parametrize("order", [None, "sorted"])
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_of_reports_are_written_as_by_msgspec(value: Any, order: Any) -> None:
    assert standin.json.encode(value, order=order) == msgspec.json.encode(value, order=order)


def test_structs_inside_of_other_values_are_written_as_by_msgspec() -> None:
    for order in (None, "sorted"):
        written = []
        for library in LIBRARIES:
            made = classes_of(library)
            event, line = made.event(previous=1, name="x"), made.line(1, "y")
            written.append(library.json.encode([event, line, {"b": line, "a": event}], order=order))
        assert written[0] == written[1]


def test_half_of_a_surrogate_pair_is_never_written() -> None:
    for library in LIBRARIES:
        with pytest.raises(UnicodeEncodeError):
            library.json.encode("\ud800")


@pytest.mark.parametrize("value", [1.5, b"x", {1}, object(), {1: 2}])
def test_what_the_ledger_never_writes_is_an_error_and_not_a_guess(value: Any) -> None:
    with pytest.raises(TypeError):
        standin.json.encode(value)
    with pytest.raises(ValueError, match="order"):
        standin.json.encode({}, order="deterministic")


@pytest.mark.parametrize("kind", [float, bytes, list[int], tuple[int, str], dict[int, int], int | str, Any, UUID])
def test_what_the_ledger_never_reads_is_an_error_and_not_a_guess(kind: Any) -> None:
    with pytest.raises(TypeError):
        standin.json.Decoder(kind)


def _open_class() -> Any:
    class Open(standin.Struct):
        name: str

    return standin.json.Decoder(Open)


def _array_with_default() -> Any:
    class Short(standin.Struct, array_like=True, forbid_unknown_fields=True):
        name: str = ""

    return standin.json.Decoder(Short)


def _mutable_default() -> Any:
    return standin.defstruct("Listed", [("names", list, [])])


def _required_behind_default() -> Any:
    return standin.defstruct("Wrong", [("first", int, 1), ("second", int)])


def _tagged() -> Any:
    return standin.defstruct("Tagged", [("first", int)], tag=True)


def _private() -> Any:
    return standin.defstruct("Private", [("_first", int)])


@pytest.mark.parametrize(
    "make", [_open_class, _array_with_default, _mutable_default, _required_behind_default, _tagged, _private]
)
def test_classes_of_a_kind_that_the_ledger_does_not_use_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        make()


def test_the_tree_of_errors_is_that_of_msgspec() -> None:
    for name in ("MsgspecError", "DecodeError", "ValidationError"):
        ours, theirs = ([each.__name__ for each in getattr(library, name).__mro__] for library in LIBRARIES)
        assert ours == theirs


class Sent(standin.Struct, frozen=True):
    """Of the module, so that another process could find it."""

    name: str
    inner: tuple[int, ...]


def test_an_instance_goes_to_another_process_and_comes_back_the_same() -> None:
    cls: Any = Sent
    sent = cls("x", (1, 2))
    assert pickle.loads(pickle.dumps(sent)) == sent


@given(any_event())
def test_an_event_made_by_code_is_written_as_the_ledger_writes_it(made: tuple[Any, Any]) -> None:
    event, _ = made
    twin = on_standin()["domain.events.registry"]
    cls = twin.TOPICS[event.TOPIC]
    values = {
        name: tuple(map(_twin_of, value)) if isinstance(value, tuple) else _twin_of(value)
        for name, value in msgspec.structs.asdict(event).items()
    }
    assert twin.encode_part(cls(**values)) == registry.encode_part(event)


def _twin_of(value: Any) -> Any:
    if not isinstance(value, msgspec.Struct):
        return value
    module = on_standin()[type(value).__module__]
    return getattr(module, type(value).__name__)(**msgspec.structs.asdict(value))


def test_the_ledger_uses_nothing_of_msgspec_that_is_missing_here() -> None:
    missing = set()
    for path, tree in modules("domain", "application"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and dotted(node).startswith("msgspec."):
                found: Any = standin
                for name in dotted(node).split(".")[1:]:
                    found = getattr(found, name, None)
                if found is None:
                    missing.add((path, node.attr))
    assert missing == NOT_NEEDED


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_log_replays_on_the_stand_in_as_it_is_expected(path: Path) -> None:
    twin = on_standin()
    replay, rulebook = twin["domain.replay"], twin["domain.rulebook"].Rulebook()
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    log = [
        twin["domain.events.registry"].recorded(
            UUID(row["stream"]), row["version"], row["position"], row["topic"], row["state"].encode()
        )
        for row in rows
    ]
    rules = [each for each in log if isinstance(each.event, twin["domain.events.base"].RulebookEvent)]
    rulebook.extend(rules)
    runs = replay.approved_runs(rulebook, len(log))
    times = {row["position"]: instant_of(row["recorded_at"]) for row in rows}
    mismatches, balances = list(twin["domain.rulebook_replay"].check_rulebook(rules, times)), {}
    for stream in sorted({each.stream for each in log if each.event.STREAM == "account"}):
        account = replay.AccountReplay(rulebook, runs, stream, len(log))
        balances[str(stream)] = account.run(each for each in log if each.stream == stream)
        mismatches += account.mismatches
    expected = json.loads(path.with_suffix(".expected.json").read_text("utf-8"))
    assert mismatches == []
    assert {stream: {k: str(v) for k, v in sums.items()} for stream, sums in balances.items()} == expected["balances"]
