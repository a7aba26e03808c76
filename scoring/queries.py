"""Reads: the explanation of a score, and the check that stored scores are right."""

import datetime as dt
from dataclasses import dataclass

from leads.models import Lead
from scoring import sql
from scoring.operations import drain_leads
from tags.models import RuleChange

VERIFY_RANGE = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One assignment: its base, what is left of it, and when that next changes. Points are whole."""

    tag_id: int
    tag: str
    color: str
    base_score: int
    percent: int
    points: int
    assigned_at: dt.datetime
    expiration_at: dt.datetime | None
    age_days: int
    is_expired: bool
    is_counted: bool
    next_change_at: dt.datetime | None
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapLine:
    """What a group's cap takes away: cap minus the sum of its points."""

    group: str
    cap: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Lines and cap lines add up to `total`; without a moment asked for, `total` is the stored score."""

    at: dt.datetime
    total: int
    stored_score: int
    scored_at: dt.datetime | None
    pending: bool
    lines: list[Line]
    cap_lines: list[CapLine]


def explain_score(*, lead: Lead, now: dt.datetime, at: dt.datetime | None = None) -> Explanation:
    """Why this score. Without `at` a due lead is drained first; with it, today's rules at that moment."""
    if at is None:
        drain_leads(lead_ids=[lead.pk], at=now)
    lead.refresh_from_db(fields=["score", "scored_at"])
    moment = at or now
    rows = sql.explain(lead_id=lead.pk, at=moment)
    lines = [
        Line(
            tag_id=row["tag_id"],
            tag=row["name"],
            color=row["color"],
            base_score=row["base_score"],
            percent=row["percent"],
            points=row["points"],
            assigned_at=row["assigned_at"],
            expiration_at=row["expiration_at"],
            age_days=(moment - row["assigned_at"]).days,
            is_expired=row["is_expired_now"],
            is_counted=row["step"] > 0 and not row["is_archived"],
            next_change_at=row["next_at"],
            group=row["group_name"] or "",
        )
        for row in rows
    ]
    caps: dict[str, int] = {row["group_name"]: row["cap"] for row in rows if row["cap"] is not None}
    sums = {name: sum(line.points for line in lines if line.group == name) for name in caps}
    cap_lines = [
        CapLine(group=name, cap=cap, points=cap - sums[name]) for name, cap in caps.items() if sums[name] > cap
    ]
    tag_ids = [row["tag_id"] for row in rows]
    return Explanation(
        at=moment,
        total=sum(line.points for line in lines) + sum(line.points for line in cap_lines),
        stored_score=lead.score,
        scored_at=lead.scored_at,
        pending=RuleChange.objects.filter(applied_at__isnull=True, tag_ids__overlap=tag_ids).exists(),
        lines=lines,
        cap_lines=cap_lines,
    )


def verify_scores(*, at: dt.datetime) -> dict[str, int]:
    """Recompute every score without writing: leads, differences, due, newer, pending."""
    totals = dict.fromkeys(("leads", "differences", "due", "newer", "pending"), 0)
    for after, upto in sql.range_bounds(leads=VERIFY_RANGE):
        for name, count in sql.verify_range(first=after + 1, last=upto, at=at).items():
            totals[name] += count
    return totals
