"""The project names no machine it was written on and no place packages come from: a bank builds from its own."""

from __future__ import annotations

import re

import pytest

from tests.architecture.project import FOLDERS, ROOT, files, root_files

# Spelled in pieces, so that this file does not find itself.
_HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb" + "ian.org",
    "crates" + ".io",
)
_PATHS = r"(?<![\w.$}~])/(?:" + "ro" + "ot|wo" + "rk|ho" + "me|Us" + r"ers)/[\w.]"
_FORBIDDEN = re.compile(_PATHS + "|/t" + "mp/dv|" + "|".join(re.escape(host) for host in _HOSTS))

_LOCKS = ("requirements.lock", "requirements-bench.lock")


def _slips(text: str) -> list[str]:
    return [match.group() for match in _FORBIDDEN.finditer(text)]


def test_no_file_names_a_folder_of_somebodys_machine_or_a_package_index() -> None:
    found = {}
    for path in (*root_files(), *files(*FOLDERS)):
        slips = _slips(path.read_bytes().decode("utf-8", "replace"))
        if slips:
            found[str(path.relative_to(ROOT))] = slips
    assert found == {}


@pytest.mark.parametrize(
    "text", ["see /ro" + "ot/.cache", '"/wo' + 'rk/main"', "cd /ho" + "me/alice", "https://py" + "pi.org/simple"]
)
def test_the_search_for_slips_sees_paths_and_hosts(text: str) -> None:
    assert _slips(text) != []


@pytest.mark.parametrize(
    "text", ["domain/wo" + "rk/x", "$HOME/ledger", "~/wo" + "rk/x", "/var/lib/ledger", "net" + "work/root/a"]
)
def test_the_search_for_slips_leaves_ordinary_paths_alone(text: str) -> None:
    assert _slips(text) == []


@pytest.mark.parametrize("name", _LOCKS)
def test_the_lock_names_no_host_and_pins_every_package_by_hash(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert [line for line in text.splitlines() if "://" in line or line.startswith("-")] == []
    requirements = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n?", "", text).strip())
    pinned = re.compile(r"[a-z0-9-]+==[^ ]+( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n?)+")
    assert [requirement for requirement in requirements if not pinned.fullmatch(requirement)] == []
