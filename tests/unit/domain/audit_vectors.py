"""The vectors of docs/spec/log.md and docs/spec/book-map.md, made by the code that the documents describe.

Keeps: what is not computed here are the signatures: SM2 draws a nonce, so each was made once and stands here, the log's
with the example key of GM/T 0003.5, the witness's with a key that was thrown away.
"""

from __future__ import annotations

import json
from typing import Any

from domain.audit.book_map import MapProof, balances_bytes, map_key, map_paths, map_rest, map_root, map_value
from domain.audit.checkpoint import Checkpoint, body_of
from domain.audit.merkle import (
    Node,
    consistency_path,
    empty_root,
    inclusion_path,
    subtree_root,
    subtrees_without,
)
from domain.audit.note import NoteSignature, cosigned_message, cosigner_hash_of, key_hash_of, note_of
from domain.digest import leaf_hash

NAME = "ledger.example/book"
PUBLIC_KEY = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
SIGNATURE = bytes.fromhex(
    "b70167f31010993be5a58836fd0cf7e6c9a1a1dd945595204ad2bd4692d6f87f"
    "23cdacf6825ebb8591d639fe0d9ca4138c0949a1341d0254831f75f4832d74f6"
)
WITNESS = "witness.example/1"
WITNESS_KEY = bytes.fromhex(
    "045a066c33f077f42a1110c74e92b1a25c46d9f3569e13f07fa01e71d637e8c67"
    "0141c70e96c9aa586d9221dce7480588be0e5752b359dec933d706c6b2087a095"
)
COSIGNATURE = bytes.fromhex(
    "02bc78d21737d52e2c963f3a67ea7a556dd22c975217a3f3b2ed8af99b440f28"
    "056f0290ab9f9cc0f91cd088055e659211bdf7cc929448245e5350f44e7358c2"
)
COSIGNED_S = 1_772_323_260
LEAVES = [leaf_hash(text.encode("ascii")) for text in ("first", "second", "third", "fourth", "fifth")]
STREAMS = [bytes(15) + bytes([number]) for number in (1, 2, 3, 4)]
BALANCES = [
    (("travel.bus", 250_000), ("travel.metro", 1_200_000)),
    (("travel.metro", -40),),
    (),
    (("cycling.shared", 75_000),),
]


def node(level: int, index: int) -> bytes:
    """The complete subtrees of the example's leaves."""
    return subtree_root(LEAVES[index << level : (index + 1) << level])


NODE: Node = node
ENTRIES = sorted(
    (map_key(stream), map_value(stream, 7, balances)) for stream, balances in zip(STREAMS, BALANCES, strict=True)
)
CHECKPOINT = Checkpoint(NAME, 5, subtree_root(LEAVES), 2, 1_772_323_200_000_001, 5, map_root(ENTRIES))


def note_text() -> str:
    """The signed note that docs/spec/log.md begins with."""
    return note_of(body_of(CHECKPOINT), [(NAME, key_hash_of(NAME, PUBLIC_KEY), SIGNATURE)]).decode()


def cosigned_text() -> str:
    """The same with a witness's line."""
    log = NoteSignature(NAME, key_hash_of(NAME, PUBLIC_KEY), SIGNATURE)
    witness = NoteSignature(WITNESS, cosigner_hash_of(WITNESS, WITNESS_KEY), COSIGNATURE, COSIGNED_S)
    return note_of(body_of(CHECKPOINT), [log, witness]).decode()


def log_vectors() -> str:
    """Roots and proofs of a log of five leaves, and the parts of the example's note."""
    return _text(
        {
            "empty_root": empty_root().hex(),
            "leaves": [leaf.hex() for leaf in LEAVES],
            "roots": [subtree_root(LEAVES[:size]).hex() for size in range(1, 6)],
            "inclusion": [
                {"index": index, "size": size, "path": [each.hex() for each in inclusion_path(index, size, NODE)]}
                for index, size in ((0, 1), (1, 3), (2, 5), (4, 5))
            ],
            "consistency": [
                {"old": old, "new": new, "path": [each.hex() for each in consistency_path(old, new, NODE)]}
                for old, new in ((1, 5), (3, 5), (4, 5), (5, 5))
            ],
            "not_shown": [
                {
                    "size": size,
                    "shown": list(shown),
                    "subtrees": [
                        {"level": level, "number": number, "root": node(level, number).hex()}
                        for level, number in subtrees_without(size, shown)
                    ],
                }
                for size, shown in ((5, ()), (5, (2,)), (5, (0, 4)), (4, (1, 2)))
            ],
            "body_hex": body_of(CHECKPOINT).hex(),
            "public_key": PUBLIC_KEY.hex(),
            "key_hash": key_hash_of(NAME, PUBLIC_KEY).hex(),
            "signature": SIGNATURE.hex(),
            "cosignature": {
                "name": WITNESS,
                "public_key": WITNESS_KEY.hex(),
                "key_hash": cosigner_hash_of(WITNESS, WITNESS_KEY).hex(),
                "time": COSIGNED_S,
                "message_hex": cosigned_message(body_of(CHECKPOINT), COSIGNED_S).hex(),
                "signature": COSIGNATURE.hex(),
            },
        }
    )


def map_vectors() -> str:
    """A map of four accounts, with proofs that one is there and that two others are not."""
    absent = [bytes(15) + bytes([number]) for number in (5, 9)]
    shown = map_paths(ENTRIES, [map_key(stream) for stream in (*STREAMS, *absent)])
    return _text(
        {
            "accounts": [
                {
                    "stream": stream.hex(),
                    "version": 7,
                    "balances": balances_bytes(balances).decode(),
                    "key": map_key(stream).hex(),
                    "value": map_value(stream, 7, balances).hex(),
                }
                for stream, balances in zip(STREAMS, BALANCES, strict=True)
            ],
            "root": map_root(ENTRIES).hex(),
            "present": [{"stream": STREAMS[0].hex(), **_proof(shown[map_key(STREAMS[0])])}],
            "absent": [{"stream": stream.hex(), **_proof(shown[map_key(stream)])} for stream in absent],
            "not_shown": [
                {
                    "shown": [stream.hex() for stream in streams],
                    "parts": [
                        {"depth": part.depth, "prefix": part.prefix.hex(), "root": part.root.hex()}
                        for part in map_rest(ENTRIES, map(map_key, streams))
                    ],
                }
                for streams in ((), STREAMS[:1], STREAMS[1:2], STREAMS[2:])
            ],
            "root_of_the_first_alone": map_root([ENTRIES[0]]).hex(),
            "root_of_none": map_root([]).hex(),
        }
    )


def _proof(proof: MapProof) -> dict[str, Any]:
    other = None if proof.other is None else [each.hex() for each in proof.other]
    return {"siblings": [each.hex() for each in proof.siblings], "other": other}


def _text(vectors: dict[str, Any]) -> str:
    return json.dumps(vectors, indent=1)
