"""Statements that choose leads for contractors and write their referrals; each says its effect and its indexes.

Urgency, 0 to 100, says how much is lost by waiting. Of the positive points that a lead's tags give at `at` (before
caps of groups), `fading` is the share that will have decayed or expired 14 days later, and `newness` the average of
each reason's own newness, weighted by its points: 1 on its first day, falling by a thirtieth each whole day, 0 from 30
days on. urgency = round(60 x fading + 40 x newness), halves away from zero; 0 where no tag gives points.

Priority ranks the leads of a slice: score + score x urgency / 100, rounded down, where the score is positive; else the
score. Of equal ones the lower id comes first.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from scoring.sql.expression import RULES, assignments
from territories.generation import registry
from territories.generation.criteria import Criteria

SOON = dt.timedelta(days=14)
NEW_DAYS = 30

# kin: of each tag that was merged, those that stand for it now, the last of them being no merged one. A lead may carry
# either while a merge is being applied.
_KIN = sql.SQL("""
    kin AS MATERIALIZED (
        WITH RECURSIVE chain(tag_id, kin_id) AS (
            SELECT id, merged_into_id FROM tags_tag WHERE merged_into_id IS NOT NULL
            UNION
            SELECT chain.tag_id, tag.merged_into_id FROM chain JOIN tags_tag tag ON tag.id = chain.kin_id
            WHERE tag.merged_into_id IS NOT NULL
        )
        SELECT chain.tag_id, chain.kin_id, tag.merged_into_id IS NULL AS is_last
        FROM chain JOIN tags_tag tag ON tag.id = chain.kin_id
    )
""")

_KIN_OF = sql.SQL(
    "WITH {kin} SELECT tag_id, array_agg(kin_id) FROM kin WHERE tag_id = ANY(%(ids)s) GROUP BY tag_id"
).format(kin=_KIN)

# taker: contractors with what they take; `rest`: what their caps leave (null: no cap), `dealt`: what the run gave them.
# held: who holds a ZIP at the moment. One that was wound up meanwhile holds nothing, whatever the moment.
_HELD = sql.SQL("""
    {kin},
    taker AS MATERIALIZED (
        SELECT contractor.id AS contractor_id, contractor.min_score AS least, contractor.price,
               contractor.status = 'active' AND contractor.sandbox_of_id IS NULL AS is_active,
               ARRAY(SELECT tag_id FROM territories_contractor_wanted_tags wanted
                     WHERE wanted.contractor_id = contractor.id
                     UNION SELECT kin_id FROM territories_contractor_wanted_tags wanted JOIN kin USING (tag_id)
                     WHERE wanted.contractor_id = contractor.id) AS wanted,
               ARRAY(SELECT tag_id FROM territories_contractor_unwanted_tags unwanted
                     WHERE unwanted.contractor_id = contractor.id
                     UNION SELECT kin_id FROM territories_contractor_unwanted_tags unwanted JOIN kin USING (tag_id)
                     WHERE unwanted.contractor_id = contractor.id) AS unwanted,
               room.rest, coalesce(room.dealt, 0) AS dealt
        FROM territories_contractor contractor
        LEFT JOIN unnest(%(contractors)s::bigint[], %(rests)s::int[], %(dealt)s::int[])
                  room(contractor_id, rest, dealt) ON room.contractor_id = contractor.id
    ),
    held AS MATERIALIZED (
        SELECT territory.zip, territory.id AS territory_id, territory.from_at, taker.*
        FROM territories_territory territory JOIN taker ON taker.contractor_id = territory.contractor_id
        WHERE territory.from_at <= %(at)s AND (territory.to_at > %(at)s OR territory.to_at IS NULL)
          AND territory.wound_up_at IS NULL
    )
