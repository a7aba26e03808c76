"""Writes: drain due leads, recalculate all, apply rule changes."""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from jobs.operations import start_job, take_slot
from jobs.ranges import retrying_collisions, sum_of_ranges
from jobs.runs import JobRun
from jobs.sql import try_lock
from scoring.sql import passes
from scoring.sql.clocks import rewrite_clocks, touch_leads
from scoring.sql.passes import Scored
from tags.merges.operations import resume_merges
from tags.models import RuleChange
from tags.operations import start_rule_change_job
from tags.queries import APPLY_RULE_CHANGE, APPLYING
from tags.sql.expirations import wait_for_writers

logger = logging.getLogger(__name__)
RECALCULATE = "recalculate-scores"
SWEEP_LOCK = "scoring.sweep"
DRAIN_AT_ONCE = 200  # leads; beyond that a worker is woken
DRAIN_SECONDS = 60.0  # what is left then is the sweep's
BATCH = 10_000


def drain_leads(*, lead_ids: Sequence[int], at: dt.datetime, job_id: int | None = None) -> Scored:
    """Score those of these leads that are due."""
    ids = passes.due_ids(at=at, limit=len(lead_ids), within=lead_ids)
    return retrying_collisions(lambda: passes.score_leads(lead_ids=ids, at=at, job_id=job_id)) if ids else Scored()


def drain_after_commit(lead_ids: Sequence[int], at: dt.datetime, job_id: int | None = None) -> None:
    """Make a small change, or a job's, visible at once; leave a large one to a worker. The sweep makes all certain."""
    if job_id is not None or len(lead_ids) <= DRAIN_AT_ONCE:
        drain_leads(lead_ids=lead_ids, at=at, job_id=job_id)
        return
    from scoring.tasks import wake_sweep

    wake_sweep()


def drain_due(*, at: dt.datetime, until: float | None = None) -> Scored:
    """Score every due lead, a batch a transaction, until none is left or `time.monotonic()` passes `until`."""
    total = Scored()
    while ids := passes.due_ids(at=at, limit=BATCH):
        total += retrying_collisions(lambda ids=ids: passes.score_leads(lead_ids=ids, at=at))  # type: ignore[misc]
        if until is not None and time.monotonic() > until:
            break
    return total


def sweep(*, at: dt.datetime, seconds: float = 240.0) -> Scored:
    """Drain what is due, and resume rule changes whose job was lost. Cheap when there is nothing to do.

    One sweep at a time: while another session sweeps, this one does nothing. An advisory lock says so, not a Job: a
    row for each minute would bury the jobs that people look for, and a lock that ends with its connection needs no
    heartbeat. What becomes due while a sweep ends waits for the next minute at most.
    """
    with try_lock(SWEEP_LOCK) as is_ours:
        if not is_ours:
            return Scored()
        for change in RuleChange.objects.filter(applied_at__isnull=True):
            if not Job.objects.live().filter(kind__in=APPLYING, key=str(change.pk)).exists():
                start_rule_change_job(change=change)
        resume_merges()
        scored = drain_due(at=at, until=time.monotonic() + seconds)
    if scored.leads:
        logger.info("sweep: %s leads due, %s scores changed", scored.leads, scored.changed)
    return scored


def sweep_minute(*, at: dt.datetime) -> Scored:
    """The sweep of this minute, once, however many schedulers ask for it."""
    if not take_slot(name=SWEEP_LOCK, slot=f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%MZ}"):
        return Scored()
    return sweep(at=at)


def start_recalculation(*, at: dt.datetime, by: User | None, announce: bool = True) -> Job:
    """Queue a full recalculation; while one is queued or running, that one is returned."""
    return start_job(kind=RECALCULATE, key="all", title="Recalculate all scores", at=at, by=by, announce=announce)


