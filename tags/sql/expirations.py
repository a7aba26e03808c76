"""Statements over the assignments of tags; each says its effect and its index."""

import datetime as dt
import time
from collections.abc import Collection, Sequence

from django.db import connection

POLL_SECONDS = 0.02

# What an assignment's end would be by the proposed days, and which way it would pass at %(at)s.
_EFFECTS = """
    SELECT proposed.tag_id, count(lt.id),
           count(*) FILTER (WHERE clock.is_moving),
           count(*) FILTER (WHERE clock.is_moving AND clock.is_ended_then AND NOT clock.is_ended),
           count(*) FILTER (WHERE clock.is_moving AND clock.is_ended AND NOT clock.is_ended_then)
    FROM unnest(%(tag_ids)s::bigint[], %(days)s::int[], %(retroactive)s::bool[]) WITH ORDINALITY
         AS proposed(tag_id, days, is_retroactive, place)
    LEFT JOIN tags_leadtag lt ON lt.tag_id = proposed.tag_id AND lt.removed_at IS NULL
    LEFT JOIN LATERAL (
        SELECT proposed.is_retroactive AND ends.at IS DISTINCT FROM lt.expiration_at AS is_moving,
               coalesce(ends.at <= %(at)s, false) AS is_ended_then,
               coalesce(lt.expiration_at <= %(at)s, false) AS is_ended
        FROM (SELECT lt.assigned_at + make_interval(hours => 24 * proposed.days) AS at) ends
    ) clock ON lt.id IS NOT NULL
    GROUP BY proposed.tag_id, proposed.place ORDER BY proposed.place
"""


def count_effects(
    *, proposed: Sequence[tuple[int, int | None, bool]], at: dt.datetime
) -> list[tuple[int, int, int, int, int]]:
    """(tag id, kept assignments, moving, ending by it, reviving by it) of each (tag id, days, is retroactive).

    Index: leadtag_by_tag.
    """
    tag_ids, days, retroactive = (list(column) for column in zip(*proposed, strict=True)) if proposed else ([], [], [])
    with connection.cursor() as cursor:
        cursor.execute(_EFFECTS, {"tag_ids": tag_ids, "days": days, "retroactive": retroactive, "at": at})
        return [(tag_id, kept, moving, ending, reviving) for tag_id, kept, moving, ending, reviving in cursor]


def with_other_clocks(*, tags: Collection[tuple[int, int | None]]) -> set[int]:
    """Of these (tag id, days) the tags with a kept assignment that ends otherwise than by those days.

    Index: leadtag_by_tag, until the first such assignment of a tag.
    """
    tag_ids, days = (list(column) for column in zip(*tags, strict=True)) if tags else ([], [])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tag_id FROM unnest(%s::bigint[], %s::int[]) rule(tag_id, days) WHERE EXISTS ("
            "SELECT FROM tags_leadtag lt WHERE lt.tag_id = rule.tag_id AND lt.removed_at IS NULL "
            "AND lt.expiration_at IS DISTINCT FROM lt.assigned_at + make_interval(hours => 24 * rule.days))",
            [tag_ids, days],
        )
        return {tag_id for (tag_id,) in cursor.fetchall()}


def hold_expiration_days(*, tag_id: int) -> int | None:
    """The days of a tag as they are now; whoever would publish others waits until this transaction ends.

    Index: tags_tag_pkey.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT expiration_days FROM tags_tag WHERE id = %s FOR SHARE", [tag_id])
        row = cursor.fetchone()
    return row[0] if row else None


_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'tags_leadtag'::regclass AND mode = 'RowExclusiveLock' AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""


def wait_for_writers() -> None:
    """Return when every transaction that writes assignments at this moment has ended.

    A statement takes its lock on the table before its snapshot: one that is not seen here reads the rules as they are
    now, and what one that is seen wrote by former rules is there to be read afterwards. Nobody waits for us meanwhile.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        writers = [row[0] for row in cursor.fetchall()]
        while writers:
            time.sleep(POLL_SECONDS)
            cursor.execute(f"{_WRITERS} AND virtualtransaction = ANY(%s)", [writers])
            writers = [row[0] for row in cursor.fetchall()]
