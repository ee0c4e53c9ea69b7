"""How an act gets its signature: from a key at hand, from a signature made elsewhere, or not at all.

Keeps: it is checked under the lock under which the act was decided, by ``domain.acts.fault``, whatever way it came.
Leaves to the use cases: what is done; to the interfaces: where keys and signatures come from.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from application.ports.signer import Signer
from domain.acts import Act, Fault, fault, text_of
from domain.errors import Rejected
from domain.events.base import ActSignature, Event
from domain.rulebook import Rulebook
from domain.signing_keys import Verify

E = TypeVar("E", bound=Event)


class Handed(NamedTuple):
    """A signature that was made elsewhere. ``seen``: the rulebook position that the text names; None: the newest."""

    signature: bytes
    seen: int | None = None


class Signing(NamedTuple):
    """How the actor signs: ``signer`` has his key, ``handed`` what he made elsewhere; neither: he does not.

    ``only_text``: nothing is done; ``TextToSign`` is raised with what would be signed.
    """

    verify: Verify
    signer: Signer | None = None
    handed: Handed | None = None
    only_text: bool = False


class TextToSign(Exception):  # not a failure: the answer to somebody who asked for it
    """What is to be signed elsewhere. ``seen``: the rulebook position that it names."""

    def __init__(self, act: Act, text: bytes, seen: int) -> None:
        super().__init__(act.name)
        self.act, self.text, self.seen = act, text, seen


def _nothing_verified(_: bytes, __: bytes, ___: bytes) -> bool:
    return False


UNSIGNED = Signing(_nothing_verified)
"""Nobody signs; where a signature is needed, it is refused."""


def signed(rulebook: Rulebook, event: E, act: Act, signing: Signing) -> E:
    """The event with the signature of the act that it is.

    Raises Rejected ``act_unsigned``, ``act_signature_wrong``, ``act_stale``; TextToSign.
    """
    if signing.only_text:
        raise TextToSign(act, text_of(rulebook, act, rulebook.position), rulebook.position)
    made = _signature(rulebook, act, signing)
    wrong = fault(rulebook, act, made, signing.verify, rulebook.position + 1)
    if wrong is not None:
        raise _refused(act, wrong)
    return event if made is None else msgspec.structs.replace(event, signed=made)


def _signature(rulebook: Rulebook, act: Act, signing: Signing) -> ActSignature | None:
    if signing.signer is not None:
        made = signing.signer.sign(text_of(rulebook, act, rulebook.position))
        return ActSignature(key=signing.signer.key_id, rulebook=rulebook.position, signature=made.hex())
    if signing.handed is None:
        return None
    signature, seen = signing.handed
    key = rulebook.actor_keys.active(act.actor)
    return ActSignature(
        key="" if key is None else key.key,
        rulebook=rulebook.position if seen is None else seen,
        signature=signature.hex(),
    )


def _refused(act: Act, wrong: Fault) -> Rejected:
    return Rejected(wrong.code, f"{act.name} of {act.object}: {wrong.message}", field="by", remedy=wrong.remedy)
