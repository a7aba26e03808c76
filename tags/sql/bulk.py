"""Statements that put a tag on many leads, take it off, and put back what was there.

Each takes ids of leads that the transaction has locked, writes the assignments, keeps what it found (FormerAssignment)
and makes due the leads that it changed.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg import sql

from leads.models import Lead

# What follows a CTE written(lead_id, tag_id, old_..., new_...) of changed assignments.
_KEEP_FORMER = sql.SQL("""
    kept AS (
        INSERT INTO tags_formerassignment (
            job_id, lead_id, tag_id, existed, assigned_at, expiration_at, removed_at,
            written_assigned_at, written_expiration_at, written_removed_at)
        SELECT %(job_id)s, lead_id, tag_id, old_assigned_at IS NOT NULL, old_assigned_at, old_expiration_at,
               old_removed_at, new_assigned_at, new_expiration_at, new_removed_at
        FROM written ORDER BY lead_id
    )
    UPDATE leads_lead lead
    SET rescore_at = least(coalesce(lead.rescore_at, %(at)s), %(at)s),
        rescore_cause = least(coalesce(lead.rescore_cause, %(cause)s), %(cause)s),
        score_revision = lead.score_revision + 1
    FROM written WHERE lead.id = written.lead_id
    RETURNING lead.id
""")

_BOTH = sql.SQL("""
    old.assigned_at AS old_assigned_at, old.expiration_at AS old_expiration_at,
    old.removed_at AS old_removed_at,
    new.assigned_at AS new_assigned_at, new.expiration_at AS new_expiration_at, new.removed_at AS new_removed_at
""")

# As `operations.assign_tag`: after expiry or removal a new clock, else the tag's policy decides. Whoever took it off
# since the job began meant it. Index: leadtag_unique.
_ADD = sql.SQL("""
    WITH written AS (
        INSERT INTO tags_leadtag AS lt (lead_id, tag_id, assigned_at, expiration_at, is_expired)
        SELECT chosen.id, tag.id, %(at)s, %(at)s + make_interval(hours => 24 * tag.expiration_days), false
        FROM unnest(%(ids)s::bigint[]) chosen(id), tags_tag tag WHERE tag.id = %(tag_id)s ORDER BY chosen.id
        ON CONFLICT (lead_id, tag_id) DO UPDATE
        SET assigned_at = excluded.assigned_at, expiration_at = excluded.expiration_at, is_expired = false,
            removed_at = NULL
        WHERE CASE
            WHEN lt.removed_at IS NOT NULL THEN lt.removed_at <= %(at)s
            WHEN lt.expiration_at <= %(at)s THEN true
            ELSE (SELECT reassertion = 'restart' FROM tags_tag WHERE id = lt.tag_id) END
        RETURNING lt.lead_id, lt.tag_id, {both}
    ),
    {keep_former}
""").format(both=_BOTH, keep_former=_KEEP_FORMER)

# Index: leadtag_unique.
_REMOVE = sql.SQL("""
    WITH written AS (
        UPDATE tags_leadtag lt SET removed_at = %(at)s
        WHERE lt.lead_id = ANY(%(ids)s) AND lt.tag_id = %(tag_id)s AND lt.removed_at IS NULL
        RETURNING lt.lead_id, lt.tag_id, {both}
    ),
    {keep_former}
""").format(both=_BOTH, keep_former=_KEEP_FORMER)

# The flag is_expired follows the clock, so that its flipping is no change. The conditions stand in the statements that
# write: a row that an import wrote meanwhile is looked at again.
_UNCHANGED = sql.SQL("""
    ROW(lt.assigned_at, lt.expiration_at, lt.removed_at)
    IS NOT DISTINCT FROM ROW(former.written_assigned_at, former.written_expiration_at, former.written_removed_at)
