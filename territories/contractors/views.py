"""Pages of contractors: the list, one with all that belongs to it, and pausing, resuming, ending it."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import ApiToken
from accounts.pages import HtmxHttpRequest, needs, person_of, show
from territories.contractors.forms import (
    ContactForms,
    ContractorForm,
    LoginForm,
    RevokeForm,
    RotateForm,
    TokenForm,
    contacts_of,
)
from territories.contractors.operations import (
    CompanyTaken,
    ContractorStale,
    LoginRefused,
    StatusRefused,
    Stopped,
    create_login,
    end_contractor,
    pause_contractor,
    resume_contractor,
    save_contractor,
    standing_of,
)
from territories.contractors.queries import accounts_of
from territories.contractors.tokens import NewToken, TokenRefused, create_token, revoke_token, rotate_token, tokens_of
from territories.contractors.trail import version_of
from territories.holdings.operations import TerritoriesBusy
from territories.holdings.queries import rows_of, running, taken_up_in_words
from territories.models import Contractor, ReferralReturn, TerritoryWait

SEES, MAKES, CHANGES = "territories.view_contractor", "territories.add_contractor", "territories.change_contractor"
PAGE = 50
SHOWN_ZIPS = 30
SHOWN_EVENTS = 15
# Of its referrals, with words that tell "delivered and still open" from the report's "ever delivered".
STATES = (
    ("assigned", "Assigned, not delivered"),
    ("delivered", "Delivered, still open"),
    ("converted", "Converted"),
    ("returned", "Returned"),
    ("cancelled", "Cancelled"),
)


def _find(pk: int) -> Contractor:
    return get_object_or_404(Contractor.objects.real().select_related("user"), pk=pk)


@require_safe
@needs(SEES)
def contractor_list(request: HtmxHttpRequest) -> HttpResponse:
    """Who buys leads: state, ZIPs, use of caps, price."""
    found = Contractor.objects.real().order_by("company", "pk")
    asked = {"q": request.GET.get("q", "").replace("\0", "").strip()[:200], "status": request.GET.get("status", "")}
    has_any = found.exists()
    if asked["q"]:
        found = found.filter(company__icontains=asked["q"]) | found.filter(trade__icontains=asked["q"])
    if asked["status"] in Contractor.Status.values:
        found = found.filter(status=asked["status"])
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "accounts": accounts_of(list(page.object_list), timezone.now()),
        "page": page,
        "query": query.urlencode(),
        "asked": asked,
        "statuses": Contractor.Status.choices,
        "has_any": has_any,
        "is_filtered": any(asked.values()),
    }
    return show(request, "territories/contractors.html", context, part="rows")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(MAKES)
def new_contractor(request: HtmxHttpRequest) -> HttpResponse:
    """A form; POST makes the contractor, active at once."""
    form = ContractorForm(request.POST or None)
    contacts = ContactForms(request.POST or None, prefix="contact")
    if request.method == "POST" and (saved := _save(request, form, contacts)) is not None:
        messages.success(request, f"{saved} is there. Give it ZIPs next, and a login when its programs shall ask.")
        return redirect(saved)
    context = {"form": form, "contacts": contacts, "is_new": True}
    return show(request, "territories/contractor_edit.html", context, status=422 if form.is_bound else 200)


def _save(request: HtmxHttpRequest, form: ContractorForm, contacts: Any) -> Contractor | None:
    """The saved contractor; None when something cannot be taken, which the forms then say. Raises ContractorStale."""
    if not (form.is_valid() and contacts.is_valid()):
        return None
    try:
        return save_contractor(
            contractor=form.instance,
            at=timezone.now(),
            by=person_of(request),
            seen=form.cleaned_data["version"],
            wanted_tags=form.cleaned_data["wanted_tags"],
            unwanted_tags=form.cleaned_data["unwanted_tags"],
            contacts=contacts_of(contacts),
        )
    except CompanyTaken as refusal:
        form.add_error("company", str(refusal))
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@needs(SEES, CHANGES)
def edit_contractor(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Company, caps, wishes, returns, contacts. POST saves what nobody else has changed since the form was opened."""
    contractor, status = _find(pk), 200
    stale: ContractorStale | None = None
    form = ContractorForm(request.POST or None, instance=contractor, initial={"version": version_of(contractor)})
    former = [
        {"name": one.name, "role": one.role, "email": one.email, "phone": one.phone}
        for one in contractor.contacts.order_by("pk")
    ]
    contacts = ContactForms(request.POST or None, prefix="contact", initial=former)
    if request.method == "POST":
        status = 422
        try:
            saved = _save(request, form, contacts)
        except ContractorStale as refusal:
            saved, stale, status = None, refusal, 409
            # What they changed is shown beside what was typed: who saves from here on has seen it.
            form.data = request.POST.copy()
            form.data["version"] = str(refusal.version)
        if saved is not None:
            messages.success(request, f"Saved. It counts for leads that {saved} is assigned from now on.")
            return redirect(saved)
    context = {
        "form": form,
        "contacts": contacts,
        "contractor": _find(pk),
        "is_new": False,
        "stale": stale,
    }
    return show(request, "territories/contractor_edit.html", context, status=status)


