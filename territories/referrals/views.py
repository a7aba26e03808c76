"""Pages of referrals: the pipeline, the list, one referral and its moves, the report, and the panel of a lead."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from leads.models import Lead
from leads.spreadsheet import csv_lines
from leads.views import show_panel
from territories.models import Referral, ReferralReturn, Territory, WebhookMessage
from territories.referrals.forms import ConvertForm, CorrectForm, NoteForm, PeriodForm, ReasonForm, ReturnForm
from territories.referrals.lifecycle import (
    MOVES,
    MoveRefused,
    accept_referral,
    cancel_referral,
    convert_referral,
    correct_value,
    mark_contacted,
    release_referral,
)
from territories.referrals.listing import (
    DEFAULT_SORT,
    ENDED_STATES,
    OPEN_STATES,
    SORTS,
    STATES,
    ReferralFilterSet,
    ReferralPage,
    board,
    count_pending_returns,
    referral_page,
)
from territories.referrals.report import contractor_report, csv_rows, total_of
from territories.referrals.returns import (
    ReturnRefused,
    may_be_returned,
    quota_standing,
    request_return,
    returnable_until,
)

VIEW, CHANGE, DECIDE = "territories.view_referral", "territories.change_referral", "territories.decide_return"
Status = Referral.Status


@require_safe
@needs(VIEW)
def referrals(request: HtmxHttpRequest) -> HttpResponse:
    """Referrals by state as a board, or one by one as a list; filters, order and page stand in the address."""
    filters = ReferralFilterSet(request.GET, queryset=Referral.objects.real())
    errors = filters.errors
    is_list = request.GET.get("view") == "list"
    state = [
        (name, value)
        for name in filters.filters
        if is_list or name != "status"
        for value in request.GET.getlist(name)
        if value.strip()
    ]
    found = filters.qs if is_list else _without_status(request).qs
    sort = request.GET.get("sort", "")
    sort = sort if sort in SORTS else DEFAULT_SORT
    shown = request.GET.get("state", "")
    shown = shown if shown in STATES else Status.ASSIGNED.value
    context: dict[str, Any] = {
        "filters": filters,
        "fields": [field for field in filters.form if field.name != "status" or is_list],
        "problems": [(filters.form.fields[name].label, notes[0]) for name, notes in errors.items()],
        "chosen": [
            {
                "label": filters.in_words(*pair)[0],
                "value": filters.in_words(*pair)[1],
                "without": _address([other for other in state if other != pair], is_list, sort),
            }
            for pair in state
            if pair[0] not in errors
        ],
        "is_list": is_list,
        "board_url": _address([pair for pair in state if pair[0] != "status"], False),
        "list_url": _address(state, True, sort),
        "clear_url": _address([], is_list),
        "sort": sort,
        "sorts": [(name, label) for name, (label, _) in SORTS.items()],
        "pending": count_pending_returns(),
        "hide_search": False,
    }
    asked: list[tuple[str, str]] = []
    if is_list:
        page = referral_page(referrals=found, sort=sort, page=request.GET.get("page", ""))
        context |= {"page": page, **_pager(state, sort, page)}
        asked = [("page", str(page.number))] if page.number > 1 else []
    else:
        columns = board(found)
        asked = [("state", shown)] if request.GET.get("state") == shown else []
        context |= {
            "columns": [
                {
                    "column": column,
                    "is_here": column.status == shown,
                    "is_open": column.status in OPEN_STATES,
                    "list_url": _address([*state, ("status", column.status)], True),
                    "tab_url": _address([*state, ("state", column.status)], False),
                }
                for column in columns
            ],
            "total": sum(column.count for column in columns),
            "ended_states": ENDED_STATES,
        }
    response = show(request, "territories/referrals.html", context, part="results")
    if wants_part(request):
        address = _address([*state, *asked], is_list, sort)
        response["HX-Push-Url"] = "false" if request.htmx.current_url_abs_path == address else address
    return response


def _without_status(request: HtmxHttpRequest) -> ReferralFilterSet:
    """The filters of the board, whose columns are the states."""
    data = request.GET.copy()
    data.pop("status", None)
    return ReferralFilterSet(data, queryset=Referral.objects.real())


def _address(state: list[tuple[str, str]], is_list: bool, sort: str = DEFAULT_SORT) -> str:
    pairs = [("view", "list"), *state] if is_list else state
    if is_list and sort != DEFAULT_SORT:
        pairs = [*pairs, ("sort", sort)]
    return f"{reverse('territories:referrals')}?{urlencode(pairs)}" if pairs else reverse("territories:referrals")


def _pager(state: list[tuple[str, str]], sort: str, page: ReferralPage) -> dict[str, str]:
    def to(number: int) -> str:
        return _address([*state, *([("page", str(number))] if number > 1 else [])], True, sort)

    return {
        "previous": to(page.number - 1) if page.number > 1 else "",
        "next": to(page.number + 1) if page.number < page.pages else "",
    }


# One referral ---------------------------------------------------------------------------------------------------------


def _find(pk: int) -> Referral:
    found = Referral.objects.real().select_related("lead", "contractor", "territory", "profile", "job")
    return get_object_or_404(found, pk=pk)


@require_safe
@needs(VIEW)
def referral(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One referral: its lead and contractor, every step with who and why, and what can be done with it."""
    return _show(request, _find(pk))


