from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from leads.models import Lead
from leads.views import show_panel
from tags.clocks import Clock
from tags.models import LeadTag, Tag
from tags.notices import banner_for, hide_banner, show_banner
from tags.operations import assign_tag, remove_tag


@require_safe
@needs("leads.view_lead", "tags.view_tag")
def lead_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return _panel(request, get_object_or_404(Lead, pk=pk))


def _panel(request: HtmxHttpRequest, lead: Lead, *, problem: str = "", status: int = 200) -> HttpResponse:
    at = timezone.now()
    kept = [
        Clock.of(lead_tag, at)
        for lead_tag in LeadTag.objects.kept()
        .filter(lead=lead)
        .select_related("tag")
        .order_by("-tag__base_score", "tag__name")
    ]
    may_assign = person_of(request).has_perm("tags.assign_tag")
    live = {clock.lead_tag.tag_id for clock in kept if not clock.has_expired}
    context = {
        "clocks": sorted(kept, key=lambda clock: clock.has_expired),
        "may_assign": may_assign,
        "choices": Tag.objects.active().exclude(pk__in=live) if may_assign else (),
        "problem": problem,
    }
    return show_panel(request, "tags/lead_panel.html", lead, "tags", context, status=status)


def _done(request: HtmxHttpRequest, lead: Lead) -> HttpResponse:
    if not wants_part(request):
        return redirect(lead)
    response = _panel(request, lead)
    response["HX-Trigger"] = "lead-changed"  # the other panels of the page load again
    return response


@require_POST
@needs("leads.view_lead")
def hide_expiring(request: HtmxHttpRequest) -> HttpResponse:
    """Put the banner of expiring tags away until tomorrow."""
    hide_banner(person=person_of(request), at=timezone.now())
    return show(request, "tags/_banner_hidden.html", {}) if wants_part(request) else redirect("leads:list")


@require_POST
@needs("leads.view_lead")
def show_expiring(request: HtmxHttpRequest) -> HttpResponse:
    """Take the banner out again."""
    show_banner(person=person_of(request))
    if not wants_part(request):
        return redirect("leads:list")
    found = banner_for(person_of(request), timezone.now())
    return show(request, "tags/_banner.html", {"value": found}) if found else HttpResponse()


@require_POST
@needs("tags.assign_tag")
def assign(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Put the chosen tag on a lead."""
    lead = get_object_or_404(Lead, pk=pk)
    chosen = request.POST.get("tag", "")
    tag = Tag.objects.active().filter(pk=int(chosen)).first() if chosen.isascii() and chosen.isdigit() else None
    if tag is None:
        problem = "Choose a tag first." if not chosen else "That tag is not there any more; choose another."
        return _panel(request, lead, problem=problem, status=422)
    assign_tag(lead_id=lead.pk, tag=tag, at=timezone.now())
    return _done(request, lead)


@require_POST
@needs("tags.assign_tag")
def remove(request: HtmxHttpRequest, pk: int, tag_id: int) -> HttpResponse:
    """Take a tag off a lead; its row is kept."""
    lead = get_object_or_404(Lead, pk=pk)
    remove_tag(lead_id=lead.pk, tag=get_object_or_404(Tag, pk=tag_id), at=timezone.now())
    return _done(request, lead)
