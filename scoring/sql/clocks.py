"""Statements that give running assignments their expiration anew, beside the passes that score."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from leads.models import Lead

_ENDS = sql.SQL("lt.assigned_at + make_interval(hours => 24 * tag.expiration_days)")

# Leads are locked before their assignments and in the order of their ids, as everybody does. A pass that is writing
# one of them ends first; one that has read the former clocks finds the lead written (see `touch_leads`).
_LOCK = sql.SQL(
    """
    SELECT FROM leads_lead lead WHERE lead.id = ANY(ARRAY(
        SELECT lt.lead_id FROM tags_leadtag lt JOIN tags_tag tag ON tag.id = lt.tag_id
        WHERE lt.tag_id = ANY(%(tag_ids)s) AND lt.lead_id BETWEEN %(first)s AND %(last)s
              AND lt.expiration_at IS DISTINCT FROM {ends}
    )) ORDER BY lead.id FOR NO KEY UPDATE
    """
).format(ends=_ENDS)

# Removed assignments get their clock too, for the day on which the removal is undone; only kept ones are counted.
_REWRITE = sql.SQL(
    """
    WITH rewritten AS (
        UPDATE tags_leadtag lt
        SET expiration_at = {ends}, is_expired = coalesce({ends} <= %(at)s, false)
        FROM tags_tag tag
        WHERE tag.id = lt.tag_id AND lt.tag_id = ANY(%(tag_ids)s) AND lt.lead_id BETWEEN %(first)s AND %(last)s
              AND lt.expiration_at IS DISTINCT FROM {ends}
        RETURNING lt.lead_id, lt.removed_at IS NULL AS is_kept,
                  coalesce(old.expiration_at <= %(at)s, false) AS was_ended,
                  coalesce(new.expiration_at <= %(at)s, false) AS is_ended
    )
    SELECT count(*), count(*) FILTER (WHERE is_ended AND NOT was_ended),
           count(*) FILTER (WHERE was_ended AND NOT is_ended), coalesce(array_agg(DISTINCT lead_id), '{{}}')
    FROM rewritten WHERE is_kept
    """
).format(ends=_ENDS)

# A lead that this transaction has not written by scoring it: its score is the same, or it was scored at a later moment
# than ours and by the former clocks, and is due again.
_TOUCH = """
    UPDATE leads_lead lead
    SET score_revision = score_revision + 1,
        rescore_at = CASE WHEN scored_at > %(at)s THEN least(coalesce(rescore_at, %(at)s), %(at)s) ELSE rescore_at END,
        rescore_cause = CASE WHEN scored_at > %(at)s THEN least(coalesce(rescore_cause, %(cause)s), %(cause)s)
                             ELSE rescore_cause END
    WHERE id = ANY(%(ids)s) AND (xmin <> pg_current_xact_id()::xid OR scored_at > %(at)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """Kept assignments whose clock moved; of these, those that ended by it and that live again; their leads."""

    affected: int
    expired: int
    revived: int
    lead_ids: list[int]


def rewrite_clocks(*, tag_ids: Sequence[int], first: int, last: int, at: dt.datetime) -> Rewritten:
    """Give the assignments of these tags on leads with ids in [first, last] their end by the days of today's rule.

    The leads stay locked; score them in the same transaction, then touch them. Index: leadtag_by_tag, leads_lead_pkey.
    """
    params: dict[str, Any] = {"tag_ids": list(tag_ids), "first": first, "last": last, "at": at}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, params)
        cursor.execute(_REWRITE, params)
        affected, expired, revived, lead_ids = cursor.fetchone()
    return Rewritten(affected=affected, expired=expired, revived=revived, lead_ids=lead_ids)


def touch_leads(*, lead_ids: Sequence[int], at: dt.datetime) -> None:
    """Mark the leads whose clocks were rewritten here as written, so that a pass that read the former ones does them
    again; those that were scored at a later moment than `at` become due. Index: leads_lead_pkey.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TOUCH, {"ids": list(lead_ids), "at": at, "cause": int(Lead.Cause.RULE_CHANGE)})