def _show(
    request: HtmxHttpRequest,
    referral: Referral,
    *,
    asked: str = "",
    form: Any = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """`asked`: the move whose form is open again, with what was typed and what is wrong with it."""
    person, at = person_of(request), timezone.now()
    may_change = person.has_perm(CHANGE)
    returns = list(referral.returns.select_related("requested_by", "decided_by", "replacement").order_by("-pk"))
    pending = next((one for one in returns if one.status == ReferralReturn.Status.PENDING), None)
    contractor = referral.contractor
    context: dict[str, Any] = {
        "referral": referral,
        "state_words": STATES[referral.status][1],
        "events": list(referral.events.select_related("by", "job").order_by("-pk")),
        "returns": returns,
        "pending": pending,
        "messages_sent": _messages_of(referral, returns),
        "may": _allowed(referral) if may_change else {},
        "may_return": may_change and may_be_returned(referral) and pending is None,
        "may_decide": person.has_perm(DECIDE),
        "reasons": ReferralReturn.Reason.choices,
        "asked": asked,
        "form": form,
        "problem": problem,
        "typed": request.POST,
    }
    if contractor is not None and may_be_returned(referral):
        context["standing"] = quota_standing(contractor=contractor, at=at)
        context["until"] = returnable_until(referral, contractor)
        context["is_window_over"] = context["until"] is not None and at > context["until"]
    return show(request, "territories/referral.html", context, status=status)


def _allowed(referral: Referral) -> dict[str, bool]:
    """Which moves a person may make of it now."""
    is_delivered = referral.status == Status.DELIVERED
    return {
        "accept": is_delivered and referral.accepted_at is None,
        "contact": is_delivered and referral.accepted_at is not None and referral.contacted_at is None,
        "convert": is_delivered,
        "correct": referral.status == Status.CONVERTED,
        "cancel": referral.status in MOVES[Status.CANCELLED][0],
        "release": referral.status == Status.CONVERTED and referral.released_at is None,
    }


def _messages_of(referral: Referral, returns: list[ReferralReturn]) -> list[WebhookMessage]:
    """What was sent to the contractor about it. Indexes: webhookmessage_once, webhookmessage_by_contractor."""
    kinds = [WebhookMessage.Kind.REFERRAL_ASSIGNED, WebhookMessage.Kind.REFERRAL_CANCELLED]
    kinds.append(WebhookMessage.Kind.REFERRAL_EXPIRED)
    found = list(WebhookMessage.objects.filter(referral=referral, kind__in=kinds))
    decided = [one.decided_at for one in returns if one.decided_at]
    if decided:
        found += WebhookMessage.objects.filter(
            contractor=referral.contractor_id,
            created_at__gte=min(decided),
            referral=referral,
            kind=WebhookMessage.Kind.RETURN_DECIDED,
        )
    return sorted(found, key=lambda message: message.created_at, reverse=True)


type_Act = Callable[[Referral, dict[str, Any], User, dt.datetime], Any]


def _move(
    request: HtmxHttpRequest, pk: int, *, asked: str, form_class: type[forms.Form], act: type_Act, done: str
) -> HttpResponse:
    """Read the form, make the move, and show the referral again: with what happened, or what was wrong."""
    found, form = _find(pk), form_class(request.POST)
    if not form.is_valid():
        return _show(request, found, asked=asked, form=form, status=422)
    try:
        act(found, form.cleaned_data, person_of(request), timezone.now())
    except (MoveRefused, ReturnRefused) as refusal:
        return _show(request, _find(pk), asked=asked, form=form, problem=str(refusal), status=409)
    messages.success(request, done)
    return redirect(found)


@require_POST
@needs(VIEW, CHANGE)
def accept(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Note, for the contractor, that it works on the lead."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        accept_referral(referral=found, at=at, by=by, note=typed["note"])

    return _move(request, pk, asked="accept", form_class=NoteForm, act=act, done="Noted: accepted.")


@require_POST
@needs(VIEW, CHANGE)
def contact(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Note, for the contractor, that it reached the owner."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        mark_contacted(referral=found, at=at, by=by, note=typed["note"])

    return _move(request, pk, asked="contact", form_class=NoteForm, act=act, done="Noted: the owner was reached.")


@require_POST
@needs(VIEW, CHANGE)
def convert(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Note, for the contractor, that the lead became business."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        convert_referral(referral=found, at=at, by=by, value=typed["value"], note=typed["note"])

    return _move(request, pk, asked="convert", form_class=ConvertForm, act=act, done="Converted.")


@require_POST
@needs(VIEW, CHANGE)
def correct(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Replace what the converted lead was worth."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        correct_value(referral=found, value=typed["value"], at=at, by=by, note=typed["note"])

    return _move(request, pk, asked="correct", form_class=CorrectForm, act=act, done="The value is corrected.")


@require_POST
@needs(VIEW, CHANGE)
def cancel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Take the referral back."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        cancel_referral(referral=found, at=at, by=by, note=typed["note"])

    was_seen = Referral.objects.filter(pk=pk, delivered_at__isnull=False).exists()
    whom = "its lead goes to a later holder of the ZIP only" if was_seen else "the lead is free for another referral"
    return _move(request, pk, asked="cancel", form_class=ReasonForm, act=act, done=f"Cancelled: {whom}.")


@require_POST
@needs(VIEW, CHANGE)
def release(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Give the converted lead free."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        release_referral(referral=found, at=at, by=by, note=typed["note"])

    done = "Released: the lead is free for another referral; this one stays converted."
    return _move(request, pk, asked="release", form_class=ReasonForm, act=act, done=done)


@require_POST
@needs(VIEW, CHANGE)
def give_back(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Return the lead in the contractor's name; people who decide returns may do it whatever window and quota say."""

    def act(found: Referral, typed: dict[str, Any], by: User, at: dt.datetime) -> None:
        request_return(
            referral=found,
            reason=typed["reason"],
            note=typed["note"],
            at=at,
            by=by,
            anyway=typed["anyway"] and by.has_perm(DECIDE),
        )

    return _move(request, pk, asked="return", form_class=ReturnForm, act=act, done="The return is noted below.")


# Report ---------------------------------------------------------------------------------------------------------------


@require_safe
@needs(VIEW)
def report(request: HtmxHttpRequest) -> HttpResponse:
    """What became of the leads that each contractor got in some days."""
    form = PeriodForm(request.GET, today=timezone.localdate())
    is_valid = form.is_valid()
    lines = contractor_report(**form.cleaned_data) if is_valid else []
    query = urlencode({"from": form.cleaned_data["since"], "to": form.cleaned_data["until"]}) if is_valid else ""
    context = {
        "form": form,
        "problems": [note for notes in form.errors.values() for note in notes],
        "lines": lines,
        "total": total_of(lines) if len(lines) > 1 else None,
        "since": form.cleaned_data.get("since") if is_valid else None,
        "until": form.cleaned_data.get("until") if is_valid else None,
        "typed": {"since": request.GET.get("from", ""), "until": request.GET.get("to", "")},
        "export_url": f"{reverse('territories:export-referral-report')}?{query}",
    }
    return show(request, "territories/referral_report.html", context, status=200 if is_valid else 422)


@require_safe
@needs(VIEW, "leads.export_leads")
def export_report(request: HtmxHttpRequest) -> StreamingHttpResponse | HttpResponse:
    """The report as CSV."""
    form = PeriodForm(request.GET, today=timezone.localdate())
    if not form.is_valid():
        return redirect(f"{reverse('territories:referral-report')}?{request.GET.urlencode()}")
    since, until = form.cleaned_data["since"], form.cleaned_data["until"]
    lines = csv_lines(csv_rows(contractor_report(since=since, until=until)))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="contractors-{since}-to-{until}.csv"'
    return response


# The panel of a lead --------------------------------------------------------------------------------------------------


@require_safe
@needs("leads.view_lead", VIEW)
def lead_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    return _panel(request, get_object_or_404(Lead, pk=pk))


def _panel(request: HtmxHttpRequest, lead: Lead, *, problem: str = "", status: int = 200) -> HttpResponse:
    history = list(
        Referral.objects.real().filter(lead=lead).select_related("contractor").defer("receipt").order_by("-pk")
    )
    live = next((one for one in history if one.status in Referral.LIVE and one.released_at is None), None)
    holding = Territory.objects.held(timezone.now()).in_zip(lead.zip).select_related("contractor").first()
    context = {
        "history": history,
        "live": live,
        "holder": holding.contractor if holding else None,
        "may_refer": person_of(request).has_perm(CHANGE) and live is None and lead.suppressed_at is None,
        "problem": problem,
    }
    return show_panel(request, "territories/referral_lead_panel.html", lead, "referrals", context, status=status)


@require_POST
@needs("leads.view_lead", VIEW, CHANGE)
def refer(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Refer the lead to the contractor who holds its ZIP."""
    from territories.generation.operations import AssignRefused, assign_lead

    lead = get_object_or_404(Lead, pk=pk)
    try:
        assign_lead(lead_id=lead.pk, at=timezone.now(), by=person_of(request))
    except AssignRefused as refusal:
        return _panel(request, lead, problem=str(refusal), status=422 if wants_part(request) else 409)
    if not wants_part(request):
        return redirect(lead)
    response = _panel(request, lead)
    response["HX-Trigger"] = "lead-changed"
    return response
