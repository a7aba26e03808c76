"""Receipts as people read them."""

from typing import Any

from django import template

register = template.Library()
MOST = 200


@register.filter
def receipt_lines(receipt: Any) -> list[tuple[str, str]]:
    """A receipt, which is JSON, as lines of name and value; what is inside a part carries the part's name."""
    lines: list[tuple[str, str]] = []
    _walk("", receipt, lines)
    return lines[:MOST]


def _walk(name: str, value: Any, lines: list[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            words = str(key).replace("_", " ")
            _walk(f"{name}, {words}" if name else words.capitalize(), inner, lines)
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            _walk(f"{name} {number}", inner, lines)
    elif value not in (None, ""):
        lines.append((name, {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)))
