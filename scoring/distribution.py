"""How the scores of all leads lie, and the best of them; kept in the cache for half a minute."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from django.core.cache import cache
from django.db.models import Max, Min
from django.urls import reverse

from leads.models import Lead
from scoring.sql import distribution as statement
from scoring.what_if import nice_width
from tags.lead_pages import live_tags_of, with_every_tag
from tags.models import Tag

KEPT = dt.timedelta(seconds=30)
THRESHOLD = 1000
TOP = 100
MOST_TAGS = 10
SHAPE = 1  # of what is kept; raised when a dataclass below changes, so that an upgrade reads nothing old


class Kept(Protocol):
    @property
    def as_of(self) -> dt.datetime: ...


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Leads with a score in [low, high)."""

    low: int
    high: int
    leads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Leads that carry so many live tags (the highest number: so many or more), and their average score."""

    tags: int
    leads: int
    average: float

    @property
    def is_open(self) -> bool:
        return self.tags == MOST_TAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The scores of all leads, or of those with one live tag, as they lay at `as_of`.

    Bins follow each other without a gap and are those of all leads whatever the tag, so that pictures compare.
    """

    as_of: dt.datetime
    leads: int
    average: float | None
    median: float | None
    lowest: int | None
    highest: int | None
    threshold: int
    at_or_above: int
    bin_width: int
    bins: list[Bin]
    stacks: list[Stack]

    @property
    def share_at_or_above(self) -> float | None:
        """0 to 1."""
        return self.at_or_above / self.leads if self.leads else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopTag:
    name: str
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLead:
    """One of the best leads, with its live tags, the weightiest first."""

    pk: int
    title: str
    city: str
    state: str
    zip: str
    score: int
    tags: list[TopTag]

    def get_absolute_url(self) -> str:
        return reverse("leads:detail", args=[self.pk])


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLeads:
    as_of: dt.datetime
    leads: list[TopLead]


def score_distribution(*, at: dt.datetime, tag: Tag | None = None, threshold: int = THRESHOLD) -> Distribution:
    """How the scores lie, at most half a minute old; the same for everybody who may see leads."""
    return _kept(f"distribution:{tag.pk if tag else 'all'}:{threshold}", at, lambda: _distribution(at, tag, threshold))


def top_leads(*, at: dt.datetime, tag: Tag | None = None) -> TopLeads:
    """The hundred best leads, or the best of those with a tag; at most half a minute old."""
    return _kept(f"top:{tag.pk if tag else 'all'}", at, lambda: _top_leads(at, tag))


def _kept(key: str, at: dt.datetime, compute: Callable[[], K]) -> K:
    """What was computed within the last half minute before `at`, else anew. Without a cache it is always anew."""
    key = f"scores:{SHAPE}:{key}"
    found: K | None = cache.get(key)
    # The age counts by the clock passed in; one that stands in the future comes from a clock that was put back.
    if found is not None and dt.timedelta(0) <= at - found.as_of < KEPT:
        return found
    fresh = compute()
    cache.set(key, fresh, timeout=KEPT.total_seconds())
    return fresh


def _distribution(at: dt.datetime, tag: Tag | None, threshold: int) -> Distribution:
    tag_id = tag.pk if tag else None
    ends = Lead.objects.aggregate(lowest=Min("score"), highest=Max("score"))  # both ends of lead_by_score
    lowest, highest = min(ends["lowest"] or 0, 0), max(ends["highest"] or 0, 0)
    width = nice_width(highest - lowest)
    found = statement.scores(tag_id=tag_id, threshold=threshold, width=width)
    counts = dict(found.bins)
    # Leads may have moved since their ends were read.
    first, last = min([lowest // width, *counts]), max([highest // width, *counts])
    return Distribution(
        as_of=at,
        leads=found.leads,
        average=found.average,
        median=found.median,
        lowest=found.lowest,
        highest=found.highest,
        threshold=threshold,
        at_or_above=found.at_or_above,
        bin_width=width,
        bins=[
            Bin(low=number * width, high=(number + 1) * width, leads=counts.get(number, 0))
            for number in range(first, last + 1)
        ],
        stacks=[
            Stack(tags=tags, leads=leads, average=average)
            for tags, leads, average in statement.stacks(tag_id=tag_id, most=MOST_TAGS)
        ],
    )


def _top_leads(at: dt.datetime, tag: Tag | None) -> TopLeads:
    """Index: lead_by_score from the top; of a tag, leadtag_unique beside it or leadtag_by_tag where it is rare."""
    chosen = with_every_tag(Lead.objects.all(), "tags", [tag] if tag else [])
    leads = list(chosen.order_by("-score", "id")[:TOP])
    tags = live_tags_of([lead.pk for lead in leads])
    return TopLeads(
        as_of=at,
        leads=[
            TopLead(
                pk=lead.pk,
                title=lead.title,
                city=lead.city,
                state=lead.state,
                zip=lead.zip,
                score=lead.score,
                tags=[TopTag(name=one.name, color=one.color) for one in tags.get(lead.pk, [])],
            )
            for lead in leads
        ],
    )
