"""What the verifier in one file answers when it may not read what it is to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infrastructure.gm.sm2 import new_sm2_key
from infrastructure.gm.sm2_format import public_key_to_pem
from interfaces.verifier.main import main


@pytest.mark.parametrize("of_folder", [False, True])
def test_a_file_that_may_not_be_read_is_wrong_usage_and_not_a_failed_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, of_folder: bool
) -> None:
    key, theirs = tmp_path / "log.pem", tmp_path / "theirs.zip"
    key.write_text(public_key_to_pem(new_sm2_key().public_key))
    theirs.write_bytes(b"PK")
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        # By hand: the rights of a file do not bind root, under whom tests may run.
        if path == theirs:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    def refuse_folder(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    if of_folder:
        monkeypatch.setattr(Path, "is_file", refuse_folder)
    assert main(["verify", str(theirs), "--key", str(key)]) == 2
    told = capsys.readouterr()
    assert (told.out, "permissions" in told.err) == ("", True)
