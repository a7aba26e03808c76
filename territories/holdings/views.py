"""Pages of territories: who holds what, what is free, assigning in bulk, one ZIP with its history, and proof."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.pages import HtmxHttpRequest, needs, person_of, show
from leads.spreadsheet import csv_lines
from territories.holdings.exclusivity import SHOWN, csv_rows, prove_exclusivity, referrals_of, title_of
from territories.holdings.forms import ZONE, ActForm, AssignForm, EndForm, JoinForm, ProofForm, TransferForm
from territories.holdings.operations import (
    Ended,
    NotAHolder,
    PeriodRefused,
    SameHolder,
    TerritoriesBusy,
    TerritoryOver,
    TerritoryTaken,
    WaitRefused,
    assign_territories,
    check_period,
    end_territories,
    join_waitlist,
    leave_waitlist,
    lift_end,
    transfer_territory,
)
from territories.holdings.periods import business_zone, day_in_words
from territories.holdings.places import place_of_zip, states_to_choose, zips_of_state
from territories.holdings.queries import (
    describe_free,
    free_zips,
    lines,
    propose_assignment,
    rows_of,
    running,
    state_of,
    taken_up_in_words,
)
from territories.holdings.zips import ZipsRefused
from territories.models import Contractor, Referral, Territory, TerritoryEvent, TerritoryWait
from territories.queries import Waiting, waiting_by_zip

SEES, GIVES, CHANGES = "territories.view_territory", "territories.add_territory", "territories.change_territory"
PAGE = 50
SAMPLE = 100
EVENTS = 100
VIEWS = {"held": "Held now", "free": "Free, with leads", "future": "To come", "all": "Held and to come"}
SORTS = {
    "zip": ("zip", "from_at"),
    "contractor": ("contractor__company", "zip", "from_at"),
    "-from": ("-from_at", "zip"),
    "until": ("to_at", "zip"),
}
FREE_SORTS: dict[str, Callable[[tuple[str, Waiting]], Any]] = {
    "leads": lambda row: (-row[1].leads, row[0]),
    "score": lambda row: (-row[1].best_score, row[0]),
    "zip": lambda row: row[0],
}
REFUSALS = (TerritoryTaken, TerritoriesBusy, ZipsRefused, PeriodRefused, NotAHolder, TerritoryOver, SameHolder)


def _map_url() -> str:
    try:
        return reverse("territories:map")
    except NoReverseMatch:
        return ""


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


@require_safe
@needs(SEES)
def territory_list(request: HtmxHttpRequest) -> HttpResponse:
    """Who holds which ZIP, or which are free; the address holds filters, sort and page."""
    at, asked = timezone.now(), request.GET
    view = asked.get("show", "held")
    view = view if view in VIEWS else "held"
    prefix = "".join(letter for letter in asked.get("zip", "") if letter in "0123456789")[:5]
    state, contractor = asked.get("state", "")[:2].upper(), _whole(asked.get("contractor", ""))
    score = asked.get("score", "").strip()
    min_score = _whole(score.lstrip("-"))
    min_score = 1 if min_score is None else min_score * (-1 if score.startswith("-") else 1)
    query = asked.copy()
    query.pop("page", None)
    context: dict[str, Any] = {
        "view": view,
        "views": VIEWS,
        "is_free": view == "free",
        "asked": {
            "zip": prefix,
            "state": state,
            "contractor": contractor,
            "score": score,
            "sort": asked.get("sort", ""),
        },
        "contractors": Contractor.objects.real().order_by("company").only("company"),
        "states": states_to_choose(),
        "query": query.urlencode(),
        "is_filtered": bool(prefix or state or contractor),
        "has_any": Territory.objects.exists(),
        "zone": ZONE,
        "offers": _offers(at),
        "map_url": _map_url(),
    }
    in_state = set(zips_of_state(state)) if state else None
    if view == "free":
        context |= _free_page(request, min_score, prefix, in_state, at)
        context["min_score"] = min_score
    else:
        context |= _held_page(request, view, prefix, in_state, contractor, at)
    return show(request, "territories/territories.html", context, part="results")


def _held_page(
    request: HtmxHttpRequest,
    view: str,
    prefix: str,
    in_state: set[str] | None,
    contractor: int | None,
    at: dt.datetime,
) -> dict[str, Any]:
    found = running(at).select_related("contractor")
    if view == "held":
        found = found.filter(from_at__lte=at)
    elif view == "future":
        found = found.filter(from_at__gt=at)
    if prefix:
        found = found.filter(zip__startswith=prefix)
    if in_state is not None:
        found = found.filter(zip__in=in_state)
    if contractor is not None:
        found = found.filter(contractor=contractor)
    sort = request.GET.get("sort", "zip")
    page = Paginator(found.order_by(*SORTS.get(sort, SORTS["zip"]), "pk"), PAGE).get_page(request.GET.get("page"))
    return {"page": page, "rows": rows_of(list(page.object_list), at), "sort": sort if sort in SORTS else "zip"}


def _free_page(
    request: HtmxHttpRequest, min_score: int, prefix: str, in_state: set[str] | None, at: dt.datetime
) -> dict[str, Any]:
    found = free_zips(min_score=min_score, at=at)
    rows = [row for row in found.items() if row[0].startswith(prefix) and (in_state is None or row[0] in in_state)]
    sort = request.GET.get("sort", "leads")
    rows.sort(key=FREE_SORTS.get(sort, FREE_SORTS["leads"]))
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return {
        "page": page,
        "rows": describe_free(dict(page.object_list), at),
        "sort": sort if sort in FREE_SORTS else "leads",
        "leads_in_all": sum(waiting.leads for _, waiting in rows),
    }


def _offers(at: dt.datetime) -> list[TerritoryWait]:
    """The first in line of each ZIP that nobody holds now."""
    waiting = lines()
    held = set(Territory.objects.held(at).filter(zip__in=list(waiting)).values_list("zip", flat=True))
    return [waits[0] for zip_code, waits in sorted(waiting.items()) if zip_code not in held][:20]


# Assigning ------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@needs(SEES, GIVES)
def assign(request: HtmxHttpRequest) -> HttpResponse:
    """A contractor, a period and ZIPs; first a preview with every conflict, then, confirmed, all or nothing."""
    if request.method != "POST":
        asked = {name: request.GET[name] for name in ("contractor", "zips", "county") if name in request.GET}
        return show(request, "territories/assign.html", {"form": AssignForm(initial=asked), "zone": ZONE})
    at, form = timezone.now(), AssignForm(request.POST, request.FILES)
    if not form.is_valid():
        return show(request, "territories/assign.html", {"form": form, "zone": ZONE}, status=422)
    from_at, to_at = form.period(at)
    try:
        check_period(from_at=from_at, to_at=to_at, at=at)
    except PeriodRefused as refusal:
        form.add_error("to_date", str(refusal))
        return show(request, "territories/assign.html", {"form": form, "zone": ZONE}, status=422)
    if "confirm" not in request.POST:
        return _preview(request, form, from_at, to_at, at)
    try:
        done = assign_territories(
            zips=form.cleaned_data["all_zips"],
            contractor=form.cleaned_data["contractor"],
            from_at=from_at,
            to_at=to_at,
            by=person_of(request),
            at=at,
            note=form.cleaned_data["note"],
        )
    except TerritoryTaken:
        late = "Somebody was quicker: some of these ZIPs are taken by now, and nothing was given."
        return _preview(request, form, from_at, to_at, at, late=late)
    except REFUSALS as refusal:
        form.add_error(None, f"Nothing was given. {refusal}")
        return show(request, "territories/assign.html", {"form": form, "zone": ZONE}, status=409)
    contractor, count = form.cleaned_data["contractor"], len(done.zips)
    begins = f"It begins {day_in_words(from_at)}."
    if done.has_begun:
        since = f"It counts from {day_in_words(from_at)}. " if _is_before_today(from_at, at) else ""
        begins = f"{since}{taken_up_in_words(done.taken_up)}"
    messages.success(request, f"{contractor} got {count:,} ZIP{'' if count == 1 else 's'}. {begins}")
    if count == 1:
        return redirect("territories:zip", done.zips[0])
    return redirect(contractor)


def _is_before_today(moment: dt.datetime, at: dt.datetime) -> bool:
    zone = business_zone()
    return moment.astimezone(zone).date() < at.astimezone(zone).date()


def _preview(
    request: HtmxHttpRequest,
    form: AssignForm,
    from_at: dt.datetime,
    to_at: dt.datetime | None,
    at: dt.datetime,
    *,
    late: str = "",
) -> HttpResponse:
    proposal = propose_assignment(zips=form.cleaned_data["all_zips"], from_at=from_at, to_at=to_at, min_score=1, at=at)
    others = {
        one.first.contractor_id
        for one in proposal.free
        if one.first and one.first.contractor_id != form.cleaned_data["contractor"].pk
    }
    context = {
        "form": form,
        "zone": ZONE,
        "proposal": proposal,
        "late": late,
        "from_at": from_at,
        "to_at": to_at,
        "begins_now": from_at <= at,
        "is_backdated": _is_before_today(from_at, at),
        "unknown": " ".join(proposal.unknown[:SAMPLE]),
        "sample": proposal.free[:SAMPLE],
        "conflicts": proposal.conflicts[:SAMPLE],
        "free_text": " ".join(one.zip for one in proposal.free),
        "others_in_line": len(others),
    }
    return show(request, "territories/assign.html", context, status=409 if late else 200)


# One ZIP --------------------------------------------------------------------------------------------------------------


@require_safe
@needs(SEES)
def zip_detail(request: HtmxHttpRequest, zip_code: str) -> HttpResponse:
    """Who holds a ZIP, held it and will hold it; who waits for it; what waits in it; what was done."""
    return _zip(request, zip_code)


def _zip(
    request: HtmxHttpRequest,
    zip_code: str,
    *,
    problem: str = "",
    forms: dict[str, Any] | None = None,
    open_pk: int = 0,
    status: int = 200,
) -> HttpResponse:
    at = timezone.now()
    territories = list(
        Territory.objects.in_zip(zip_code).select_related("contractor", "created_by").order_by("-from_at", "-pk")
    )
    rows = [{"territory": one, "state": state_of(one, at)} for one in territories]
    holder = next((one for one in territories if state_of(one, at) == "held"), None)
    waiting = waiting_by_zip(min_score=1, zips=[zip_code]).get(zip_code, Waiting())
    undelivered = Referral.objects.filter(territory=holder, status=Referral.Status.ASSIGNED).count() if holder else 0
    events = TerritoryEvent.objects.filter(zip=zip_code).select_related("territory__contractor", "by")
    context = {
        "zip": zip_code,
        "place": place_of_zip(zip_code),
        "rows": rows,
        "running": [row for row in reversed(rows) if row["state"] in ("held", "future")],
        "holder": holder,
        "waiting": waiting,
        "generated": Referral.objects.filter(zip=zip_code, status=Referral.Status.GENERATED).count(),
        "undelivered": undelivered,
        "in_line": lines([zip_code]).get(zip_code, []),
        "events": events.order_by("-at", "-pk")[:EVENTS],
        "problem": problem,
        "open_pk": open_pk,
        "zone": ZONE,
        "last": next((row["territory"] for row in rows if row["state"] != "called off"), None),
        "end_form": EndForm(),
        "transfer_form": TransferForm(),
        "join_form": JoinForm(),
        "may_change": person_of(request).has_perm(CHANGES),
    } | (forms or {})
    return show(request, "territories/zip.html", context, status=status)


def _act(
    request: HtmxHttpRequest,
    pk: int,
    form: ActForm,
    name: str,
    act: Callable[[Territory, User, dt.datetime], str],
) -> HttpResponse:
    """Do something to a territory and say so on the page of its ZIP; what is refused keeps what was typed."""
    territory = get_object_or_404(Territory.objects.select_related("contractor"), pk=pk)
    kept = {name: form}
    if not form.is_valid():
        problem = "Nothing was changed: some of this cannot be taken."
        return _zip(request, territory.zip, problem=problem, forms=kept, open_pk=pk, status=422)
    try:
        messages.success(request, act(territory, person_of(request), timezone.now()))
    except REFUSALS as refusal:
        return _zip(request, territory.zip, problem=str(refusal), forms=kept, open_pk=pk, status=409)
    return redirect("territories:zip", territory.zip)


def _told(ended: Ended) -> str:
    if not ended.cancelled:
        return "No lead was taken back."
    leads = f"{ended.cancelled:,} lead{'' if ended.cancelled == 1 else 's'}"
    return (
        f"{leads} not delivered {'was' if ended.cancelled == 1 else 'were'} taken back; {ended.requeued:,} "
        f"{'waits' if ended.requeued == 1 else 'wait'} again."
    )


@require_POST
@needs(SEES, CHANGES)
def end(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """End a territory now or at a date, or take a planned end back; one that has not begun is called off."""
    form = EndForm(request.POST)

    def act(territory: Territory, by: User, at: dt.datetime) -> str:
        to_at, note = form.moment(), form.cleaned_data["note"]
        if form.cleaned_data["when"] == EndForm.NEVER:
            lift_end(territory=territory, by=by, at=at, note=note)
            return f"{territory.contractor} holds {territory.zip} without an end again."
        ended = end_territories(ids=[territory.pk], to_at=to_at, by=by, at=at, note=note)
        if ended.called_off:
            return f"{territory.zip} is called off for {territory.contractor}: it will never begin."
        if to_at is not None and to_at > at:
            return f"{territory.contractor} holds {territory.zip} until {day_in_words(to_at)}."
        return f"{territory.contractor} no longer holds {territory.zip}. {_told(ended)}"

    return _act(request, pk, form, "end_form", act)


@require_POST
@needs(SEES, CHANGES)
def transfer(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Hand a territory on to another contractor, now or at a date."""
    form = TransferForm(request.POST)

    def act(territory: Territory, by: User, at: dt.datetime) -> str:
        done = transfer_territory(
            territory=territory,
            contractor=form.cleaned_data["contractor"],
            from_at=form.moment(),
            by=by,
            at=at,
            note=form.cleaned_data["note"],
        )
        new = Territory.objects.select_related("contractor").get(pk=done.territory_id)
        if new.from_at > at:
            return f"{new.contractor} holds {new.zip} from {day_in_words(new.from_at)} on."
        return f"{new.contractor} holds {new.zip} now. {_told(done.ended)} {taken_up_in_words(done.ended.taken_up)}"

    return _act(request, pk, form, "transfer_form", act)


