"""The history's monthly partitions: made ahead of time, dropped when they are past keeping."""

import datetime as dt

from django.db import connection, transaction
from psycopg import sql

MONTHS_AHEAD = 3
TABLE = "scoring_scorechange"
LOCK_PATIENCE = "5s"


def _month(at: dt.datetime, offset: int = 0) -> dt.date:
    """First day of the month that lies `offset` months from that of `at`, in UTC."""
    months = at.astimezone(dt.UTC).year * 12 + at.astimezone(dt.UTC).month - 1 + offset
    return dt.date(months // 12, months % 12 + 1, 1)


def _partitions() -> dict[str, bool]:
    """Name of each partition, and whether it is the default one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname, pg_get_expr(child.relpartbound, child.oid) = 'DEFAULT' FROM pg_inherits "
            "JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = %s::regclass",
            [TABLE],
        )
        return dict(cursor.fetchall())


def make_partitions(*, at: dt.datetime) -> list[str]:
    """Effect: partitions for this month and the next three; names of those that were missing.

    A month whose rows lie in the default partition already cannot be made; `count_strays` tells of them.
    """
    there, made = _partitions(), []
    for offset in range(MONTHS_AHEAD + 1):
        first, end = _month(at, offset), _month(at, offset + 1)
        name = f"{TABLE}_{first:%Y_%m}"
        if name in there or count_strays(first=first, end=end):
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_PATIENCE])
            cursor.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(name),
                    sql.Identifier(TABLE),
                    sql.Literal(f"{first} 00:00:00+00"),
                    sql.Literal(f"{end} 00:00:00+00"),
                )
            )
        made.append(name)
    return made


def drop_partitions(*, at: dt.datetime, months: int) -> list[str]:
    """Effect: partitions whose every row is more than `months` months old are gone; their names."""
    last_kept = f"{TABLE}_{_month(at, -months):%Y_%m}"
    old = sorted(name for name, is_default in _partitions().items() if not is_default and name < last_kept)
    for name in old:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_PATIENCE])
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
    return old


def count_strays(*, first: dt.date | None = None, end: dt.date | None = None) -> int:
    """Rows in the default partition, of one month or of all: there should be none. Index: none; it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM scoring_scorechange_default WHERE at >= coalesce(%s::timestamptz, '-infinity') "
            "AND at < coalesce(%s::timestamptz, 'infinity')",
            [first and f"{first} 00:00:00+00", end and f"{end} 00:00:00+00"],
        )
        return int(cursor.fetchone()[0])
