"""Known-answer tests of every algorithm in use, before the first key is touched.

Keeps: a library that computes something else than the standard says is found at start, not in the books. It runs once
per process. Left to the test suite, because it takes seconds: SM4 a million times over.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.digest import MerkleRoot, leaf_hash, sm3_hex
from domain.errors import LedgerError, Unavailable
from infrastructure.gm import vectors
from infrastructure.gm.sm2 import PyxVerifier, Sm2Key, wrap_for
from infrastructure.gm.sm2_format import message_digest, za

_Mode = modes.ECB | modes.CBC | modes.CTR


def sm3() -> bool:
    """The digest, the tree over it, and the keyed forms."""
    root = MerkleRoot()
    for leaf in vectors.MERKLE_LEAVES:
        root.add(leaf)
    digests = all(sm3_hex(data) == digest for data, digest in vectors.SM3)
    tree = leaf_hash(b"").hex().startswith(vectors.MERKLE_ROOT_OF_ONE) and root.hex() == vectors.MERKLE_ROOT
    return digests and tree and all(_hmac(*case) for case in vectors.HMAC_SM3) and _hkdf()


def _hmac(key: bytes, message: bytes, expected: str) -> bool:
    state = HMAC(key, SM3())
    state.update(message)
    return hmac.compare_digest(state.finalize().hex(), expected)


def _hkdf() -> bool:
    (secret, salt, info), expected = vectors.HKDF_SM3
    return HKDF(SM3(), len(expected) // 2, salt, info).derive(secret).hex() == expected


def sm4() -> bool:
    """The block cipher and the modes; CCM is put together from the block cipher, which has no such mode."""
    key = vectors.SM4_KEY
    simple: tuple[tuple[_Mode, bytes, bytes], ...] = (
        (modes.ECB(), key, vectors.SM4_ECB),
        (modes.CBC(vectors.SM4_IV), *vectors.SM4_CBC),
        (modes.CTR(vectors.SM4_IV), *vectors.SM4_CTR),
    )
    if any(_encrypt(key, mode, plaintext) != expected for mode, plaintext, expected in simple):
        return False
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(vectors.RFC8998_NONCE)).encryptor()
    encryptor.authenticate_additional_data(vectors.RFC8998_AAD)
    gcm = encryptor.update(vectors.RFC8998_PLAINTEXT) + encryptor.finalize() + encryptor.tag
    return gcm == vectors.SM4_GCM and _ccm() == vectors.SM4_CCM


def _encrypt(key: bytes, mode: _Mode, plaintext: bytes) -> bytes:
    encryptor: CipherContext = Cipher(algorithms.SM4(key), mode).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


def _ccm() -> bytes:
    """RFC 3610 with a 16-byte tag and a 12-byte nonce."""
    nonce, aad, plaintext = vectors.RFC8998_NONCE, vectors.RFC8998_AAD, vectors.RFC8998_PLAINTEXT
    first = bytes([0x40 | 7 << 3 | 2]) + nonce + len(plaintext).to_bytes(3, "big")
    bound = len(aad).to_bytes(2, "big") + aad
    blocks = first + bound + bytes(-len(bound) % 16) + plaintext + bytes(-len(plaintext) % 16)
    mac = _encrypt(vectors.SM4_KEY, modes.CBC(bytes(16)), blocks)[-16:]
    stream = _encrypt(vectors.SM4_KEY, modes.CTR(b"\x02" + nonce + bytes(3)), mac + plaintext)
    return stream[16:] + stream[:16]


def sm2() -> bool:
    """ZA, the digest, the published signature; a fresh one; the published ciphertext, whole and damaged."""
    key, verifier = Sm2Key(vectors.SM2_PRIVATE, vectors.SM2_PUBLIC), PyxVerifier()
    public_key, message = vectors.SM2_PUBLIC, vectors.SM2_MESSAGE
    digests = za(public_key) == vectors.SM2_ZA and message_digest(public_key, message) == vectors.SM2_E
    published = verifier.verify(public_key, message, vectors.SM2_SIGNATURE)
    fresh = key.sign(message)
    signatures = published and verifier.verify(public_key, message, fresh)
    refused = not verifier.verify(public_key, message + b".", fresh)
    wrapped = sm2_ciphertext(vectors.SM2_C1, vectors.SM2_C3, vectors.SM2_C2)
    opened = key.unwrap(wrapped) == vectors.SM2_PLAINTEXT == key.unwrap(wrap_for(public_key, vectors.SM2_PLAINTEXT))
    return digests and signatures and refused and opened


def sm2_ciphertext(c1: bytes, c3: bytes, c2: bytes) -> bytes:
    """SEQUENCE of x, y, C3, C2 (GM/T 0009) from the parts as the standard prints them."""
    x, y = (int.from_bytes(part, "big") for part in (c1[:32], c1[32:]))
    items = [(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in (x, y)] + [(4, c3), (4, c2)]
    body = b"".join(bytes([tag, len(content)]) + content for tag, content in items)
    return b"\x30" + (bytes([len(body)]) if len(body) < 128 else b"\x81" + bytes([len(body)])) + body


_TESTS: tuple[Callable[[], bool], ...] = (sm3, sm4, sm2)


def run() -> None:
    """All known-answer tests. Raises Unavailable ``crypto_self_test_failed``."""
    for test in _TESTS:
        try:
            passed = test()
        except (LedgerError, ValueError) as error:
            raise _failed(test.__name__) from error
        if not passed:
            raise _failed(test.__name__)


@cache
def run_once() -> None:
    """``run``, the first time in this process that it passes."""
    run()


def _failed(name: str) -> Unavailable:
    return Unavailable(
        "crypto_self_test_failed",
        f"{name.upper()} does not give the answers of its standard here",
        remedy="install the locked versions of cryptography and gmssl-pyx again; use nothing before this passes",
    )
