"""The proof that the dense suite can see: every mistake planted in the kernel is reported, and no sum of it wraps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.property.fast_kernel.guards import GUARDS
from tests.property.fast_kernel.mutants import LAWS, NUMBERS, PLANNED
from tests.property.fast_kernel.suite import differences
from tests.property.fast_kernel.variants import Mutant, plain_kernel

STORIES = range(40)

pytestmark = pytest.mark.xdist_group("mutants of the fast kernel")


@pytest.fixture
def as_in_machine_code() -> Iterator[None]:
    """Sums beyond 64 bits wrap in silence."""
    with np.errstate(over="ignore"):
        yield


def test_no_sum_or_product_of_the_kernel_leaves_64_bits() -> None:
    with np.errstate(over="raise"):
        assert list(differences(plain_kernel(), range(20))) == []


@pytest.mark.parametrize("mutant", [*PLANNED, *NUMBERS, *LAWS, *GUARDS], ids=lambda mutant: mutant.name)
@pytest.mark.usefixtures("as_in_machine_code")
def test_a_mistake_planted_in_the_fast_kernel_is_reported(mutant: Mutant) -> None:
    assert next(differences(plain_kernel(mutant), STORIES), None) is not None


@pytest.mark.parametrize("mutant", GUARDS, ids=lambda mutant: mutant.name)
@pytest.mark.usefixtures("as_in_machine_code")
def test_a_guard_that_is_missing_is_reported_as_a_wrong_account_accepted(mutant: Mutant) -> None:
    accepted = (found for found in differences(plain_kernel(mutant), STORIES) if "handed over" not in found)
    assert next(accepted, None) is not None


@pytest.mark.parametrize("right", ["this text is nowhere in the source", "return"])
def test_a_mistake_whose_source_text_is_not_there_exactly_once_fails_loudly(right: str) -> None:
    with pytest.raises(LookupError, match="expected once"):
        plain_kernel(Mutant("stale", "v1", right, "pass"))


def test_a_mistake_in_a_module_that_is_not_loaded_fails_loudly() -> None:
    with pytest.raises(LookupError, match="not part of the kernel"):
        plain_kernel(Mutant("astray", "domain", "cache", "cash"))


def test_planting_a_mistake_leaves_the_real_kernel_alone() -> None:
    from infrastructure.fast_kernel import programs, tables, v1_law

    before = (programs.SAFE, tables.WINDOW_CODES, v1_law.VALUED)
    plain_kernel(Mutant("windows", "tables", '"day": 0', '"day": 1'))
    assert before == (programs.SAFE, tables.WINDOW_CODES, v1_law.VALUED)
    assert tables.WINDOW_CODES["day"] == 0
