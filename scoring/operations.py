"""Writes: drain due leads, recalculate all, apply rule changes."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from accounts.models import User
from jobs.models import Job
from jobs.operations import start_job
from jobs.ranges import RangeCollided
from jobs.runs import JobRun
from leads.models import Lead
from scoring.sql import passes
from scoring.sql.passes import Scored
from tags.models import RuleChange
from tags.operations import APPLY_RULE_CHANGE, start_rule_change_job

logger = logging.getLogger(__name__)
RECALCULATE = "recalculate-scores"
DRAIN_AT_ONCE = 200  # leads; beyond that a worker is woken
BATCH = 10_000
DEADLOCK_TRIES = 5


def retrying_collisions(write: Callable[[], Scored]) -> Scored:
    """Run one statement in a transaction of its own, again when it met other writers."""
    for attempt in range(1, DEADLOCK_TRIES + 1):
        try:
            with transaction.atomic():
                return write()
        except (OperationalError, RangeCollided) as error:
            is_passing = isinstance(error, RangeCollided) or isinstance(error.__cause__, DeadlockDetected)
            if not is_passing or attempt == DEADLOCK_TRIES:
                raise
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable")


def drain_leads(*, lead_ids: Sequence[int], at: dt.datetime) -> Scored:
    """Score those of these leads that are due."""
    ids = passes.due_ids(at=at, limit=len(lead_ids), within=lead_ids)
    return retrying_collisions(lambda: passes.score_leads(lead_ids=ids, at=at)) if ids else Scored()


def drain_after_commit(lead_ids: Sequence[int], at: dt.datetime) -> None:
    """Make a small change visible at once; leave a large one to a worker. The sweep makes both certain."""
    if len(lead_ids) <= DRAIN_AT_ONCE:
        drain_leads(lead_ids=lead_ids, at=at)
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
    """Drain what is due, and resume rule changes whose job was lost. Cheap when there is nothing to do."""
    for change in RuleChange.objects.filter(applied_at__isnull=True):
        if not Job.objects.live().filter(kind=APPLY_RULE_CHANGE, key=str(change.pk)).exists():
            start_rule_change_job(change=change)
    scored = drain_due(at=at, until=time.monotonic() + seconds)
    if scored.leads:
        logger.info("sweep: %s leads due, %s scores changed", scored.leads, scored.changed)
    return scored


def start_recalculation(*, at: dt.datetime, by: User | None, announce: bool = True) -> Job:
    """Queue a full recalculation; while one is queued or running, that one is returned."""
    return start_job(kind=RECALCULATE, key="all", title="Recalculate all scores", at=at, by=by, announce=announce)


def run_recalculation(run: JobRun) -> dict[str, Any]:
    """Score every lead at the job's moment, range by range; each range lands with its progress."""
    if "base" not in run.cursor:
        with run.chunk():
            run.total = Lead.objects.count()
            run.stage = "Scoring leads"
            run.plan_ranges(passes.range_bounds(leads=settings.SCORE_RANGE_LEADS))
    started = time.monotonic()
    counts = run.do_ranges()
    return {"leads": run.done, **counts, "seconds": round(time.monotonic() - started, 3)}


def score_range(job: Job, after: int, upto: int) -> dict[str, int]:
    scored = passes.score_range(first=after + 1, last=upto, at=job.as_of, job_id=job.pk)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer}


def run_rule_change(run: JobRun) -> dict[str, Any]:
    """Rescore the leads that carry the tags of a published change, then mark it applied."""
    change = RuleChange.objects.get(pk=run.job.params["rule_change_id"])
    if "base" not in run.cursor:
        with run.chunk():
            run.stage = "Scoring leads"
            run.total, bounds = passes.carrier_bounds(tag_ids=change.tag_ids, leads=BATCH)
            run.plan_ranges(bounds)
    counts = run.do_ranges()
    with run.chunk():
        RuleChange.objects.filter(pk=change.pk, applied_at__isnull=True).update(applied_at=timezone.now())
    return {"leads": run.done, **counts}


def score_carriers(job: Job, after: int, upto: int) -> dict[str, int]:
    change = RuleChange.objects.get(pk=job.params["rule_change_id"])
    scored = passes.score_carriers(tag_ids=change.tag_ids, first=after + 1, last=upto, at=job.as_of, job_id=job.pk)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer}
