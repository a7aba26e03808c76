"""Set-based import: staging by COPY, identity over the whole file, merge by ranges. Each says its effect and index.

One file, one pair of unlogged tables: `import_staged_ID` holds the cleaned rows in file order, `import_keyed_ID` the
same rows with the key each one lands on. A crash of PostgreSQL empties them, and the job stages again.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import connection
from psycopg import sql

from imports.cleaning import COPIED
from jobs.ranges import RangeCollided
from leads.models import Lead
from scoring.sql.expression import read_caps, totals
from scoring.sql.passes import RECORD_FIRST_SCORES, score_leads

# Field of a Lead -> the field it belongs to: a co-owner of another owner, or the city of another mailing address,
# must not fill a blank.
ANCHORS: dict[str, str | None] = {
    "unit": None,
    "city": None,
    "state": None,
    "zip": None,
    "plus4": None,
    "county": None,
    "raw_address": None,
    "parcel_number": None,
    "owner_name": None,
    "co_owner": "owner_name",
    "mailing_address": None,
    "mailing_unit": "mailing_address",
    "mailing_city": "mailing_address",
    "mailing_state": "mailing_address",
    "mailing_zip": "mailing_address",
    "raw_mailing": "mailing_address",
    "phone": None,
    "email": None,
}
FIELDS = tuple(ANCHORS)
_TYPES = {
    "line": "integer",
    "has_house_number": "boolean",
    "is_address_parsed": "boolean",
    "is_place_unknown": "boolean",
    "tag_ids": "bigint[]",
    "asserted_at": "timestamptz",
    "extra": "jsonb",
}


def _staged(batch_id: int) -> sql.Identifier:
    return sql.Identifier(f"import_staged_{int(batch_id)}")


def _keyed(batch_id: int) -> sql.Identifier:
    return sql.Identifier(f"import_keyed_{int(batch_id)}")


def _run(statement: str, batch_id: int, params: dict[str, Any] | None = None, **parts: sql.Composable) -> list[Any]:
    """Run one statement with the batch's table names composed and its values bound; rows, if it has any."""
    composed = sql.SQL(statement).format(staged=_staged(batch_id), keyed=_keyed(batch_id), **parts)
    with connection.cursor() as cursor:
        cursor.execute(composed, params)
        return cursor.fetchall() if cursor.description else []


def make_staging(batch_id: int) -> None:
    """An empty staging table for the batch, whatever was there before."""
    drop_staging(batch_id)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_TYPES.get(name, "text"))) for name in COPIED
    )
    _run("CREATE UNLOGGED TABLE {staged} ({columns})", batch_id, columns=columns)


def drop_staging(batch_id: int) -> None:
    _run("DROP TABLE IF EXISTS {staged}", batch_id)
    _run("DROP TABLE IF EXISTS {keyed}", batch_id)


def count_keyed(batch_id: int) -> int:
    """Rows that wait for their merge or have had it; -1 when the table is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"import_keyed_{int(batch_id)}"])
        if cursor.fetchone()[0] is None:
            return -1
    return int(_run("SELECT count(*) FROM {keyed}", batch_id)[0][0])


def count_placeless(batch_id: int) -> int:
    """Rows that land without a place. No index: it reads the staged rows once."""
    statement = "SELECT count(*) FROM {staged} WHERE is_place_unknown AND problem = ''"
    return int(_run(statement, batch_id)[0][0])


def copy_text(batch_id: int, text: bytes) -> None:
    """COPY cleaned rows, as `imports.cleaning` writes them, into staging."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        _staged(batch_id), sql.SQL(", ").join(map(sql.Identifier, COPIED))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text)


def resolve_keys(batch_id: int, *, is_resumed: bool = False) -> None:
    """Effect: import_keyed_ID, each row with the `key` of the lead it lands on and that key's first line.

    Rows that an earlier attempt has merged (`is_resumed`) stay out.

    A row without ZIP takes the one ZIP that leads or this file know for its line, unit, city and state. A row with
    ZIP may meet the lead that an earlier list left without one; `new_key` is then the better key. Parcels tell
    apart what an address alone does not; where a file writes one number 2-12 and 21-2, their dashes do.
    Index: lead_unique_address_key (in byte order), lead_by_zip.
    """
    _run("ANALYZE {staged} (key_stem, place, city, state, zip, parcel_number)", batch_id)
    if _run("SELECT EXISTS (SELECT 1 FROM {staged} WHERE zip = '' AND city <> '' AND state <> '')", batch_id)[0][0]:
        _run(_TAKE_KNOWN_ZIP, batch_id)
    _run(_LAND, batch_id, {"batch": batch_id}, left=_NOT_MERGED if is_resumed else sql.SQL(""))
    _run("CREATE INDEX ON {keyed} (first_line)", batch_id)
    _run("ANALYZE {keyed} (first_line, line, group_size, problem)", batch_id)