""")
# Index: the primary key of former assignments; leadtag_unique.
_REVERT = sql.SQL("""
    WITH former AS MATERIALIZED (
        SELECT * FROM tags_formerassignment WHERE job_id = %(undone_id)s AND lead_id = ANY(%(ids)s)
    ),
    put_back AS (
        UPDATE tags_leadtag lt
        SET assigned_at = former.assigned_at, expiration_at = former.expiration_at, removed_at = former.removed_at,
            is_expired = coalesce(former.expiration_at <= %(at)s, false)
        FROM former
        WHERE former.existed AND lt.lead_id = former.lead_id AND lt.tag_id = former.tag_id AND {unchanged}
        RETURNING lt.lead_id, lt.tag_id, {both}
    ),
    taken_away AS (
        DELETE FROM tags_leadtag lt USING former
        WHERE NOT former.existed AND lt.lead_id = former.lead_id AND lt.tag_id = former.tag_id AND {unchanged}
        RETURNING lt.lead_id, lt.tag_id, {both}
    ),
    brought AS (
        INSERT INTO tags_leadtag AS lt (lead_id, tag_id, assigned_at, expiration_at, is_expired, removed_at)
        SELECT lead_id, tag_id, assigned_at, expiration_at, coalesce(expiration_at <= %(at)s, false), removed_at
        FROM former WHERE existed AND written_assigned_at IS NULL ORDER BY lead_id
        ON CONFLICT (lead_id, tag_id) DO NOTHING
        RETURNING lt.lead_id, lt.tag_id, {both}
    ),
    written AS (SELECT * FROM put_back UNION ALL SELECT * FROM taken_away UNION ALL SELECT * FROM brought),
    {keep_former}
""").format(both=_BOTH, keep_former=_KEEP_FORMER, unchanged=_UNCHANGED)


def add_tag(*, lead_ids: Sequence[int], tag_id: int, at: dt.datetime, job_id: int) -> list[int]:
    """Effect: the tag is on these leads, on a new clock where `assign_tag` would start one; ids of the changed ones."""
    return _run(_ADD, {"ids": list(lead_ids), "tag_id": tag_id, "at": at, "job_id": job_id})


def remove_tag(*, lead_ids: Sequence[int], tag_id: int, at: dt.datetime, job_id: int) -> list[int]:
    """Effect: the tag is off these leads, their rows are kept; ids of those that had it."""
    return _run(_REMOVE, {"ids": list(lead_ids), "tag_id": tag_id, "at": at, "job_id": job_id})


def revert(*, lead_ids: Sequence[int], undone_id: int, at: dt.datetime, job_id: int) -> list[int]:
    """Effect: what a job found on these leads is back where what it left still stands; ids of the changed ones."""
    return _run(_REVERT, {"ids": list(lead_ids), "undone_id": undone_id, "at": at, "job_id": job_id})


def _run(statement: sql.Composed, params: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params | {"cause": int(Lead.Cause.TAG_CHANGE)})
        return [row[0] for row in cursor.fetchall()]


def bounds_of_former(*, job_id: int, leads: int) -> tuple[int, list[tuple[int, int]]]:
    """How many leads a job changed, and ranges (after, upto] of ids with up to `leads` of them each.

    Index: the primary key of former assignments.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(lead_id), count(*) FROM (SELECT lead_id, (row_number() OVER (ORDER BY lead_id) - 1) / %s "
            "AS slot FROM tags_formerassignment WHERE job_id = %s) numbered GROUP BY slot ORDER BY 1",
            [leads, job_id],
        )
        rows = cursor.fetchall()
    uptos = [upto for upto, _ in rows]
    return sum(count for _, count in rows), list(zip([0, *uptos], uptos, strict=False))


def lock_former(*, job_id: int, after: int, upto: int) -> list[int]:
    """Effect: the leads that a job changed with ids in (after, upto] are locked, in id order; their ids.

    Index: the primary keys of former assignments and of leads.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lead.id FROM tags_formerassignment former JOIN leads_lead lead ON lead.id = former.lead_id "
            "WHERE former.job_id = %s AND former.lead_id > %s AND former.lead_id <= %s "
            "ORDER BY lead.id FOR NO KEY UPDATE OF lead",
            [job_id, after, upto],
        )
        return [row[0] for row in cursor.fetchall()]


def clear_former(*, ended_before: dt.datetime) -> int:
    """Effect: former assignments of jobs that ended before that moment are gone; how many. Index: their primary key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM tags_formerassignment WHERE job_id IN (SELECT id FROM jobs_job WHERE finished_at < %s)",
            [ended_before],
        )
        return int(cursor.rowcount)
