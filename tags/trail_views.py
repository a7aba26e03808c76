"""Pages of the audit trail: what was published, filtered and exported, and the way to undo one change."""

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from leads.spreadsheet import csv_lines
from tags.forms import ReasonForm
from tags.models import RuleChange, Tag, TagGroup, TagMerge
from tags.operations import NothingToPublish, RuleStale, latest_change_id
from tags.proposals import UNDO, edits_of, encode
from tags.queries import url_of
from tags.rule_views import READ_OR_POST, number_of, say_published
from tags.trail import PAGE, TrailForm, csv_rows, describe_entries, find_entries
from tags.undo import UndoRefused, rules_before, undo_change

SEES_TRAIL = ("tags.view_tag", "tags.view_rulechange")


def _rule_of(wanted: dict[str, Any]) -> Tag | TagGroup | None:
    rule: Tag | TagGroup | None = wanted.get("tag") or wanted.get("group")
    return None if {"tag", "group"} <= wanted.keys() else rule


@require_safe
@needs(*SEES_TRAIL)
def change_list(request: HtmxHttpRequest) -> HttpResponse:
    """The trail, newest first; filters and page stand in the address."""
    form = TrailForm(request.GET)
    wanted = form.wanted
    if form.errors.keys() & {"tag", "group"}:
        raise Http404
    rule = _rule_of(wanted)
    found = find_entries(wanted)
    count = found.count()
    pages = max(1, -(-count // PAGE))
    page = min(max(number_of(request.GET.get("page", "")), 1), pages)
    state = [(name, request.GET[name]) for name in form.fields if request.GET.get(name, "").strip()]
    context = {
        "form": form,
        "problems": [(form.fields[name].label, notes[0]) for name, notes in form.errors.items()],
        "entries": describe_entries(list(found[(page - 1) * PAGE : page * PAGE]), rule=rule),
        "count": count,
        "rule": rule,
        "rule_url": url_of(rule) if rule else "",
        "is_filtered": bool(wanted),
        "page": page,
        "pages": pages,
        "newer": _address([*state, *([("page", str(page - 1))] if page > 2 else [])]) if page > 1 else "",
        "older": _address([*state, ("page", str(page + 1))]) if page < pages else "",
        "export_url": f"{reverse('tags:export-changes')}?{urlencode(state)}",
        "latest": latest_change_id(),
    }
    response = show(request, "tags/changes.html", context, part="results")
    if wants_part(request):
        address = _address([*state, *([("page", str(page))] if page > 1 else [])])
        response["HX-Push-Url"] = "false" if request.htmx.current_url_abs_path == address else address
    return response


def _address(state: list[tuple[str, str]]) -> str:
    return f"{reverse('tags:changes')}?{urlencode(state)}" if state else reverse("tags:changes")


@require_safe
@needs(*SEES_TRAIL, "leads.export_leads")
def export_changes(request: HtmxHttpRequest) -> StreamingHttpResponse | HttpResponse:
    """The trail as the filters leave it, as CSV: a line for each field that was changed."""
    form = TrailForm(request.GET)
    wanted = form.wanted
    if form.errors:  # a file cannot say that a filter was left out
        return redirect(f"{reverse('tags:changes')}?{request.GET.urlencode()}")
    lines = csv_lines(csv_rows(wanted, rule=_rule_of(wanted)))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"tag-changes-{timezone.localdate():%Y-%m-%d}"
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


@require_http_methods(READ_OR_POST)
@needs(*SEES_TRAIL)
def undo(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What undoing one change would do, and the button that publishes it."""
    change = get_object_or_404(RuleChange.objects.select_related("by"), pk=pk)
    if not person_of(request).has_perms(["tags.change_tag", "tags.change_taggroup"]):
        raise PermissionDenied
    merge = TagMerge.objects.filter(change=change).first()
    if merge is not None:
        return redirect("tags:merged", merge.pk)
    return _undo(request, change) if request.method == "POST" else _show_undo(request, change)


def _show_undo(request: HtmxHttpRequest, change: RuleChange, *, problem: str = "", status: int = 200) -> HttpResponse:
    preview, edits = "", []
    try:
        edits = edits_of(rules_before(change))
    except UndoRefused as refusal:
        problem = problem or str(refusal)
        status = 409 if request.method == "POST" else status
    if edits:
        preview = encode([("rule", UNDO), ("id", str(change.pk)), ("seen", str(latest_change_id()))])
    elif not problem:
        problem = "The rules are as they were before this change already; there is nothing to undo."
    context = {"change": change, "edits": edits, "preview": preview, "problem": problem}
    return show(request, "tags/undo.html", context, status=status)


def _undo(request: HtmxHttpRequest, change: RuleChange) -> HttpResponse:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        problem = f"Reason: {' '.join(map(str, form.errors['reason']))}"
        return _show_undo(request, change, problem=problem, status=422)
    try:
        published = undo_change(
            change=change,
            seen=number_of(request.POST.get("seen", "")),
            by=person_of(request),
            at=timezone.now(),
            reason=form.cleaned_data["reason"],
        )
    except RuleStale:
        problem = "Somebody published another change meanwhile, so nothing was undone. See below what undoing does now."
        return _show_undo(request, change, problem=problem, status=409)
    except UndoRefused as refusal:
        return _show_undo(request, change, problem=str(refusal), status=409)
    except NothingToPublish:
        return _show_undo(request, change, status=422)
    except ValidationError as refusal:
        problem = f"This cannot be undone as a whole: {' '.join(refusal.messages)}"
        return _show_undo(request, change, problem=problem, status=422)
    say_published(request, published, f"Undone: version {change.pk} holds no more.")
    return redirect("tags:change", published.pk)