# City and state that different rows tell of one line and ZIP belong together: they become one lead, which knows both
# when the next list comes.
_TAKE_KNOWN_ZIP = """
    WITH wanted AS (SELECT DISTINCT key_stem FROM {staged} WHERE zip = '' AND city <> '' AND state <> ''),
    told AS MATERIALIZED (
        SELECT wanted.key_stem, lead.zip, lead.city, lead.state
        -- A stem ends in "|"; "}}" is the next character, so that this range is all keys with the stem.
        FROM wanted JOIN leads_lead lead ON lead.address_key >= wanted.key_stem
            AND lead.address_key < left(wanted.key_stem, -1) || '}}' AND lead.zip <> ''
        UNION
        SELECT key_stem, zip, city, state FROM {staged} JOIN wanted USING (key_stem) WHERE zip <> ''
    ),
    known AS (
        SELECT key_stem, cities.city, states.state, min(zip) AS zip
        FROM told cities JOIN told states USING (key_stem, zip)
        WHERE cities.city <> '' AND states.state <> ''
        GROUP BY key_stem, cities.city, states.state HAVING min(zip) = max(zip)
    )
    UPDATE {staged} row SET zip = known.zip, place = known.zip FROM known
    WHERE row.zip = '' AND (row.key_stem, row.city, row.state) = (known.key_stem, known.city, known.state)
"""

