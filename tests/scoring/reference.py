"""The score in plain Python, read off the rules: the oracle that the SQL is held against."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

from leads.models import Lead
from tags.models import LeadTag, Tag

DAY = dt.timedelta(hours=24)


def percent_of(tag: Tag, lead_tag: LeadTag, at: dt.datetime) -> int:
    """Percent of the base that is left at `at`."""
    age = at - lead_tag.assigned_at
    percent = 100
    for days, left in tag.decay_steps:
        if days * DAY <= age:
            percent = left
    if lead_tag.expiration_at is not None and at >= lead_tag.expiration_at:
        percent = min(percent, tag.expired_percent)
    return percent


def points_of(tag: Tag, lead_tag: LeadTag, at: dt.datetime) -> int:
    if lead_tag.removed_at is not None or tag.is_archived or lead_tag.assigned_at > at:
        return 0
    exact = Decimal(tag.base_score * percent_of(tag, lead_tag, at)) / 100
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def score_of(lead: Lead, at: dt.datetime) -> int:
    """Ungrouped points plus groups, each at most its cap."""
    score = 0
    sums: dict[int, int] = {}
    caps: dict[int, int] = {}
    for lead_tag in LeadTag.objects.filter(lead=lead).select_related("tag__group"):
        tag = lead_tag.tag
        points = points_of(tag, lead_tag, at)
        if tag.group is not None and tag.group.cap is not None:
            sums[tag.group.pk] = sums.get(tag.group.pk, 0) + points
            caps[tag.group.pk] = tag.group.cap
        else:
            score += points
    return score + sum(min(total, caps[group]) for group, total in sums.items())


def next_change_of(lead: Lead, at: dt.datetime) -> dt.datetime | None:
    """The earliest start, step or expiration still ahead."""
    ahead = []
    for lead_tag in LeadTag.objects.filter(lead=lead, removed_at=None).select_related("tag"):
        moments = [lead_tag.assigned_at, lead_tag.expiration_at]
        moments += [lead_tag.assigned_at + days * DAY for days, _ in lead_tag.tag.decay_steps]
        ahead += [moment for moment in moments if moment is not None and moment > at]
    return min(ahead, default=None)
