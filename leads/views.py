import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from leads import registry
from leads.filters import LeadFilterSet, lead_filterset
from leads.models import Lead, LeadQuerySet
from leads.queries import (
    DEFAULT_SORT,
    LeadPage,
    bulk_actions,
    known_sort,
    lead_columns,
    lead_page,
    lead_panels,
)
from leads.suppression import NoReason, lift_suppression, suppress_leads, suppressions_of


@require_safe
@needs("leads.view_lead")
def lead_list(request: HtmxHttpRequest) -> HttpResponse:
    """All leads; filters, order and page stand in the address."""
    everything = LeadQuerySet(Lead)
    at = timezone.now()
    filters = lead_filterset(at=at)(request.GET, queryset=everything)
    errors = filters.errors
    sort = known_sort(request.GET.get("sort", ""))
    page = lead_page(leads=filters.qs, sort=sort, page=request.GET.get("page", ""))
    state = _state(request.GET, filters, sort)
    is_filtered = any(name in filters.filters for name, _ in state)
    person = person_of(request)
    context = {
        "actions": [action for action in bulk_actions() if person.has_perm(action.right)],
        "filter_query": urlencode([pair for pair in state if pair[0] != "sort"]),
        "filters": filters,
        "problems": [(filters.form.fields[name].label, notes[0]) for name, notes in errors.items()],
        "page": page,
        "total": everything.count() if is_filtered else page.count,
        "is_filtered": is_filtered,
        "headers": _headers(state, sort),
        "orders": _orders(sort),
        "sort": sort,
        "pager": _pager(state, page),
        "chosen": _chosen(filters, state),
        "asked_beyond": _asked_beyond(request.GET.get("page", ""), page),
        "state": _address(state),
        "hide_search": True,
        "banners": () if wants_part(request) else _banners(request, at),
    }
    response = show(request, "leads/list.html", context, part="results")
    if wants_part(request):
        # The form sends empty fields too; the address should hold only what was chosen.
        asked = [("page", str(page.number))] if page.number > 1 else []
        response["HX-Push-Url"] = _new_address(request, _address([*state, *asked]))
    return response


def _banners(request: HtmxHttpRequest, at: dt.datetime) -> list[tuple[str, Any]]:
    """Template and value of each note above the table that has something to say to this person."""
    found = [(banner.template, banner.fetch(person_of(request), at)) for banner in registry.banners.values()]
    return [(template, value) for template, value in found if value is not None]


def _state(query: QueryDict, filters: LeadFilterSet, sort: str) -> list[tuple[str, str]]:
    """What the address holds besides the page: filters that say something, and the order if it is not the usual."""
    state = [(name, value) for name in filters.filters for value in query.getlist(name) if value.strip()]
    return state if sort == DEFAULT_SORT else [*state, ("sort", sort)]


def _address(state: list[tuple[str, str]]) -> str:
    return f"{reverse('leads:list')}?{urlencode(state)}" if state else reverse("leads:list")


def _new_address(request: HtmxHttpRequest, address: str) -> str:
    """What to push: nothing where the browser stands there already, else Back would need a press more."""
    return "false" if request.htmx.current_url_abs_path == address else address


def _with(state: list[tuple[str, str]], name: str, value: str) -> str:
    return _address([*(pair for pair in state if pair[0] != name), (name, value)])


def _headers(state: list[tuple[str, str]], sort: str) -> list[dict[str, Any]]:
    """Columns with the link that sorts by them: numbers and dates from the top first, words from A."""
    headers = []
    for column in lead_columns():
        order, direction = "", ""
        if column.sort:
            down = f"-{column.sort}"
            if sort in {column.sort, down}:
                direction = "descending" if sort == down else "ascending"
                order = column.sort if sort == down else down
            else:
                order = down if column.is_number or column.key == "created" else column.sort
        link = _with(state, "sort", order) if order else ""
        headers.append({"column": column, "link": link, "sort": order, "direction": direction})
    return headers


