"""All questions to a fast kernel in one order: wrong books, traps, stories as they stood and stand, altered stories.

Keeps: the same questions on every run; each is made once and kept, since many kernels are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import TypeAlias
from unittest.mock import patch
from uuid import UUID

from application.ports.kernel import KernelFactory
from domain.revision import Scope
from tests.property.fast_kernel.altering import altered
from tests.property.fast_kernel.questions import Question
from tests.property.fast_kernel.stories import Story, question_of, streams_of
from tests.property.fast_kernel.traps import RIGHT
from tests.property.fast_kernel.wide import WIDE
from tests.property.fast_kernel.wrong import WRONG
from tests.unit.domain.worlds import World

HANDED_OVER = tuple(WIDE)
ALTERATIONS = 4
"""How often each story is altered."""


def differences(kernel: KernelFactory, stories: range) -> Iterator[str]:
    """Between the kernel and the reference, one at a time."""
    for name in WRONG:
        yield from of_wrong_book(name).differences(kernel)
    for trap in (*RIGHT, *HANDED_OVER):
        yield from _asked(kernel, of_trap(trap))
    for seed in stories:
        yield from _asked(kernel, of_story(seed))
        for question in of_altered_story(seed):
            yield from question.differences(kernel)


Asked: TypeAlias = tuple[tuple[Question, ...], tuple[tuple[Question, Scope], ...]]
"""Questions about replays, and about the lines of runs."""


def _asked(kernel: KernelFactory, asked: Asked) -> Iterator[str]:
    questions, runs = asked
    for question in questions:
        yield from question.differences(kernel)
    for question, scope in runs:
        yield from question.line_differences(kernel, scope)


@cache
def of_trap(trap: Callable[[], World]) -> Asked:
    world, wide = trap(), trap in HANDED_OVER

    def stood(until: int) -> Question:
        return Question(f"{trap.__name__} until {until}", world.rulebook, streams_of(world), until, wide=wide)

    question = stood(world.size)
    as_planned = tuple((stood((run.approved or 1) - 1), scope) for run, scope in question.runs)
    return (question, *(stood(world.size * part // 4) for part in (2, 3))), as_planned


@cache
def of_wrong_book(name: str) -> Question:
    world = WRONG[name]()
    return Question(name, world.rulebook, streams_of(world), world.size)


@cache
def story(seed: int) -> Story:
    # The ledger draws the id of an account that a row opens; here it is the same on every run, as all else is.
    ids = Random(f"ids {seed}")
    with patch("domain.crediting.uuid4", lambda: UUID(int=ids.getrandbits(128), version=4)):
        return Story(seed)


@cache
def of_story(seed: int) -> Asked:
    told = story(seed)
    rng = Random(f"sizes {seed}")
    question = question_of(told)
    earlier = sorted(rng.randrange(told.world.size // 2, told.world.size) for _ in range(2))
    as_planned = [(question_of(told, (run.approved or 1) - 1), scope) for run, scope in question.runs]
    asked = [(question, scope) for scope in told.hypothetical_scopes(2)]
    return (question, *(question_of(told, size) for size in earlier)), (*as_planned, *asked)


@cache
def of_altered_story(seed: int) -> tuple[Question, ...]:
    told = story(seed)
    streams = streams_of(told.world)
    questions = []
    for number in range(ALTERATIONS):
        rng = Random(f"altered {seed} {number}")
        done = [(stream, *altered(rng, recorded)) for stream, recorded in streams]
        until = rng.choice((told.world.size, rng.randrange(told.world.size // 2, told.world.size)))
        name = f"story {seed} until {until} altered: {[what for _, what, _ in done]}"
        after = [(stream, recorded) for stream, _, recorded in done]
        questions.append(Question(name, told.world.rulebook, after, until, wide=True))
    return tuple(questions)
