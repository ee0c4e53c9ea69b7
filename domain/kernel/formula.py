"""The small language of methodology formulas: read, evaluate, bind.

Keeps: every number is an exact integer with a scale; ``bind(...)`` gives the same integer at the same scale as
``evaluate``, which is the readable rule; no division, no calls, no attributes; text that nests too deep or is too
long is refused before it can exhaust the stack.
Leaves to others: units (``units``), value ranges (``interval``), rounding (``rounding``).
Source: DESIGN section 6 (formula).

    sum     = product {("+" | "-") product}         groups to the left
    product = unary {"*" unary}                     groups to the left
    unary   = "-" unary | primary
    primary = number | name | ("min" | "max") "(" sum "," sum {"," sum} ")" | "(" sum ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from domain.errors import Rejected
from domain.kernel.decimals import MAX_DIGITS, decimal_from_text
from domain.values import Scaled

QUANTITY = "quantity"
FUNCTIONS = ("min", "max")
MAX_LENGTH = 2_000
MAX_TOKENS = 200
MAX_NESTING = 32


@dataclass(frozen=True, slots=True)
class Number:
    value: Scaled


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Add:
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Subtract:
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Multiply:
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negate:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Least:
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Greatest:
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Number | Name | Add | Subtract | Multiply | Negate | Least | Greatest


# --- reading ---------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*(),])")
_SPACES = " \t\r\n"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def _malformed(message: str, start: int, remedy: str) -> Rejected:
    return Rejected("formula_malformed", message, field=str(start + 1), remedy=remedy)


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise _malformed(f"the formula has {len(text)} characters", MAX_LENGTH, f"use at most {MAX_LENGTH} characters")
    tokens: list[_Token] = []
    start = 0
    while start < len(text):
        if text[start] in _SPACES:
            start += 1
            continue
        match = _TOKEN.match(text, start)
        if match is None:
            raise _malformed(
                f"{text[start]!r} is not part of the language",
                start,
                "use names, decimals such as 0.5, + - * ( ) , min and max",
            )
        tokens.append(_Token(match.lastgroup or "", match[0], start))
        start = match.end()
    if len(tokens) > MAX_TOKENS:
        raise _malformed(
            f"the formula has {len(tokens)} parts", tokens[MAX_TOKENS].start, f"use at most {MAX_TOKENS} parts"
        )
    tokens.append(_Token("end", "", len(text)))
    return tokens


class _Reader:
    """Recursive descent over the tokens; ``nesting`` counts open parentheses, calls and minus signs."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0

    def whole(self) -> Expression:
        result = self._sum(0)
        token = self._tokens[self._next]
        if token.kind != "end":
            raise _malformed(f"unexpected {token.text!r}", token.start, "put an operator between two values")
        return result

    def _sum(self, nesting: int) -> Expression:
        result = self._product(nesting)
        while True:
            if self._take("+"):
                result = Add(result, self._product(nesting))
            elif self._take("-"):
                result = Subtract(result, self._product(nesting))
            else:
                return result

    def _product(self, nesting: int) -> Expression:
        result = self._unary(nesting)
        while self._take("*"):
            result = Multiply(result, self._unary(nesting))
        return result

    def _unary(self, nesting: int) -> Expression:
        token = self._tokens[self._next]
        if nesting > MAX_NESTING:
            raise _malformed("the formula nests too deep", token.start, f"nest at most {MAX_NESTING} levels")
        if self._take("-"):
            return Negate(self._unary(nesting + 1))
        return self._primary(nesting)

    def _primary(self, nesting: int) -> Expression:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "number":
            value = decimal_from_text(token.text)
            if value is None:
                raise _malformed("the number is too long", token.start, f"use at most {MAX_DIGITS} digits")
            return Number(value)
        if token.kind == "name":
            return self._call(token, nesting) if token.text in FUNCTIONS else Name(token.text)
        if token.text == "(":
            result = self._sum(nesting + 1)
            self._expect(")")
            return result
        found = repr(token.text) if token.text else "the end"
        raise _malformed(f"a value is missing before {found}", token.start, "put a name, a number or ( here")

    def _call(self, token: _Token, nesting: int) -> Expression:
        self._expect("(")
        arguments = [self._sum(nesting + 1)]
        while self._take(","):
            arguments.append(self._sum(nesting + 1))
        self._expect(")")
        if len(arguments) < 2:
            raise _malformed(f"{token.text} has one argument", token.start, "give two or more arguments")
        return Least(tuple(arguments)) if token.text == "min" else Greatest(tuple(arguments))

    def _take(self, sign: str) -> bool:
        if self._tokens[self._next].text != sign:
            return False
        self._next += 1
        return True

    def _expect(self, sign: str) -> None:
        token = self._tokens[self._next]
        if not self._take(sign):
            found = repr(token.text) if token.text else "the end"
            raise _malformed(f"{sign!r} is missing before {found}", token.start, f"put {sign!r} here")


def parse(text: str) -> Expression:
    """The expression of a formula text.

    Raises Rejected ``formula_malformed``; ``field`` is the position of the first wrong character, counted from 1.
    """
    return _Reader(text).whole()


# --- meaning ---------------------------------------------------------------------------------------------------------


