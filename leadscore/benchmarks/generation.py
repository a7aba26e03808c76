"""`benchmark generation`: who gets which lead, previewed and made, against a bare INSERT of as many referrals."""

import datetime as dt
from pathlib import Path
from typing import Any

from jobs.operations import run_job
from leadscore.benchmarks.bench import Report, median, noting_plan, run_sql, say, scratch_database, seconds_of, settle
from leadscore.benchmarks.scoring import AT, fill, full_pass
from tags.models import Tag
from territories.generation.criteria import criteria_of
from territories.generation.dealing import preview_generation
from territories.generation.runs import start_generation
from territories.models import GenerationProfile

FILL_ZIPS = 5_000
PER_ZIP = 20
MADE = 1_000
MADE_MANY = 100_000
REFERRALS = ("territories_referral", "territories_referralevent")
# As many live referrals with an event each, by one statement, all constraints in force.
FLOOR = """
    WITH made AS (
        INSERT INTO territories_referral (lead_id, zip, score, urgency, status, contractor_id, territory_id, price,
                                          generated_at, assigned_at, expires_at)
        SELECT lead.id, lead.zip, lead.score, 0, 'assigned', territory.contractor_id, territory.id, 25, %(at)s, %(at)s,
               %(at)s::timestamptz + interval '7 days'
        FROM (SELECT * FROM leads_lead ORDER BY score DESC, id LIMIT %(count)s) lead
        JOIN territories_territory territory ON territory.zip = lead.zip
        RETURNING id
    )
    INSERT INTO territories_referralevent (referral_id, at, what, note) SELECT id, %(at)s, 'assigned', '' FROM made
"""


def add_options(parser: Any) -> None:
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--contractors", type=int, default=500)
    parser.add_argument("--zips", type=int, default=FILL_ZIPS)
    parser.add_argument("--plans", type=Path, help="folder for the plans of the statements measured")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is taken")


def run(*, leads: int, contractors: int, zips: int, repeats: int, plans: Path | None = None) -> Report:
    """Fill a scratch database, measure, drop it."""
    with scratch_database():
        return _measure(leads, contractors, zips, repeats, plans)


def _fill(leads: int, contractors: int, zips: int) -> tuple[Tag, Tag]:
    """Leads with scores, contractors with equal shares of the ZIPs, a tag that 30% hold and one that 10% hold."""
    fill(leads, 3)
    if zips != FILL_ZIPS:
        run_sql("UPDATE leads_lead SET zip = (10000 + id %% %s)::text", [zips])
    asked = Tag.objects.create(name="Asked for", base_score=0)
    barred = Tag.objects.create(name="Barred", base_score=0)
    for tag, percent in ((asked, 30), (barred, 10)):
        run_sql(
            "INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, is_expired) SELECT id, %s, %s, false "
            "FROM leads_lead WHERE abs(hashint8(id * 31 + %s)) %% 100 < %s ORDER BY hashint8(id * 11 + %s)",
            [tag.pk, AT - dt.timedelta(days=3), tag.pk, percent, tag.pk],
        )
    run_sql(
        "INSERT INTO territories_contractor (company, trade, status, time_zone, price, return_window_days, "
        "return_quota_percent, auto_return_reasons, notes, daily_cap, created_at) "
        "SELECT 'Contractor ' || i, '', 'active', '', 25, 14, 20, '{}', '', 100000, %s FROM generate_series(1, %s) i",
        [AT, contractors],
    )
    run_sql(
        "INSERT INTO territories_territory (zip, contractor_id, from_at, taken_up_at, created_at) "
        "SELECT (10000 + i)::text, first.id + i %% %s, %s, %s, %s "
        "FROM generate_series(0, %s - 1) i, (SELECT min(id) AS id FROM territories_contractor) first",
        [contractors, AT - dt.timedelta(days=30), AT, AT, zips],
    )
    settle("leads_lead", "tags_leadtag", "territories_contractor", "territories_territory")
    say("scores")
    full_pass(AT)
    settle("leads_lead", "tags_leadtag", *REFERRALS)
    return asked, barred


def _profile(name: str, tags: tuple[Tag, Tag], **fields: Any) -> GenerationProfile:
    profile = GenerationProfile.objects.create(
        name=name, max_per_zip=PER_ZIP, not_referred_days=90, created_at=AT, updated_at=AT, **fields
    )
    profile.required_tags.add(tags[0])
    profile.excluded_tags.add(tags[1])
    return profile


def _make(profile: GenerationProfile) -> int:
    job = run_job(job_id=start_generation(profile=profile, at=AT, by=None, announce=False).pk)
    assert job is not None
    assert job.status == "succeeded", job.error
    assert job.result is not None
    return int(job.result["referrals"])


def _floor(count: int) -> float:
    """Seconds of the bare INSERT; its rows are gone afterwards."""
    taken = seconds_of(lambda: run_sql(FLOOR, {"at": AT, "count": count}))  # type: ignore[arg-type]
    _empty()
    return taken


def _empty() -> None:
    run_sql("TRUNCATE territories_referral, territories_referralevent CASCADE")
    settle(*REFERRALS)


def _measure(leads: int, contractors: int, zips: int, repeats: int, plans: Path | None) -> Report:
    settings = {"leads": leads, "contractors": contractors, "zips": zips, "repeats": repeats}
    report = Report("generation", settings=settings)
    figures = report.figures
    say(f"filling {leads:,} leads")
    tags = _fill(leads, contractors, zips)
    threshold = run_sql("SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY score) FROM leads_lead")[0][0]
    few = _profile("A thousand", tags, min_score=threshold, max_referrals=MADE)
    many = _profile("A hundred thousand", tags, min_score=-(10**6), max_referrals=MADE_MANY)
    figures["threshold"] = threshold

    say("a thousand: floor, preview, run")
    with noting_plan(plans, "generation_preview", "WITH slice AS"):
        preview_generation(criteria=criteria_of(few), at=AT)
    with noting_plan(plans, "generation_run", "WITH slice AS"):
        _make(few)
    _empty()
    floors, previews, runs = [], [], []
    for _ in range(repeats):
        floors.append(_floor(MADE))
        previews.append(seconds_of(lambda: preview_generation(criteria=criteria_of(few), at=AT)))
        made: list[int] = []
        runs.append(seconds_of(lambda made=made: made.append(_make(few))))  # type: ignore[misc]
        figures["made_1000"] = made[0]
        _empty()
    figures["floor_1000_s"], figures["preview_s"], figures["make_1000_s"] = map(median, (floors, previews, runs))

    say("a hundred thousand: floor, run")
    figures["floor_100000_s"] = round(_floor(min(MADE_MANY, leads)), 4)
    made = []
    figures["make_100000_s"] = round(seconds_of(lambda: made.append(_make(many))), 4)
    figures["made_100000"] = made[0]
    again = seconds_of(lambda: made.append(_make(few)))
    figures["again_s"], figures["made_again"] = round(again, 4), made[1]
    report.ratio("make_1000_to_floor", "make_1000_s", "floor_1000_s")
    report.ratio("make_100000_to_floor", "make_100000_s", "floor_100000_s")
    report.bars = {"preview_s": ("most", 0.5), "make_1000_s": ("most", 0.5), "make_100000_s": ("most", 20)}
    return report
