import datetime as dt
from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of
from leads.models import Lead
from leads.views import show_panel
from scoring.operations import start_recalculation
from scoring.queries import CapLine, Explanation, Line, explain_score


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


@require_POST
@needs("scoring.recalculate_scores")
def recalculate(request: HtmxHttpRequest) -> HttpResponse:
    """Score every lead anew; while that runs already, show that run."""
    return redirect(start_recalculation(at=timezone.now(), by=person_of(request)))