""").format(kin=_KIN)

# The live tags of one lead by their dates. Each of these is a look-up in leadtag_unique, which holds the clocks; as a
# scalar it stays one for each lead, where EXISTS could become a join with all leads of a tag.
_LIVE = sql.SQL(
    "lt.lead_id = {lead} AND lt.removed_at IS NULL AND (lt.expiration_at > %(at)s OR lt.expiration_at IS NULL)"
)
_HAS_TAG = sql.SQL("coalesce((SELECT true FROM tags_leadtag lt WHERE lt.tag_id {tag} AND {live} LIMIT 1), false)")
# A reason gives points, and has begun.
_NEWEST = sql.SQL(
    "(SELECT max(lt.assigned_at) FROM tags_leadtag lt JOIN tags_tag tag ON tag.id = lt.tag_id "
    "WHERE {live} AND lt.assigned_at <= %(at)s AND tag.base_score > 0 AND NOT tag.is_archived)"
)
_TAG_IDS = sql.SQL("ARRAY(SELECT lt.tag_id FROM tags_leadtag lt WHERE {live})")

# What became of a lead before; one probe of referral_by_lead. What was taken back before it was delivered has been
# referred to nobody.
_PAST = sql.SQL("""
    SELECT coalesce(bool_or(former.status IN ('generated', 'assigned', 'delivered', 'converted')
                            AND former.released_at IS NULL), false) AS is_live,
           max(former.assigned_at) FILTER (WHERE former.delivered_at IS NOT NULL OR former.status <> 'cancelled')
               AS assigned_at,
           max(former.assigned_at) FILTER (WHERE former.was_given_back) AS given_at,
           coalesce(array_agg(former.contractor_id) FILTER (WHERE former.was_given_back), '{{}}') AS givers
    FROM (SELECT referral.*, referral.delivered_at IS NOT NULL AND referral.status IN ('returned', 'cancelled')
                             AS was_given_back
          FROM territories_referral referral WHERE referral.lead_id = {lead}) former
""")

# Why the holder does not get a lead although the ZIP is his; null: he does, as far as his caps go. A lead that came
# back goes to who took the ZIP after its giver had got it: a later holder.
_HOLDER_REASON = sql.SQL("""
    CASE WHEN past.given_at >= held.from_at OR held.contractor_id = ANY(past.givers) THEN 'returned_before'
         WHEN {score} < held.least THEN 'score_not_wanted'
         WHEN (held.unwanted <> '{{}}' AND held.unwanted && {tags})
           OR (held.wanted <> '{{}}' AND NOT held.wanted && {tags})
              THEN 'tags_not_wanted'
    END
""")

# urgent: the eligible leads with urgency and priority. One flat inner join, in which the rule of a tag is remembered
# (an outer join forgets it); and grouped by all of eligible, for joining that again could take a look at all pairs.
# Index: leadtag_unique.
_URGENT = sql.SQL("""
    rule AS MATERIALIZED ({rules}),
    sums AS (
        SELECT {columns},
               coalesce(sum(greatest(p.points, 0)) FILTER (WHERE moment.is_now), 0) AS points,
               coalesce(sum(greatest(p.points, 0)) FILTER (WHERE NOT moment.is_now), 0) AS later,
               coalesce(sum(greatest(p.points, 0) * greatest(0, {new_days} - floor(
                   extract(epoch FROM %(at)s::timestamptz - p.assigned_at) / 86400
               )::int)) FILTER (WHERE moment.is_now), 0) AS newness
        FROM eligible
        CROSS JOIN (VALUES (%(at)s::timestamptz, true), (%(soon)s::timestamptz, false)) moment(at, is_now)
        CROSS JOIN LATERAL ({assignments} AND lt.lead_id = eligible.id AND lt.assigned_at <= %(at)s) p
        GROUP BY {columns}
        UNION ALL
        SELECT {columns}, 0, 0, 0 FROM eligible
        WHERE NOT coalesce((SELECT true FROM tags_leadtag lt WHERE lt.lead_id = eligible.id AND lt.removed_at IS NULL
                                                                   AND lt.assigned_at <= %(at)s LIMIT 1), false)
    ),
    urgent AS MATERIALIZED (
        SELECT {columns}, measure.urgency,
               score + floor(greatest(score, 0) * measure.urgency / 100.0)::bigint AS priority
        FROM sums eligible
        CROSS JOIN LATERAL (
            SELECT CASE WHEN points = 0 THEN 0 ELSE round(
                (60.0 * {new_days} * greatest(points - later, 0) + 40.0 * newness) / ({new_days} * points)
            )::int END AS urgency
        ) measure
    )
