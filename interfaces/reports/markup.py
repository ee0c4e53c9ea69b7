"""HTML made of elements; whatever is not an element is text.

Keeps: text and attribute values are escaped where an element is made, so that no name or title can become markup; a
page asks nothing of the network and runs no script, and says so to the browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from interfaces.reports.style import STYLE


class Html(str):
    """Markup that was made here; any other string is text."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Html:
    """``<name ...>children</name>``. ``class_`` gives class, ``font_size`` gives font-size."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Html:
    """Elements and texts one after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, foot: Sequence[str] = (), empty: str = "none") -> Html:
    """A table; a column whose heading ends with ``>`` holds numbers. ``empty`` is said where there are no rows."""
    held = list(rows)
    if not held:
        return element("p", empty, class_="none")
    kinds = [{"class_": "n"} if name.endswith(">") else {} for name in head]

    def row(cells: Sequence[str], name: str) -> Html:
        return element("tr", *(element(name, cell, **kind) for cell, kind in zip(cells, kinds, strict=True)))

    parts = [
        element("thead", row([name.removesuffix(">") for name in head], "th")),
        element("tbody", *(row(cells, "td") for cells in held)),
    ]
    if foot:
        parts.append(element("tfoot", row(foot, "td")))
    return element("table", *parts)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Labelled values."""
    rows = (element("tr", element("th", label, scope="row"), element("td", value)) for label, value in pairs)
    return element("table", element("tbody", *rows), class_="facts")


def section(english: str, chinese: str, *content: str, class_: str = "") -> Html:
    """A part of the page under its heading in both languages."""
    heading = element("h2", english, " ", element("span", chinese, lang="zh"))
    return element("section", heading, *content, **({"class_": class_} if class_ else {}))


def page(title: str, *content: str) -> str:
    """The whole document."""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{element('main', *content)}</body></html>\n"
    )
