"""The four top-level names are ours alone, and the wheel carries everything below them (docs/adr/0001)."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import entry_points, metadata, packages_distributions

import pytest

from tests.architecture.project import PACKAGES, ROOT, files, imports, modules


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_a_top_level_name_of_the_ledger(name: str) -> None:
    assert set(packages_distributions().get(name, ())) == {"carbon-ledger"}


def test_the_ledger_installs_its_four_packages_and_nothing_beside_them() -> None:
    ours = {name for name, owners in packages_distributions().items() if "carbon-ledger" in owners}
    assert {name for name in ours if not name.startswith("__editable__")} == set(PACKAGES)


def test_the_distribution_can_not_be_published_by_mistake() -> None:
    assert "Private :: Do Not Upload" in (metadata("carbon-ledger").get_all("Classifier") or ())


def test_the_command_starts_the_command_line_of_the_ledger() -> None:
    (command,) = entry_points(group="console_scripts", name="carbon-ledger")
    assert command.value == "interfaces.cli.main:main"


def test_every_folder_with_code_is_a_package_so_the_wheel_takes_it_along() -> None:
    folders = {path.parent for path in files(*PACKAGES) if path.suffix == ".py" and "partner_sdk" not in path.parts}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_file_that_is_not_code_is_named_as_package_data() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    data: dict[str, list[str]] = config["tool"]["setuptools"]["package-data"]
    named = {path for package, globs in data.items() for glob in globs for path in (ROOT / package).glob(glob)}
    others = {path for path in files(*PACKAGES) if path.suffix != ".py" and "partner_sdk" not in path.parts}
    assert sorted(str(path.relative_to(ROOT)) for path in others - named) == []


def test_the_sdk_of_partners_imports_nothing_but_python_and_the_one_package_that_it_asks_for() -> None:
    config = tomllib.loads((ROOT / "interfaces" / "partner_sdk" / "pyproject.toml").read_text("utf-8"))
    (needed,) = config["project"]["dependencies"]
    found = {
        name.partition(".")[0]
        for _, tree in modules("interfaces/partner_sdk")
        for _, name in imports(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert found == {"carbon_ledger_sdk", "gmssl_pyx"}
    # The same version as the ledger's, which its tests have looked at.
    assert needed in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert needed.startswith("gmssl-pyx==")


def test_the_ledger_imports_nothing_of_the_sdk_of_partners() -> None:
    found = [path for path, tree in modules(*PACKAGES) for _, name in imports(tree) if "carbon_ledger_sdk" in name]
    assert [path for path in found if not path.startswith("interfaces/partner_sdk/")] == []