""")


def _urgent(*columns: str) -> sql.Composed:
    """The CTEs up to `urgent`, which has these columns of `eligible`; id and score are among them."""
    return _URGENT.format(
        rules=RULES,
        assignments=assignments(at=sql.SQL("moment.at")),
        new_days=sql.Literal(NEW_DAYS),
        columns=sql.SQL(", ").join(sql.Identifier("eligible", column) for column in columns),
    )


# Leads in score order. Index: lead_by_score; lead_by_zip where few ZIPs are wanted.
_SLICE = sql.SQL("""
    SELECT lead.id, lead.score, lead.zip FROM leads_lead lead
    WHERE lead.suppressed_at IS NULL AND lead.zip LIKE '_____' AND lead.score >= %(min_score)s {after} {zips}
    ORDER BY lead.score DESC, lead.id LIMIT %(limit)s
""")
_AFTER = sql.SQL("AND lead.score <= %(after_score)s AND (lead.score < %(after_score)s OR lead.id > %(after_id)s)")
_ZIPS = sql.SQL("AND lead.zip = ANY(%(zips)s::text[])")
_ONE_LEAD = sql.SQL("""
    SELECT lead.id, lead.score, lead.zip FROM leads_lead lead
    WHERE lead.id = %(lead_id)s AND lead.suppressed_at IS NULL AND lead.zip LIKE '_____'
""")
_LEAD_ROWS = sql.SQL("JOIN leads_lead lead ON lead.id = slice.id")

# Who holds a ZIP holds all its leads, and a ZIP has one holder, so that limits are nested: ranking within ZIPs, then
# within contractors, then in all, each among those that the former left, gives what going down the list would.
_DEAL = sql.SQL("""
    WITH slice AS MATERIALIZED ({slice}),
    {held},
    matching AS MATERIALIZED (SELECT slice.* FROM slice {lead_rows} WHERE {criteria}),
    judged AS MATERIALIZED (
        SELECT matching.*, held.territory_id, held.contractor_id, held.price, held.rest,
               coalesce(held.dealt, 0) AS dealt,
               CASE WHEN matching.id = ANY(%(taken)s::bigint[]) OR past.is_live THEN 'already_referred'
                    WHEN past.assigned_at > %(referred_since)s::timestamptz THEN 'referred_recently'
                    WHEN held.contractor_id IS NULL THEN CASE WHEN %(includes_unheld)s THEN NULL ELSE 'not_held' END
                    WHEN NOT held.is_active THEN 'holder_not_active'
                    ELSE {holder_reason} END AS reason
        FROM matching LEFT JOIN held ON held.zip = matching.zip CROSS JOIN LATERAL ({past}) past
    ),
    fitting AS (SELECT judged.*, reason IS NULL AS fits FROM judged OFFSET 0),
    eligible AS MATERIALIZED (SELECT * FROM fitting WHERE fits),
    {urgent},
    of_zips AS (
        SELECT urgent.*, coalesce(full_zip.n, 0)
                         + row_number() OVER (PARTITION BY urgent.zip ORDER BY priority DESC, id) AS of_zip
        FROM urgent
        LEFT JOIN unnest(%(zips_dealt)s::text[], %(zip_counts)s::int[]) full_zip(zip, n) ON full_zip.zip = urgent.zip
    ),
    of_contractors AS MATERIALIZED (
        SELECT of_zips.*, row_number() OVER (PARTITION BY contractor_id ORDER BY priority DESC, id) AS of_contractor
        FROM of_zips WHERE of_zip <= %(per_zip)s OR %(per_zip)s::int IS NULL
    ),
    of_run AS MATERIALIZED (
        SELECT of_contractors.*, row_number() OVER (ORDER BY priority DESC, id) AS of_all
        FROM of_contractors
        WHERE contractor_id IS NULL
           OR ((of_contractor <= rest OR rest IS NULL)
               AND (of_contractor + dealt <= %(per_contractor)s OR %(per_contractor)s::int IS NULL))
    ),
    picked AS MATERIALIZED (SELECT * FROM of_run WHERE of_all <= %(most)s),
    given AS (SELECT contractor_id, count(*) AS n FROM picked GROUP BY contractor_id)
    {write}
    SELECT (SELECT count(*) FROM slice),
           (SELECT json_build_array(score, id) FROM slice ORDER BY score, id DESC LIMIT 1),
           (SELECT coalesce(json_object_agg(reason, n), '{{}}') FROM (
                SELECT reason, count(*) AS n FROM judged WHERE reason IS NOT NULL GROUP BY reason
                UNION ALL
                SELECT 'zip_limit', count(*) FROM of_zips WHERE of_zip > %(per_zip)s HAVING count(*) > 0
                UNION ALL
                SELECT 'cap_reached', count(*) FROM of_contractors WHERE of_contractor > rest HAVING count(*) > 0
                UNION ALL
                SELECT 'contractor_limit', count(*) FROM of_contractors
                WHERE contractor_id IS NOT NULL AND (of_contractor <= rest OR rest IS NULL)
                  AND of_contractor + dealt > %(per_contractor)s HAVING count(*) > 0
            ) left_out),
           EXISTS (SELECT 1 FROM held LEFT JOIN given USING (contractor_id)
                   WHERE held.is_active AND (held.rest > coalesce(given.n, 0) OR held.rest IS NULL)
                     AND (held.dealt + coalesce(given.n, 0) < %(per_contractor)s OR %(per_contractor)s::int IS NULL)),
           (SELECT coalesce(json_agg(json_build_array(referral_id, lead_id, score, zip, urgency, contractor_id)
                                     ORDER BY priority DESC, lead_id), '[]') FROM {picks})
