"""`benchmark scoring`: the set-based engine against a plain aggregate, a bare UPDATE, and a function per lead."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

from django.db.models import Prefetch

from jobs.operations import run_job
from leads.models import Lead
from leadscore.benchmarks.bench import (
    PeakMemory,
    Report,
    median,
    noting_plan,
    run_sql,
    say,
    scratch_database,
    seconds_of,
    settle,
    switch_database,
)
from scoring.operations import drain_due, start_recalculation
from scoring.sql import history
from scoring.sql.passes import score_range
from scoring.sql.reads import explain
from scoring.what_if import what_if
from tags.models import LeadTag, Tag, TagGroup

AT = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)
TAGS = 40
STEPPED = 12
GROUPS = 3
INCREMENTAL = 10_000
PER_LEAD_SAMPLE = 2_000
FLOOR_AGGREGATE = "SELECT count(*) FROM (SELECT lead_id, sum(tag_id) FROM tags_leadtag GROUP BY lead_id) aggregate"


def add_options(parser: Any) -> None:
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--tags-per-lead", type=int, default=3)
    parser.add_argument("--plans", type=Path, help="folder for the plans of the statements measured")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is taken")


def run(*, leads: int, tags_per_lead: int, repeats: int, plans: Path | None = None) -> Report:
    """Fill a scratch database, measure, drop it."""
    with scratch_database():
        report = _measure(leads, tags_per_lead, repeats)
        _note_plans(plans, leads)
    with scratch_database("small") as small, scratch_database("large") as large:
        _measure_by_size(report, {small: leads // 5, large: 2 * leads}, tags_per_lead, min(INCREMENTAL, leads // 20))
    report.ratio("incremental_large_to_small", "incremental_large_s", "incremental_small_s")
    report.bars["incremental_large_to_small"] = ("most", 1.3)
    return report


def fill(leads: int, tags_per_lead: int) -> None:
    """Deterministic data: 40 tags, 12 with 4 to 12 steps, 3 capped groups, a quarter of the assignments expired."""
    history.make_partitions(at=AT)
    Tag.objects.all().delete()
    TagGroup.objects.all().delete()
    groups = [TagGroup.objects.create(name=f"Group {n}", cap=450) for n in range(GROUPS)]
    for n in range(TAGS):
        count = 4 + n % 9 if n >= TAGS - STEPPED else 0
        Tag.objects.create(
            name=f"Tag {n}",
            base_score=100 + 25 * (n % 30) if n % 13 >= GROUPS or n >= 26 else 400,
            expired_percent=10 * (n % 4),
            decay_steps=[[30 * (i + 1), 100 - 95 * (i + 1) // count] for i in range(count)],
            # Tags n and n + 13 often meet on one lead, so that the caps of their groups bind.
            group=groups[n % 13] if n % 13 < GROUPS and n < 26 else None,
        )
    first = Tag.objects.order_by("pk").values_list("pk", flat=True)[0]
    run_sql(
        "INSERT INTO leads_lead (address_key, address, raw_address, city, state, zip, owner_name, mailing_address, "
        "mailing_city, mailing_state, mailing_zip, created_at, updated_at) "
        "SELECT '1|' || i || ' MAIN ST||' || (10000 + i %% 5000), i || ' MAIN ST', i || ' Main Street', 'SPRINGFIELD', "
        "'OH', (10000 + i %% 5000)::text, 'OWNER NUMBER ' || i, i || ' ELM AVE', 'DAYTON', 'OH', '45402', %s, %s "
        "FROM generate_series(1, %s) i",
        [AT, AT, leads],
    )
    run_sql(
        """
        INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, expiration_at, is_expired)
        SELECT id, %(first)s + (h1 + 13 * j) %% %(tags)s, %(at)s - age,
               CASE h3 %% 4 WHEN 0 THEN %(at)s - age / 2 WHEN 1 THEN NULL ELSE %(at)s + age / 3 END, false
        FROM (
            SELECT lead.id, j, abs(hashint8(lead.id)) AS h1, abs(hashint8(lead.id * 64 + j)) AS h3,
                   (1 + abs(hashint8(lead.id * 128 + j)::bigint) %% 63072000) * interval '1 second' AS age
            FROM leads_lead lead CROSS JOIN generate_series(0, %(per)s - 1) j
        ) assignment
        ORDER BY hashint8(id * 7 + j)
        """,
        {"first": first, "tags": TAGS, "per": tags_per_lead, "at": AT},  # type: ignore[arg-type]
    )


def _floor_aggregate() -> float:
    """Seconds of the plain aggregate in the better of its two plans: the planner may take the slower one."""
    seconds = []
    for choice in ("on", "off"):
        run_sql(f"SET enable_hashagg = {choice}")
        seconds.append(seconds_of(lambda: run_sql(FLOOR_AGGREGATE)))
    run_sql("RESET enable_hashagg")
    return min(seconds)


def full_pass(at: dt.datetime) -> None:
    job = run_job(job_id=start_recalculation(at=at, by=None, announce=False).pk)
    assert job is not None
    assert job.status == "succeeded", job.error


def _score_one_by_one(at: dt.datetime) -> None:
    """What a first draft would write: a query, a loop and a save for each lead."""
    for lead_id in Lead.objects.order_by("pk").values_list("pk", flat=True)[:PER_LEAD_SAMPLE]:
        tags = LeadTag.objects.filter(removed_at=None).select_related("tag__group")
        lead = Lead.objects.prefetch_related(Prefetch("lead_tags", queryset=tags)).get(pk=lead_id)
        sums: dict[int, int] = {}
        caps: dict[int, int | None] = {0: None}
        for lead_tag in lead.lead_tags.all():
            tag = lead_tag.tag
            percent = 100
            for days, left in tag.decay_steps:
                if lead_tag.assigned_at + dt.timedelta(days=days) <= at:
                    percent = left
            if lead_tag.expiration_at is not None and lead_tag.expiration_at <= at:
                percent = min(percent, tag.expired_percent)
            group = tag.group_id or 0
            sums[group] = sums.get(group, 0) + round(tag.base_score * percent / 100)
            caps[group] = tag.group.cap if tag.group else None
        lead.score = sum(s if caps[g] is None else min(s, caps[g] or 0) for g, s in sums.items())
        lead.scored_at = at
        lead.save()


def _measure(leads: int, tags_per_lead: int, repeats: int) -> Report:
    report = Report("scoring", settings={"leads": leads, "tags_per_lead": tags_per_lead, "repeats": repeats})
    figures = report.figures
    memory = PeakMemory()
    say(f"filling {leads:,} leads")
    fill(leads, tags_per_lead)
    settle("leads_lead", "tags_leadtag")
    figures["leads"] = leads
    figures["assignments"] = run_sql("SELECT count(*) FROM tags_leadtag")[0][0]
    say("first full pass")
    full_pass(AT)
    settle("leads_lead", "tags_leadtag")
    expired = run_sql("SELECT avg(is_expired::int)::float FROM tags_leadtag")[0][0]
    report.settings["expired_share"] = round(expired, 3)
    report.settings["capped_share"] = _capped_share()

    say("full pass, nothing changed, beside the plain aggregate")
    floors, passes = [], []
    for _ in range(repeats):
        floors.append(_floor_aggregate())
        passes.append(seconds_of(lambda: full_pass(AT)))
    figures["floor_aggregate_s"], figures["full_unchanged_s"] = median(floors), median(passes)

    say("full pass, every lead and flag changed, beside the bare update")
    floors, passes = [], []
    for _ in range(repeats):
        settle("leads_lead")
        floors.append(seconds_of(lambda: run_sql("UPDATE leads_lead SET score = score + 1")))
        run_sql("UPDATE tags_leadtag SET is_expired = NOT is_expired WHERE id % 4 = 0")
        settle("leads_lead", "tags_leadtag")
        passes.append(seconds_of(lambda: full_pass(AT)))
    figures["floor_update_s"], figures["full_changed_s"] = median(floors), median(passes)

    say("incremental")
    count = min(INCREMENTAL, leads // 20)
    figures["incremental_leads"] = count
    settle("leads_lead", "tags_leadtag")
    figures["incremental_s"] = _incremental(leads, count)
    step = max(leads // count, 1)
    figures["incremental_scattered_s"] = median([_drain(f"id %% {step} = 0", n) for n in range(4, 8)][1:])

    say("one lead at a time")
    taken = seconds_of(lambda: _score_one_by_one(AT))
    figures["per_lead_function_leads_per_s"] = round(min(PER_LEAD_SAMPLE, leads) / taken)
    first = run_sql("SELECT min(id) FROM leads_lead")[0][0]
    explained = [seconds_of(partial(explain, lead_id=first + n, moments=[AT])) for n in range(50)]
    figures["explain_ms"] = round(1000 * median(explained), 3)
    say("what-if: base, steps and cap of the commonest tags")
    settle("leads_lead", "tags_leadtag")
    figures["what_if_s"] = median([seconds_of(_what_if) for _ in range(repeats)])
    figures["peak_mb"] = memory.end()

    unchanged = float(figures["full_unchanged_s"] or 1)
    figures["full_unchanged_leads_per_s"] = round(leads / unchanged)
    figures["full_changed_leads_per_s"] = round(leads / float(figures["full_changed_s"] or 1))
    report.ratio("full_unchanged_to_floor", "full_unchanged_s", "floor_aggregate_s")
    report.ratio("full_changed_to_floor", "full_changed_s", "floor_update_s")
    report.ratio("speedup_over_per_lead", "full_unchanged_leads_per_s", "per_lead_function_leads_per_s")
    per_changed = float(figures["full_changed_s"] or 1) / leads
    report.ratios["incremental_to_changed_per_lead"] = round(
        float(figures["incremental_s"] or 0) / count / per_changed, 3
    )
    report.bars = {
        "full_unchanged_to_floor": ("most", 4),
        "full_unchanged_leads_per_s": ("least", 250_000),
        "speedup_over_per_lead": ("least", 500),
        "full_changed_to_floor": ("most", 1.3),
        "floor_update_s": ("most", 30),
        "incremental_to_changed_per_lead": ("most", 2),
        "peak_mb": ("most", 150),
        "explain_ms": ("most", 5),
        "what_if_s": ("most", 10),
    }
    return report


def _note_plans(folder: Path | None, leads: int) -> None:
    """The plans of one range of 50,000 leads, of a drain, of a what-if, of one explanation and of the floor."""
    if folder is None:
        return
    say("plans")
    first = run_sql("SELECT min(id) FROM leads_lead")[0][0]
    one_range = partial(score_range, first=first, last=first + 49_999, at=AT + dt.timedelta(days=1))
    run_sql("VACUUM (ANALYZE) leads_lead, tags_leadtag")
    one_range()
    with noting_plan(folder, "full_unchanged", "met AS"):
        one_range()
    run_sql(f"UPDATE leads_lead SET score = score + 1 WHERE id < {first + 50_000}")
    run_sql(f"UPDATE tags_leadtag SET is_expired = NOT is_expired WHERE id % 4 = 0 AND lead_id < {first + 50_000}")
    with noting_plan(folder, "full_changed", "met AS"):
        one_range()
    with noting_plan(folder, "incremental", "met AS"):
        _drain(f"id >= {first + leads // 2} AND id < {first + leads // 2 + INCREMENTAL}", 100_000)
    with noting_plan(folder, "what_if", "compared AS"):
        _what_if()
    with noting_plan(folder, "explain", "rule AS"):
        explain(lead_id=first, moments=[AT])
    run_sql("SET enable_hashagg = off")
    with noting_plan(folder, "floor_aggregate", "aggregate"):
        run_sql(FLOOR_AGGREGATE)
    run_sql("RESET enable_hashagg")


def _what_if() -> None:
    """Half of the tags and every group under other rules: nearly every lead carries one."""
    tags = list(Tag.objects.order_by("pk"))[::2]
    for tag in tags:
        tag.base_score, tag.decay_steps = tag.base_score + 10, [[10, 70], [200, 20]]
    groups = list(TagGroup.objects.all())
    for group in groups:
        group.cap = 300
    what_if(proposed=[*tags, *groups], at=AT, threshold=600)


def _measure_by_size(report: Report, sizes: dict[str, int], tags_per_lead: int, count: int) -> None:
    """As many due leads in two databases, the small one first; in turns, for the machine's own pace changes."""
    for name, size in sizes.items():
        say(f"incremental among {size:,} leads")
        switch_database(name)
        fill(size, tags_per_lead)
        settle("leads_lead", "tags_leadtag")
        full_pass(AT)
    for name in sizes:
        switch_database(name)
        settle("leads_lead", "tags_leadtag")
    seconds: dict[str, list[float]] = {name: [] for name in sizes}
    for turn in range(4):
        for name, size in sizes.items():
            switch_database(name)
            seconds[name].append(_drain(_middle(size, count), turn))
    small, large = (median(taken[1:]) for taken in seconds.values())
    report.figures |= {"incremental_small_s": small, "incremental_large_s": large}


