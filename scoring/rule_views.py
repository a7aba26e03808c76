"""What proposed rules would do, for the pages of tags; they load it by htmx."""

import datetime as dt
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from scoring.what_if import Bin, WhatIf, what_if
from tags.expiration_forms import sum_of_counts
from tags.expirations import preview_expirations
from tags.forms import MAX_REASON
from tags.proposals import Proposal, ProposalRefused, read_proposal

# The picture's box and the part of it that holds the bars.
LEFT, RIGHT, TOP, BOTTOM = 8, 712, 14, 176


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Two bars of the histogram side by side: leads before and after, in units of the picture."""

    bin: Bin
    x: str
    x_after: str
    width: str
    y_before: str
    before: str
    y_after: str
    after: str
    label: str
    label_x: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    columns: list[Column]
    threshold_x: str
    most: int


@require_safe
@needs("leads.view_lead", "tags.view_tag")
def what_if_panel(request: HtmxHttpRequest) -> HttpResponse:
    """The effect of the rules in the address, and the form that publishes just these."""
    try:
        proposal = read_proposal(request.GET)
    except ProposalRefused as refusal:
        return show(request, "scoring/what_if.html", {"refusal": str(refusal)}, part="panel", status=422)
    if not person_of(request).has_perms(proposal.rights):
        raise PermissionDenied
    at = timezone.now()
    effect = effect_of(proposal, at)
    assignments = preview_expirations(changes=proposal.expirations, at=at)
    tags = {rule.pk: rule for rule in proposal.rules}
    context = {
        "proposal": proposal,
        "effect": effect,
        "assignments": sum_of_counts(assignments),
        "by_tag": [
            (tags[change.tag_id], change, counts)
            for change, counts in zip(proposal.expirations, assignments, strict=True)
        ],
        "is_retroactive": any(change.is_retroactive for change in proposal.expirations),
        "histogram": histogram(effect),
        "max_reason": MAX_REASON,
    }
    return show(request, "scoring/what_if.html", context, part="panel")


def effect_of(proposal: Proposal, at: dt.datetime) -> WhatIf:
    """What a proposal does to scores, its effect on running assignments included."""
    retroactive = [change.tag_id for change in proposal.expirations if change.is_retroactive]
    return what_if(proposed=proposal.rules, at=at, threshold=proposal.threshold, retroactive_tag_ids=retroactive)


@require_safe
@needs("leads.view_lead", "tags.view_tag")
def moves(request: HtmxHttpRequest) -> HttpResponse:
    """Only how many scores would move, as one types; nothing while what is typed is not sound."""
    if not wants_part(request):
        return redirect(f"{reverse('scoring:what-if')}?{request.GET.urlencode()}")
    try:
        proposal = read_proposal(request.GET)
    except ProposalRefused:
        return show(request, "scoring/_moves.html", {})
    if not person_of(request).has_perms(proposal.rights):
        raise PermissionDenied
    return show(request, "scoring/_moves.html", {"effect": effect_of(proposal, timezone.now())})


def histogram(effect: WhatIf) -> Histogram | None:
    """The bins as bars over one scale; None when no lead is touched. Bins without leads keep their place."""
    if not effect.bins:
        return None
    width = effect.bins[0].high - effect.bins[0].low
    low, high = effect.bins[0].low, effect.bins[-1].high
    slots = (high - low) // width
    most = max(max(part.before, part.after) for part in effect.bins)
    slot = (RIGHT - LEFT) / slots
    bar = max(slot * 0.42, 0.6)
    every = max(1, -(-slots // 8))  # about eight labels fit

    def tall(leads: int) -> float:
        """At least a hair where there is a lead at all."""
        return max((BOTTOM - TOP) * leads / most, 1.0) if leads else 0.0

    columns = []
    for part in effect.bins:
        number = (part.low - low) // width
        x = LEFT + slot * number
        columns.append(
            Column(
                bin=part,
                x=f"{x + slot * 0.06:.2f}",
                x_after=f"{x + slot * 0.52:.2f}",
                width=f"{bar:.2f}",
                y_before=f"{BOTTOM - tall(part.before):.2f}",
                before=f"{tall(part.before):.2f}",
                y_after=f"{BOTTOM - tall(part.after):.2f}",
                after=f"{tall(part.after):.2f}",
                label=f"{part.low:,}" if number % every == 0 else "",
                label_x=f"{x:.2f}",
            )
        )
    is_inside = low <= effect.threshold <= high
    threshold_x = f"{LEFT + slot * (effect.threshold - low) / width:.2f}" if is_inside else ""
    return Histogram(columns=columns, threshold_x=threshold_x, most=most)