""")

# Effect: a referral for each pick, with its event. No lead is locked: whoever suppresses one takes the dealing lock
# before taking back its referrals, and would wait for us while we wait for that lead.
_WRITE = sql.SQL("""
    , made AS (
        INSERT INTO territories_referral (lead_id, zip, score, urgency, status, contractor_id, territory_id, price,
                                          profile_id, job_id, generated_at, assigned_at, expires_at)
        SELECT id, zip, score, urgency, CASE WHEN contractor_id IS NULL THEN 'generated' ELSE 'assigned' END,
               contractor_id, territory_id, price, %(profile_id)s::bigint, %(job_id)s::bigint,
               %(at)s, CASE WHEN contractor_id IS NOT NULL THEN %(at)s::timestamptz END,
               CASE WHEN contractor_id IS NULL THEN %(held_until)s::timestamptz
                    ELSE %(assigned_until)s::timestamptz END
        FROM picked ORDER BY priority DESC, id
        ON CONFLICT DO NOTHING
        RETURNING id AS referral_id, lead_id, score, zip, urgency, contractor_id, status,
                  score + floor(greatest(score, 0) * urgency / 100.0)::bigint AS priority
    ),
    noted AS (
        INSERT INTO territories_referralevent (referral_id, at, what, note, by_id, job_id)
        SELECT referral_id, %(at)s, status, %(note)s, %(by_id)s::bigint, %(event_job_id)s::bigint
        FROM made ORDER BY referral_id
    )
