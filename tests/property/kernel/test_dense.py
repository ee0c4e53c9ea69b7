"""The real kernel against the oracle on the dense cases, and the proof that these cases can see.

Keeps: no difference for the kernel as it stands, at least one for every planted mistake.
Leaves to ``dense``: the cases; to ``mutants``: the mistakes.
"""

from __future__ import annotations

import random

import pytest

from tests.property.kernel.dense import EDGES, dense_suite, differences, method_document
from tests.property.kernel.mutants import MORE, PLANNED
from tests.property.kernel.variants import Mutant, load_kernel


def test_the_kernel_agrees_with_the_oracle_to_the_milligram() -> None:
    assert dense_suite(load_kernel()) == []


@pytest.mark.parametrize("mutant", [*PLANNED, *MORE], ids=lambda mutant: mutant.name)
def test_a_mistake_planted_in_the_law_is_reported(mutant: Mutant) -> None:
    assert next(differences(load_kernel(mutant)), None) is not None


@pytest.mark.parametrize("right", ["this text is nowhere in the source", "return"])
def test_a_mutant_whose_source_text_is_not_there_exactly_once_fails_loudly(right: str) -> None:
    with pytest.raises(LookupError, match="expected once"):
        load_kernel(Mutant("stale", "domain.kernel.caps", right, "pass"))


def test_a_mutant_of_a_module_that_is_not_loaded_fails_loudly() -> None:
    with pytest.raises(LookupError, match="not part of the kernel"):
        load_kernel(Mutant("astray", "domain.errors", "class", "class"))


def test_mutants_leave_the_real_kernel_alone() -> None:
    from domain.kernel import rounding

    load_kernel(Mutant("floor", "domain.kernel.rounding", '"down": _down', '"down": _half_up'))
    assert rounding.divide(19, 10, "down") == 1


def test_the_dense_cases_meet_what_they_are_made_for() -> None:
    documents = [method_document(random.Random(seed), EDGES) for seed in range(300)]
    caps = [cap for document in documents for cap in document["caps"]]
    assert {(cap["window"], cap["kind"]) for cap in caps} == {
        (window, kind) for window in ("day", "month", "year") for kind in ("mass", "count")
    }
    assert {document["rounding"] for document in documents} == {"down", "half_even", "half_up"}
    assert {document["result_unit"] for document in documents} == {"g", "kg"}
    assert any(len(document["caps"]) >= 4 for document in documents)
