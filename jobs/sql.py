"""Statements of the jobs room; each says its effect."""

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError, connection


@contextlib.contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Hold the advisory lock `name` for a while, over several transactions; False when another session has it.

    Effect: no row and no table; the lock goes with its connection, so that a killed process holds nothing up.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        is_ours = bool(cursor.fetchone()[0])
    try:
        yield is_ours
    finally:
        if is_ours:
            _unlock(name)


def _unlock(name: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    except DatabaseError:
        # A connection that cannot say so must not keep the lock.
        if not connection.in_atomic_block:
            connection.close()