def _orders(sort: str) -> list[tuple[str, str]]:
    """The orders a phone offers, where the table has no headers."""
    orders = []
    for column in lead_columns():
        if column.sort:
            up, down = ("lowest", "highest") if column.is_number else ("A first", "Z first")
            if column.key == "created":
                up, down = "oldest", "newest"
            orders += [(f"-{column.sort}", f"{column.label}, {down}"), (column.sort, f"{column.label}, {up}")]
    return orders


def _pager(state: list[tuple[str, str]], page: LeadPage) -> dict[str, Any]:
    """Links to the pages around this one; None stands for a gap."""
    near = {1, page.pages, *range(page.number - 2, page.number + 3)}
    numbers: list[int | None] = []
    for number in sorted(n for n in near if 1 <= n <= page.pages):
        if numbers and numbers[-1] is not None and number > numbers[-1] + 1:
            numbers.append(None)
        numbers.append(number)
    return {
        "links": [(number, _with(state, "page", str(number)) if number else "") for number in numbers],
        "previous": _with(state, "page", str(page.number - 1)) if page.number > 1 else "",
        "next": _with(state, "page", str(page.number + 1)) if page.number < page.pages else "",
    }


def _chosen(filters: LeadFilterSet, state: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Each filter in force, in words, with the address that is left without it."""
    chosen = []
    for pair in state:
        name, value = pair
        if name == "sort" or name in filters.errors:
            continue
        label, words = filters.in_words(name, value)
        chosen.append(
            {"label": label, "value": words, "without": _address([other for other in state if other != pair])}
        )
    return chosen


def _asked_beyond(asked: str, page: LeadPage) -> str:
    return asked[:20] if asked.strip() and asked.strip() != str(page.number) else ""


@require_safe
@needs("leads.view_lead")
def lead_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Everything about one property; each room fills its own panel."""
    return _lead_page(request, get_object_or_404(Lead, pk=pk))


def _lead_page(request: HtmxHttpRequest, lead: Lead, *, problem: str = "", status: int = 200) -> HttpResponse:
    suppressions = suppressions_of(lead)
    context = {
        "lead": lead,
        "panels": lead_panels(),
        "suppression": suppressions[0] if lead.suppressed_at and suppressions else None,
        "lifted": [one for one in suppressions if one.lifted_at],
        "problem": problem,
        "typed_reason": request.POST.get("reason", ""),
    }
    return show(request, "leads/detail.html", context, status=status)


class ReasonForm(forms.Form):
    """Why somebody does something that others will ask about."""

    reason = forms.CharField(max_length=500, required=False)


@require_POST
@needs("leads.view_lead", "leads.change_lead")
def suppress(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Offer the lead to nobody from now on."""
    lead, form = get_object_or_404(Lead, pk=pk), ReasonForm(request.POST)
    if not form.is_valid():
        return _lead_page(request, lead, problem=form.errors["reason"][0], status=422)
    reason = form.cleaned_data["reason"]
    try:
        done = suppress_leads(lead_ids=[lead.pk], reason=reason, by=person_of(request), at=timezone.now())
    except NoReason as refusal:
        return _lead_page(request, lead, problem=str(refusal), status=422)
    if done.changed:
        messages.success(request, "Suppressed: this lead is offered to nobody from now on.")
    else:
        messages.error(request, "This lead was suppressed already; its reason stays.")
    return redirect(lead)


@require_POST
@needs("leads.view_lead", "leads.change_lead")
def unsuppress(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Let the lead be offered again."""
    lead, form = get_object_or_404(Lead, pk=pk), ReasonForm(request.POST)
    if not form.is_valid():
        return _lead_page(request, lead, problem=form.errors["reason"][0], status=422)
    reason = form.cleaned_data["reason"]
    if lift_suppression(lead_ids=[lead.pk], reason=reason, by=person_of(request), at=timezone.now()).changed:
        messages.success(request, "Lifted: this lead may be offered again.")
    return redirect(lead)


def show_panel(
    request: HtmxHttpRequest, template: str, lead: Lead, key: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Answer a panel of the lead page: alone for htmx, on a page of its own for everyone else."""
    panel = registry.panels.get(key)
    return show(
        request,
        template,
        {"lead": lead, "panel_title": panel.title if panel else "", **context},
        part="panel",
        status=status,
    )
