"""What proposed rules would do, computed by the same expression and without writing anything."""

import json
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from scoring.sql.expression import PROPOSED_ENDS, PROPOSED_RULES, Cap, read_caps, totals

_TOUCHED = sql.SQL(
    "lt.lead_id IN (SELECT lead_id FROM tags_leadtag WHERE tag_id = ANY(%(touched)s) AND removed_at IS NULL)"
)
_IN_RANGE = sql.SQL("lt.lead_id BETWEEN %(first)s AND %(last)s")

MOVERS = 10
# compared(lead_id, before, after): every lead that carries a touched tag, under today's rules and the proposed ones.
_WHAT_IF = sql.SQL(
    """
    WITH before AS (WITH {today} SELECT lead_id, score FROM total),
    after AS (WITH {proposed} SELECT lead_id, score FROM total),
    touched AS MATERIALIZED (
        SELECT DISTINCT lead_id FROM tags_leadtag lt
        WHERE tag_id = ANY(%(touched)s) AND removed_at IS NULL AND {in_range}
    ),
    compared AS MATERIALIZED (
        SELECT lead_id, before.score AS before, after.score AS after
        FROM before JOIN after USING (lead_id) JOIN touched USING (lead_id)
    ),
    moved AS MATERIALIZED (SELECT * FROM compared WHERE before <> after)
    SELECT (SELECT count(*) FROM compared),
           (SELECT count(*) FILTER (WHERE after > before) FROM moved),
           (SELECT count(*) FILTER (WHERE after < before) FROM moved),
           (SELECT count(*) FROM moved WHERE before < %(threshold)s AND after >= %(threshold)s),
           (SELECT count(*) FROM moved WHERE before >= %(threshold)s AND after < %(threshold)s),
           (SELECT coalesce(json_agg(json_build_array(lead_id, before, after)), '[]')
            FROM (SELECT * FROM moved ORDER BY after - before DESC, lead_id LIMIT %(movers)s) up WHERE after > before),
           (SELECT coalesce(json_agg(json_build_array(lead_id, before, after)), '[]')
            FROM (SELECT * FROM moved ORDER BY after - before, lead_id LIMIT %(movers)s) down WHERE after < before),
           (SELECT coalesce(json_agg(json_build_array(bin, before, after) ORDER BY bin), '[]') FROM (
                SELECT bin, sum(before)::int AS before, sum(after)::int AS after FROM (
                    SELECT floor(before::numeric / %(width)s)::int AS bin, count(*) AS before, 0 AS after
                    FROM compared GROUP BY 1
                    UNION ALL
                    SELECT floor(after::numeric / %(width)s)::int, 0, count(*) FROM compared GROUP BY 1
                ) either GROUP BY bin
            ) histogram)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Counts of leads; movers as (lead id, before, after); bins as (number, leads before, leads after)."""

    leads: int
    rising: int
    falling: int
    crossing_up: int
    crossing_down: int
    risers: list[tuple[int, int, int]]
    fallers: list[tuple[int, int, int]]
    bins: list[tuple[int, int, int]]

    def __add__(self, other: "Compared") -> "Compared":
        """The same of two sets of leads together."""
        bins: dict[int, tuple[int, int]] = {}
        for number, before, after in (*self.bins, *other.bins):
            was = bins.get(number, (0, 0))
            bins[number] = (was[0] + before, was[1] + after)
        return Compared(
            leads=self.leads + other.leads,
            rising=self.rising + other.rising,
            falling=self.falling + other.falling,
            crossing_up=self.crossing_up + other.crossing_up,
            crossing_down=self.crossing_down + other.crossing_down,
            risers=sorted(self.risers + other.risers, key=lambda row: (row[1] - row[2], row[0]))[:MOVERS],
            fallers=sorted(self.fallers + other.fallers, key=lambda row: (row[2] - row[1], row[0]))[:MOVERS],
            bins=[(number, *counts) for number, counts in sorted(bins.items())],
        )


def compare(
    *,
    params: dict[str, Any],
    tags: list[dict[str, Any]],
    groups: list[dict[str, Any]],
    bounds: tuple[int, int] | None = None,
) -> Compared:
    """Leads that carry a touched tag under today's rules and under `tags` and `groups`, which are whole sets of rules.

    `params`: at, touched (tag ids), threshold, width (of a bin, in points). With `bounds` only leads with ids in
    (after, upto], all of whose assignments are read in the index's order; else those of the leads in question are
    looked up. Index: leadtag_unique; leadtag_by_tag.
    """
    chosen = _TOUCHED if bounds is None else _IN_RANGE
    caps = [Cap(group["id"], group["cap"]) for group in groups if group["cap"] is not None]
    statement = _WHAT_IF.format(
        today=totals(chosen, caps=read_caps()),
        proposed=totals(chosen, caps=caps, rules=PROPOSED_RULES, ends=PROPOSED_ENDS),
        in_range=sql.SQL("true") if bounds is None else _IN_RANGE,
    )
    after, upto = bounds or (0, 0)
    given = {"tags": json.dumps(tags), "groups": json.dumps(groups), "movers": MOVERS, "first": after + 1, "last": upto}
    with connection.cursor() as cursor:
        cursor.execute(statement, params | given)
        leads, rising, falling, up, down, risers, fallers, bins = cursor.fetchone()
    return Compared(
        leads=leads,
        rising=rising,
        falling=falling,
        crossing_up=up,
        crossing_down=down,
        risers=[tuple(row) for row in risers],
        fallers=[tuple(row) for row in fallers],
        bins=[tuple(row) for row in bins],
    )


def share_of_carriers(*, tag_ids: list[int]) -> float:
    """About which share of all assignments carries one of the tags, by the planner's statistics: 0 to 1."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT FROM tags_leadtag WHERE tag_id = ANY(%s)", [tag_ids])
        carriers = cursor.fetchone()[0][0]["Plan"]["Plan Rows"]
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT FROM tags_leadtag")
        every = cursor.fetchone()[0][0]["Plan"]["Plan Rows"]
    return float(carriers / max(every, 1))
