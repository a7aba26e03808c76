"""Undoing a run: what contractors have not got of it is taken back."""

import datetime as dt
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from accounts.models import User
from jobs.models import Job
from territories.models import Referral
from territories.referrals.lifecycle import UNDELIVERED, move_referrals
from territories.sql.locks import lock_dealing

Status = Referral.Status


class RunAtWork(Exception):
    """The run still makes referrals."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"The run is {job.status}. Stop it first, or wait until it has ended.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStanding:
    """The referrals of a run: taken back are those generated and assigned, the others stay as they are."""

    generated: int
    assigned: int
    delivered: int
    converted: int
    ended: int

    @property
    def undelivered(self) -> int:
        return self.generated + self.assigned


def standing_of_run(*, job: Job) -> RunStanding:
    """What taking a run back would find. Index: that of the referrals' job."""
    rows = Referral.objects.filter(job=job).order_by().values_list("status").annotate(count=Count("pk"))
    counts = dict(rows)
    return RunStanding(
        generated=counts.get(Status.GENERATED, 0),
        assigned=counts.get(Status.ASSIGNED, 0),
        delivered=counts.get(Status.DELIVERED, 0),
        converted=counts.get(Status.CONVERTED, 0),
        ended=sum(counts.get(status, 0) for status in (Status.RETURNED, Status.EXPIRED, Status.CANCELLED)),
    )


def take_back_run(*, job: Job, at: dt.datetime, by: User | None, note: str) -> RunStanding:
    """Cancel what is not delivered of a run that has ended, all of it or nothing; what was found, so what was done.

    Their leads are free again; what the run gave in place of returned leads stays. `note` says why. Raises RunAtWork.
    """
    with transaction.atomic():
        # Whoever begins the run anew waits for this, or is seen at work.
        now = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
        if now.is_live:
            raise RunAtWork(now)
        lock_dealing()
        undelivered = Referral.objects.filter(job=job, status__in=UNDELIVERED).order_by("pk")
        ids = list(undelivered.select_for_update(no_key=True).values_list("pk", flat=True))
        found = standing_of_run(job=job)
        move_referrals(ids=ids, to=Status.CANCELLED, at=at, by=by, note=f"The run was taken back: {note}")
    return found