_LAND = """
    CREATE UNLOGGED TABLE {keyed} AS
    WITH several AS (
        SELECT key_stem, place FROM {staged}
        WHERE parcel_number <> '' AND unit = '' AND problem = ''
        GROUP BY key_stem, place HAVING min(parcel_number) <> max(parcel_number)
    ),
    -- One file, one place, one plain number, written 2-12 and 21-2: two parcels.
    look_alike AS (
        SELECT key_stem, place, parcel_number FROM {staged}
        WHERE parcel_marked <> '' AND problem = '' AND (unit = '' OR NOT has_house_number)
        GROUP BY key_stem, place, parcel_number HAVING min(parcel_marked) <> max(parcel_marked)
    ),
    zipless AS (
        SELECT row.key_stem, row.city, row.state
        FROM {staged} row
        JOIN leads_lead lead ON lead.zip = '' AND lead.address = row.address AND lead.state = row.state
            AND lead.city = row.city AND starts_with(lead.address_key, row.key_stem)
        WHERE row.zip <> '' AND row.city <> '' AND row.state <> ''
        GROUP BY row.key_stem, row.city, row.state HAVING min(row.zip) = max(row.zip)
    ),
    candidate AS (
        SELECT row.*, row.key_stem || row.place AS base,
               '|PCL ' || nullif(row.parcel_marked, '') AS marked_part,
               '|PCL ' || CASE WHEN row.parcel_marked <> '' AND look_alike.place IS NOT NULL THEN row.parcel_marked
                               ELSE nullif(row.parcel_number, '') END AS parcel_part,
               look_alike.place IS NOT NULL AS looks_alike,
               row.key_stem || zipless.city || '|' || zipless.state AS old_base,
               NOT row.has_house_number OR coalesce(several.place, look_alike.place) IS NOT NULL AS is_told_by_parcel
        FROM {staged} row
        LEFT JOIN several ON row.unit = '' AND (several.key_stem, several.place) = (row.key_stem, row.place)
        LEFT JOIN look_alike ON (row.unit = '' OR NOT row.has_house_number)
            AND (look_alike.key_stem, look_alike.place, look_alike.parcel_number)
              = (row.key_stem, row.place, row.parcel_number)
        LEFT JOIN zipless ON row.zip <> ''
            AND (zipless.key_stem, zipless.city, zipless.state) = (row.key_stem, row.city, row.state)
    ),
    landing AS MATERIALIZED (
        SELECT row.*,
            CASE WHEN row.problem <> '' THEN NULL
                 WHEN marked_lead.id IS NOT NULL THEN marked_lead.address_key
                 WHEN parcel_lead.id IS NOT NULL THEN parcel_lead.address_key
                 WHEN base_lead.parcel_number = row.parcel_number AND row.parcel_number <> '' AND NOT looks_alike
                     THEN row.base
                 WHEN old_parcel_lead.id IS NOT NULL THEN old_parcel_lead.address_key
                 WHEN old_lead.parcel_number = row.parcel_number AND row.parcel_number <> '' AND NOT looks_alike
                     THEN row.old_base
                 WHEN row.parcel_part IS NOT NULL AND row.is_told_by_parcel THEN row.base || row.parcel_part
                 WHEN base_lead.id IS NULL AND old_lead.id IS NOT NULL THEN row.old_base
                 ELSE row.base END AS key
        FROM candidate row
        LEFT JOIN leads_lead base_lead ON base_lead.address_key = row.base
        LEFT JOIN leads_lead marked_lead ON marked_lead.address_key = row.base || row.marked_part
        LEFT JOIN leads_lead parcel_lead ON parcel_lead.address_key = row.base || row.parcel_part
        LEFT JOIN leads_lead old_lead ON old_lead.address_key = row.old_base
        LEFT JOIN leads_lead old_parcel_lead ON old_parcel_lead.address_key = row.old_base || row.parcel_part
    ),
    -- A lead takes the key with its ZIP, unless that is another's: a lead's, or one that rows of this file land on.
    better AS (
        SELECT min(key) AS key, better_key
        FROM (SELECT key, base || substr(key, length(old_base) + 1) AS better_key FROM landing
              WHERE starts_with(key, old_base)) either
        WHERE NOT EXISTS (SELECT 1 FROM leads_lead lead WHERE lead.address_key = better_key)
          AND NOT EXISTS (SELECT 1 FROM landing other WHERE other.key = better_key)
        GROUP BY better_key HAVING min(key) = max(key)
    )
    SELECT landing.*, coalesce(better.better_key, landing.key) AS new_key,
           min(line) OVER same AS first_line, count(*) OVER same AS group_size
    FROM landing
    LEFT JOIN better ON landing.old_base IS NOT NULL AND better.key = landing.key
        AND starts_with(better.better_key, landing.base)
    {left}
    WINDOW same AS (PARTITION BY coalesce(landing.key, 'line ' || line))
    ORDER BY first_line, line
"""


_NOT_MERGED = sql.SQL(
    "WHERE NOT EXISTS (SELECT 1 FROM imports_importrow merged "
    "WHERE merged.batch_id = %(batch)s AND merged.line = landing.line)"
)


def drop_orphans(live_batch_ids: Iterable[int]) -> None:
    """Drop the staging tables of imports that ended without doing so themselves."""
    live = set(live_batch_ids)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^import_(staged|keyed)_[0-9]+$'")
        orphans = {int(name.rpartition("_")[2]) for (name,) in cursor.fetchall()} - live
    for batch_id in orphans:
        drop_staging(batch_id)


def range_bounds(batch_id: int, *, rows: int) -> list[tuple[int, int]]:
    """Ranges (after, upto] of first lines, each of about `rows` rows; all rows of one key lie in one of them."""
    found = _run(
        "SELECT max(first_line) FROM (SELECT first_line, (row_number() OVER (ORDER BY first_line) - 1) / %(rows)s "
        "AS slot FROM {keyed}) numbered GROUP BY slot ORDER BY 1",
        batch_id,
        {"rows": rows},
    )
    uptos = list(dict.fromkeys(int(upto) for (upto,) in found))
    return list(zip([0, *uptos], uptos, strict=False))


def _fold(name: str, order: str) -> str:
    """Aggregate of one field over the rows of a key: its first non-blank value in the given order of lines."""
    anchor = ANCHORS[name]
    guard = f" AND (r.{anchor} = '' OR r.{anchor} = a.{anchor})" if anchor else ""
    return (
        f"coalesce((array_agg(r.{name} ORDER BY r.line {order}) FILTER (WHERE r.{name} <> ''{guard}))[1], '') AS {name}"
    )


