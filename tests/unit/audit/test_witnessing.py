"""What may follow an accepted checkpoint: one history, whatever a witness is asked and in whatever order."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.checkpoint import Checkpoint
from domain.audit.merkle import consistency_path, empty_root, subtree_root
from domain.audit.witnessing import contradiction, is_newer, refusal
from domain.digest import leaf_hash

LONGEST = 12


class Log(NamedTuple):
    """A log of leaves; the same texts make the same log."""

    texts: tuple[str, ...]

    def checkpoint(self, size: int, *, map_of: str = "") -> Checkpoint:
        root = subtree_root(self.leaves(size)) if size else empty_root()
        named = (size, leaf_hash(map_of.encode())) if map_of else (0, b"")
        return Checkpoint("log", size, root, size // 2, 1_000 * size, *named)

    def path(self, old: int, new: int) -> list[bytes]:
        leaves = self.leaves(new)
        if not 0 < old <= new:
            return []
        return consistency_path(old, new, lambda level, number: subtree_root(leaves[number << level :][: 1 << level]))

    def leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(text.encode()) for text in self.texts[:size]]


LOG = Log(tuple(f"event {number}" for number in range(LONGEST)))
FORK = Log((*LOG.texts[:5], *(f"other {number}" for number in range(LONGEST - 5))))
SEEN = LOG.checkpoint(6)


def asked(shown: Checkpoint, *, log: Log = LOG, seen: Checkpoint = SEEN, began: Checkpoint | None = None) -> str:
    """The answer to a request with the log's own proof, which begins where the witness stands unless said otherwise."""
    began = seen if began is None else began
    found = refusal(seen, began, shown, log.path(began.size, shown.size))
    return "" if found is None else found.code


def test_a_log_that_grew_is_signed_and_the_same_size_is_signed_again() -> None:
    assert asked(LOG.checkpoint(9)) == ""
    assert asked(SEEN) == ""
    assert asked(SEEN, began=LOG.checkpoint(3)) == ""  # nothing needs to be shown of what is known
    assert asked(LOG.checkpoint(9), seen=LOG.checkpoint(0)) == ""
    assert asked(LOG.checkpoint(9, map_of="balances")) == ""


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (LOG.checkpoint(5), "log_rolled_back"),
        (LOG.checkpoint(0), "log_rolled_back"),
        (FORK.checkpoint(6), "log_forked"),
        (SEEN._replace(rulebook_position=2), "log_forked"),
        (SEEN._replace(recorded_us=1), "log_forked"),
        (FORK.checkpoint(9), "not_consistent"),
        (LOG.checkpoint(9)._replace(rulebook_position=2), "rulebook_went_back"),
        (LOG.checkpoint(9)._replace(recorded_us=5_999), "time_went_back"),
        (LOG.checkpoint(9)._replace(origin="other"), "origin_differs"),
        (LOG.checkpoint(9, map_of="m")._replace(map_position=8), "map_elsewhere"),
    ],
)
def test_a_checkpoint_that_takes_something_back_is_refused(shown: Checkpoint, code: str) -> None:
    assert asked(shown) == code
    if code != "map_elsewhere":  # that is the witness's own rule
        found = contradiction(SEEN, shown, LOG.path(6, shown.size))
        assert found is not None
        assert found.code == code
        assert found.message


def test_a_fork_is_not_helped_by_its_own_good_proof() -> None:
    assert asked(FORK.checkpoint(9), log=FORK) == "not_consistent"
    assert asked(FORK.checkpoint(9), log=FORK, began=FORK.checkpoint(6)) == "log_forked"
    assert asked(FORK.checkpoint(9), log=FORK, began=FORK.checkpoint(5)) == "proof_elsewhere"
    assert asked(LOG.checkpoint(9), began=SEEN._replace(origin="other")) == "origin_differs"
    assert asked(LOG.checkpoint(9)._replace(origin="other"), began=LOG.checkpoint(5)) == "origin_differs"


def test_one_size_has_one_map_for_ever() -> None:
    mapped = LOG.checkpoint(6, map_of="balances")
    assert asked(mapped) == ""
    assert asked(SEEN, seen=mapped) == ""
    assert not is_newer(mapped, SEEN)
    assert is_newer(SEEN, mapped)
    assert asked(LOG.checkpoint(6, map_of="others"), seen=mapped) == "map_forked"
    assert asked(LOG.checkpoint(9, map_of="others")._replace(map_position=6), seen=mapped) == "map_forked"
    assert asked(LOG.checkpoint(9), seen=mapped, began=LOG.checkpoint(6, map_of="others")) == "map_forked"


sizes = st.integers(4, 8)
"""Around the fork, so that most requests are of some interest."""
requests = st.lists(
    st.tuples(
        st.sampled_from([LOG, FORK]),
        sizes,
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([LOG, FORK]),
        sizes,
        st.booleans(),
    ),
    min_size=30,
    max_size=60,
)


@given(st.integers(0, 5), requests)
def test_all_that_is_ever_signed_is_of_one_history(
    first: int, asking: list[tuple[Log, int, str, Log, int, bool]]
) -> None:
    """An operator with two logs asks in any order, with any proof; the witness remembers as it says."""
    seen = LOG.checkpoint(first)
    signed = [seen]
    for log, size, map_of, proving, began_size, honest in asking:
        shown = log.checkpoint(size, map_of=map_of if size else "")
        began = seen if honest else proving.checkpoint(began_size)
        if refusal(seen, began, shown, proving.path(began.size, size)) is None:
            signed.append(shown)
            if is_newer(seen, shown):
                seen = shown
    roots: dict[int, bytes] = {}
    maps: dict[int, bytes] = {}
    for each in signed:
        assert roots.setdefault(each.size, each.root) == each.root
        if each.map_position:
            assert maps.setdefault(each.map_position, each.map_root) == each.map_root
    branches = {log for log in (LOG, FORK) if all(log.checkpoint(size).root == root for size, root in roots.items())}
    assert branches
    assert [each.size for each in signed] == sorted(each.size for each in signed)
