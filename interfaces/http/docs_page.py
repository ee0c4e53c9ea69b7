"""The page that shows the API to people: made here from the OpenAPI document, without a script and without a network.

Keeps: one document tells programs and people the same; the page loads nothing from anywhere, and its policy says so to
the browser.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1b1b; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
section { margin: 1.5rem 0; }
code { background: #f2f2f2; padding: .1em .3em; border-radius: 3px; }
.method { font-weight: 700; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; border-bottom: 1px solid #eee; }
""".strip()

_SHA256: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_SHA256}'; frame-ancestors 'none'; base-uri 'none'"


def page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    body = [f"<h1>{escape(info['title'])}</h1>", f"<p>{escape(info['description'])}</p>"]
    body.append('<p>For programs: <a href="/openapi.json"><code>/openapi.json</code></a>.</p>')
    for tag, operations in by_tag.items():
        body += [f"<h2>{escape(tag)}</h2>", *operations]
    head = f'<meta charset="utf-8"><title>{escape(info["title"])}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [f'<section><h3><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h3>']
    parts.append(f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>")
    parts.append(f"<p>Roles: {escape(', '.join(operation.get('x-roles', [])))}</p>")
    rows = list(_parameters(operation))
    if rows:
        parts.append(f"<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>{''.join(rows)}</table>")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        parts.append(f"<p>Body: <code>{escape(_name(body))}</code></p>")
    for status, answer in operation.get("responses", {}).items():
        if status == "200":
            kinds = ", ".join(f"{kind}: {_name(told.get('schema', {}))}" for kind, told in answer["content"].items())
            parts.append(f"<p>Answer: <code>{escape(kinds)}</code></p>")
    return "".join([*parts, "</section>"])


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for each in operation.get("parameters", ()):
        told = each.get("description") or each.get("schema", {}).get("description", "")
        yield f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td><td>{escape(told)}</td></tr>"


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", schema.get("type", "any"))).rpartition("/")[2]
