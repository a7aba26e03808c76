"""Expiry notices: how many assignments of each tag expire soon, the daily check, and the mail to who wants it."""

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.queries import zone_of
from jobs.models import Job
from jobs.operations import start_job
from jobs.queries import installed_at
from jobs.runs import JobRun
from jobs.slots import last_slot
from leads.models import Lead
from tags.models import LeadTag, Tag

logger = logging.getLogger(__name__)
CHECK = "expiry-notices"
TOP = 10  # leads in a digest
# Counting reads each assignment that expires soon: where these are so many, pages share the counts for a while.
MANY = 20_000
KEPT = dt.timedelta(seconds=60)
KEPT_AS = "tags.expiring.1"  # raised when a dataclass below changes, so that an upgrade reads nothing old


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """A tag with the number of leads on which it is live and expires within its notice."""

    tag: Tag
    leads: int

    @property
    def days(self) -> int:
        return self.tag.notice.days

    @property
    def url(self) -> str:
        return address_of([self])


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Tags of one notice, the most leads first."""

    days: int
    tags: list[Expiring]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """What expires soon, as counted at `as_of`; `is_kept`: that was a little while ago."""

    as_of: dt.datetime
    notices: list[Notice]
    is_kept: bool = False

    @property
    def tags(self) -> list[Expiring]:
        return [one for notice in self.notices for one in notice.tags]

    @property
    def url(self) -> str:
        """The page of all leads that one of these tags is about to leave."""
        return address_of(self.tags)


def address_of(tags: Sequence[Expiring]) -> str:
    """The page of exactly those leads."""
    return f"{reverse('leads:list')}?{urlencode([('expiring', one.tag.pk) for one in tags])}"


def count_expiring(*, at: dt.datetime) -> Notices:
    """What expires soon, by tag, nearest notice first; tags without such a lead are left out.

    Two queries, of which one reads assignments. Index: leadtag_by_expiration.
    """
    tags = {tag.pk: tag for tag in Tag.objects.active()}
    expiring = LeadTag.objects.expiring(tags=tags.values(), at=at)
    counts = dict(expiring.order_by().values_list("tag_id").annotate(leads=Count("pk")))
    found = [Expiring(tag=tags[pk], leads=leads) for pk, leads in counts.items()]
    by_days: dict[int, list[Expiring]] = {}
    for one in sorted(found, key=lambda one: (-one.leads, one.tag.name)):
        by_days.setdefault(one.days, []).append(one)
    return Notices(as_of=at, notices=[Notice(days=days, tags=by_days[days]) for days in sorted(by_days)])


def recent_notices(*, at: dt.datetime) -> Notices:
    """What expires soon, counted now; where that is very much, as it was up to a minute ago."""
    kept: Notices | None = cache.get(KEPT_AS)
    if kept is not None and at - KEPT < kept.as_of <= at:
        return Notices(as_of=kept.as_of, notices=kept.notices, is_kept=True)
    counted = count_expiring(at=at)
    if sum(one.leads for one in counted.tags) >= MANY:
        cache.set(KEPT_AS, counted, timeout=KEPT.total_seconds())
    return counted


def banner_for(person: User, at: dt.datetime) -> Notices | None:
    """What the leads page warns of; None when nothing expires soon or the person has put it away for the day."""
    if person.notices_hidden_date == timezone.localtime(at).date():
        return None
    found = recent_notices(at=at)
    return found if found.notices else None


def hide_banner(*, person: User, at: dt.datetime) -> None:
    """Put the banner away until tomorrow, in the person's time zone."""
    person.notices_hidden_date = timezone.localtime(at).date()
    person.save(update_fields=["notices_hidden_date"])


