import datetime as dt
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.models import Job
from leads.models import Lead
from leads.views import show_panel
from scoring.curves import histogram, step_curve
from scoring.distribution import THRESHOLD, Bin, score_distribution, top_leads
from scoring.forms import DistributionForm
from scoring.operations import start_recalculation
from scoring.queries import (
    FORECAST_DAYS,
    HISTORY_ROWS,
    CapLine,
    Explanation,
    Line,
    explain_score,
    forecast_score,
    score_history,
)

LEAST_SPAN = dt.timedelta(minutes=1)  # of the picture of the past


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One bar of the waterfall: where it begins and how wide it is, in percent of the whole scale."""

    line: Line | None
    cap_line: CapLine | None
    points: int
    left: str
    width: str


@require_safe
@needs("leads.view_lead")
def lead_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    lead = get_object_or_404(Lead, pk=pk)
    explanation = explain_score(lead=lead, now=timezone.now())
    context = {
        "explanation": explanation,
        "steps": waterfall(explanation),
        "next_change_at": next_change(explanation),
    }
    return show_panel(request, "scoring/lead_panel.html", lead, "score", context)


def next_change(explanation: Explanation) -> dt.datetime | None:
    return min((line.next_change_at for line in explanation.lines if line.next_change_at), default=None)


def waterfall(explanation: Explanation) -> list[Step]:
    """The lines and caps one after the other, each beginning where the one before it ended."""
    order = {line.group: position for position, line in enumerate(explanation.lines)}
    parts: list[Line | CapLine] = sorted(
        [*explanation.lines, *explanation.cap_lines],
        # A cap follows the last line of its group.
        key=lambda part: (order[part.group], 1) if isinstance(part, CapLine) else (explanation.lines.index(part), 0),
    )
    ends, total = [0], 0
    for part in parts:
        total += part.points
        ends.append(total)
    low, high = min(ends), max(ends)
    span = max(high - low, 1)
    return [
        Step(
            line=part if isinstance(part, Line) else None,
            cap_line=part if isinstance(part, CapLine) else None,
            points=part.points,
            left=f"{100 * (min(before, after) - low) / span:.2f}%",
            width=f"{100 * abs(after - before) / span:.2f}%",
        )
        for part, before, after in zip(parts, ends, ends[1:], strict=False)
    ]


@require_safe
@needs("leads.view_lead")
def forecast_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What time alone will do to the score."""
    lead = get_object_or_404(Lead, pk=pk)
    at = timezone.now()
    until = at + dt.timedelta(days=FORECAST_DAYS)
    today, *turns = forecast_score(lead=lead, at=at)
    context = {
        "days": FORECAST_DAYS,
        "today": today,
        "turns": [point for point in turns if point.turns],
        "last": turns[-1] if turns else today,
        "curve": step_curve(steps=[(point.at, point.score) for point in (today, *turns)], first=at, last=until),
        "later_at": lead.rescore_at if lead.rescore_at and lead.rescore_at > until else None,
    }
    return show_panel(request, "scoring/forecast_panel.html", lead, "forecast", context)


@require_safe
@needs("leads.view_lead")
def history_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """How the score came to be what it is."""
    lead = get_object_or_404(Lead, pk=pk)
    at = timezone.now()
    changes = score_history(lead=lead)
    curve = None
    if changes:
        first, last = changes[-1].at, max(at, changes[0].at)
        span = max(last - first, LEAST_SPAN)
        # Some room before the first change, so that one sees where it came from.
        first = last - span * 1.08
        steps = [(first, changes[-1].from_score), *((change.at, change.to_score) for change in reversed(changes))]
        curve = step_curve(steps=steps, first=first, last=last)
    may_see_jobs = person_of(request).has_perm("jobs.view_job")
    job_ids = {change.job_id for change in changes if change.job_id} if may_see_jobs else set()
    jobs = Job.objects.in_bulk(job_ids)
    context = {
        "rows": [
            {"change": change, "points": change.to_score - change.from_score, "job": jobs.get(change.job_id or 0)}
            for change in changes
        ],
        "curve": curve,
        "may_see_jobs": may_see_jobs,
        "is_cut": len(changes) == HISTORY_ROWS,
        "count": HISTORY_ROWS,
    }
    return show_panel(request, "scoring/history_panel.html", lead, "history", context)


@require_POST
@needs("scoring.recalculate_scores")
def recalculate(request: HtmxHttpRequest) -> HttpResponse:
    """Score every lead anew; while that runs already, show that run."""
    return redirect(start_recalculation(at=timezone.now(), by=person_of(request)))


@require_safe
@needs("leads.view_lead")
def distribution(request: HtmxHttpRequest) -> HttpResponse:
    """How the scores of all leads lie, and the best of them; what was asked for stands in the address."""
    form = DistributionForm(request.GET)
    tag, threshold = form.asked()
    at = timezone.now()
    found = score_distribution(at=at, tag=tag, threshold=threshold)
    tagged = [("tags", tag.pk)] if tag else []

    def leads_with(*scores: tuple[str, int]) -> str:
        query = urlencode([*tagged, *scores])
        return f"{reverse('leads:list')}?{query}" if query else reverse("leads:list")

    def leads_in(bin_: Bin) -> str:
        return leads_with(("score_min", bin_.low), ("score_max", bin_.high - 1))

    context = {
        "form": form,
        "problems": [(form.fields[name].label, notes[0]) for name, notes in form.errors.items()],
        "tag": tag,
        "threshold": threshold,
        "found": found,
        "percent": None if found.share_at_or_above is None else 100 * found.share_at_or_above,
        "picture": histogram(found=found, link=leads_in),
        "most_stacked": max((stack.leads for stack in found.stacks), default=0),
        "top": top_leads(at=at, tag=tag),
        "all_link": leads_with(),
        "good_link": leads_with(("score_min", threshold)),
    }
    response = show(request, "scoring/distribution.html", context, part="results")
    if wants_part(request):
        asked = [*([("tag", tag.pk)] if tag else []), *([("threshold", threshold)] if threshold != THRESHOLD else [])]
        response["HX-Push-Url"] = f"{request.path}?{urlencode(asked)}" if asked else request.path
    return response