""")
_MADE = sql.SQL("made")
_PICKED = sql.SQL("(SELECT picked.*, id AS lead_id, NULL::bigint AS referral_id FROM picked) pick")


class Pick(NamedTuple):
    """A lead for a contractor, or for whoever takes its ZIP; `referral_id` once it is written."""

    referral_id: int | None
    lead_id: int
    score: int
    zip: str
    urgency: int
    contractor_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left for each contractor and what the run has dealt so far."""

    rests: Mapping[int, int | None] = field(default_factory=dict)  # by contractor; None: no cap
    dealt: Mapping[int, int] = field(default_factory=dict)
    zips: Mapping[str, int] = field(default_factory=dict)
    taken: Sequence[int] = ()  # leads that the run would give elsewhere, which are not written


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How the picks are written: by whom, for what, and until when they wait or may be delivered."""

    held_until: dt.datetime
    assigned_until: dt.datetime
    job_id: int | None = None
    event_job_id: int | None = None
    by_id: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """One slice: leads read, the last of them (score, id), who was left out why, and what was picked, best first."""

    read: int
    last: tuple[int, int] | None
    left_out: dict[str, int]
    has_room: bool
    picks: list[Pick]


def deal(
    *,
    criteria: Criteria,
    at: dt.datetime,
    most: int,
    room: Room,
    after: tuple[int, int] | None = None,
    limit: int = 1,
    lead_id: int | None = None,
    write: Write | None = None,
) -> Dealt:
    """Pick the best leads of one slice (or the one lead `lead_id`) for the holders of their ZIPs.

    Effect: with `write`, a referral and its event for each; without, none. Hold the dealing lock when writing.
    Indexes: lead_by_score or lead_by_zip, leadtag_unique, referral_by_lead.
    """
    binder = registry.Binder()
    contractors = sorted({*room.rests, *room.dealt})
    zips = sorted(room.zips)
    statement = _DEAL.format(
        slice=_ONE_LEAD
        if lead_id is not None
        else _SLICE.format(
            after=_AFTER if after is not None else sql.SQL(""),
            zips=_ZIPS if criteria.zips is not None else sql.SQL(""),
        ),
        held=_HELD,
        lead_rows=_LEAD_ROWS if criteria.values else sql.SQL(""),
        criteria=_conditions(criteria, registry.conditions(criteria.values, binder)),
        holder_reason=_holder_reason("matching"),
        past=_PAST.format(lead=sql.SQL("matching.id")),
        urgent=_urgent("id", "score", "zip", "territory_id", "contractor_id", "price", "rest", "dealt"),
        write=_WRITE if write is not None else sql.SQL(""),
        picks=_MADE if write is not None else _PICKED,
    )
    given: dict[str, Any] = {
        "at": at,
        "soon": at + SOON,
        "lead_id": lead_id,
        "min_score": criteria.min_score,
        "after_score": after[0] if after else None,
        "after_id": after[1] if after else None,
        "zips": list(criteria.zips or ()),
        "limit": limit,
        "newest_since": _days_before(at, criteria.max_reason_age_days),
        "referred_since": _days_before(at, criteria.not_referred_days or None),
        "includes_unheld": criteria.includes_unheld,
        "per_zip": criteria.max_per_zip,
        "per_contractor": criteria.max_per_contractor,
        "most": most,
        "contractors": contractors,
        "rests": [room.rests.get(one) for one in contractors],
        "dealt": [room.dealt.get(one, 0) for one in contractors],
        "zips_dealt": zips,
        "zip_counts": [room.zips[one] for one in zips],
        "taken": list(room.taken),
    }
    if write is not None:
        given |= {
            "profile_id": criteria.profile_id,
            "job_id": write.job_id,
            "event_job_id": write.event_job_id,
            "by_id": write.by_id,
            "note": write.note,
            "held_until": write.held_until,
            "assigned_until": write.assigned_until,
        }
    with connection.cursor() as cursor:
        cursor.execute(statement, binder.values | given)
        read, last, left_out, has_room, picks = cursor.fetchone()
    return Dealt(
        read=read,
        last=tuple(last) if last else None,
        left_out=left_out,
        has_room=has_room,
        picks=[Pick(*row) for row in picks],
    )


def _conditions(criteria: Criteria, registered: sql.Composable) -> sql.Composed:
    """What a lead of the slice must meet beside its score and its ZIP."""
    live = _LIVE.format(lead=sql.SQL("slice.id"))
    kin = _kin_of([*criteria.required_tags, *criteria.excluded_tags])
    parts: list[sql.Composable] = [_has_tag([tag, *kin.get(tag, ())], live) for tag in criteria.required_tags]
    parts += [sql.SQL("NOT {}").format(_has_tag([tag, *kin.get(tag, ())], live)) for tag in criteria.excluded_tags]
    if criteria.max_reason_age_days is not None:
        parts.append(sql.SQL("{} >= %(newest_since)s").format(_NEWEST.format(live=live)))
    return sql.SQL(" AND ").join([*parts, registered])


def _has_tag(tags: Sequence[int], live: sql.Composable) -> sql.Composed:
    any_of = sql.SQL("= ANY({})").format(sql.Literal(list(tags)))
    return _HAS_TAG.format(tag=sql.SQL("= {}").format(sql.Literal(tags[0])) if len(tags) == 1 else any_of, live=live)


def _kin_of(tag_ids: Sequence[int]) -> dict[int, list[int]]:
    """The tags that stand for merged ones now, by the merged one's id."""
    if not tag_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_KIN_OF, {"ids": list(tag_ids)})
        return dict(cursor.fetchall())


