"""A witness as a test calls it: a home of its own beside the ledger's, commands in this process or in others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cli_tools import CommandLine


@dataclass
class WitnessLine:
    """``carbon-ledger witness`` on one home. ``first_size``: of the checkpoint it began with."""

    cli: CommandLine
    home: str
    pem: str
    first_size: int

    @classmethod
    def made(cls, cli: CommandLine, home: str, name: str) -> WitnessLine:
        """A new one that begins with the file ``given/checkpoint`` of a log whose key is in ``log.pem``."""
        place, first = cli.folder / home, cli.folder / "given" / "checkpoint"
        origin = first.read_text(encoding="utf-8").splitlines()[0]
        options = ("--log-origin", origin, "--key", str(cli.folder / "log.pem"), "--first", str(first))
        made = cli("witness", "init", *options, "--name", name, "--home", str(place))
        pem = cli.bytes(made["public_pem"].encode(), name=f"{home}.pem")
        return cls(cli, str(place), pem, made["size"])

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """A command with ``--json``."""
        return self.cli("witness", *arguments, "--home", self.home, code=code)

    def refused(self, *arguments: str, code: int = 1) -> str:
        """The code of a refusal."""
        return self.cli.refused("witness", *arguments, "--home", self.home, code=code)

    def cosign(self, proof: str, code: int = 0) -> dict[str, Any]:
        """The answer to a request, by hand."""
        return self("cosign", self.cli.bytes(proof.encode(), name="asked.json"), code=code)

    @property
    def size(self) -> int:
        """Where it stands."""
        size: int = self("show")["size"]
        return size

    def evidence(self) -> list[dict[str, Any]]:
        """What it refused and kept."""
        return [json.loads(Path(each).read_text(encoding="utf-8")) for each in self("show")["refusals"]]
