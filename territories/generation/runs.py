"""A run of lead generation: a job that deals slice by slice, each with its progress or not at all."""

import datetime as dt
import logging
import time
from collections import Counter
from typing import Any

from django.urls import reverse

from accounts.models import User
from jobs import slots
from jobs.models import Job
from jobs.operations import start_job
from jobs.registry import Step
from jobs.runs import JobRefused, JobRun
from scoring import nightly
from territories.generation.criteria import Criteria, UnknownCriterion, criteria_of, written_criteria
from territories.generation.dealing import REASONS, Progress, deal_slice, owed_returns, rests_of, write_for
from territories.generation.operations import pay
from territories.models import Contractor, GenerationProfile, Referral
from territories.referrals.announce import announce_assigned
from territories.referrals.lifecycle import UNDELIVERED
from territories.sql.generation import Room, count_dealt
from territories.sql.locks import lock_dealing

logger = logging.getLogger(__name__)
GENERATE = "lead-generation"
NAMED = 20  # contractors that a result names


class ProfileArchived(Exception):
    """An archived profile makes no referrals."""

    def __init__(self, profile: GenerationProfile) -> None:
        super().__init__(f"“{profile}” is archived and makes no referrals. Take it out of the archive first.")


def start_generation(
    *,
    profile: GenerationProfile,
    at: dt.datetime,
    by: User | None,
    announce: bool = True,
) -> Job:
    """Queue a run of a profile, as its rules stand now; while one of it is queued or running, that one is returned.

    Raises ProfileArchived, UnknownCriterion.
    """
    if profile.archived_at is not None:
        raise ProfileArchived(profile)
    return _start(profile, at=at, by=by, criteria=criteria_of(profile), announce=announce)


def _start(
    profile: GenerationProfile,
    *,
    at: dt.datetime,
    by: User | None,
    criteria: Criteria,
    slot: str | None = None,
    announce: bool = True,
) -> Job:
    return start_job(
        kind=GENERATE,
        key=f"profile-{profile.pk}",
        slot=slot,
        title=f"Lead generation: {profile.name}",
        at=at,
        params=criteria.as_params(),
        by=by,
        announce=announce,
    )


def run_generation(run: JobRun) -> dict[str, Any]:
    """Give what is owed for returns, then deal slice by slice at the job's moment; each lands with its progress."""
    criteria = Criteria.from_params(run.job.params)
    started, before = time.monotonic(), run.cursor.get("seconds", 0.0)
    if "replacements" not in run.cursor:
        with run.chunk():
            run.stage, run.total = "Choosing leads", criteria.max_referrals
            run.cursor["replacements"] = pay_owed(at=run.as_of, job_id=run.job.pk)
    while not run.cursor.get("is_over"):
        with run.chunk():
            _deal_next(run, criteria)
            run.cursor["seconds"] = round(before + time.monotonic() - started, 3)
    return _report(run)


def pay_owed(*, at: dt.datetime, job_id: int | None) -> int:
    """Make the replacements that are owed, the oldest return first; how many."""
    lock_dealing()
    return sum(pay(owed=one, at=at, job_id=job_id) is not None for one in owed_returns(at=at))


def _deal_next(run: JobRun, criteria: Criteria) -> None:
    cursor = run.cursor
    after = cursor.get("after")
    progress = Progress(
        after=(after[0], after[1]) if after else None,
        read=cursor.get("read", 0),
        slices=cursor.get("slices", 0),
        left_out=Counter(cursor.get("left_out", {})),
    )
    # What the lock protects is read after it, in statements of their own: each sees what was dealt before.
    lock_dealing()
    zips, contractors, dealt = count_dealt(job_id=run.job.pk)
    try:
        done = deal_slice(
            criteria=criteria,
            at=run.as_of,
            progress=progress,
            room=Room(rests=rests_of(None, run.as_of), dealt=contractors, zips=zips),
            dealt=dealt,
            write=write_for(at=run.as_of, job_id=run.job.pk, by_id=run.job.created_by_id),
        )
    except KeyError as missing:
        raise JobRefused(str(UnknownCriterion(str(missing.args[0])))) from missing
    announce_assigned([pick.referral_id or 0 for pick in done.picks if pick.contractor_id is not None])
    run.done = min(run.total, dealt + len(done.picks))
    run.cursor = cursor | {
        "after": list(progress.after) if progress.after else None,
        "read": progress.read,
        "slices": progress.slices,
        "left_out": dict(progress.left_out),
        "is_over": progress.is_over,
    }