def _folded_sql(on_duplicate: str) -> str:
    """Rows of the range as one row a key: alone as they are, several folded in file order."""
    names = ", ".join(FIELDS)
    single = f"SELECT first_line, key, new_key, address, is_address_parsed, is_place_unknown, {names} FROM landed "
    if on_duplicate == "skip":
        return f"{single} WHERE line = first_line"
    order = "DESC" if on_duplicate == "overwrite" else "ASC"
    anchors = sorted({anchor for anchor in ANCHORS.values() if anchor})
    chosen = ", ".join(
        f"coalesce((array_agg({a} ORDER BY line {order}) FILTER (WHERE {a} <> ''))[1], '') AS {a}" for a in anchors
    )
    return f"""
        {single} WHERE group_size = 1
        UNION ALL
        SELECT r.first_line, min(r.key), min(r.new_key), min(r.address), bool_and(r.is_address_parsed),
               bool_and(r.is_place_unknown), {", ".join(_fold(name, order) for name in FIELDS)}
        FROM landed r
        JOIN (SELECT first_line, {chosen} FROM landed WHERE group_size > 1 GROUP BY first_line) a USING (first_line)
        WHERE r.group_size > 1 GROUP BY r.first_line
    """


def _merged(name: str, on_duplicate: str) -> str:
    """What the lead's field becomes; a blank never clears."""
    if on_duplicate == "skip":
        return f"lead.{name}"
    if on_duplicate == "overwrite":
        return f"coalesce(nullif(f.{name}, ''), lead.{name})"
    anchor = ANCHORS[name]
    fill = f"coalesce(nullif(lead.{name}, ''), f.{name})"
    if anchor is None:
        return fill
    return f"CASE WHEN f.{anchor} = '' OR lead.{anchor} IN ('', f.{anchor}) THEN {fill} ELSE lead.{name} END"


def _chunk_sql(on_duplicate: str) -> str:
    merged = ", ".join(
        f"CASE WHEN lead.id IS NULL THEN f.{name} ELSE {_merged(name, on_duplicate)} END AS {name}" for name in FIELDS
    )
    new_row = ", ".join(f"m.{name}" for name in FIELDS)
    old_row = ", ".join(f"m.old_{name}" for name in FIELDS)
    old = ", ".join(f"lead.{name} AS old_{name}" for name in FIELDS)
    before = ", ".join(f"'{name}', CASE WHEN m.{name} <> m.old_{name} THEN m.old_{name} END" for name in FIELDS)
    return f"""
        CREATE TEMPORARY TABLE import_chunk ON COMMIT DROP AS
        WITH landed AS (
            SELECT * FROM {{keyed}} WHERE first_line > %(after)s AND first_line <= %(last)s AND problem = ''
        ),
        folded AS ({_folded_sql(on_duplicate)}),
        merged AS (
            SELECT f.first_line, f.key, f.new_key, f.address, f.is_address_parsed, f.is_place_unknown,
                   lead.id AS old_id, lead.xmin AS old_xmin, {merged}, {old}
            FROM folded f LEFT JOIN leads_lead lead ON lead.address_key = f.key
            ORDER BY f.first_line
        )
        SELECT m.*, coalesce(m.old_id, nextval('leads_lead_id_seq')) AS lead_id, m.old_id IS NULL AS is_new,
               m.old_id IS NOT NULL AND ROW({new_row}) IS DISTINCT FROM ROW({old_row}) AS is_changed,
               CASE WHEN m.old_id IS NOT NULL AND ROW({new_row}) IS DISTINCT FROM ROW({old_row})
                    THEN jsonb_strip_nulls(jsonb_build_object({before})) END AS before,
               NULL::jsonb AS before_tags
        FROM merged m
    """


# A new lead comes with its score: its tags are there already (foreign keys are checked at commit), so that no row is
# written twice.
_INSERT_LEADS = f"""
    WITH {{totals}},
    inserted AS (
    INSERT INTO leads_lead (id, address_key, address, is_address_parsed, is_place_unknown, {", ".join(FIELDS)},
                            score, scored_at, rescore_at, score_revision, created_at, updated_at)
    SELECT chunk.lead_id, new_key, address, is_address_parsed, is_place_unknown, {", ".join(FIELDS)},
           coalesce(total.score, 0), %(at)s, total.next_at, 1, %(at)s, %(at)s
    FROM import_chunk chunk LEFT JOIN total ON total.lead_id = chunk.lead_id
    WHERE is_new ORDER BY chunk.lead_id
    RETURNING id, score
    )
    {{record}}
"""

