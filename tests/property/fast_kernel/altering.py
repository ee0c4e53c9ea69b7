"""Logs that somebody with the database has altered: one account's events, changed, dropped, doubled or moved.

Keeps: seeded; versions stay 1, 2, 3 ... and what names a version follows it, so that the alteration itself is what is
wrong, not its traces; the personal part is gone, as after an erasure, since the columns do not hold it.
Leaves to ``questions``: whether the reference minds, and that the fast kernel proves no account that it minds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from domain.events import account as events
from domain.events.base import Event, Recorded
from domain.instants import instant_of, instant_text
from domain.values import day_number, day_text

FREEZING = events.AccountFrozen(by="eve")
DAY_US = 86_400_000_000


class _Told(NamedTuple):
    """An event on its way into the altered stream; ``version``: the one it had, 0 for a new one."""

    version: int
    event: Any


def altered(rng: Random, recorded: Sequence[Recorded]) -> tuple[str, list[Recorded]]:
    """What was done, and the stream after it."""
    told = [_Told(each.version, each.event) for each in recorded]
    places = [each.position for each in recorded]
    often = (_changed,) * 5
    act = rng.choice((*often, _dropped, _dropped, _swapped, _moved, _disordered, _postponed, _doubled, _frozen))
    what = act(rng, told, places)
    numbers = {each.version: number for number, each in enumerate(told, start=1) if each.version}
    stream = recorded[0].stream
    return what, [
        Recorded(stream, number, position, _following(each.event, numbers), None)
        for number, (each, position) in enumerate(zip(told, places, strict=True), start=1)
    ]


def _following(event: Any, numbers: dict[int, int]) -> Any:
    """The event naming the versions as they are numbered now."""
    if isinstance(event, events.BehaviorCredited | events.ConsentWithdrawn):
        return msgspec.structs.replace(event, consent=numbers.get(event.consent, event.consent))
    if isinstance(event, events.BehaviorReversed):
        return msgspec.structs.replace(event, credit=numbers.get(event.credit, event.credit))
    if isinstance(event, events.FactorRevised):
        lines = (msgspec.structs.replace(each, credit=numbers.get(each.credit, each.credit)) for each in event.lines)
        return msgspec.structs.replace(event, lines=tuple(lines))
    return event


def _later(rng: Random, told: list[_Told]) -> int:
    """A place after the opening; often one of a revision, of which there are few."""
    revised = [at for at, each in enumerate(told) if isinstance(each.event, events.FactorRevised)]
    if revised and rng.random() < 0.4:
        return rng.choice(revised)
    return rng.randrange(1, len(told)) if len(told) > 1 else 0


def _dropped(rng: Random, told: list[_Told], places: list[int]) -> str:
    at = _later(rng, told)
    gone = told.pop(at)
    places.pop(at)
    return f"without {type(gone.event).__name__} {gone.version}"


def _swapped(rng: Random, told: list[_Told], places: list[int]) -> str:
    one, other = _later(rng, told), _later(rng, told)
    told[one], told[other] = told[other], told[one]
    return f"{one + 1} and {other + 1} swapped"


def _postponed(rng: Random, told: list[_Told], places: list[int]) -> str:
    """Told later in the stream, after others that were told later."""
    at = _later(rng, told)
    after = rng.randrange(at, len(told))
    told.insert(after, told.pop(at))
    return f"{at + 1} told as {after + 1}"


def _moved(rng: Random, told: list[_Told], places: list[int]) -> str:
    """Another log position between the neighbors' ones."""
    at = _later(rng, told)
    low = places[at - 1] + 1 if at else 1
    high = places[at + 1] if at + 1 < len(places) else places[at] + 5
    places[at] = rng.randrange(low, max(high, low + 1))
    return f"{at + 1} at position {places[at]}"


def _disordered(rng: Random, told: list[_Told], places: list[int]) -> str:
    """Two events exchange their log positions or their versions: versions no longer rise with positions."""
    one, other = _later(rng, told), _later(rng, told)
    places[one], places[other] = places[other], places[one]
    if rng.random() < 0.7:
        told[one], told[other] = told[other], told[one]
        return f"{one + 1} and {other + 1} have each other's version"
    return f"{one + 1} and {other + 1} have each other's position"


def _put_in(rng: Random, told: list[_Told], places: list[int], each: _Told) -> str:
    gaps = [at for at in range(1, len(told)) if places[at] - places[at - 1] > 1]
    at = rng.choice([*gaps, len(told)])
    told.insert(at, each)
    places.insert(at, places[at - 1] + 1)
    return f"{type(each.event).__name__} put in as {at + 1}"


def _doubled(rng: Random, told: list[_Told], places: list[int]) -> str:
    return _put_in(rng, told, places, _Told(0, told[_later(rng, told)].event))


def _frozen(rng: Random, told: list[_Told], places: list[int]) -> str:
    return _put_in(rng, told, places, _Told(0, FREEZING))


