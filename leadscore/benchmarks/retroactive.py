"""`benchmark retroactive`: other days for every assignment of a tag, rescoring included, against bare UPDATEs."""

import datetime as dt
from typing import Any

from jobs.models import Job
from jobs.operations import run_job
from leadscore.benchmarks.bench import PeakMemory, Report, median, run_sql, say, scratch_database, seconds_of, settle
from leadscore.benchmarks.scoring import AT, fill, full_pass
from scoring.expirations import preview_expirations_with_scores
from tags.expirations import ExpirationChange, preview_expirations, publish_expirations
from tags.models import RuleChange, Tag

OTHER_TAGS = 2  # beside the tag in question, on each lead
SOON = 1  # days: every assignment has ended by then
EFFECTS: dict[int | None, tuple[int, int]] = {SOON: (1, 0), None: (0, 1)}  # expired, revived: all or none


def add_options(parser: Any) -> None:
    parser.add_argument("--assignments", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is taken")


def run(*, assignments: int, repeats: int) -> Report:
    """Fill a scratch database, measure, drop it."""
    with scratch_database():
        return _measure(assignments, repeats)


def _fill(assignments: int) -> Tag:
    """As many leads, each with the tag that changes and two of 40 others; in random physical order."""
    fill(assignments, OTHER_TAGS)
    tag = Tag.objects.create(name="Retroactive", base_score=500)
    run_sql("CREATE TABLE every AS SELECT lead_id, tag_id, assigned_at, expiration_at FROM tags_leadtag")
    run_sql("TRUNCATE tags_leadtag")
    run_sql(
        """
        INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, expiration_at, is_expired)
        SELECT *, false FROM (
            SELECT * FROM every
            UNION ALL
            SELECT id, %s, %s - interval '2 days' - abs(hashint8(id)::bigint) %% 63072000 * interval '1 second', NULL
            FROM leads_lead
        ) assignment
        ORDER BY hashint8(lead_id * 64 + tag_id)
        """,
        [tag.pk, AT],
    )
    run_sql("DROP TABLE every")
    return tag


def _apply(tag: Tag, days: int | None, at: dt.datetime) -> RuleChange:
    """Publish, and do the job of it at a moment of ours: a lead scored later would be left alone by what follows."""
    change = publish_expirations(changes=[ExpirationChange(tag.pk, days, True)], by=None, at=at)
    queued = Job.objects.latest("pk")
    Job.objects.filter(pk=queued.pk).update(as_of=at)
    job = run_job(job_id=queued.pk)
    assert job is not None
    assert job.status == "succeeded", job.error
    change.refresh_from_db()
    return change


def _measure(assignments: int, repeats: int) -> Report:
    report = Report("retroactive", settings={"assignments": assignments, "repeats": repeats})
    figures = report.figures
    memory = PeakMemory()
    say(f"filling {assignments:,} leads, {1 + OTHER_TAGS} tags each")
    tag = _fill(assignments)
    settle("leads_lead", "tags_leadtag")
    full_pass(AT)
    figures["assignments"] = assignments

    say("every assignment expires, or revives, and every score moves; beside the bare updates")
    soon = ExpirationChange(tag.pk, SOON, True)
    figures["preview_s"] = median([seconds_of(lambda: preview_expirations(changes=[soon], at=AT)) for _ in range(3)])
    figures["preview_with_scores_s"] = round(
        seconds_of(lambda: preview_expirations_with_scores(changes=[soon], at=AT)), 4
    )
    clocks, scores, changes = [], [], []
    for turn in range(repeats):
        settle("leads_lead", "tags_leadtag")
        # To and fro, so that the change itself finds the clocks as it left them.
        step = "1 second" if turn % 2 else "-1 second"
        statement = f"UPDATE tags_leadtag SET expiration_at = coalesce(expiration_at, %s) + interval '{step}'"
        clocks.append(seconds_of(lambda s=statement: run_sql(f"{s} WHERE tag_id = %s", [AT, tag.pk])))  # type: ignore[misc]
        settle("leads_lead", "tags_leadtag")
        scores.append(seconds_of(lambda: run_sql("UPDATE leads_lead SET score = score + 1")))
        full_pass(AT)
        _restore(tag, None if turn % 2 == 0 else SOON)
        settle("leads_lead", "tags_leadtag")
        days = SOON if turn % 2 == 0 else None
        changes.append(seconds_of(lambda d=days: _apply(tag, d, AT)))  # type: ignore[misc]
        change = RuleChange.objects.latest("pk")
        expired, revived = EFFECTS[days]
        counted = (change.affected, change.expired, change.revived)
        assert counted == (assignments, expired * assignments, revived * assignments), counted
    figures["retroactive_s"] = median(changes)
    figures["leads_rescored"] = run_sql(
        "SELECT count(*) FROM scoring_scorechange WHERE job_id = (SELECT max(id) FROM jobs_job)"
    )[0][0]
    figures["floor_expiration_update_s"], figures["floor_score_update_s"] = median(clocks), median(scores)
    figures["floor_s"] = round(median(clocks) + median(scores), 4)
    figures["peak_mb"] = memory.end()
    report.ratio("retroactive_to_floor", "retroactive_s", "floor_s")
    report.bars = {"retroactive_to_floor": ("most", 1.5)}
    return report


def _restore(tag: Tag, days: int | None) -> None:
    """The clocks as the rule says, and the scores with them; not measured."""
    run_sql(
        "UPDATE tags_leadtag SET expiration_at = assigned_at + make_interval(hours => 24 * %s::int) WHERE tag_id = %s",
        [days, tag.pk],
    )
    full_pass(AT)
