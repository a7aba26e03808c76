"""Statements that move referrals; each writes the event in the statement that writes the status."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from django.db import connection
from psycopg import sql

# Effect: moves the referrals that are in one of the former states, sets the moment that belongs to the new one (and
# what it was worth, where that is told), and writes an event for each. Index: territories_referral_pkey.
_MOVE = sql.SQL("""
    WITH former AS (
        SELECT id, status FROM territories_referral WHERE id = ANY(%(ids)s) AND status = ANY(%(allowed)s)
        ORDER BY id FOR NO KEY UPDATE
    ),
    moved AS (
        UPDATE territories_referral referral
        SET status = %(to)s, expires_at = NULL, {moment} = %(at)s, value = coalesce(%(value)s::numeric, referral.value)
        FROM former WHERE referral.id = former.id
        RETURNING referral.id, former.status AS from_status
    )
    INSERT INTO territories_referralevent (referral_id, at, what, from_status, note, by_id, job_id)
    SELECT id, %(at)s, %(to)s, from_status, %(note)s, %(by_id)s, %(job_id)s FROM moved ORDER BY id
    RETURNING referral_id
""")

# Effect: sets a moment that is not set yet of a referral in one of these states, after the moment that must come
# before it, and writes the event. Index: territories_referral_pkey.
_NOTE = sql.SQL("""
    WITH former AS (
        SELECT id FROM territories_referral
        WHERE id = %(id)s AND status = ANY(%(allowed)s) AND {moment} IS NULL AND {after} IS NOT NULL
        FOR NO KEY UPDATE
    ),
    noted AS (
        UPDATE territories_referral referral SET {moment} = %(at)s FROM former WHERE referral.id = former.id
        RETURNING referral.id
    )
    INSERT INTO territories_referralevent (referral_id, at, what, note, by_id)
    SELECT id, %(at)s, %(what)s, %(note)s, %(by_id)s FROM noted
    RETURNING referral_id
""")

# Effect: replaces what a converted referral was worth, and writes the event, which tells the former and the new value.
# Index: territories_referral_pkey.
_CORRECT = """
    WITH former AS (
        SELECT id, value FROM territories_referral WHERE id = %(id)s AND status = 'converted' FOR NO KEY UPDATE
    ),
    corrected AS (
        UPDATE territories_referral referral SET value = %(value)s FROM former WHERE referral.id = former.id
        RETURNING referral.id, former.value AS was, referral.value AS now
    )
    INSERT INTO territories_referralevent (referral_id, at, what, note, by_id)
    SELECT id, %(at)s, 'corrected', concat('Value ', coalesce(was::text, 'unknown'), ' -> ', now, ': ', %(note)s::text),
           %(by_id)s
    FROM corrected
    RETURNING referral_id
"""

# Effect: expires up to so many generated and assigned referrals whose time is up, each with an event that says why.
# What somebody else is moving just now is left to the next round. Index: referral_to_expire.
_EXPIRE = """
    WITH due AS (
        SELECT id, status FROM territories_referral
        WHERE status IN ('generated', 'assigned') AND expires_at <= %(at)s
        ORDER BY expires_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
    ),
    moved AS (
        UPDATE territories_referral referral SET status = 'expired', expires_at = NULL, ended_at = %(at)s
        FROM due WHERE referral.id = due.id
        RETURNING referral.id, due.status AS from_status
    ),
    told AS (
        INSERT INTO territories_referralevent (referral_id, at, what, from_status, note)
        SELECT id, %(at)s, 'expired', from_status,
            CASE from_status WHEN 'generated' THEN %(unheld)s ELSE %(undelivered)s END
        FROM moved ORDER BY id
        RETURNING from_status
    )
    SELECT from_status, count(*) FROM told GROUP BY from_status
"""


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
    value: Decimal | None = None,
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
                "value": value,
            },
        )
        return sorted(row[0] for row in cursor.fetchall())


def note_moment(
    *,
    referral_id: int,
    allowed: Sequence[str],
    moment: str,
    after: str,
    what: str,
    at: dt.datetime,
    by_id: int | None,
    note: str,
) -> bool:
    """Set a moment of one referral, once; whether it was set now."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE.format(moment=sql.Identifier(moment), after=sql.Identifier(after)),
            {"id": referral_id, "allowed": list(allowed), "what": what, "at": at, "by_id": by_id, "note": note},
        )
        return cursor.fetchone() is not None


def correct(*, referral_id: int, value: Decimal, at: dt.datetime, by_id: int | None, note: str) -> bool:
    """Replace the value of one referral; whether it is converted, so that it has one."""
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT, {"id": referral_id, "value": value, "at": at, "by_id": by_id, "note": note})
        return cursor.fetchone() is not None


def expire(*, at: dt.datetime, most: int, unheld: str, undelivered: str) -> dict[str, int]:
    """Expire what is overdue at `at`, `most` at a time; how many, by the state that they were in."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, {"at": at, "most": most, "unheld": unheld, "undelivered": undelivered})
        return dict(cursor.fetchall())
