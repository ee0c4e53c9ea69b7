"""The examples and vectors of docs/spec are what the code makes, and what a verifier with only the document accepts."""

from __future__ import annotations

import json
import re
from typing import Any

from domain.audit.book_map import Item, MapPart, MapProof, map_key, map_root, root_from_path
from domain.audit.checkpoint import parse_body
from domain.audit.merkle import Folding, Subtree, consistent, root_from_inclusion
from domain.audit.note import NoteSignature, cosigned_message, cosigner_hash_of, key_hash_of, parse_note, signed_message
from domain.digest import sm3_hex
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2 import PyxVerifier
from tests.architecture.project import ROOT
from tests.fixtures import independent_verifier
from tests.unit.domain import act_vectors, audit_vectors

_hex = bytes.fromhex


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "spec" / document).read_text("utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text)


def vectors(document: str) -> Any:
    (text,) = blocks(document, "json")
    return json.loads(text)


def test_the_documents_show_what_the_code_makes() -> None:
    assert blocks("log.md", "note") == [audit_vectors.note_text(), audit_vectors.cosigned_text()]
    assert blocks("log.md", "json") == [audit_vectors.log_vectors() + "\n"]
    assert blocks("book-map.md", "json") == [audit_vectors.map_vectors() + "\n"]
    assert blocks("acts.md", "act") == [act_vectors.example()]
    assert blocks("acts.md", "json") == [act_vectors.vectors() + "\n", act_vectors.partner_vectors() + "\n"]


def test_the_acts_of_the_document_are_signed_by_the_keys_of_the_document() -> None:
    known, partners = map(json.loads, blocks("acts.md", "json"))
    acts = known["acts"] + partners["acts"]
    keys = {each["key"]: _hex(each["public_key"]) for each in (*known["registrations"], *partners["keys"])}
    signed = [(each["text"], each["key"], each["signature"]) for each in acts]
    for each in partners["keys"]:
        assert sm3_hex(keys[each["key"]])[:32] == each["key"]
        signed.append((each["text"], each["key"], each["possession"]))
    for each in known["registrations"]:
        assert sm3_hex(keys[each["key"]])[:32] == each["key"]
        signed.append((each["text"], each["key"], each["possession"]))
        if each["signature_of_replaced"]:
            replaced = json.loads(each["text"].partition("<00>")[2])["replaces"]
            signed.append((each["text"], replaced, each["signature_of_replaced"]))
    assert len(signed) == len(acts) + len(partners["keys"]) + len(known["registrations"]) + 1
    for text, key, signature in signed:
        content = text.replace("<00>", "\0").encode()
        for verifier in (PyxVerifier(), GmsslVerifier()):
            assert verifier.verify(keys[key], content, _hex(signature))
            assert not verifier.verify(keys[key], content + b" ", _hex(signature))
    for each in acts:
        if each["content"]:
            assert json.loads(each["text"].partition("<00>")[2])["shown"] == sm3_hex(each["content"].encode())


def test_the_note_of_the_document_is_signed_by_the_key_of_the_document() -> None:
    known = vectors("log.md")
    text, _ = blocks("log.md", "note")
    body, signatures = parse_note(text.encode("utf-8"))
    assert body == signed_message(_hex(known["body_hex"]))
    key, name = _hex(known["public_key"]), audit_vectors.NAME
    assert signatures == [NoteSignature(name, _hex(known["key_hash"]), _hex(known["signature"]))]
    assert key_hash_of(name, key) == signatures[0].key_hash
    for verifier in (PyxVerifier(), GmsslVerifier()):
        assert verifier.verify(key[1:], body, signatures[0].signature)
        assert not verifier.verify(key[1:], body[:-1], signatures[0].signature)


def test_the_note_of_the_document_is_cosigned_by_the_witness_of_the_document() -> None:
    known = vectors("log.md")["cosignature"]
    _, text = blocks("log.md", "note")
    body, (_, line) = parse_note(text.encode("utf-8"))
    key, name = _hex(known["public_key"]), known["name"]
    assert line == NoteSignature(name, _hex(known["key_hash"]), _hex(known["signature"]), known["time"])
    assert cosigner_hash_of(name, key) == line.key_hash
    assert cosigned_message(body, known["time"]) == _hex(known["message_hex"])
    for verifier in (PyxVerifier(), GmsslVerifier()):
        assert verifier.verify(key[1:], _hex(known["message_hex"]), line.signature)
        assert not verifier.verify(key[1:], body, line.signature)


def test_the_proofs_of_the_log_lead_to_the_root_of_the_note() -> None:
    known = vectors("log.md")
    roots = [_hex(known["empty_root"]), *map(_hex, known["roots"])]
    assert parse_body(_hex(known["body_hex"])).root == roots[5]
    for each in known["inclusion"]:
        leaf, path = _hex(known["leaves"][each["index"]]), [_hex(part) for part in each["path"]]
        assert root_from_inclusion(each["index"], each["size"], leaf, path) == roots[each["size"]]
    for each in known["consistency"]:
        old, new = each["old"], each["new"]
        assert consistent(old, new, roots[old], roots[new], [_hex(part) for part in each["path"]])


def test_the_proofs_of_the_map_lead_to_the_root_that_the_log_carries() -> None:
    known = vectors("book-map.md")
    root = _hex(known["root"])
    assert parse_body(_hex(vectors("log.md")["body_hex"])).map_root == root
    values = {each["stream"]: _hex(each["value"]) for each in known["accounts"]}
    for each in (*known["present"], *known["absent"]):
        other = None if each["other"] is None else (_hex(each["other"][0]), _hex(each["other"][1]))
        proof = MapProof(tuple(map(_hex, each["siblings"])), other)
        assert root_from_path(map_key(_hex(each["stream"])), values.get(each["stream"]), proof) == root
    assert map_root(sorted((_hex(each["key"]), _hex(each["value"])) for each in known["accounts"])) == root


def test_what_is_shown_and_what_stands_for_the_rest_lead_to_the_root_of_the_log() -> None:
    known = vectors("log.md")
    leaves, roots = [_hex(leaf) for leaf in known["leaves"]], [_hex(root) for root in known["roots"]]
    for each in known["not_shown"]:
        folding = Folding()
        nodes = [(place, 0, leaves[place]) for place in each["shown"]]
        nodes += [(part["number"] << part["level"], part["level"], _hex(part["root"])) for part in each["subtrees"]]
        for first, level, root in sorted(nodes):
            folding.add(Subtree(level, first >> level, root))
        assert folding.root(each["size"]) == roots[each["size"] - 1]
        assert independent_verifier.log_root(sorted(nodes), each["size"]) == roots[each["size"] - 1]


def test_what_is_shown_and_what_stands_for_the_rest_lead_to_the_root_of_the_map() -> None:
    known = vectors("book-map.md")
    entries = {each["stream"]: (_hex(each["key"]), _hex(each["value"])) for each in known["accounts"]}
    for each in known["not_shown"]:
        parts = [MapPart(part["depth"], _hex(part["prefix"]), _hex(part["root"])) for part in each["parts"]]
        shown: list[Item] = [entries[stream] for stream in each["shown"]]
        items = sorted([*parts, *shown], key=lambda item: item.prefix if isinstance(item, MapPart) else item[0])
        assert map_root(items).hex() == known["root"]
        plain = [(prefix, depth, root) for depth, prefix, root in parts]
        plain += [(key, independent_verifier.ENTRY, value) for key, value in (entries[s] for s in each["shown"])]
        assert independent_verifier.fold(sorted(plain), 0, 0).hex() == known["root"]