@require_safe
@needs(SEES)
def contractor_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One contractor: use of caps, wishes, ZIPs, contacts, login and tokens."""
    return _show(request, _find(pk))


def _show(
    request: HtmxHttpRequest,
    contractor: Contractor,
    *,
    login: LoginForm | None = None,
    token: TokenForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    at = timezone.now()
    (account,) = accounts_of([contractor], at)
    standing, tokens = standing_of(contractor=contractor, at=at), tokens_of(contractor, at)
    new = _take_new_token(request, contractor, tokens)
    territories = running(at).filter(contractor=contractor).select_related("contractor").order_by("zip", "from_at")
    context = {
        "contractor": contractor,
        "account": account,
        "caps": _caps(contractor, account.usage),
        "standing": standing,
        "states": [(status, label, getattr(standing, status)) for status, label in STATES],
        "rows": rows_of(list(territories[:SHOWN_ZIPS]), at),
        "row_count": territories.count(),
        "waits": TerritoryWait.objects.filter(contractor=contractor, ended_at__isnull=True).order_by("zip"),
        "wanted": contractor.wanted_tags.order_by("name"),
        "unwanted": contractor.unwanted_tags.order_by("name"),
        "contacts": contractor.contacts.order_by("pk"),
        "reasons": contractor_reasons(contractor),
        "events": contractor.events.select_related("by").order_by("-pk")[:SHOWN_EVENTS],
        "event_count": contractor.events.count(),
        "tokens": tokens,
        "new": new,
        "login": login or LoginForm(),
        "token_form": token or TokenForm(),
        "problem": problem,
        "may_change": person_of(request).has_perm(CHANGES),
    }
    response = show(request, "territories/contractor.html", context, status=status)
    if new is not None:
        add_never_cache_headers(response)  # the token is on the page
    return response


def contractor_reasons(contractor: Contractor) -> list[str]:
    """The reasons of returns that are approved without a person, in words."""
    labels = dict(ReferralReturn.Reason.choices)
    return [labels.get(reason, reason) for reason in contractor.auto_return_reasons]


def _caps(contractor: Contractor, usage: Any) -> list[dict[str, Any]]:
    parts = (
        ("Today", usage.today, contractor.daily_cap),
        ("This month", usage.month, contractor.monthly_cap),
        ("In total", usage.total, contractor.total_cap),
    )
    return [{"label": label, "used": used, "cap": cap} for label, used, cap in parts]


# Pause, resume, end ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@needs(SEES, CHANGES)
def pause(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What pausing would touch; POST pauses."""
    return _move(request, _find(pk), "pause")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(SEES, CHANGES)
