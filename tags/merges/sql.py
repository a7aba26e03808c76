"""Statements that move the assignments of one tag to another, range by range, and give them back."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from leads.models import Lead

# met(lead_id, both rows, assigned_at, expiration_at, removed_at): an assignment of the merged tag beside that of the
# survivor on the same lead, if any, and the clock that stays. A live one beats an expired one, and that a removed
# one. Of two live ones the earlier start and the later end stay; of two expired ones the one that ended later; of two
# removed ones the one removed later.
_MET = sql.SQL(
    """
    WITH pair AS (
        SELECT m.lead_id, m.id AS merged_row, s.id AS own_row,
               m.assigned_at AS m_assigned_at, m.expiration_at AS m_expiration_at, m.removed_at AS m_removed_at,
               s.assigned_at AS s_assigned_at, s.expiration_at AS s_expiration_at, s.removed_at AS s_removed_at,
               CASE WHEN m.removed_at IS NOT NULL THEN 0 WHEN m.expiration_at <= %(at)s THEN 1 ELSE 2 END AS m_rank,
               CASE WHEN s.id IS NULL THEN -1 WHEN s.removed_at IS NOT NULL THEN 0
                    WHEN s.expiration_at <= %(at)s THEN 1 ELSE 2 END AS s_rank
        FROM tags_leadtag m
        LEFT JOIN tags_leadtag s ON s.lead_id = m.lead_id AND s.tag_id = %(into)s
        WHERE m.tag_id = %(merged)s AND {chosen}
    ),
    ruled AS (
        SELECT *, m_rank = 2 AND s_rank = 2 AS are_live,
               m_rank > s_rank OR m_rank = s_rank AND CASE m_rank WHEN 0 THEN m_removed_at > s_removed_at
                                                                  ELSE m_expiration_at > s_expiration_at END AS is_taken
        FROM pair
    ),
    met AS MATERIALIZED (
        SELECT *,
               CASE WHEN are_live THEN least(m_assigned_at, s_assigned_at)
                    WHEN is_taken THEN m_assigned_at ELSE s_assigned_at END AS assigned_at,
               CASE WHEN are_live THEN nullif(greatest(coalesce(m_expiration_at, 'infinity'),
                                                       coalesce(s_expiration_at, 'infinity')), 'infinity')
                    WHEN is_taken THEN m_expiration_at ELSE s_expiration_at END AS expiration_at,
               CASE WHEN are_live THEN NULL WHEN is_taken THEN m_removed_at ELSE s_removed_at END AS removed_at
        FROM ruled
    )
    """
)
_OF_LEADS = sql.SQL("m.lead_id = ANY(%(ids)s)")

# A lead that is met again (a list that was under way named the merged tag) keeps what was found first.
_MERGE = sql.SQL(
    """
    {met},
    noted AS (
        INSERT INTO tags_mergedassignment (merge_id, lead_id, assigned_at, expiration_at, removed_at,
            own_assigned_at, own_expiration_at, own_removed_at, left_assigned_at, left_expiration_at, left_removed_at)
        SELECT %(merge)s, lead_id, m_assigned_at, m_expiration_at, m_removed_at,
               s_assigned_at, s_expiration_at, s_removed_at, assigned_at, expiration_at, removed_at
        FROM met ORDER BY lead_id
        ON CONFLICT (merge_id, lead_id) DO NOTHING
    ),
    moved AS (
        UPDATE tags_leadtag lt SET tag_id = %(into)s FROM met WHERE own_row IS NULL AND lt.id = merged_row RETURNING 1
    ),
    joined AS (
        UPDATE tags_leadtag lt
        SET assigned_at = met.assigned_at, expiration_at = met.expiration_at, removed_at = met.removed_at,
            is_expired = coalesce(met.expiration_at <= %(at)s, false)
        FROM met WHERE lt.id = own_row
          AND (lt.assigned_at, lt.expiration_at, lt.removed_at)
              IS DISTINCT FROM (met.assigned_at, met.expiration_at, met.removed_at)
    ),
    gone AS (
        DELETE FROM tags_leadtag lt USING met WHERE own_row IS NOT NULL AND lt.id = merged_row RETURNING 1
    )
    SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM gone)
    """
).format(met=_MET.format(chosen=_OF_LEADS))

# Only where the surviving tag's clock is as the merge left it, and nobody has put the merged tag on anew.
_UNDO = """
    WITH former AS MATERIALIZED (
        SELECT f.*, lt.id AS row
        FROM tags_mergedassignment f JOIN tags_leadtag lt ON lt.lead_id = f.lead_id AND lt.tag_id = %(into)s
        WHERE f.merge_id = %(merge)s AND f.lead_id = ANY(%(ids)s)
          AND (lt.assigned_at, lt.expiration_at, lt.removed_at)
              IS NOT DISTINCT FROM (f.left_assigned_at, f.left_expiration_at, f.left_removed_at)
          AND NOT EXISTS (SELECT 1 FROM tags_leadtag other
                          WHERE other.lead_id = f.lead_id AND other.tag_id = %(merged)s)
    ),
    moved AS (
        UPDATE tags_leadtag lt SET tag_id = %(merged)s
        FROM former f WHERE f.own_assigned_at IS NULL AND lt.id = f.row RETURNING 1
    ),
    parted AS (
        UPDATE tags_leadtag lt
        SET assigned_at = f.own_assigned_at, expiration_at = f.own_expiration_at, removed_at = f.own_removed_at,
            is_expired = coalesce(f.own_expiration_at <= %(at)s, false)
        FROM former f WHERE f.own_assigned_at IS NOT NULL AND lt.id = f.row
    ),
    brought AS (
        INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, expiration_at, is_expired, removed_at)
        SELECT lead_id, %(merged)s, assigned_at, expiration_at, coalesce(expiration_at <= %(at)s, false), removed_at
        FROM former WHERE own_assigned_at IS NOT NULL ORDER BY lead_id RETURNING 1
    ),
    settled AS (DELETE FROM tags_mergedassignment f USING former WHERE f.id = former.id)
    SELECT (SELECT count(*) FROM moved) + (SELECT count(*) FROM brought)