def run_recalculation(run: JobRun) -> dict[str, Any]:
    """Score every lead at the job's moment, range by range; each range lands with its progress."""
    if "base" not in run.cursor:
        with run.chunk():
            bounds = passes.range_bounds(leads=settings.SCORE_RANGE_LEADS)
            first, last = (bounds[0][0], bounds[-1][1]) if bounds else (0, 0)
            run.stage, run.total = "Scoring leads", last - first
            run.cursor |= {"first": first, "last": last, "pages": passes.count_pages()}
            run.plan_ranges(bounds)
    result = do_timed_ranges(run)
    run.total = run.done
    return report_run(run, result)


def do_timed_ranges(run: JobRun) -> dict[str, Any]:
    """Do the job's ranges: leads and counts of all attempts, seconds and leads a second of this one."""
    before, started = run.done, time.monotonic()
    counts = run.do_ranges()
    seconds = time.monotonic() - started
    return {
        "leads": run.done,
        **counts,
        "seconds": round(seconds, 3),
        "per_second": round((run.done - before) / max(seconds, 0.001)),
    }


def report_run(run: JobRun, result: dict[str, Any]) -> dict[str, Any]:
    """Log in one line what a run brought, and hand it on."""
    logger.info(
        "%s (job %s): %s leads, %s scores changed, %s leads a second, %s s",
        *(run.job.title, run.job.pk, result["leads"], result.get("changed", 0)),
        *(result["per_second"], result["seconds"]),
    )
    return result


def score_range(job: Job, after: int, upto: int) -> dict[str, int]:
    """Score a range of leads, and set the expiry flags on the same share of the pages that hold the lead tags."""
    scored = passes.score_range(first=after + 1, last=upto, at=job.as_of, job_id=job.pk)
    first, last, pages = (job.cursor[name] for name in ("first", "last", "pages"))
    begin, end = ((place - first) * pages // (last - first) for place in (after, upto))
    passes.flag_pages(first=begin, end=None if upto == last else end, at=job.as_of)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer}


def run_rule_change(run: JobRun) -> dict[str, Any]:
    """Rescore the leads that carry the tags of a published change, then mark it applied.

    A retroactive one gives their assignments the days of today's rule first. Those are its own, or of a later change
    with retroactive effect: until this one is applied, others are refused (see StillApplying).
    """
    change = RuleChange.objects.get(pk=run.job.params["rule_change_id"])
    if "base" not in run.cursor:
        wait_for_writers()  # what they write by the former rules is among the carriers then
        with run.chunk():
            run.stage = "Scoring leads"
            run.total, bounds = passes.carrier_bounds(tag_ids=change.tag_ids, leads=BATCH)
            run.plan_ranges(bounds)
    result = do_timed_ranges(run)
    now = timezone.now()
    moved = {}
    if change.retroactive_tag_ids:
        if result.get("newer"):
            drain_due(at=now, until=time.monotonic() + DRAIN_SECONDS)  # they may be due by their new clocks
        moved = clocks_moved(change)
    with run.chunk():
        RuleChange.objects.filter(pk=change.pk, applied_at__isnull=True).update(applied_at=now, **moved)
    return report_run(run, result)


def clocks_moved(change: RuleChange) -> dict[str, int]:
    """How many assignments a retroactive change affected, expired, revived; over all its jobs, should one be lost."""
    total: Counter[str] = Counter()
    for job in Job.objects.filter(kind=APPLY_RULE_CHANGE, key=str(change.pk)):
        total += sum_of_ranges(job)
    return {name: total[name] for name in ("affected", "expired", "revived")}


def score_carriers(job: Job, after: int, upto: int) -> dict[str, int]:
    change = RuleChange.objects.get(pk=job.params["rule_change_id"])
    moved: dict[str, int] = {}
    if change.retroactive_tag_ids:
        clocks = rewrite_clocks(tag_ids=change.retroactive_tag_ids, first=after + 1, last=upto, at=job.as_of)
        moved = {"affected": clocks.affected, "expired": clocks.expired, "revived": clocks.revived}
    scored = passes.score_carriers(tag_ids=change.tag_ids, first=after + 1, last=upto, at=job.as_of, job_id=job.pk)
    if moved.get("affected"):
        touch_leads(lead_ids=clocks.lead_ids, at=job.as_of)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer, **moved}
