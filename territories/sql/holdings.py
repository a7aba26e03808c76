"""Statements over who holds which ZIP."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connection

# Effect: a territory, with its event, for each ZIP. Its waiting leads count as looked at when the caller does that in
# this transaction. Index: territory_one_holder_per_zip refuses what overlaps.
_ASSIGN = """
    WITH held AS (
        INSERT INTO territories_territory
            (zip, contractor_id, from_at, to_at, taken_up_at, wound_up_at, created_by_id, created_at)
        SELECT zip, %(contractor_id)s, %(from_at)s, %(to_at)s, %(taken_up_at)s, %(wound_up_at)s, %(by_id)s, %(at)s
        FROM unnest(%(zips)s::text[]) zip ORDER BY zip
        RETURNING id, zip
    )
    INSERT INTO territories_territoryevent (zip, territory_id, kind, at, effective_at, by_id, note)
    SELECT zip, id, %(kind)s, %(at)s, %(from_at)s, %(by_id)s, %(note)s FROM held ORDER BY zip
    RETURNING territory_id
"""

# Effect: ends these territories, with their events. One that would have begun later is called off: its period becomes
# empty, and nothing is left to begin or to wind up. Index: territories_territory_pkey.
_END = """
    WITH ended AS (
        UPDATE territories_territory territory
        SET to_at = greatest(territory.from_at, %(to_at)s),
            wound_up_at = CASE WHEN territory.from_at >= %(to_at)s THEN %(at)s ELSE territory.wound_up_at END,
            taken_up_at = CASE WHEN territory.from_at >= %(to_at)s THEN coalesce(territory.taken_up_at, %(at)s)
                               ELSE territory.taken_up_at END
        WHERE id = ANY(%(ids)s)
        RETURNING id, zip, to_at, from_at >= %(to_at)s AND from_at > %(at)s AS is_called_off
    ),
    told AS (
        INSERT INTO territories_territoryevent (zip, territory_id, kind, at, effective_at, by_id, note)
        SELECT zip, id, CASE WHEN is_called_off AND %(kind)s = 'ended' THEN 'called_off' ELSE %(kind)s END, %(at)s,
               to_at, %(by_id)s, %(note)s
        FROM ended ORDER BY zip
    )
    SELECT id, zip, is_called_off FROM ended ORDER BY zip
"""

# Effect: none. The ZIPs in which somebody's time has begun or ended without the sweep having looked at it.
# Index: territory_to_take_up, territory_to_wind_up.
_DUE = """
    SELECT zip FROM (
        (SELECT zip, from_at AS due_at FROM territories_territory
         WHERE taken_up_at IS NULL AND from_at <= %(at)s ORDER BY from_at LIMIT %(limit)s)
        UNION ALL
        (SELECT zip, to_at FROM territories_territory
         WHERE wound_up_at IS NULL AND to_at <= %(at)s ORDER BY to_at LIMIT %(limit)s)
    ) due
    GROUP BY zip ORDER BY min(due_at), zip LIMIT %(limit)s
"""


def assign(
    *,
    zips: Sequence[str],
    contractor_id: int,
    from_at: dt.datetime,
    to_at: dt.datetime | None,
    kind: str,
    taken_up_at: dt.datetime | None,
    wound_up_at: dt.datetime | None,
    by_id: int | None,
    at: dt.datetime,
    note: str,
) -> list[int]:
    """The ids of the new territories. Raises IntegrityError (23P01) where one overlaps another."""
    values: dict[str, Any] = {
        "zips": list(zips),
        "contractor_id": contractor_id,
        "from_at": from_at,
        "to_at": to_at,
        "kind": kind,
        "taken_up_at": taken_up_at,
        "wound_up_at": wound_up_at,
        "by_id": by_id,
        "at": at,
        "note": note,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ASSIGN, values)
        return sorted(row[0] for row in cursor.fetchall())


def end(
    *, ids: Sequence[int], to_at: dt.datetime, kind: str, by_id: int | None, at: dt.datetime, note: str
) -> list[tuple[int, str, bool]]:
    """(id, ZIP, whether it was called off) of each. Raises IntegrityError (23P01) where a later end meets the next."""
    with connection.cursor() as cursor:
        cursor.execute(_END, {"ids": list(ids), "to_at": to_at, "kind": kind, "by_id": by_id, "at": at, "note": note})
        return list(cursor.fetchall())


def due_zips(*, at: dt.datetime, limit: int) -> list[str]:
    """ZIPs in which a territory began or ended by `at` and nobody has acted on it, the longest overdue first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"at": at, "limit": limit})
        return [row[0] for row in cursor.fetchall()]