def parts(e: Expression) -> tuple[Expression, ...]:
    """The direct sub-expressions, left to right."""
    if isinstance(e, Add | Subtract | Multiply):
        return (e.left, e.right)
    if isinstance(e, Least | Greatest):
        return e.arguments
    if isinstance(e, Negate):
        return (e.operand,)
    return ()


def names(e: Expression) -> frozenset[str]:
    """Every name the expression reads."""
    if isinstance(e, Name):
        return frozenset((e.name,))
    return frozenset[str]().union(*map(names, parts(e)))


def rescaled(values: Sequence[Scaled]) -> tuple[list[int], int]:
    """The integers of all values at their greatest scale, and that scale. Nothing is lost."""
    scale = max(value.scale for value in values)
    return [value.value * 10 ** (scale - value.scale) for value in values], scale


def evaluate(e: Expression, values: Mapping[str, Scaled]) -> Scaled:
    """The exact value, integers of any size: the rule that everything faster is compared with.

    A sum, difference, ``min`` or ``max`` has the greatest scale of its parts, a product the sum of both scales, so the
    scale follows from the scales of the inputs alone. Raises KeyError for a name without a value.
    """
    if isinstance(e, Number):
        return e.value
    if isinstance(e, Name):
        return values[e.name]
    operands = [evaluate(part, values) for part in parts(e)]
    if isinstance(e, Multiply):
        left, right = operands
        return Scaled(left.value * right.value, left.scale + right.scale)
    integers, scale = rescaled(operands)
    if isinstance(e, Add):
        return Scaled(integers[0] + integers[1], scale)
    if isinstance(e, Subtract):
        return Scaled(integers[0] - integers[1], scale)
    if isinstance(e, Negate):
        return Scaled(-integers[0], scale)
    return Scaled(min(integers) if isinstance(e, Least) else max(integers), scale)


# --- binding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoundFormula:
    """A formula whose parameters are fixed: ``evaluate(quantity)`` is its integer at the constant ``scale``.

    ``line``: (slope, offset) when that integer is slope x quantity + offset, as nearly every formula folds into.
    """

    evaluate: Callable[[int], int]
    scale: int
    line: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Line:
    """``slope`` x quantity + ``offset``: what nearly every formula folds into; a constant has slope 0."""

    slope: int
    offset: int


_Part: TypeAlias = _Line | Callable[[int], int]


def bind(e: Expression, parameters: Mapping[str, Scaled], scales: Mapping[str, int]) -> BoundFormula:
    """The formula with every parameter put in; ``scales["quantity"]`` is the scale of the remaining name.

    ``bind(e, p, {"quantity": s}).evaluate(q)`` equals ``evaluate(e, {**p, "quantity": Scaled(q, s)})``, scale included.
    Raises KeyError for a name that is neither a parameter nor the quantity.
    """
    part, scale = _bind(e, parameters, scales[QUANTITY])
    line = (part.slope, part.offset) if isinstance(part, _Line) else None
    return BoundFormula(_function(part), scale, line)


def _bind(e: Expression, parameters: Mapping[str, Scaled], quantity_scale: int) -> tuple[_Part, int]:
    if isinstance(e, Name) and e.name == QUANTITY:
        return _Line(1, 0), quantity_scale
    if isinstance(e, Number | Name):
        value = e.value if isinstance(e, Number) else parameters[e.name]
        return _Line(0, value.value), value.scale
    bound = [_bind(part, parameters, quantity_scale) for part in parts(e)]
    if isinstance(e, Multiply):
        (left, left_scale), (right, right_scale) = bound
        return _product(left, right), left_scale + right_scale
    scale = max(part_scale for _, part_scale in bound)
    operands = [_product(part, _Line(0, 10 ** (scale - part_scale))) for part, part_scale in bound]
    if isinstance(e, Add):
        return _total(operands[0], operands[1]), scale
    if isinstance(e, Subtract):
        return _total(operands[0], _product(operands[1], _Line(0, -1))), scale
    if isinstance(e, Negate):
        return _product(operands[0], _Line(0, -1)), scale
    return _choice(min if isinstance(e, Least) else max, operands), scale


def _function(part: _Part) -> Callable[[int], int]:
    if not isinstance(part, _Line):
        return part
    slope, offset = part.slope, part.offset
    if offset == 0:
        return lambda quantity: slope * quantity
    return lambda quantity: slope * quantity + offset


def _total(left: _Part, right: _Part) -> _Part:
    if isinstance(left, _Line) and isinstance(right, _Line):
        return _Line(left.slope + right.slope, left.offset + right.offset)
    first, second = _function(left), _function(right)
    return lambda quantity: first(quantity) + second(quantity)


def _product(left: _Part, right: _Part) -> _Part:
    if right == _Line(0, 1):
        return left
    if isinstance(left, _Line) and isinstance(right, _Line) and 0 in (left.slope, right.slope):
        return _Line(left.slope * right.offset + right.slope * left.offset, left.offset * right.offset)
    first, second = _function(left), _function(right)
    return lambda quantity: first(quantity) * second(quantity)


def _choice(pick: Callable[[list[int]], int], operands: Sequence[_Part]) -> _Part:
    offsets = [part.offset for part in operands if isinstance(part, _Line) and part.slope == 0]
    if len(offsets) == len(operands):
        return _Line(0, pick(offsets))
    functions = [_function(part) for part in operands]
    return lambda quantity: pick([function(quantity) for function in functions])
