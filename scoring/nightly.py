"""The nightly run: drain what is due, look after the history, check the scores; once for each local date."""

import datetime as dt
import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone

from jobs import slots
from jobs.models import Job
from jobs.operations import start_job
from jobs.runs import JobRun
from jobs.slots import Slot
from scoring.operations import BATCH, RECALCULATE, do_timed_ranges, report_run
from scoring.sql import history, passes, watch
from tags.merges.operations import forget_former_clocks

logger = logging.getLogger(__name__)
NIGHTLY = "nightly-scores"
VERIFY_RANGE = 100_000
# A check reads about 250,000 leads a second: up to here all of them every night, beyond it every n-th range, another
# n-th each night.
VERIFY_RANGES = 20


def last_slot(at: dt.datetime) -> Slot:
    """The newest slot that is due at `at`."""
    return slots.last_slot(at, hour=settings.NIGHTLY_HOUR)


def next_slot(at: dt.datetime) -> Slot:
    """The slot that comes after the last one."""
    return slots.slot_of(last_slot(at).date + dt.timedelta(days=1), hour=settings.NIGHTLY_HOUR)


def start_nightly(*, at: dt.datetime, announce: bool = True) -> Job | None:
    """Queue the run of the newest due slot, unless that slot has its job; None when no slot is due yet.

    Asked each minute, so that a scheduler that was down at the hour, or that fires twice, still makes one run a night.
    A slot from before this installation needs none. While the run of an earlier slot is live, that one is returned.
    """
    slot = last_slot(at)
    there = Job.objects.filter(kind=NIGHTLY, slot=slot.name).first()
    if there is not None:
        return there
    installed_at = watch.read_state(nightly=NIGHTLY, full=RECALCULATE)["installed_at"]
    if installed_at is None or installed_at > slot.due_at:
        return None
    title = f"Nightly run of {slot.date:%B} {slot.date.day}, {slot.date.year}"
    return start_job(kind=NIGHTLY, key="all", slot=slot.name, title=title, at=at, announce=announce)


def run_nightly(run: JobRun) -> dict[str, Any]:
    """Score all that is due at the job's moment in ranges, renew the history's partitions, then check the scores.

    Each step lands with its progress, so that an attempt goes on where the one before it ended.
    """
    if "base" not in run.cursor:
        with run.chunk():
            run.stage = "Scoring due leads"
            run.total, bounds = passes.due_bounds(at=run.as_of, leads=BATCH)
            run.plan_ranges(bounds)
    if "drained" not in run.cursor:
        drained = do_timed_ranges(run)
        with run.chunk():
            run.cursor["drained"] = {"changed": 0, "newer": 0} | drained
            run.stage = "Renewing the history"
    if "partitions" not in run.cursor:
        with run.chunk():
            run.cursor["partitions"] = {
                "partitions_made": history.make_partitions(at=run.as_of),
                "partitions_dropped": history.drop_partitions(at=run.as_of, months=settings.HISTORY_MONTHS),
            }
            forget_former_clocks(at=run.as_of)
            run.stage = "Checking scores"
    checked = check_scores(run)
    result = {**run.cursor["drained"], **checked, **run.cursor["partitions"], "strays": history.count_strays()}
    if checked["differences"]:
        logger.error("%s (job %s): %s stored scores differ", run.job.title, run.job.pk, checked["differences"])
    return report_run(run, result)


def score_due_range(job: Job, after: int, upto: int) -> dict[str, int]:
    scored = passes.score_due_range(first=after + 1, last=upto, at=job.as_of, job_id=job.pk)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer}


def check_scores(run: JobRun) -> dict[str, int]:
    """Recompute all scores, or beyond two million leads another share of them each night: checked, differences.

    People go on working meanwhile, so each range is checked at a fresh moment, and a difference is looked at twice: a
    lead that was written in the instant between the clock and the statement has been drained by then.
    """
    bounds = passes.range_bounds(leads=VERIFY_RANGE)
    step = -(-len(bounds) // VERIFY_RANGES) or 1
    totals = {"checked": 0, "differences": 0}
    for after, upto in bounds[run.as_of.toordinal() % step :: step]:
        with run.chunk():
            pass  # stop here when cancelled
        found = passes.verify_range(first=after + 1, last=upto, at=timezone.now())
        if found["differences"]:
            found = passes.verify_range(first=after + 1, last=upto, at=timezone.now())
        totals["checked"] += found["leads"]
        totals["differences"] += found["differences"]
    return totals


def tell_people(job: Job) -> None:
    """Mail to those who asked for it how a nightly run ended; a mail server that is down is noted, no more."""
    if not settings.NOTIFY:
        return
    result = job.result or {}
    lines = [f"{job.title}: {job.status}."]
    if job.status == Job.Status.SUCCEEDED:
        lines += [
            f"{result['leads']:,} leads were due, {result['changed']:,} scores changed; "
            f"{result['per_second']:,} leads a second, {result['seconds']} s.",
            f"{result['checked']:,} scores were checked, {result['differences']:,} differ.",
            f"Rows of history outside of every month: {result['strays']:,}.",
        ]
    else:
        lines += [job.error, "Scores are still kept current each minute. See why, and run it again, under Score runs."]
    try:
        send_mail(f"LeadScore: {job.title} {job.status}", "\n".join(lines) + "\n", None, settings.NOTIFY)
    except Exception as error:
        logger.warning("job %s: the mail about it could not be sent: %s", job.pk, error)
