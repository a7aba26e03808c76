"""Advisory locks, all until the end of the transaction. Take them in this order: ZIPs, then dealing."""

from collections.abc import Iterable

from django.db import connection

_TABLE, _ZIP, _DEALING = 5_001, 5_002, 5_003  # the first of two keys: what the lock is about
MOST_ZIPS = 500  # the server's lock table holds about 10,000


def lock_zips(zips: Iterable[str]) -> None:
    """Keep others from changing who holds these ZIPs.

    Each ZIP by itself, in order, so that two who want the same ones wait instead of deadlock; beyond 500 the whole
    table, alone.
    """
    wanted = sorted(set(zips))
    with connection.cursor() as cursor:
        if len(wanted) > MOST_ZIPS:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_TABLE])
            return
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [_TABLE])
        # One statement would not promise the order of its calls.
        for zip_code in wanted:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_ZIP, int(zip_code)])


def lock_dealing() -> None:
    """Keep others from giving leads to contractors: caps are counted, then filled, by one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_DEALING])
