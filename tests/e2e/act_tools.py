"""People with keys: made, registered and used as on the command line."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cli_tools import CommandLine


class People:
    """Keys of people in files beside the home, by name."""

    def __init__(self, cli: CommandLine) -> None:
        self.cli = cli

    def key(self, name: str) -> str:
        """The key file of a person, made when it is first asked for."""
        path = self.cli.folder / f"{name}.key"
        if not path.exists():
            self.cli("actor", "key", "new", str(path))
        return str(path)

    def public(self, name: str) -> str:
        """The public half as PEM."""
        pem = self.cli("actor", "key", "show", self.key(name))["public_pem"]
        return self.cli.bytes(pem.encode(), name=f"{name}.pem")

    def join(self, name: str, *, by: str = "registrar", approver: str = "approver", sign: str = "") -> None:
        """A registered and approved key of a person."""
        self.cli("actor", "register", name, "--actor-key", self.key(name), "--by", by)
        signed = ("--actor-key", self.key(sign)) if sign else ()
        self.cli("actor", "approve-key", name, "--by", approver, *signed)

    def signature(self, text: str, name: str, out: str) -> str:
        """What a person signs on his own machine."""
        path = self.cli.folder / out
        self.cli("actor", "sign", text, "--actor-key", self.key(name), "--out", str(path))
        return str(path)

    def new(self, name: str) -> str:
        """Path of a file that is to be written."""
        return str(Path(self.cli.folder) / name)
