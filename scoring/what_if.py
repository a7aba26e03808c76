"""What a change of rules would do before it is made: leads touched, how they move, who crosses a line."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.ranges import in_threads
from leads.models import Lead
from scoring.sql import what_if as statement
from scoring.sql.passes import range_bounds
from tags.models import Tag, TagGroup

BINS = 30
RANGE_LEADS = 100_000
MANY = 0.05  # share of all assignments from which reading every one is cheaper than looking leads up


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    lead: Lead
    before: int
    after: int

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Leads with a score in [low, high) before and after."""

    low: int
    high: int
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Only leads that carry a touched tag are counted. Crossing: from below the threshold to it or above, and back."""

    at: dt.datetime
    leads: int
    rising: int
    falling: int
    threshold: int
    crossing_up: int
    crossing_down: int
    risers: list[Mover]
    fallers: list[Mover]
    bins: list[Bin]

    @property
    def moving(self) -> int:
        return self.rising + self.falling


def what_if(
    *,
    proposed: Sequence[Tag | TagGroup],
    at: dt.datetime,
    threshold: int = 1000,
    retroactive_tag_ids: Sequence[int] = (),
) -> WhatIf:
    """The effect of putting the proposed rules (unsaved) in the place of today's; nothing is written.

    `retroactive_tag_ids`: tags whose running assignments would get their expiration anew from the proposed days.
    A tag or group without a primary key touches nobody yet.
    """
    tags = {tag.pk: tag for tag in Tag.objects.all()}
    groups = {group.pk: group for group in TagGroup.objects.all()}
    today = dict(tags)
    tags.update((rule.pk, rule) for rule in proposed if isinstance(rule, Tag) and rule.pk)
    groups.update((rule.pk, rule) for rule in proposed if isinstance(rule, TagGroup) and rule.pk)
    touched = {rule.pk for rule in proposed if isinstance(rule, Tag) and rule.pk}
    changed_groups = {rule.pk for rule in proposed if isinstance(rule, TagGroup) and rule.pk}
    for rules in (today, tags):  # a tag may join a group, or leave it, as that changes
        touched.update(pk for pk, tag in rules.items() if tag.group_id in changed_groups)
    width = _bin_width()
    compared = _compare(tags, groups, touched, set(retroactive_tag_ids), at, threshold, width)
    leads = Lead.objects.in_bulk([row[0] for row in (*compared.risers, *compared.fallers)])

    def movers(rows: list[tuple[int, int, int]]) -> list[Mover]:
        return [Mover(lead=leads[pk], before=before, after=after) for pk, before, after in rows if pk in leads]

    return WhatIf(
        at=at,
        leads=compared.leads,
        rising=compared.rising,
        falling=compared.falling,
        threshold=threshold,
        crossing_up=compared.crossing_up,
        crossing_down=compared.crossing_down,
        risers=movers(compared.risers),
        fallers=movers(compared.fallers),
        bins=[
            Bin(low=bin_ * width, high=(bin_ + 1) * width, before=before, after=after)
            for bin_, before, after in compared.bins
        ],
    )


def _compare(
    tags: dict[int, Tag],
    groups: dict[int, TagGroup],
    touched: set[int],
    retroactive: set[int],
    at: dt.datetime,
    threshold: int,
    width: int,
) -> statement.Compared:
    tag_rows: list[dict[str, Any]] = [
        {
            "id": tag.pk,
            "base_score": tag.base_score,
            "expiration_days": tag.expiration_days,
            "decay_steps": tag.decay_steps,
            "expired_percent": tag.expired_percent,
            "is_archived": tag.is_archived,
            "group_id": tag.group_id,
            "is_retroactive": tag.pk in retroactive,
        }
        for tag in tags.values()
    ]
    group_rows = [{"id": group.pk, "cap": group.cap} for group in groups.values()]
    params = {"at": at, "touched": sorted(touched), "threshold": threshold, "width": width}
    compare = partial(statement.compare, params=params, tags=tag_rows, groups=group_rows)
    if statement.share_of_carriers(tag_ids=sorted(touched)) <= MANY:
        return compare()
    ranges = range_bounds(leads=RANGE_LEADS)
    found = in_threads([partial(compare, bounds=bounds) for bounds in ranges])
    return sum(found[1:], start=found[0]) if found else compare()


def _bin_width() -> int:
    """Points of a bin, a round number, so that today's scores fill about BINS of them. Index: lead_by_score."""
    highest = Lead.objects.order_by("-score").values_list("score", flat=True).first() or 0
    lowest = Lead.objects.order_by("score").values_list("score", flat=True).first() or 0
    return nice_width(highest - min(lowest, 0))


def nice_width(span: int, bins: int = BINS) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... points with which `bins` bins cover the span."""
    width, factor = 1, 1
    while True:
        for step in (1, 2, 5):
            width = step * factor
            if width * bins >= span:
                return width
        factor *= 10
