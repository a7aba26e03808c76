"""The queue of returns: what contractors want to give back, how they stand with their quota, and deciding it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.db.models import Count, F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.pages import HtmxHttpRequest, needs, person_of, show
from territories.models import ReferralReturn
from territories.referrals.forms import NoteForm, RefuseForm
from territories.referrals.lifecycle import MoveRefused
from territories.referrals.returns import (
    QuotaStanding,
    ReturnRefused,
    approve_return,
    quota_standings,
    refuse_return,
    returnable_until,
)
from territories.referrals.views import DECIDE, VIEW

PAGE = 25
Status = ReferralReturn.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A return with what a person needs to decide it."""

    wish: ReferralReturn
    standing: QuotaStanding | None
    until: dt.datetime | None

    @property
    def is_late(self) -> bool:
        """It was asked for after the contractor's window."""
        return self.until is not None and self.wish.requested_at > self.until


@require_safe
@needs(VIEW)
def returns(request: HtmxHttpRequest) -> HttpResponse:
    """Returns that wait for a person, the oldest first; decided ones, the newest first."""
    return _show(request)


def _show(request: HtmxHttpRequest, *, pk: int = 0, problem: str = "", status: int = 200) -> HttpResponse:
    """`pk`: the return whose decision was refused, with the words why."""
    chosen = request.GET.get("status", "")
    chosen = chosen if chosen in Status.values else Status.PENDING.value
    real = ReferralReturn.objects.filter(referral__is_sandbox=False)
    counts = dict(real.order_by().values_list("status").annotate(Count("pk")))
    count = counts.get(chosen, 0)
    pages = max(1, -(-count // PAGE))
    number = min(max(_page_number(request), 1), pages)
    order = ["requested_at", "pk"] if chosen == Status.PENDING else [F("decided_at").desc(nulls_last=True), "-pk"]
    found = (
        real.filter(status=chosen)
        .select_related("referral__lead", "referral__contractor", "requested_by", "decided_by", "replacement")
        .defer("referral__receipt")
        .order_by(*order)[(number - 1) * PAGE : number * PAGE]
    )
    context = {
        "rows": _rows(list(found), timezone.now()),
        "chosen": chosen,
        "tabs": [(value, label, counts.get(value, 0), _address(value)) for value, label in Status.choices],
        "pages": pages,
        "number": number,
        "previous": _address(chosen, number - 1) if number > 1 else "",
        "next": _address(chosen, number + 1) if number < pages else "",
        "refused_pk": pk,
        "problem": problem,
        "typed": request.POST.get("note", ""),
    }
    return show(request, "territories/returns.html", context, status=status)


def _page_number(request: HtmxHttpRequest) -> int:
    """The page that the address or the form of a decision names; 1 where that is no number."""
    text = request.POST.get("page", request.GET.get("page", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 1


def _rows(wishes: list[ReferralReturn], at: dt.datetime) -> list[Row]:
    contractors = {wish.referral.contractor for wish in wishes if wish.referral.contractor is not None}
    standings = quota_standings(contractors=contractors, at=at) if contractors else {}
    return [
        Row(
            wish=wish,
            standing=standings.get(wish.referral.contractor_id or 0),
            until=returnable_until(wish.referral, wish.referral.contractor) if wish.referral.contractor else None,
        )
        for wish in wishes
    ]


def _address(status: str, number: int = 1) -> str:
    pairs = [("status", status)] if status != Status.PENDING else []
    pairs += [("page", str(number))] if number > 1 else []
    return f"{reverse('territories:returns')}?{urlencode(pairs)}" if pairs else reverse("territories:returns")


type_Decide = Callable[[ReferralReturn, str, User, dt.datetime], Any]


def _decide(
    request: HtmxHttpRequest, pk: int, *, form_class: type[forms.Form], act: type_Decide, done: str
) -> HttpResponse:
    wish = get_object_or_404(ReferralReturn.objects.filter(referral__is_sandbox=False), pk=pk)
    form = form_class(request.POST)
    is_from_referral = request.POST.get("next") == "referral"
    if not form.is_valid():
        problem = str(form.errors["note"][0])
        if not is_from_referral:
            return _show(request, pk=pk, problem=problem, status=422)
        messages.error(request, f"Nothing was changed. {problem}")
        return redirect(wish.referral)
    note = form.cleaned_data["note"]
    try:
        act(wish, note, person_of(request), timezone.now())
    except (ReturnRefused, MoveRefused) as refusal:
        kept = f" Your note was: “{note}”" if note else ""
        messages.error(request, f"Nothing was changed. {refusal}{kept}")
        return redirect(wish.referral)  # which shows what became of it
    messages.success(request, done)
    return redirect(wish.referral if is_from_referral else _address(Status.PENDING, _page_number(request)))


@require_POST
@needs(VIEW, DECIDE)
def approve(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Take the lead back."""

    def act(wish: ReferralReturn, note: str, by: User, at: dt.datetime) -> None:
        approve_return(wish=wish, note=note, by=by, at=at)

    done = "Approved: the lead is not charged, and another one replaces it as soon as there is one."
    return _decide(request, pk, form_class=NoteForm, act=act, done=done)


@require_POST
@needs(VIEW, DECIDE)
def refuse(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Leave the lead with the contractor."""

    def act(wish: ReferralReturn, note: str, by: User, at: dt.datetime) -> None:
        refuse_return(wish=wish, note=note, by=by, at=at)

    return _decide(request, pk, form_class=RefuseForm, act=act, done="Refused: the lead stays with the contractor.")