def _changed(rng: Random, told: list[_Told], places: list[int]) -> str:
    changeable = [at for at, each in enumerate(told) if type(each.event) in _CHANGES]
    if not changeable:
        return _frozen(rng, told, places)
    kind = rng.choice(sorted({type(told[at].event).__name__ for at in changeable}))
    at = rng.choice([at for at in changeable if type(told[at].event).__name__ == kind])
    event = told[at].event
    changes = _CHANGES[type(event)](rng, event, told)
    told[at] = told[at]._replace(event=msgspec.structs.replace(event, **changes))
    return f"{at + 1}: {changes}"


def _one_of(rng: Random, **changes: Any) -> dict[str, Any]:
    name = rng.choice(sorted(changes))
    return {name: changes[name]}


def _number(rng: Random, text: str) -> str:
    return str(int(text) + rng.choice((-1, 1, -1, 1, 1000, -int(text))))


def _day(rng: Random, text: str) -> str:
    return day_text(max(1, day_number(text) + rng.choice((-366, -31, -1, 1, 31))))


def _other(rng: Random, event: Event, told: list[_Told], name: str) -> Any:
    """What another event of this kind says there."""
    said = {getattr(each.event, name) for each in told if type(each.event) is type(event)}
    return rng.choice(sorted(said))


def _credit(rng: Random, event: Any, told: list[_Told]) -> dict[str, Any]:
    return _one_of(
        rng,
        behavior=rng.choice(("dense.case", "other.case", "nothing.known")),
        day=_day(rng, event.day),
        region=rng.choice(("", "*", "CN", "CN-44", "CN-440300", "US", "US-MA", "XX")),
        quantity=_number(rng, event.quantity),
        scale=event.scale + rng.choice((-1, 1)),
        unit="mi",
        methodology=rng.choice(("DENSE-A@1", "DENSE-A@2", "DENSE-B@1", "DENSE-A@99")),
        decision=rng.choice(("D1", "D2", "R1", "R9")),
        rule="v0",
        consent=event.consent + rng.choice((-1, 1)),
        computed_mg=_number(rng, event.computed_mg),
        credited_mg=_number(rng, event.credited_mg),
    )


def _reversal(rng: Random, event: Any, told: list[_Told]) -> dict[str, Any]:
    return _one_of(
        rng,
        credit=event.credit + rng.choice((-1, 1)),
        behavior=rng.choice(("dense.case", "other.case")),
        day=_day(rng, event.day),
        reversed_mg=_number(rng, event.reversed_mg),
    )


def _revision(rng: Random, event: Any, told: list[_Told]) -> dict[str, Any]:
    lines = list(event.lines)
    if lines and rng.random() < 0.6:
        at = rng.randrange(len(lines))
        if rng.random() < 0.3:
            lines.pop(at)
        else:
            lines[at] = msgspec.structs.replace(lines[at], **_line(rng, lines[at]))
        return {"lines": tuple(lines)}
    return _one_of(
        rng,
        revision=rng.choice(("R1", "R2", "R9", _other(rng, event, told, "revision"))),
        behavior=rng.choice(("dense.case", "other.case")),
        methodology=rng.choice(("DENSE-A@1", "DENSE-A@2", _other(rng, event, told, "methodology"))),
        rule="v0",
        part=event.part + 1,
        last=not event.last,
        lines=(),
    )


def _line(rng: Random, line: events.RevisedLine) -> dict[str, Any]:
    computed = "0" if line.computed_mg is None else rng.choice((None, _number(rng, line.computed_mg)))
    return _one_of(
        rng,
        credit=line.credit + rng.choice((-1, 1)),
        day=_day(rng, line.day),
        before_mg=_number(rng, line.before_mg),
        computed_mg=computed,
        credited_mg=_number(rng, line.credited_mg),
        reason=rng.choice(("no_factor_for_region", "quantity_out_of_range", "")),
    )


def _consent(rng: Random, event: Any, told: list[_Told]) -> dict[str, Any]:
    days = [
        instant_of(f"{each.event.day}T00:00:00Z") for each in told if isinstance(each.event, events.BehaviorCredited)
    ]
    near = rng.choice(days or [0]) + rng.choice((-1, 0, 1)) * DAY_US + rng.randrange(-12, 12) * 3_600_000_000
    return _one_of(
        rng,
        scope=rng.choice((("dense.case",), ("other.case",), ("*",), ())),
        valid_from=instant_text(near),
        valid_to=instant_text(near),
    )


def _withdrawal(rng: Random, event: Any, told: list[_Told]) -> dict[str, Any]:
    return {"consent": event.consent + rng.choice((-1, 1))}


_CHANGES: dict[type[Any], Callable[[Random, Any, list[_Told]], dict[str, Any]]] = {
    events.BehaviorCredited: _credit,
    events.BehaviorReversed: _reversal,
    events.FactorRevised: _revision,
    events.ConsentGranted: _consent,
    events.ConsentWithdrawn: _withdrawal,
}
