"""Reads: the explanation of a score, its past and its future, and the check that stored scores are right."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.models import Job
from leads.models import Lead
from scoring.models import ScoreChange
from scoring.nightly import NIGHTLY
from scoring.operations import RECALCULATE, drain_leads
from scoring.sql import passes, reads
from tags.models import RuleChange
from tags.operations import APPLY_RULE_CHANGE

VERIFY_RANGE = 100_000
FORECAST_DAYS = 90
HISTORY_ROWS = 200


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
    rows = reads.explain(lead_id=lead.pk, moments=[moment])
    lines = _lines(rows)
    cap_lines = _cap_lines(rows)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines of one lead at a moment; with the cap lines they add up to `total`."""

    total: int
    lines: list[Line]
    cap_lines: list[CapLine]


def explain_many(*, lead_ids: Sequence[int], at: dt.datetime) -> dict[int, Lines]:
    """What each lead's score is made of at `at`, in one read: {lead id: lines}, also for leads without a tag."""
    rows_of: dict[int, list[dict[str, Any]]] = {lead_id: [] for lead_id in lead_ids}
    for row in reads.explain_leads(lead_ids=list(rows_of), moments=[at]):
        rows_of[row["lead_id"]].append(row)
    found = {}
    for lead_id, rows in rows_of.items():
        lines, cap_lines = _lines(rows), _cap_lines(rows)
        total = sum(line.points for line in lines) + sum(line.points for line in cap_lines)
        found[lead_id] = Lines(total=total, lines=lines, cap_lines=cap_lines)
    return found


def _lines(rows: list[dict[str, Any]]) -> list[Line]:
    return [
        Line(
            tag_id=row["tag_id"],
            tag=row["name"],
            color=row["color"],
            base_score=row["base_score"],
            percent=row["percent"],
            points=row["points"],
            assigned_at=row["assigned_at"],
            expiration_at=row["expiration_at"],
            age_days=(row["at"] - row["assigned_at"]).days,
            is_expired=row["is_expired_now"],
            is_counted=row["step"] > 0 and not row["is_archived"],
            next_change_at=row["next_at"],
            group=row["group_name"] or "",
        )
        for row in rows
    ]


def _cap_lines(rows: list[dict[str, Any]]) -> list[CapLine]:
    caps: dict[str, int] = {row["group_name"]: row["cap"] for row in rows if row["cap"] is not None}
    sums = {name: sum(row["points"] for row in rows if row["group_name"] == name) for name in caps}
    return [CapLine(group=name, cap=cap, points=cap - sums[name]) for name, cap in caps.items() if sums[name] > cap]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing that happens to a lead's score by time alone: what, and by how many points."""

    tag: str
    color: str
    what: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPoint:
    """The score from a moment on, and the turns that made it so; they add up to the change from the point before."""

    at: dt.datetime
    score: int
    change: int
    turns: list[Turn]


def forecast_score(*, lead: Lead, at: dt.datetime, days: int = FORECAST_DAYS) -> list[ForecastPoint]:
    """The score over the next days under today's rules and tags; the first point is the score at `at`."""
    until = at + dt.timedelta(hours=24 * days)
    moments = [at, *reads.moments_of_change(lead_id=lead.pk, after=at, until=until)]
    rows_at: dict[dt.datetime, list[dict[str, Any]]] = {moment: [] for moment in moments}
    for row in reads.explain(lead_id=lead.pk, moments=moments):
        rows_at[row["at"]].append(row)
    points: list[ForecastPoint] = []
    before: list[dict[str, Any]] = []
    for moment, rows in rows_at.items():
        caps = _cap_lines(rows)
        score = sum(row["points"] for row in rows) + sum(cap.points for cap in caps)
        turns = _turns(before, rows, caps) if points else []
        points.append(
            ForecastPoint(at=moment, score=score, change=score - points[-1].score if points else 0, turns=turns)
        )
        before = rows
    return points


def _turns(before: list[dict[str, Any]], rows: list[dict[str, Any]], caps: list[CapLine]) -> list[Turn]:
    """What differs between two moments: each tag that moved, then what caps give back or take."""
    was = {row["tag_id"]: row for row in before}
    turns = []
    for row in rows:
        old = was[row["tag_id"]]
        if (row["step"], row["is_expired_now"]) == (old["step"], old["is_expired_now"]):
            continue
        if row["is_expired_now"] and not old["is_expired_now"]:
            what = "expires"
        elif not old["step"]:
            what = "starts to count"
        else:
            what = f"fades to {row['percent']}%"
        turns.append(Turn(tag=row["name"], color=row["color"], what=what, points=row["points"] - old["points"]))
    old_caps = {cap.group: cap.points for cap in _cap_lines(before)}
    new_caps = {cap.group: cap.points for cap in caps}
    for group in sorted(old_caps.keys() | new_caps.keys()):
        if change := new_caps.get(group, 0) - old_caps.get(group, 0):
            what = "gives back" if change > 0 else "takes"
            turns.append(Turn(tag=f"Cap of {group}", color="", what=what, points=change))
    return turns


def score_history(*, lead: Lead, count: int = HISTORY_ROWS) -> list[ScoreChange]:
    """The newest changes of a lead's score, newest first. Index: scorechange_by_lead."""
    return list(ScoreChange.objects.filter(lead_id=lead.pk).order_by("-at", "-id")[:count])


def verify_scores(*, at: dt.datetime) -> dict[str, int]:
    """Recompute every score without writing: leads, differences, due, newer, pending."""
    totals = dict.fromkeys(("leads", "differences", "due", "newer", "pending"), 0)
    for after, upto in passes.range_bounds(leads=VERIFY_RANGE):
        for name, count in passes.verify_range(first=after + 1, last=upto, at=at).items():
            totals[name] += count
    return totals


def recent_runs(*, count: int = 50) -> list[Job]:
    """The newest full recalculations, nightly runs and rule changes, newest first. Index: job_by_kind, once a kind."""
    newest: list[Job] = []
    for kind in (RECALCULATE, NIGHTLY, APPLY_RULE_CHANGE):
        newest += Job.objects.filter(kind=kind).newest_first().select_related("created_by")[:count]
    return sorted(newest, key=lambda job: -job.pk)[:count]