def show_banner(*, person: User) -> None:
    """Take the banner out again."""
    person.notices_hidden_date = None
    person.save(update_fields=["notices_hidden_date"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A lead and the assignments that it is about to lose, the next one first."""

    lead: Lead
    lead_tags: list[LeadTag]


def top_losses(*, at: dt.datetime, count: int = TOP) -> list[Loss]:
    """The best leads that lose something soon. Index: lead_by_score, leadtag_unique."""
    expiring = LeadTag.objects.expiring(tags=list(Tag.objects.active()), at=at)
    leads = list(Lead.objects.filter(Exists(expiring.filter(lead=OuterRef("pk")))).order_by("-score", "id")[:count])
    found: dict[int, list[LeadTag]] = {lead.pk: [] for lead in leads}
    for lead_tag in expiring.filter(lead__in=leads).select_related("tag").order_by("expiration_at", "tag__name"):
        found[lead_tag.lead_id].append(lead_tag)
    return [Loss(lead=lead, lead_tags=found[lead.pk]) for lead in leads]


# The daily check ------------------------------------------------------------------------------------------------------


def start_check(*, at: dt.datetime, announce: bool = True) -> Job | None:
    """Queue the check of the newest due day, unless that day has its job; None on the day of the installation.

    Asked each minute, like the nightly run.
    """
    slot = last_slot(at, hour=settings.NOTICE_HOUR)
    there = Job.objects.filter(kind=CHECK, slot=slot.name).first()
    if there is not None:
        return there
    installed = installed_at()
    if installed is None or installed > slot.due_at:
        return None
    title = f"Expiry notices of {slot.date:%B} {slot.date.day}, {slot.date.year}"
    return start_job(kind=CHECK, key="all", slot=slot.name, title=title, at=at, announce=announce)


def run_check(run: JobRun) -> dict[str, Any]:
    """Log what expires soon, and send the digest to each person who wants it; nobody gets that of a day twice.

    Who comes next is written down before the mail goes out: a worker that is killed in between has sent it or not,
    nobody knows, so that person is named as unsure and not written to again.
    """
    found = count_expiring(at=run.as_of)
    _log(run.job, found)
    readers = list(digest_readers()) if found.notices else []
    sent = run.cursor.setdefault("digests", {"last": 0, "trying": None, "sent": 0, "failed": [], "unsure": []})
    losses = top_losses(at=run.as_of) if readers else []
    with run.chunk():
        run.stage = "Sending digests"
        run.total = len(readers)
        if sent["trying"]:
            sent["unsure"].append(sent["trying"])
            sent["trying"] = None
    for reader in readers:
        if reader.pk <= sent["last"]:
            continue
        with run.chunk():
            sent["last"], sent["trying"] = reader.pk, reader.get_username()
        failure = _send_digest(run.job, reader, found, losses)
        with run.chunk():
            sent["trying"] = None
            run.done += 1
            if failure:
                sent["failed"].append(failure)
            else:
                sent["sent"] += 1
    return {
        "expiring": sum(one.leads for one in found.tags),
        "by_tag": [f"{one.tag} {one.leads:,} within {one.days:,} day{'s' * (one.days != 1)}" for one in found.tags],
        "digests_sent": sent["sent"],
        "digests_failed": sent["failed"],
        "perhaps_not_sent": sent["unsure"],
    }


def _log(job: Job, found: Notices) -> None:
    by_tag = "; ".join(f"{one.tag}: {one.leads:,} within {one.days:,} day{'s' * (one.days != 1)}" for one in found.tags)
    logger.info("%s (job %s): %s", job.title, job.pk, by_tag or "nothing expires soon")


def digest_readers() -> QuerySet[User]:
    """Active people who want the digest, may see leads and have an address, in the order of their ids."""
    readers = User.objects.with_perm("leads.view_lead", backend="django.contrib.auth.backends.ModelBackend")
    return readers.filter(wants_digest=True).exclude(email="").order_by("pk").distinct()


def _send_digest(job: Job, reader: User, found: Notices, losses: list[Loss]) -> str:
    """Send one digest; "" when it went out, else whose failed and why. What went wrong for one stops no other."""
    try:
        digest_for(reader, found=found, losses=losses).send()
    except Exception as error:
        logger.warning("job %s: the digest for %s could not be sent: %s", job.pk, reader.get_username(), error)
        # The text of an error may hold the address, which is nobody else's business; the log has it.
        return f"{reader.get_username()} ({type(error).__name__})"
    return ""


def digest_for(reader: User, *, found: Notices, losses: list[Loss]) -> EmailMessage:
    """The mail to one person, with days in that person's time zone."""
    context = {"reader": reader, "found": found, "losses": losses, "base": settings.BASE_URL}
    with timezone.override(zone_of(reader)):
        text = render_to_string("tags/digest.txt", context)
    number = sum(one.leads for one in found.tags)
    subject = f"LeadScore: {number:,} tag{'' if number == 1 else 's'} on leads expire{'s' if number == 1 else ''} soon"
    return EmailMessage(subject, text, None, [reader.email])
