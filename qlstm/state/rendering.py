"""An inspection as people read it: lines of plain text, or HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .entries import Entry, Model

if TYPE_CHECKING:
    from .inspection import Inspection

__all__ = ["bar", "render", "render_html"]

_WIDTH = 24
_LINE = 80
_LEFT, _RIGHT = (f"style='text-align:{side};padding-right:1em'" for side in ("left", "right"))
_MOST_POSITIONS = 30
_MOST_SHAPES = 12


def bar(value: float, largest: float) -> str:
    """Return a bar for `value`, at most 24 characters for `largest`: full blocks where it is positive, else light."""
    return ("█" if value > 0 else "░") * max(1, round(_WIDTH * abs(value) / largest)) if value and largest else ""


def _facts(seen: Inspection) -> Iterator[tuple[str, str]]:
    """Yield what is known about a file, as pairs of words."""
    code = f" (code {seen.code_sha256[:12]})" if seen.code_sha256 else ""
    since = f"{seen.parent} " if seen.parent else ""
    by = f"schema {seen.schema}, checksums good" if seen.schema is not None else "written by another program"
    facts = {
        "file": f"{seen.size:,} bytes, {by}",
        "as of": seen.as_of,
        "strategy": seen.strategy and seen.strategy + code,
        "trained": seen.created,
        "parent": seen.parent_sha256 and f"{since}(sha256 {seen.parent_sha256[:12]})",
        "versions": ", ".join(f"{name} {version}" for name, version in seen.versions.items()),
    }
    yield from ((name, fact) for name, fact in facts.items() if fact)


def _wrapped(first: str, text: str) -> Iterator[str]:
    """Yield a text on lines of at most 80 characters, aligned after `first`, broken only after commas."""
    kept = first.replace(" ", "\0") + text.replace(" ", "\0").replace(",\0", ", ")
    lines = textwrap.wrap(
        kept, _LINE, subsequent_indent=" " * len(first), break_long_words=False, break_on_hyphens=False
    )
    yield from (line.replace("\0", " ") for line in lines)


def render(seen: Inspection) -> Iterator[str]:
    """Yield an inspection as lines of plain text."""
    yield seen.path
    for name, fact in _facts(seen):
        yield from _wrapped(f"{name:<10}", fact)
    if seen.weights is not None:
        yield f"{'weights':<10}{_held(seen.weights)}"
        yield from _bars(seen.weights[:_MOST_POSITIONS], "  ")
    yield f"{'models':<10}{len(seen.models) or ('none' if seen.other_models is None else '')}".rstrip()
    yield from _render_models(seen.models)
    if seen.other_models is not None:
        yield from _render(seen.other_models, "models", "  ")
    yield from _render(seen.state, "", "")


def _held(positions: Sequence[tuple[str, float]]) -> str:
    gross = sum(abs(value) for _, value in positions)
    cut = f", the {_MOST_POSITIONS} largest:" if len(positions) > _MOST_POSITIONS else ""
    return f"{len(positions)} positions, {gross:.4f} of the capital{cut}"


def _bars(positions: Sequence[tuple[str, float]], indent: str) -> Iterator[str]:
    """Yield a row per asset: its name, its weight, a bar."""
    width = max((len(label) for label, _ in positions), default=0)
    largest = max((abs(value) for _, value in positions), default=0.0)
    for label, value in positions:
        yield f"{indent}{label:<{max(width, 10)}}  {value:+.6f}  {bar(value, largest)}".rstrip()


def _render_models(models: Sequence[Model]) -> Iterator[str]:
    """Yield a line per model, and the shapes once for those that have the same."""
    width = max((len(model.key) for model in models), default=0)
    alike: dict[tuple[tuple[str, tuple[int, ...]], ...], list[str]] = {}
    for model in models:
        norm = "" if model.norm is None else f", norm {model.norm:.4g}"
        yield f"  {model.key:<{width}}  {model.kind}, {model.parameters:,} parameters{norm}"
        alike.setdefault(model.shapes, []).append(model.key)
    for shapes, keys in alike.items():
        words = [f"{name} {'×'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes[:_MOST_SHAPES]]
        more = [f"and {len(shapes) - _MOST_SHAPES} more"] if len(shapes) > _MOST_SHAPES else []
        whose = "" if len(alike) == 1 else f" of {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}"
        yield from _wrapped(f"  shapes{whose}: ", ", ".join(words + more))


def _render(entry: Entry, parent: str, indent: str) -> Iterator[str]:
    """Yield an entry and all inside it, deeper ones further to the right."""
    yield f"{indent}{entry.place.removeprefix(parent) or entry.place:<9} {_words(entry)}".rstrip()
    yield from _bars(entry.largest, f"{indent}    ")
    if entry.held is not None and entry.held > len(entry.largest):
        yield f"{indent}    and {entry.held - len(entry.largest)} more"
    for inner in entry.inside:
        yield from _render(inner, entry.place, indent + "  ")
    if entry.inside and entry.shape and entry.shape[0] > len(entry.inside):
        yield f"{indent}  and {entry.shape[0] - len(entry.inside)} more"


def _words(entry: Entry) -> str:
    """Return what is known about a value on one line."""
    lengths = map(str, entry.shape or ())
    sizes = [f"{dim}: {n}" for dim, n in zip(entry.dims, lengths, strict=True)] if entry.dims else list(lengths)
    words = [
        f"{entry.kind}({', '.join(sizes)})" if entry.shape is not None else entry.kind,
        entry.dtype,
        f"{entry.dates[0]} to {entry.dates[1]}" if entry.dates else None,
        f"{entry.held} not zero" if entry.held is not None else None,
        entry.text,
    ]
    return " ".join(word for word in words if word)


def render_html(seen: Inspection) -> str:
    """Return an inspection as HTML; whatever comes from the file is escaped."""
    facts = "".join(
        f"<tr><th {_LEFT}>{name}</th><td {_LEFT}>{html.escape(fact)}</td></tr>" for name, fact in _facts(seen)
    )
    parts = [f"<p><code>{html.escape(seen.path)}</code></p><table>{facts}</table>"]
    if seen.weights is not None:
        parts.append(_section(f"weights: {_held(seen.weights)}", _bars_html(seen.weights[:_MOST_POSITIONS])))
    models = list(_render_models(seen.models))
    if seen.other_models is not None:
        models += _render(seen.other_models, "models", "")
    parts.append(_section(f"models: {len(seen.models) or 'none'}", _lines(models)) if models else "<p>models: none</p>")
    parts.append(_section("state", _lines(list(_render(seen.state, "", "")))))
    return f"<div>{''.join(parts)}</div>"


def _section(title: str, content: str) -> str:
    return f"<details open><summary><b>{html.escape(title)}</b></summary>{content}</details>"


def _lines(lines: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _bars_html(positions: Sequence[tuple[str, float]]) -> str:
    largest = max((abs(value) for _, value in positions), default=0.0)
    rows = (
        f"<tr><td {_LEFT}>{html.escape(label)}</td><td {_RIGHT}>{value:+.6f}</td><td {_LEFT}><div style='height:0.8em;"
        f"width:{160 * abs(value) / largest:.0f}px;background:{'#4a7' if value > 0 else '#c65'}'></div></td></tr>"
        for label, value in positions
    )
    return f"<table>{''.join(rows)}</table>"
