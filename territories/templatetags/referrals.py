"""Receipts as people read them."""

import datetime as dt
from typing import Any

from django import template

register = template.Library()
MOMENTS = ("assigned_at", "expiration_at", "last_listed_at")


@register.filter
def receipt_reasons(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a receipt's score, each with its evidence; its moments as moments.

    Both lists of a receipt are of the same reasons in the same order.
    """
    return [
        line | evidence | {name: dt.datetime.fromisoformat(evidence[name]) for name in MOMENTS if evidence[name]}
        for line, evidence in zip(receipt["score"]["lines"], receipt["evidence"], strict=True)
    ]
