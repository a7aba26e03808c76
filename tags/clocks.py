"""How far the clock of an assignment has run, in words and as a share: what the bar on the lead page shows."""

import datetime as dt
from dataclasses import dataclass

from tags.models import LeadTag

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """An assignment at a moment. `share_left`: of its time, 0 to 1; None where it never ends. `left`: in words."""

    lead_tag: LeadTag
    has_expired: bool
    is_expiring: bool
    left: str
    share_left: float | None

    @classmethod
    def of(cls, lead_tag: LeadTag, at: dt.datetime) -> "Clock":
        ends_at, has_expired = lead_tag.expiration_at, lead_tag.has_expired(at)
        runs = ends_at is not None and not has_expired
        return cls(
            lead_tag=lead_tag,
            has_expired=has_expired,
            is_expiring=lead_tag.is_expiring(at),
            left=in_words(ends_at - at) if runs and ends_at else "",
            share_left=min(1.0, (ends_at - at) / (ends_at - lead_tag.assigned_at)) if runs and ends_at else None,
        )


def in_words(left: dt.timedelta) -> str:
    """Time that is left, in whole days of 24 hours; the last one in hours."""
    for unit, name in ((DAY, "day"), (HOUR, "hour")):
        if left >= unit:
            number = left // unit
            return f"{number:,} {name}{'' if number == 1 else 's'} left"
    return "less than an hour left"
