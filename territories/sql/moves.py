"""Statements that move referrals; each writes the event in the statement that writes the status."""

import datetime as dt
from collections.abc import Sequence

from django.db import connection
from psycopg import sql

# Effect: moves the referrals that are in one of the former states, sets the moment that belongs to the new one, and
# writes an event for each. Index: territories_referral_pkey.
_MOVE = sql.SQL("""
    WITH former AS (
        SELECT id, status FROM territories_referral WHERE id = ANY(%(ids)s) AND status = ANY(%(allowed)s)
        ORDER BY id FOR NO KEY UPDATE
    ),
    moved AS (
        UPDATE territories_referral referral SET status = %(to)s, expires_at = NULL, {moment} = %(at)s
        FROM former WHERE referral.id = former.id
        RETURNING referral.id, former.status AS from_status
    )
    INSERT INTO territories_referralevent (referral_id, at, what, from_status, note, by_id, job_id)
    SELECT id, %(at)s, %(to)s, from_status, %(note)s, %(by_id)s, %(job_id)s FROM moved ORDER BY id
    RETURNING referral_id
""")


def move(
    *,
    ids: Sequence[int],
    allowed: Sequence[str],
    to: str,
    moment: str,
    at: dt.datetime,
    by_id: int | None,
    note: str,
    job_id: int | None,
) -> list[int]:
    """Move those referrals that may; the ids of those that did, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE.format(moment=sql.Identifier(moment)),
            {
                "ids": list(ids),
                "allowed": list(allowed),
                "to": to,
                "at": at,
                "by_id": by_id,
                "note": note,
                "job_id": job_id,
            },
        )
        return sorted(row[0] for row in cursor.fetchall())