def _report(run: JobRun) -> dict[str, Any]:
    _, contractors, total = count_dealt(job_id=run.job.pk)
    assigned = sum(contractors.values())
    run.total = run.done = total
    most = sorted(contractors.items(), key=lambda one: (-one[1], one[0]))
    companies = Contractor.objects.in_bulk([pk for pk, _ in most[:NAMED]])
    by_contractor = {companies[pk].company: count for pk, count in most[:NAMED]}
    if rest := sum(count for _, count in most[NAMED:]):
        by_contractor[f"{len(most) - NAMED} more contractors"] = rest
    return {
        "referrals": total,
        "assigned": assigned,
        "generated": total - assigned,
        "replacements": run.cursor["replacements"],
        "by_contractor": by_contractor,
        "left_out": {key: run.cursor["left_out"][key] for key in REASONS if key in run.cursor["left_out"]},
        "leads_read": run.cursor["read"],
        "slices": run.cursor["slices"],
        "seconds": run.cursor["seconds"],
    }


def next_steps(job: Job, at: dt.datetime) -> list[Step]:
    """The referrals that the run made, the profile, and the way to take back what is not delivered."""
    steps = []
    profile_id = job.params.get("profile_id")
    if GenerationProfile.objects.filter(pk=profile_id).exists():
        steps.append(
            Step(
                label="The profile",
                url=reverse("territories:profile", args=[profile_id]),
                icon="adjustments-horizontal",
                right="territories.view_generationprofile",
            )
        )
    if Referral.objects.filter(job=job).exists():
        steps.insert(
            0,
            Step(
                label="The referrals it made",
                url=f"{reverse('territories:referrals')}?job={job.pk}",
                icon="users",
                right="territories.view_referral",
            ),
        )
    if not job.is_live and Referral.objects.filter(job=job, status__in=UNDELIVERED).exists():
        steps.append(
            Step(
                label="Take back what is not delivered",
                url=reverse("territories:take-back-run", args=[job.pk]),
                icon="arrow-back-up",
                right="territories.change_referral",
            )
        )
    return steps


def start_nightly_runs(*, at: dt.datetime) -> list[Job]:
    """Queue this night's run of each profile that asks for one, once the night's scores are written; the new ones.

    Asked each minute, as the scores' own nightly run is. A profile that was changed after the hour begins with the next
    night.
    """
    slot = nightly.last_slot(at)
    profiles = GenerationProfile.objects.filter(runs_nightly=True, archived_at=None, updated_at__lte=slot.due_at)
    if not profiles.exists():
        return []
    scores = Job.objects.filter(kind=nightly.NIGHTLY, slot=slot.name).first()
    if scores is None or scores.is_live:
        return []
    return [job for profile in profiles.order_by("pk") if (job := _start_nightly(profile, slot, at))]


def _start_nightly(profile: GenerationProfile, slot: slots.Slot, at: dt.datetime) -> Job | None:
    name = f"{profile.pk}:{slot.name}"
    if Job.objects.filter(kind=GENERATE, slot=name).exists():
        return None
    # Also one that cannot run: it fails once, in words, and is an alarm.
    job = _start(profile, at=at, by=None, criteria=written_criteria(profile), slot=name)
    return job if job.slot == name else None  # a person's run of it is at work: the next minute asks again