def _holder_reason(lead: str, row: str | None = None) -> sql.Composed:
    live = _LIVE.format(lead=sql.Identifier(lead, "id"))
    return _HOLDER_REASON.format(score=sql.Identifier(row or lead, "score"), tags=_TAG_IDS.format(live=live))


def _days_before(at: dt.datetime, days: int | None) -> dt.datetime | None:
    """None: no bound; so many days that there is no such moment bound nothing either."""
    if days is None:
        return None
    try:
        return at - dt.timedelta(days=days)
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)


def count_dealt(*, job_id: int) -> tuple[dict[str, int], dict[int, int], int]:
    """What a run has dealt so far: by ZIP, by contractor, in all. Index: that of the referrals' job."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT zip, contractor_id, count(*) FROM territories_referral WHERE job_id = %s GROUP BY 1, 2", [job_id]
        )
        rows = cursor.fetchall()
    by_zip: dict[str, int] = {}
    by_contractor: dict[int, int] = {}
    for zip_code, contractor_id, count in rows:
        by_zip[zip_code] = by_zip.get(zip_code, 0) + count
        if contractor_id is not None:
            by_contractor[contractor_id] = by_contractor.get(contractor_id, 0) + count
    return by_zip, by_contractor, sum(row[2] for row in rows)


# Effect: what waits in these ZIPs and has an active holder is assigned to him or expires, each with its event that says
# why. A referral that somebody moves meanwhile stays as it is. Indexes: referral_waiting, leadtag_unique,
# referral_by_lead.
_TAKE_UP = sql.SQL("""
    WITH {held},
    waiting AS MATERIALIZED (
        SELECT referral.id AS referral_id, referral.lead_id AS id, referral.zip, referral.profile_id
        FROM territories_referral referral
        WHERE referral.status = 'generated' AND referral.zip = ANY(%(zips)s::text[])
          AND (referral.expires_at <= %(at)s) IS NOT TRUE
          AND EXISTS (SELECT 1 FROM held WHERE held.zip = referral.zip AND held.is_active)
        ORDER BY referral.id FOR NO KEY UPDATE
    ),
    profile AS MATERIALIZED (
        SELECT profile.id, profile.min_score, profile.max_reason_age_days,
               ARRAY(SELECT tag_id FROM territories_generationprofile_required_tags required
                     WHERE required.generationprofile_id = profile.id) AS required,
               ARRAY(SELECT coalesce(kin.kin_id, required.tag_id)
                     FROM territories_generationprofile_required_tags required
                     LEFT JOIN kin ON kin.tag_id = required.tag_id AND kin.is_last
                     WHERE required.generationprofile_id = profile.id) AS required_now,
               ARRAY(SELECT tag_id FROM territories_generationprofile_excluded_tags excluded
                     WHERE excluded.generationprofile_id = profile.id
                     UNION SELECT kin_id FROM territories_generationprofile_excluded_tags excluded
                     JOIN kin USING (tag_id) WHERE excluded.generationprofile_id = profile.id) AS excluded
        FROM territories_generationprofile profile WHERE profile.id IN (SELECT profile_id FROM waiting)
    ),
    judged AS MATERIALIZED (
        SELECT waiting.referral_id, waiting.id, waiting.zip, lead.score,
               held.territory_id, held.contractor_id, held.price, held.rest,
               CASE WHEN lead.suppressed_at IS NOT NULL THEN 'suppressed'
                    WHEN lead.score < profile.min_score THEN 'score_fell'
                    WHEN lead.zip <> waiting.zip THEN 'moved'
                    WHEN NOT ({tags} @> profile.required OR {tags} @> profile.required_now)
                         OR {tags} && profile.excluded THEN 'tags_changed'
                    WHEN profile.max_reason_age_days IS NOT NULL
                         AND ({newest} >= %(at)s::timestamptz
                              - make_interval(hours => 24 * least(profile.max_reason_age_days, 1000000))) IS NOT TRUE
                         THEN 'reasons_too_old'
                    WHEN NOT ({criteria}) THEN 'criteria_changed'
                    ELSE {holder_reason} END AS reason
        FROM waiting
        JOIN leads_lead lead ON lead.id = waiting.id
        JOIN held ON held.zip = waiting.zip
        LEFT JOIN profile ON profile.id = waiting.profile_id
        CROSS JOIN LATERAL ({past}) past
    ),
    fitting AS (SELECT judged.*, reason IS NULL AS fits FROM judged OFFSET 0),
    eligible AS MATERIALIZED (SELECT * FROM fitting WHERE fits),
    {urgent},
    ranked AS (
        SELECT urgent.*, row_number() OVER (PARTITION BY contractor_id ORDER BY priority DESC, id) AS of_contractor
        FROM urgent
    ),
    decided AS MATERIALIZED (
        SELECT referral_id, score, urgency, territory_id, contractor_id, price,
               CASE WHEN of_contractor > rest THEN 'cap_reached' END AS reason
        FROM ranked
        UNION ALL
        SELECT referral_id, score, NULL, territory_id, contractor_id, price, reason FROM judged WHERE reason IS NOT NULL
    ),
    moved AS (
        UPDATE territories_referral referral
        SET status = CASE WHEN decided.reason IS NULL THEN 'assigned' ELSE 'expired' END,
            contractor_id = CASE WHEN decided.reason IS NULL THEN decided.contractor_id END,
            territory_id = CASE WHEN decided.reason IS NULL THEN decided.territory_id END,
            price = CASE WHEN decided.reason IS NULL THEN decided.price END,
            score = CASE WHEN decided.reason IS NULL THEN decided.score ELSE referral.score END,
            urgency = coalesce(CASE WHEN decided.reason IS NULL THEN decided.urgency END, referral.urgency),
            assigned_at = CASE WHEN decided.reason IS NULL THEN %(at)s::timestamptz END,
            ended_at = CASE WHEN decided.reason IS NOT NULL THEN %(at)s::timestamptz END,
            expires_at = CASE WHEN decided.reason IS NULL THEN %(assigned_until)s::timestamptz END
        FROM decided
        WHERE referral.id = decided.referral_id AND referral.status = 'generated'
        RETURNING referral.id, referral.status, decided.reason
    )
    INSERT INTO territories_referralevent (referral_id, at, what, from_status, note, by_id)
    SELECT id, %(at)s, status, 'generated',
           coalesce(%(words)s::jsonb ->> coalesce(reason, 'assigned'), reason, ''), %(by_id)s::bigint
    FROM moved ORDER BY id
    RETURNING referral_id, what
