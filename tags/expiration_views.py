"""The page on which many tags get other days at once: choose, preview, publish."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.views import STOP_POLLING
from tags.expiration_forms import ExpirationsForm, sum_of_counts
from tags.expirations import preview_expirations, publish_expirations
from tags.forms import RETROACTIVE
from tags.operations import NothingToPublish, RuleStale, StillApplying
from tags.proposals import EXPIRATIONS, encode
from tags.queries import Carried, count_by_tag, describe_changes, unapplied_expirations

TEMPLATE = "tags/expirations.html"


@require_http_methods(["GET", "HEAD", "POST"])
@needs("tags.view_tag", "tags.change_tag")
def expirations(request: HtmxHttpRequest) -> HttpResponse:
    """Every tag with its days, those to change, and what that would do. POST publishes."""
    if request.method == "POST":
        return _publish(request)
    if wants_part(request) and request.htmx.target == "rule-applying":
        applying = describe_changes(unapplied_expirations())
        context = {"applying": applying, "was_applying": True}
        return show(request, TEMPLATE, context, part="applying", status=200 if applying else STOP_POLLING)
    form = ExpirationsForm(request.GET)
    if "choose" in request.GET or "fill" in request.GET:
        return _fill(request, form)
    if "preview" not in request.GET:
        return _show(request, form)
    if not form.is_valid():
        return _show(request, form, status=422)
    # The differences are shown beside it: who publishes from here on has seen today's versions.
    return _show(request, form, preview=encode([("rule", EXPIRATIONS), *form.values(seen_now=True)]))


def _fill(request: HtmxHttpRequest, form: ExpirationsForm) -> HttpResponse:
    """Tick, or set days for, many rows; the address is that of what came out."""
    if "choose" in request.GET:
        form.choose(request.GET["choose"])
    else:
        form.fill()
        if form.problems:
            return _show(request, form, status=422)
    address = reverse("tags:expirations")
    query = encode(form.values())
    address = f"{address}?{query}" if query else address
    if not wants_part(request):
        return redirect(address)
    response = _show(request, form)
    response["HX-Push-Url"] = address
    return response


def _show(
    request: HtmxHttpRequest, form: ExpirationsForm, *, preview: str = "", problem: str = "", status: int = 200
) -> HttpResponse:
    carried = count_by_tag()
    context = {
        "form": form,
        "rows": [(row, carried.get(row.tag.pk, Carried()).active) for row in form.rows],
        "problems": [*form.problems, *([problem] if problem else [])],
        "stale": form.stale,
        "preview": preview,
        "retroactive": RETROACTIVE,
        **_effect(form),
        "all_days": form.data.get("all_days", ""),
        "all_retroactive": "all_retroactive" in form.data,
        "applying": describe_changes(unapplied_expirations()),
    }
    response = show(request, TEMPLATE, context, part="choice", status=status)
    if preview and wants_part(request):
        response["HX-Reswap"] = "innerHTML show:#preview:top"
    return response


def _effect(form: ExpirationsForm) -> dict[str, Any]:
    """How many assignments would end elsewhere by what is ticked and typed."""
    return {
        "chosen": len(form.chosen),
        "has_wrong_rows": any(row.problem for row in form.chosen),
        "counts": sum_of_counts(preview_expirations(changes=form.changes(), at=timezone.now())),
    }


def _publish(request: HtmxHttpRequest) -> HttpResponse:
    form = ExpirationsForm(request.POST)
    if not form.is_valid():
        return _show(request, form, status=422)
    try:
        change = publish_expirations(
            changes=form.changes(),
            by=person_of(request),
            at=timezone.now(),
            reason=form.head.cleaned_data["reason"],
            seen={row.tag.pk: row.seen for row in form.chosen},
        )
    except StillApplying as refusal:
        return _show(request, form, problem=str(refusal), status=409)
    except RuleStale:
        return _show(request, ExpirationsForm(request.POST), status=409)
    except NothingToPublish:
        problem = "Nothing differs from what holds today, so there is nothing to publish."
        return _show(request, form, problem=problem, status=422)
    tags = f"{len(change.tag_ids)} tag{'' if len(change.tag_ids) == 1 else 's'}"
    messages.success(request, f"Published: {tags} with other days, from version {change.pk} on.")
    return redirect("tags:expirations")


@require_safe
@needs("tags.view_tag", "tags.change_tag")
def expirations_effect(request: HtmxHttpRequest) -> HttpResponse:
    """How many assignments would end elsewhere by what is being typed; a preview on the page is out of date then."""
    if not wants_part(request):
        return redirect(f"{reverse('tags:expirations')}?{request.GET.urlencode()}")
    context = {**_effect(ExpirationsForm(request.GET)), "is_outdated": "previewed" in request.GET}
    return show(request, "tags/_expirations_effect.html", context)
