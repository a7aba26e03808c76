"""Counting in the shared cache: tries, requests."""

from typing import Protocol, cast

from django.core.cache import cache


class _CountingCache(Protocol):
    def count(self, key: str, seconds: int) -> int | None: ...


def count(key: str, seconds: int) -> int | None:
    """Add 1 to a number that is forgotten after `seconds`, and tell it; None while the cache does not answer."""
    return cast("_CountingCache", cache).count(key, seconds)
