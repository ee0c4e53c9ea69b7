"""How a person signs an act over HTTP (docs/spec/acts.md), and what he is given to sign.

Keeps: no key of a person comes here, only what he signed elsewhere; where the rulebook demands a signature, an act
without one is refused; ``to_sign`` does nothing but tell the text, after every check that the act itself would pass.
Leaves to ``application.acts``: whether the signature is good.
"""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from application.act_answers import to_sign_json
from application.acts import Handed, Signing, TextToSign
from domain.errors import Rejected
from interfaces.bootstrap import signature_from_der, verifier
from interfaces.http.asking import Asked, Position

_MOST_CHARACTERS = 300


def decoded(text: str) -> str:
    """The text, if it is base64. Raises ValueError."""
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None
    return text


Der = Annotated[
    str,
    AfterValidator(decoded),
    Field(min_length=1, max_length=_MOST_CHARACTERS, description="An SM2 signature (DER), in base64."),
]


class Signed(Asked):
    """How an act is signed. Nothing of it: by name alone, where the rulebook lets the actor act so."""

    signature: Der | None = None
    signed_at: Position | None = Field(
        default=None,
        description="The rulebook position that the signed text names, where the rulebook has moved since.",
    )
    to_sign: bool = Field(default=False, description="Do nothing: answer with the text that the actor signs.")

    @model_validator(mode="after")
    def _one_way(self) -> Signed:
        if self.to_sign and self.signature is not None:
            raise ValueError("give signature or to_sign, not both")
        if self.signed_at is not None and self.signature is None:
            raise ValueError("signed_at belongs to signature")
        return self

    @property
    def signing(self) -> Signing:
        """What the use cases take. Raises Rejected ``signature_malformed``."""
        handed = None if self.signature is None else Handed(raw_signature(self.signature), self.signed_at)
        return Signing(verifier().verify, handed=handed, only_text=self.to_sign)


NAME_ALONE = Signed()
"""An act without a body."""


def raw_signature(der: str) -> bytes:
    """A signature of 64 bytes. Raises Rejected ``signature_malformed``."""
    try:
        return signature_from_der(base64.b64decode(der))
    except Rejected as error:
        raise Rejected(error.code, error.message, field="signature", remedy=error.remedy) from None


async def on_text_to_sign(request: Request, asked: Exception) -> Response:
    """Answers whoever asked for the text. In base64, since there is a zero byte in it."""
    assert isinstance(asked, TextToSign)
    return JSONResponse({**to_sign_json(asked), "text": base64.b64encode(asked.text).decode()})