def resume(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What waits for the contractor; POST resumes."""
    return _move(request, _find(pk), "resume")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(SEES, CHANGES)
def end(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What ending would touch; POST ends the business with it."""
    return _move(request, _find(pk), "end")


def _move(request: HtmxHttpRequest, contractor: Contractor, action: str) -> HttpResponse:
    at, problem = timezone.now(), ""
    if request.method == "POST":
        try:
            messages.success(request, _moved(request, contractor, action, at))
            return redirect(contractor)
        except (StatusRefused, TerritoriesBusy) as refusal:
            problem = str(refusal)
            contractor.refresh_from_db()
    context = {
        "contractor": contractor,
        "action": action,
        "standing": standing_of(contractor=contractor, at=at),
        "problem": problem,
        "hold_days": settings.REFERRAL_HOLD_DAYS,
        "is_possible": {"pause": "active", "resume": "paused"}.get(action, contractor.status) == contractor.status
        and contractor.status != "ended",
    }
    return show(request, "territories/contractor_move.html", context, status=409 if problem else 200)


def _moved(request: HtmxHttpRequest, contractor: Contractor, action: str, at: dt.datetime) -> str:
    by = person_of(request)
    if action == "resume":
        taken_up = resume_contractor(contractor=contractor, by=by, at=at)
        return f"{contractor} gets leads again. {taken_up_in_words(taken_up)}"
    if action == "pause":
        done = pause_contractor(contractor=contractor, by=by, at=at)
        return f"{contractor} is paused. {_taken_back(done)} Its ZIPs stay its own."
    done = end_contractor(contractor=contractor, by=by, at=at)
    ended, called_off = len(done.ended.ended), len(done.ended.called_off)
    return (
        f"The business with {contractor} has ended: {_count(ended, 'territory', 'territories')} ended, "
        f"{called_off:,} called off. {_taken_back(done)}"
    )


def _taken_back(done: Stopped) -> str:
    return (
        f"{_count(done.cancelled, 'lead')} not delivered taken back, {done.requeued:,} of them to be offered again; "
        f"{done.delivered:,} delivered and {done.converted:,} converted stay with it."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# Login and tokens -----------------------------------------------------------------------------------------------------


@require_POST
@needs(SEES, CHANGES)
def make_login(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Give the contractor the login whose tokens act for it."""
    contractor, form = _find(pk), LoginForm(request.POST)
    try:
        user = create_login(
            contractor=contractor,
            at=timezone.now(),
            by=person_of(request),
            username=form.data.get("username", ""),
        )
    except LoginRefused as refusal:
        return _show(request, contractor, login=form, problem=str(refusal), status=422)
    messages.success(request, f"The login {user} is there. Make a token for its programs next.")
    return redirect(contractor)


@require_POST
@needs(SEES, CHANGES)
def make_token(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Make a token and show it, this once."""
    contractor, form = _find(pk), TokenForm(request.POST)
    if not form.is_valid():
        return _show(request, contractor, token=form, problem="The token was not made; see below.", status=422)
    try:
        new = create_token(contractor=contractor, at=timezone.now(), by=person_of(request), **form.cleaned_data)
    except TokenRefused as refusal:
        return _show(request, contractor, token=form, problem=str(refusal), status=422)
    return _show_once(request, contractor, new)


def _new_token_of(contractor: Contractor) -> str:
    """A new token's place in the session, from the answer to the form to the page that shows it once."""
    return f"new-token-{contractor.pk}"


def _show_once(request: HtmxHttpRequest, contractor: Contractor, new: NewToken) -> HttpResponse:
    """Show it on the page of the contractor: were it the answer itself, loading it again would make another token."""
    request.session[_new_token_of(contractor)] = {"key": new.token.token_key, "text": new.text}
    return redirect(contractor)


def _take_new_token(request: HtmxHttpRequest, contractor: Contractor, tokens: list[ApiToken]) -> NewToken | None:
    """The token that was made just now, if any; the next page knows its text no more."""
    kept = request.session.pop(_new_token_of(contractor), None) if request.method == "GET" else None
    return next((NewToken(one, kept["text"]) for one in tokens if kept and one.token_key == kept["key"]), None)


@require_POST
@needs(SEES, CHANGES)
def rotate(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Make a new token in the place of one, and show it, this once."""
    contractor, form = _find(pk), RotateForm(request.POST)
    if not form.is_valid():
        words = "; ".join(str(error) for errors in form.errors.values() for error in errors)
        return _show(request, contractor, problem=f"Nothing was rotated: {words}", status=422)
    asked = form.cleaned_data
    try:
        new = rotate_token(
            contractor=contractor,
            token_key=asked["token"],
            hours=asked["hours"],
            at=timezone.now(),
            by=person_of(request),
        )
    except TokenRefused as refusal:
        return _show(request, contractor, problem=str(refusal), status=409)
    return _show_once(request, contractor, new)


@require_POST
@needs(SEES, CHANGES)
def revoke(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Close a token at once."""
    contractor, form = _find(pk), RevokeForm(request.POST)
    try:
        key = form.data.get("token", "")[:40]
        name = revoke_token(contractor=contractor, token_key=key, at=timezone.now(), by=person_of(request))
    except TokenRefused as refusal:
        return _show(request, contractor, problem=str(refusal), status=409)
    messages.success(request, f"The token {name} opens nothing any more.")
    return redirect(contractor)
