"""A tag on many leads at once, or off them: previewed, done as a job in ranges, and undone as another."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from accounts.models import User
from jobs.models import Job
from jobs.operations import retry_job, start_job
from jobs.registry import Step
from jobs.runs import JobRefused, JobRun
from leads import registry
from leads.models import Lead, LeadQuerySet
from leads.queries import Row, top_leads
from leads.selections import KEPT, Selection, SelectionRefused, check_drift, freeze_selection
from leads.sql import bounds_of_selection, lock_selected
from tags.models import FormerAssignment, LeadTag, Tag
from tags.sql import bulk as statements

BULK_TAG = "bulk-tag"
UNDO = "undo-bulk-tag"
RANGE_LEADS = 2_000
SAMPLE = 8
ASSIGN = "tags.assign_tag"


class Action(models.TextChoices):
    ADD = "add", "Add"
    REMOVE = "remove", "Remove"


class TagArchived(Exception):
    """An archived tag gives no points and cannot be added; it can be removed."""

    def __init__(self, tag: Tag) -> None:
        super().__init__(f"“{tag}” is archived and cannot be added. Choose another tag; it can still be removed.")


class NothingSelected(Exception):
    """The filter matches no lead."""

    def __init__(self) -> None:
        super().__init__("No lead matches this filter, so there is nothing to do.")


class UndoRefused(Exception):
    """This job cannot be undone; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What a bulk change would do now; the rows are the best of those that change, else of all."""

    count: int
    changing: int
    rows: list[Row]

    @property
    def unchanged(self) -> int:
        return self.count - self.changing


def preview_bulk_tagging(*, selection: Selection, action: Action, tag: Tag, at: dt.datetime) -> BulkPreview:
    """Count the leads and those that would change, with a sample. Raises SelectionRefused, TagArchived."""
    _refuse_archived(action, tag)
    leads = selection.leads(at=at)
    changing = _changing(leads, action, tag, at)
    count, changes = leads.count(), changing.count()
    return BulkPreview(
        count=count, changing=changes, rows=top_leads(count=SAMPLE, leads=changing if changes else leads)
    )


def _refuse_archived(action: Action, tag: Tag) -> None:
    if action == Action.ADD and tag.is_archived:
        raise TagArchived(tag)


def _changing(leads: LeadQuerySet, action: Action, tag: Tag, at: dt.datetime) -> LeadQuerySet:
    kept = LeadTag.objects.kept().filter(lead=OuterRef("pk"), tag=tag)
    if action == Action.REMOVE:
        return leads.filter(Exists(kept))
    if tag.reassertion == Tag.Reassertion.RESTART:
        return leads
    return leads.exclude(Exists(kept.filter(Q(expiration_at__isnull=True) | Q(expiration_at__gt=at))))


def start_bulk_tagging(
    *, selection: Selection, action: Action, tag: Tag, confirmed: int | None, by: User | None, at: dt.datetime
) -> Job:
    """Queue a job that adds the tag to the selected leads or removes it; `confirmed`: the count that a person saw.

    Raises TagArchived, NothingSelected, SelectionRefused, and CountDrifted when the count is another one by now.
    """
    _refuse_archived(action, tag)
    with transaction.atomic():
        found = selection.leads(at=at).count()
        if confirmed is None:
            confirmed = found
        check_drift(confirmed=confirmed, found=found)
        if not found:
            raise NothingSelected
        leads = f"{found:,} lead{'s' * (found != 1)}"
        job = start_job(
            kind=BULK_TAG,
            title=f"Add {tag} to {leads}" if action == Action.ADD else f"Remove {tag} from {leads}",
            at=at,
            params={
                "action": action.value,
                "tag_id": tag.pk,
                "filter": dict(selection.filter) if selection.filter is not None else None,
                "count": confirmed,
            },
            by=by,
        )
        if not selection.is_filter:  # ticked leads are known now; a filter is evaluated by the job's first step
            freeze_selection(job=job, selection=selection, confirmed=confirmed)
    return job


def run_bulk_tagging(run: JobRun) -> dict[str, Any]:
    """Freeze the selection, then change its leads range by range; each range lands with its scores and progress."""
    params = run.job.params
    tag = Tag.objects.filter(pk=params["tag_id"]).first()
    if tag is None:
        raise JobRefused("The tag is not there any more. Nothing was changed.")
    if "base" not in run.cursor:
        try:
            _refuse_archived(Action(params["action"]), tag)
            with run.chunk():
                if params["filter"] is not None:
                    selection = Selection(filter=params["filter"])
                    freeze_selection(job=run.job, selection=selection, confirmed=params["count"])
                run.total, bounds = bounds_of_selection(job_id=run.job.pk, leads=RANGE_LEADS)
                run.stage = f"{'Adding' if params['action'] == Action.ADD else 'Removing'} {tag}"[:60]
                run.plan_ranges(bounds)
        except (SelectionRefused, TagArchived) as error:
            raise JobRefused(f"Nothing was changed. {error}") from error
    counts = run.do_ranges()
    return {"leads": run.done, "changed": counts["changed"], "unchanged": counts["unchanged"]}


def tag_range(job: Job, after: int, upto: int) -> dict[str, int]:
    lead_ids = lock_selected(job_id=job.pk, after=after, upto=upto)
    write = statements.add_tag if job.params["action"] == Action.ADD else statements.remove_tag
    changed = write(lead_ids=lead_ids, tag_id=job.params["tag_id"], at=job.as_of, job_id=job.pk)
    _score_after_commit(changed, job)
    return {"done": len(lead_ids), "changed": len(changed), "unchanged": len(lead_ids) - len(changed)}


def _score_after_commit(lead_ids: Sequence[int], job: Job) -> None:
    """The clock is read here: leads that were scored since the job began would be newer than its moment."""
    from django.utils import timezone

    if lead_ids:
        registry.announce_due(sorted(lead_ids), timezone.now(), job_id=job.pk)


def undo_of(job: Job) -> Job | None:
    """The job that undoes this one, in whatever state."""
    return Job.objects.filter(kind=UNDO, slot=str(job.pk)).first()


def why_not_undo(job: Job, *, at: dt.datetime) -> str:
    """Why there is nothing to undo in a job over tags; empty when there is."""
    if job.is_live:
        return "It is still at work. Wait until it has ended, or stop it; what it has changed can be undone then."
    if job.finished_at is not None and job.finished_at < at - KEPT:
        return f"It ended more than {KEPT.days} days ago; former values are kept for {KEPT.days} days."
    if not FormerAssignment.objects.filter(job=job).exists():
        return "It changed nothing, so there is nothing to undo."
    return ""


def start_undo(*, job: Job, by: User | None, at: dt.datetime) -> Job:
    """Queue the job that puts back what a bulk change found, where nobody has changed it since.

    A job is undone once: asked again, the undo that there is is the answer, begun anew where it failed or was stopped.
    An undo can be undone, too. Raises UndoRefused.
    """
    if job.kind not in {BULK_TAG, UNDO}:
        raise UndoRefused("This job does not tag leads in bulk; it cannot be undone here.")
    there = undo_of(job)
    if there is None:
        if reason := why_not_undo(job, at=at):
            raise UndoRefused(reason)
        return start_job(
            kind=UNDO,
            slot=str(job.pk),
            title=f"Undo: {job.title[:1].lower()}{job.title[1:]}"[:200],
            at=at,
            params={"undone_id": job.pk, "tag_id": job.params["tag_id"]},
            by=by,
        )
    if not there.is_live and there.status != Job.Status.SUCCEEDED:
        retry_job(job_id=there.pk)
        there.refresh_from_db()
    return there


def run_undo(run: JobRun) -> dict[str, Any]:
    """Put back what a bulk change found, range by range, on the leads that nobody has changed since."""
    if "base" not in run.cursor:
        with run.chunk():
            run.total, bounds = statements.bounds_of_former(job_id=run.job.params["undone_id"], leads=RANGE_LEADS)
            run.stage = "Putting back"
            run.plan_ranges(bounds)
    counts = run.do_ranges()
    return {"leads": run.done, "put_back": counts["put_back"], "left_because_changed_since": counts["left"]}


def undo_range(job: Job, after: int, upto: int) -> dict[str, int]:
    undone_id = job.params["undone_id"]
    lead_ids = statements.lock_former(job_id=undone_id, after=after, upto=upto)
    changed = statements.revert(lead_ids=lead_ids, undone_id=undone_id, at=job.as_of, job_id=job.pk)
    _score_after_commit(changed, job)
    return {"done": len(lead_ids), "put_back": len(changed), "left": len(lead_ids) - len(changed)}


def left_by_undo(undo: Job) -> list[Row]:
    """A sample of the leads that an undo left as they are, because somebody had changed them since."""
    done = FormerAssignment.objects.filter(job=undo, lead=OuterRef("lead"))
    left = FormerAssignment.objects.filter(~Exists(done), job=undo.params["undone_id"], lead=OuterRef("pk"))
    return top_leads(count=SAMPLE, leads=Lead.objects.filter(Exists(left)))


def next_steps(job: Job, at: dt.datetime) -> list[Step]:
    """What the page of a job over tags offers: its own page, and undo."""
    steps = [Step(label="What became of the leads", url=reverse("tags:bulk-job", args=[job.pk]), icon="tag")]
    if undo_of(job) is None and not why_not_undo(job, at=at):
        url = reverse("tags:bulk-undo", args=[job.pk])
        undo = Step(label="Undo", url=url, icon="refresh", right=ASSIGN, is_post=True)
        steps.insert(0, undo)
    return steps


def clear_former(*, at: dt.datetime) -> int:
    """Delete what undo no longer needs; how many rows that were. A day's grace: an undo may be at work on them."""
    return statements.clear_former(ended_before=at - KEPT - dt.timedelta(days=1))