def _middle(leads: int, count: int) -> str:
    """The condition for `count` leads of consecutive ids in the middle of the table."""
    first = run_sql("SELECT min(id) FROM leads_lead")[0][0] + leads // 2
    return f"id >= {first} AND id < {first + count}"


def _incremental(leads: int, count: int) -> float:
    """Seconds to drain `count` leads of consecutive ids; median of three after a warm-up."""
    return median([_drain(_middle(leads, count), turn) for turn in range(4)][1:])


def _capped_share() -> float:
    """Share of the leads whose score a cap has lowered; the sum of the lines differs from the score."""
    sample = list(Lead.objects.order_by("pk").values_list("pk", "score")[:5_000])
    lowered = sum(sum(line["points"] for line in explain(lead_id=pk, moments=[AT])) != score for pk, score in sample)
    return round(float(lowered) / max(len(sample), 1), 3)


def _drain(where: str, turn: int) -> float:
    """Make leads due whose tags changed, then drain them; seconds of the drain."""
    at = AT + dt.timedelta(seconds=turn + 1)
    run_sql(
        "UPDATE leads_lead SET rescore_at = %s, rescore_cause = %s, score = score + 1, "
        f"score_revision = score_revision + 1 WHERE {where}",
        [at, Lead.Cause.IMPORT],
    )
    # Where few pages hold dead rows a plain VACUUM leaves the indexes alone: the large table would carry on the dead
    # entries of the turn before, the small one not.
    run_sql("VACUUM (ANALYZE, INDEX_CLEANUP ON) leads_lead")
    return seconds_of(lambda: drain_due(at=at))