# A date older than the clock is evidence only. On a live clock the tag's policy decides; after expiry or removal the
# date starts a new one. Index: leadtag_unique.
_ASSERT_TAGS = """
    WITH landed AS (
        SELECT chunk.lead_id, row.line, row.tag_ids, row.asserted_at, row.group_size
        FROM {keyed} row JOIN import_chunk chunk USING (first_line)
        WHERE row.first_line > %(after)s AND row.first_line <= %(last)s AND row.tag_ids <> '{{}}'
    ),
    asserted AS (
        SELECT lead_id, unnest(tag_ids) AS tag_id, coalesce(asserted_at, %(at)s) AS asserted_at
        FROM landed WHERE group_size = 1
        UNION ALL
        SELECT lead_id, tag_id, coalesce((array_agg(asserted_at ORDER BY line {order})
                                          FILTER (WHERE asserted_at IS NOT NULL))[1], %(at)s)
        FROM landed, unnest(tag_ids) tag_id WHERE group_size > 1 GROUP BY lead_id, tag_id
    ),
    written AS (
        INSERT INTO tags_leadtag AS lt (lead_id, tag_id, assigned_at, expiration_at, is_expired)
        SELECT lead_id, tag_id, asserted_at, ends_at, coalesce(ends_at <= %(at)s, false)
        FROM asserted JOIN tags_tag tag ON tag.id = tag_id,
             LATERAL (SELECT asserted_at + make_interval(hours => 24 * tag.expiration_days) AS ends_at) clock
        ORDER BY lead_id, tag_id
        ON CONFLICT (lead_id, tag_id) DO UPDATE
        SET assigned_at = excluded.assigned_at, expiration_at = excluded.expiration_at,
            is_expired = excluded.is_expired, removed_at = NULL
        WHERE excluded.assigned_at > lt.assigned_at AND CASE
            WHEN lt.removed_at IS NOT NULL THEN excluded.assigned_at > lt.removed_at
            WHEN lt.expiration_at <= excluded.assigned_at THEN true
            ELSE (SELECT reassertion = 'restart' FROM tags_tag WHERE id = lt.tag_id) END
        RETURNING lt.lead_id, lt.tag_id, old.assigned_at, old.expiration_at, old.is_expired, old.removed_at
    )
    UPDATE import_chunk chunk SET before_tags = touched.before
    FROM (SELECT lead_id, jsonb_object_agg(tag_id::text, CASE WHEN assigned_at IS NOT NULL THEN jsonb_build_object(
              'assigned_at', assigned_at, 'expiration_at', expiration_at, 'is_expired', is_expired,
              'removed_at', removed_at) ELSE '{{}}'::jsonb END) AS before
          FROM written GROUP BY lead_id) touched
    WHERE chunk.lead_id = touched.lead_id AND NOT chunk.is_new
"""

_UPDATE_LEADS = f"""
    UPDATE leads_lead lead
    SET address_key = CASE WHEN chunk.zip <> '' THEN chunk.new_key ELSE lead.address_key END,
        {", ".join(f"{name} = chunk.{name}" for name in FIELDS)},
        is_place_unknown = lead.is_place_unknown AND chunk.is_place_unknown,
        updated_at = CASE WHEN chunk.is_changed THEN %(at)s ELSE lead.updated_at END,
        rescore_at = CASE WHEN chunk.before_tags IS NULL THEN lead.rescore_at
                          ELSE least(coalesce(lead.rescore_at, %(at)s), %(at)s) END,
        rescore_cause = CASE WHEN chunk.before_tags IS NULL THEN lead.rescore_cause
                             ELSE least(coalesce(lead.rescore_cause, %(cause)s), %(cause)s) END,
        score_revision = lead.score_revision + (chunk.before_tags IS NOT NULL)::int
    FROM import_chunk chunk
    WHERE lead.id = chunk.old_id AND lead.xmin = chunk.old_xmin AND (chunk.is_changed OR chunk.before_tags IS NOT NULL)
    RETURNING lead.id, chunk.before_tags IS NOT NULL
"""

