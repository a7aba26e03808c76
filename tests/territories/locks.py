"""Which advisory locks a test's own transaction holds."""

from django.db import connection

from territories.sql.locks import _DEALING, _TABLE, _ZIP

TABLE, ZIP = _TABLE, _ZIP


def locks_held() -> dict[int, str]:
    """What each lock is about, and its mode."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT classid, mode FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
        )
        return dict(cursor.fetchall())


def is_dealing_locked() -> bool:
    return locks_held().get(_DEALING) == "ExclusiveLock"