""")


def take_up(
    *,
    zips: Sequence[str],
    at: dt.datetime,
    assigned_until: dt.datetime,
    rests: Mapping[int, int | None],
    values_by_profile: Mapping[int, Mapping[str, Any]],
    words: Mapping[str, str],
    by_id: int | None,
) -> list[tuple[int, str]]:
    """Assign or expire what waits in these ZIPs; (referral id, new status) of each that moved."""
    binder = registry.Binder()
    parts = [
        sql.SQL("(waiting.profile_id IS DISTINCT FROM {} OR {})").format(
            sql.Literal(profile_id), registry.conditions(values, binder)
        )
        for profile_id, values in sorted(values_by_profile.items())
    ]
    live = _LIVE.format(lead=sql.SQL("waiting.id"))
    contractors = sorted(rests)
    statement = _TAKE_UP.format(
        held=_HELD,
        criteria=sql.SQL(" AND ").join(parts) if parts else sql.SQL("true"),
        holder_reason=_holder_reason("waiting", "lead"),
        tags=_TAG_IDS.format(live=live),
        newest=_NEWEST.format(live=live),
        past=_PAST.format(lead=sql.SQL("waiting.id")),
        urgent=_urgent("referral_id", "id", "score", "territory_id", "contractor_id", "price", "rest"),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            binder.values
            | {
                "zips": list(zips),
                "at": at,
                "soon": at + SOON,
                "assigned_until": assigned_until,
                "contractors": contractors,
                "rests": [rests[one] for one in contractors],
                "dealt": [0] * len(contractors),
                "words": Jsonb(dict(words)),
                "by_id": by_id,
            },
        )
        return [(referral_id, status) for referral_id, status in cursor.fetchall()]
