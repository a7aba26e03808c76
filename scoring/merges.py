"""The jobs that merge two tags, and undo it: a range moves assignments and scores its leads in one transaction."""

from typing import Any

from django.utils import timezone

from jobs.models import Job
from jobs.runs import JobRun
from scoring.operations import BATCH, do_timed_ranges, report_run
from scoring.sql import passes
from tags.merges import operations, sql
from tags.models import TagMerge

MERGES = TagMerge.objects.select_related("change", "merged", "into")


def _score(lead_ids: list[int], job: Job) -> dict[str, int]:
    scored = passes.score_leads(lead_ids=lead_ids, at=job.as_of, job_id=job.pk)
    return {"done": scored.leads, "changed": scored.changed, "newer": scored.newer}


def run_merge(run: JobRun) -> dict[str, Any]:
    """Move the leads of the merged tag to the one that stays, then mark the change applied."""
    merge = MERGES.get(change_id=run.job.params["rule_change_id"])
    if "base" not in run.cursor:
        with run.chunk():
            run.stage = "Moving assignments"
            run.total, bounds = passes.carrier_bounds(tag_ids=[merge.merged_id], leads=BATCH)
            run.plan_ranges(bounds)
    result = do_timed_ranges(run)
    with run.chunk():
        operations.finish_merge(merge=merge, at=timezone.now())
    return report_run(run, result)


def merge_range(job: Job, after: int, upto: int) -> dict[str, int]:
    merge = MERGES.get(change_id=job.params["rule_change_id"])
    lead_ids, counts = operations.move_range(merge=merge, after=after, upto=upto, at=job.as_of)
    return counts | _score(lead_ids, job)


def run_undo(run: JobRun) -> dict[str, Any]:
    """Give the merged tag its leads back, then mark the change applied."""
    merge = MERGES.get(undo_change_id=run.job.params["rule_change_id"])
    if "base" not in run.cursor:
        with run.chunk():
            run.stage = "Giving assignments back"
            run.total, bounds = sql.noted_bounds(merge_id=merge.pk, leads=BATCH)
            run.plan_ranges(bounds)
    result = do_timed_ranges(run)
    with run.chunk():
        operations.finish_undo(merge=merge, at=timezone.now())
    return report_run(run, result)


def undo_range(job: Job, after: int, upto: int) -> dict[str, int]:
    merge = MERGES.get(undo_change_id=job.params["rule_change_id"])
    lead_ids, counts = operations.give_back_range(merge=merge, after=after, upto=upto, at=job.as_of)
    return counts | _score(lead_ids, job)