"""

# A lock alone would not do: a pass that read the lead before this and writes it after would store the older score.
_MARK_DUE = """
    UPDATE leads_lead lead
    SET rescore_at = least(coalesce(rescore_at, %(at)s), %(at)s),
        rescore_cause = least(coalesce(rescore_cause, %(cause)s), %(cause)s), score_revision = score_revision + 1
    FROM (SELECT id FROM leads_lead WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE) locked
    WHERE lead.id = locked.id
"""


def _with_leads_marked(statement: Any, choose: str, params: dict[str, Any]) -> tuple[list[int], tuple[int, ...]]:
    """Choose lead ids, make them due, then run the statement on them: the ids, and what it answered."""
    with connection.cursor() as cursor:
        cursor.execute(choose, params)
        params = params | {"ids": [row[0] for row in cursor.fetchall()], "cause": int(Lead.Cause.RULE_CHANGE)}
        cursor.execute(_MARK_DUE, params)
        cursor.execute(statement, params)
        return params["ids"], cursor.fetchone()


def merge_range(
    *, merge_id: int, merged: int, into: int, after: int, upto: int, at: dt.datetime
) -> tuple[list[int], int, int]:
    """Effect: the leads with ids in (after, upto] carry `into` instead of `merged`, and are due; former clocks noted.

    Their ids sorted; assignments that moved, and those that met one of the other tag. Run it in one transaction.
    Index: leadtag_by_tag for the choice, leadtag_unique.
    """
    choose = (
        "SELECT lead_id FROM tags_leadtag WHERE tag_id = %(merged)s AND lead_id > %(after)s AND lead_id <= %(upto)s "
        "ORDER BY 1"
    )
    params = {"merge": merge_id, "merged": merged, "into": into, "after": after, "upto": upto, "at": at}
    ids, (moved, joined) = _with_leads_marked(_MERGE, choose, params)
    return ids, moved, joined


def undo_range(
    *, merge_id: int, merged: int, into: int, after: int, upto: int, at: dt.datetime
) -> tuple[list[int], int]:
    """Effect: leads with ids in (after, upto] get their former clocks of both tags, where unchanged since; all are due.

    Ids of all leads of the merge in the range, sorted; how many assignments were given back: what was noted of them
    is gone. Run it in one transaction. Index: mergedassignment_unique, leadtag_unique.
    """
    choose = (
        "SELECT lead_id FROM tags_mergedassignment WHERE merge_id = %(merge)s AND lead_id > %(after)s "
        "AND lead_id <= %(upto)s ORDER BY 1"
    )
    params = {"merge": merge_id, "merged": merged, "into": into, "after": after, "upto": upto, "at": at}
    ids, (restored,) = _with_leads_marked(_UNDO, choose, params)
    return ids, restored


def noted_bounds(*, merge_id: int, leads: int) -> tuple[int, list[tuple[int, int]]]:
    """How many leads a merge touched, and ranges (after, upto] of ids with `leads` of them each.

    Index: mergedassignment_unique.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(lead_id), count(*) FROM (SELECT lead_id, (row_number() OVER (ORDER BY lead_id) - 1) / %s "
            "AS slot FROM tags_mergedassignment WHERE merge_id = %s) numbered GROUP BY slot ORDER BY 1",
            [leads, merge_id],
        )
        rows = cursor.fetchall()
    uptos = [upto for upto, _ in rows]
    return sum(count for _, count in rows), list(zip([0, *uptos], uptos, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """An assignment's clock as a merge sees it."""

    assigned_at: dt.datetime
    expiration_at: dt.datetime | None
    removed_at: dt.datetime | None

    @property
    def is_removed(self) -> bool:
        return self.removed_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One lead of a merge: the clock of the tag that goes, that of the one that stays (if any), and what is left."""

    lead_id: int
    merged: Clock
    own: Clock | None
    left: Clock


def sample(*, merged: int, into: int, at: dt.datetime, leads: int) -> list[Meeting]:
    """Some leads that carry `merged`, those that carry both first. Index: leadtag_by_tag, leadtag_unique."""
    both = (
        "SELECT lead_id FROM tags_leadtag a WHERE tag_id = %(merged)s AND removed_at IS NULL AND EXISTS "
        "(SELECT 1 FROM tags_leadtag b WHERE b.lead_id = a.lead_id AND b.tag_id = %(into)s AND removed_at IS NULL) "
        "ORDER BY 1 LIMIT %(leads)s"
    )
    some = (
        "SELECT lead_id FROM tags_leadtag WHERE tag_id = %(merged)s AND removed_at IS NULL ORDER BY 1 LIMIT %(leads)s"
    )
    params: dict[str, Any] = {"merged": merged, "into": into, "at": at, "leads": leads}
    with connection.cursor() as cursor:
        cursor.execute(both, params)
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(some, params)
        ids = list(dict.fromkeys([*ids, *(row[0] for row in cursor.fetchall())]))[:leads]
        cursor.execute(
            sql.SQL(
                "{met} SELECT lead_id, m_assigned_at, m_expiration_at, m_removed_at, s_assigned_at, s_expiration_at, "
                "s_removed_at, assigned_at, expiration_at, removed_at FROM met"
            ).format(met=_MET.format(chosen=_OF_LEADS)),
            params | {"ids": ids},
        )
        rows = {row[0]: row for row in cursor.fetchall()}

    def clock(assigned_at: Any, expiration_at: Any, removed_at: Any) -> Clock:
        return Clock(assigned_at=assigned_at, expiration_at=expiration_at, removed_at=removed_at)

    return [
        Meeting(
            lead_id=pk,
            merged=clock(*rows[pk][1:4]),
            own=clock(*rows[pk][4:7]) if rows[pk][4] is not None else None,
            left=clock(*rows[pk][7:10]),
        )
        for pk in ids
        if pk in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much a merge moves: assignments not removed (each on a lead of its own), live ones among them, removed
    ones, and how many of the leads carry both tags."""

    assignments: int
    live: int
    removed: int
    both: int


def extent(*, merged: int, into: int, at: dt.datetime) -> Extent:
    """Index: leadtag_by_tag, twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE m.removed_at IS NULL), "
            "count(*) FILTER (WHERE m.removed_at IS NULL AND coalesce(m.expiration_at > %(at)s, true)), "
            "count(*) FILTER (WHERE m.removed_at IS NOT NULL), "
            "count(*) FILTER (WHERE m.removed_at IS NULL AND s.id IS NOT NULL AND s.removed_at IS NULL) "
            "FROM tags_leadtag m LEFT JOIN tags_leadtag s ON s.lead_id = m.lead_id AND s.tag_id = %(into)s "
            "WHERE m.tag_id = %(merged)s",
            {"merged": merged, "into": into, "at": at},
        )
        assignments, live, removed, both = cursor.fetchone()
    return Extent(assignments=assignments, live=live, removed=removed, both=both)
