"""The verifier's file: what goes in, what may not, and the same bytes from everybody."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from domain.digest import sm3_hex
from interfaces.verifier import build

OURS = (
    "domain/",
    "application/",
    "infrastructure/",
    "interfaces/verifier/",
    "msgspec/",
    "cryptography/",
    "Cryptodome/",
)


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever(monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.archive(build.contents())
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    before = os.umask(0o077)
    try:
        again = build.archive(dict(reversed(build.contents().items())))
    finally:
        os.umask(before)
    assert build.archive(dict(sorted(build.contents().items()))) == first
    assert again != first  # the order is part of the bytes, and ``contents`` gives it
    assert list(build.contents()) == sorted(build.contents())


def test_every_entry_bears_the_same_date_and_nobodys_rights() -> None:
    with zipfile.ZipFile(io.BytesIO(build.archive(build.contents()))) as opened:
        for info in opened.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.create_system, info.external_attr, info.extra, info.comment) == (3, 0o100644 << 16, b"", b"")


def test_nothing_is_in_the_file_but_the_rules_gmssl_stand_ins_and_licences() -> None:
    files = build.contents()
    assert {path for path in files if not path.startswith(OURS)} == {
        "__main__.py", "interfaces/__init__.py", "LICENSE", "gmssl/__init__.py", "gmssl/func.py", "gmssl/sm2.py",
        "gmssl/sm3.py", "gmssl-3.2.2.dist-info/METADATA",
    }  # fmt: skip
    rooms = {path.rpartition("/")[0] for path in files if path.startswith(("infrastructure", "interfaces"))}
    assert rooms == {"infrastructure", "infrastructure/gm", "interfaces", "interfaces/verifier"}
    assert "interfaces/verifier/build.py" not in files
    assert not [path for path in files if "standin" in path]
    assert not [path for path in files if path.endswith((".pyc", ".so"))]


def test_every_module_that_is_imported_is_in_the_file_with_its_packages() -> None:
    files = build.contents()
    for name in ("domain/kernel/formula.py", "domain/kernel/__init__.py", "msgspec/json.py", "msgspec/structs.py"):
        assert name in files
    # Imported within a function, and of two modules that a third names in one line.
    assert "cryptography/hazmat/primitives/hashes.py" in files
    assert {"interfaces/verifier/known_answers.py", "interfaces/verifier/notes.py"} <= set(files)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import psycopg", "psycopg"),
        ("from pydantic import BaseModel", "pydantic"),
        ("def f():\n    import numpy.linalg", "numpy"),
        ("import gmssl_pyx", "gmssl_pyx"),
        ("from infrastructure.gm.sm4 import SM4Key", "cryptography"),
        ("from infrastructure.memory import MemoryJournal", "infrastructure.memory"),
        ("from interfaces import bootstrap, cli", "interfaces.cli"),
        ("import interfaces.bootstrap", "interfaces.bootstrap"),
        ("from interfaces.verifier.standin import msgspec", "interfaces.verifier.standin"),
        ("from application import nothing_there\nimport application.nothing_there", "application.nothing_there"),
        ("import socket", "socket"),
        ("from urllib.request import urlopen", "urllib"),
        ("try:\n    import ssl\nexcept ImportError:\n    pass", "ssl"),
        ("from importlib import import_module", "importlib"),
        ("import importlib\nimportlib.import_module('socket')", "import"),
        ("__import__('socket')", "import"),
    ],
)
def test_an_import_that_the_verifier_must_not_have_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, named: str
) -> None:
    """The module is put where it could have come from: into a copy of the domain's folder."""
    for name in ("domain", "application", "infrastructure", "interfaces"):
        (tmp_path / name).symlink_to(build.ROOT / name)
    (tmp_path / "domain").unlink()
    (tmp_path / "domain").mkdir()
    for path in (build.ROOT / "domain").iterdir():
        (tmp_path / "domain" / path.name).symlink_to(path)
    (tmp_path / "domain" / "stray.py").write_text(f"from __future__ import annotations\n{code}\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(build.Refused, match=named):
        build.contents(["domain.stray"])


def test_what_stands_there_for_type_checkers_does_not_count(tmp_path: Path) -> None:
    module = build.Module("domain.stray", tmp_path / "stray.py")
    module.file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import psycopg\nelse:\n    import domain\n"
    )
    assert list(build._imports(module)) == ["domain"]


def test_relative_imports_are_followed_as_python_follows_them() -> None:
    found = build.reachable(["msgspec.json"])
    assert set(found) == {
        "msgspec", "msgspec.json", "msgspec.structs", "msgspec._errors", "msgspec._reading", "msgspec._spelling",
        "msgspec._structs",
    }  # fmt: skip


def test_a_gmssl_that_was_not_read_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.GMSSL, "gmssl/sm2.py", "0" * 64)
    with pytest.raises(build.Refused, match=r"gmssl/sm2\.py"):
        build.contents()
    monkeypatch.delitem(build.GMSSL, "gmssl/sm2.py")
    with pytest.raises(build.Refused, match=r"gmssl/sm2\.py"):
        build.contents()


def test_building_writes_the_file_and_tells_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / build.NAME
    assert build.main([str(target)]) == 0
    content = target.read_bytes()
    assert content.startswith(b"#!/usr/bin/env python3\n")
    assert content == build.archive(build.contents())
    assert f"SM3 {sm3_hex(content)}\n" in capsys.readouterr().out
    assert os.access(target, os.X_OK)


def test_a_build_that_is_refused_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "GMSSL", {})
    target = tmp_path / build.NAME
    assert build.main([str(target)]) == 1
    assert capsys.readouterr().err.startswith("not built: ")
    assert not target.exists()