@require_POST
@needs(SEES, CHANGES)
def join(request: HtmxHttpRequest, zip_code: str) -> HttpResponse:
    """Put a contractor in line for a ZIP."""
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _zip(request, zip_code, problem="Choose who is to wait.", forms={"join_form": form}, status=422)
    contractor = form.cleaned_data["contractor"]
    try:
        join_waitlist(zip_code=zip_code, contractor=contractor, at=timezone.now())
    except (WaitRefused, NotAHolder) as refusal:
        return _zip(request, zip_code, problem=str(refusal), forms={"join_form": form}, status=409)
    messages.success(request, f"{contractor} stands in line for {zip_code}.")
    return redirect("territories:zip", zip_code)


@require_POST
@needs(SEES, CHANGES)
def leave(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Take a contractor out of a line."""
    wait = get_object_or_404(TerritoryWait.objects.select_related("contractor"), pk=pk)
    leave_waitlist(wait=wait, at=timezone.now())
    messages.success(request, f"{wait.contractor} waits for {wait.zip} no longer.")
    return redirect("territories:zip", wait.zip)


# Proof ----------------------------------------------------------------------------------------------------------------


@require_safe
@needs(SEES, "territories.view_referral")
def exclusivity(request: HtmxHttpRequest) -> HttpResponseBase:
    """Who held a ZIP in a period and where its leads went, to print or as CSV."""
    at = timezone.now()
    form = ProofForm(request.GET if "zip" in request.GET else None)
    if not form.is_bound or not form.is_valid():
        status = 422 if form.is_bound else 200
        return show(request, "territories/exclusivity.html", {"form": form, "zone": ZONE}, status=status)
    from_at, to_at = form.period(at.astimezone(business_zone()).date())
    proof = prove_exclusivity(zip_code=form.cleaned_data["zip"], from_at=from_at, to_at=to_at, at=at)
    if request.GET.get("format") == "csv":
        response = StreamingHttpResponse(csv_lines(csv_rows(proof)), content_type="text/csv; charset=utf-8")
        name = f"exclusivity-{proof.zip}-{from_at:%Y-%m-%d}"
        response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return response
    context = {
        "form": form,
        "zone": ZONE,
        "proof": proof,
        "title": title_of(proof),
        "place": place_of_zip(proof.zip),
        "referrals": referrals_of(zip_code=proof.zip, from_at=from_at, to_at=to_at)[:SHOWN],
        "query": request.GET.urlencode(),
        "may_see_leads": person_of(request).has_perm("leads.view_lead"),
    }
    return show(request, "territories/exclusivity.html", context)
