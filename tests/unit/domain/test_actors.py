"""Whose name a name is: what looks the same makes no second person."""

from __future__ import annotations

import pytest

from domain import methodology
from domain.actors import same_actor
from domain.errors import Rejected
from tests.fixtures.independent_partners import person
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import World


@pytest.mark.parametrize(
    "name",
    [
        "dora",
        "DORA",
        "\uff24ora",
        "dora\ufe0f",
        "do\u034fra",
        "\u3164dora",
        "dora\u115f",
        "dora\u2800",
        "dora\U000e0101",
    ],
)
def test_what_looks_the_same_is_one_person_also_for_who_has_the_document_alone(name: str) -> None:
    assert same_actor("dora", name)
    assert person("dora") == person(name)


def test_more_white_space_between_two_words_makes_no_second_person() -> None:
    assert same_actor("li hua", "li  hua")
    assert person("li hua") == person("li \u3000hua")
    assert not same_actor("li hua", "lihua")
    assert person("li hua") != person("lihua")


def test_nobody_reviews_what_he_drafted_under_a_name_with_something_unseen_in_it() -> None:
    world = World()
    name = world.draft(metro(), by="rita\ufe0f")
    with pytest.raises(Rejected) as refused:
        methodology.review(world.rulebook, name, "rita")
    assert refused.value.code == "same_actor"