_INDEX_TEXT = """
    INSERT INTO leads_leadsearch AS search (lead_id, text)
    SELECT lead_id, lower(concat_ws(' ', address, nullif(unit, ''), nullif(city, ''), nullif(state, ''),
                                    nullif(zip, ''), nullif(owner_name, ''), nullif(co_owner, ''),
                                    nullif(parcel_number, '')))
    FROM import_chunk WHERE is_new OR is_changed
    ON CONFLICT (lead_id) DO UPDATE SET text = excluded.text WHERE search.text <> excluded.text
"""

_RECORD_ROWS = """
    WITH recorded AS (
        INSERT INTO imports_importrow (batch_id, line, lead_id, outcome, reason, tag_ids, asserted_at, before, extra)
        SELECT %(batch)s, row.line, chunk.lead_id,
               CASE WHEN row.problem <> '' THEN 'rejected'
                    WHEN row.line > row.first_line THEN 'unchanged'
                    WHEN chunk.is_new THEN 'created'
                    WHEN chunk.is_changed OR chunk.before_tags IS NOT NULL THEN 'updated'
                    ELSE 'unchanged' END,
               row.problem, coalesce(row.tag_ids, ARRAY[]::bigint[]),
               CASE WHEN row.problem = '' THEN coalesce(row.asserted_at, %(at)s) END,
               CASE WHEN row.line = row.first_line AND NOT chunk.is_new
                         AND (chunk.before IS NOT NULL OR chunk.before_tags IS NOT NULL)
                    THEN jsonb_strip_nulls(jsonb_build_object('fields', chunk.before, 'tags', chunk.before_tags)) END,
               row.extra
        FROM {keyed} row LEFT JOIN import_chunk chunk USING (first_line)
        WHERE row.first_line > %(after)s AND row.first_line <= %(last)s
        ORDER BY row.line
        RETURNING outcome
    )
    SELECT outcome, count(*) FROM recorded GROUP BY outcome
"""


_OF_NEW_LEADS = sql.SQL("lt.lead_id IN (SELECT lead_id FROM import_chunk WHERE is_new)")


def merge_range(
    batch_id: int, *, after: int, last: int, at: dt.datetime, on_duplicate: str, job_id: int | None
) -> dict[str, int]:
    """Effect: the keys with their first line in (after, last] become scored leads with evidence; counts by outcome.

    Run it in one transaction. RangeCollided: a lead was written by somebody else since this read it.
    Index: keyed (first_line), lead_unique_address_key, leadtag_unique.
    """
    params = {
        "batch": batch_id,
        "after": after,
        "last": last,
        "at": at,
        "cause": int(Lead.Cause.IMPORT),
        "job_id": job_id,
    }
    order = sql.SQL("DESC" if on_duplicate == "overwrite" else "ASC")
    _run(_chunk_sql(on_duplicate), batch_id, params)
    _run(_ASSERT_TAGS, batch_id, params, order=order)
    _run(_INSERT_LEADS, batch_id, params, totals=totals(_OF_NEW_LEADS, caps=read_caps()), record=RECORD_FIRST_SCORES)
    changed = _run(
        "SELECT count(*) FROM import_chunk WHERE old_id IS NOT NULL AND (is_changed OR before_tags IS NOT NULL)",
        batch_id,
    )[0][0]
    updated = _run(_UPDATE_LEADS, batch_id, params)
    if len(updated) != changed:
        raise RangeCollided(f"{changed - len(updated)} leads were written meanwhile")
    _run(_INDEX_TEXT, batch_id, params)
    counts = dict(_run(_RECORD_ROWS, batch_id, params))
    _run("DROP TABLE import_chunk", batch_id)
    if due := sorted(lead_id for lead_id, is_due in updated if is_due):
        score_leads(lead_ids=due, at=at, job_id=job_id)
    # The checks that a commit would make, made before what follows takes a lock that all ranges want.
    _run("SET CONSTRAINTS ALL IMMEDIATE", batch_id)
    _run("SET CONSTRAINTS ALL DEFERRED", batch_id)
    return counts
