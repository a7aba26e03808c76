"""Pages of merges: choose and confirm, watch, undo."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.views import STOP_POLLING
from leads.models import Lead
from leads.selections import CountDrifted
from tags.decay import in_words
from tags.merges import sql
from tags.merges.operations import (
    KEPT_FOR,
    MergeRefused,
    merge_tags,
    refuse_merge,
    refuse_undo,
    undo_merge,
)
from tags.models import MergedAssignment, Tag, TagMerge
from tags.queries import jobs_of
from tags.rule_views import number_of

SAMPLE = 8


@require_http_methods(["GET", "HEAD", "POST"])
@needs("leads.view_lead", "tags.view_tag", "tags.change_tag")
def merge(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Choose the tag that stays (`into`), see what the merge would do, and confirm it. POST merges."""
    merged = get_object_or_404(Tag.objects.select_related("merged_into"), pk=pk)
    if request.method == "POST":
        return _merge(request, merged)
    return _show_merge(request, merged, request.GET.get("into", ""))


def _show_merge(
    request: HtmxHttpRequest, merged: Tag, chosen: str, *, problem: str = "", status: int = 200
) -> HttpResponse:
    at = timezone.now()
    choices = Tag.objects.active().exclude(pk=merged.pk)
    into = Tag.objects.select_related("merged_into").filter(pk=number_of(chosen)).first() if chosen else None
    if chosen and into is None:
        problem, status = problem or "That tag is not there any more; choose another.", 422
    refusal = ""
    if merged.merged_into is not None or into is not None:
        try:
            refuse_merge(merged=merged, into=into or merged)
        except MergeRefused as refused:
            refusal = str(refused)
    context: dict[str, Any] = {
        "merged": merged,
        "into": into,
        "choices": choices,
        "problem": problem or refusal,
        "kept_for": KEPT_FOR.days,
    }
    if into is not None and not refusal:
        meetings = sql.sample(merged=merged.pk, into=into.pk, at=at, leads=SAMPLE)
        leads = Lead.objects.in_bulk([meeting.lead_id for meeting in meetings])
        context |= {
            "extent": sql.extent(merged=merged.pk, into=into.pk, at=at),
            "sample": [(leads[meeting.lead_id], meeting) for meeting in meetings if meeting.lead_id in leads],
            "sides": [(tag, in_words(tag.decay_steps)) for tag in (merged, into)],
        }
    status = 422 if refusal and status == 200 else status
    return show(request, "tags/merge.html", context, part="confirm", status=status)


def _merge(request: HtmxHttpRequest, merged: Tag) -> HttpResponse:
    chosen = request.POST.get("into", "")
    into = Tag.objects.filter(pk=number_of(chosen)).first()
    if into is None:
        problem = "Choose the tag that stays." if not chosen else "That tag is not there any more; choose another."
        return _show_merge(request, merged, "", problem=problem, status=422)
    try:
        done = merge_tags(
            merged_id=merged.pk,
            into_id=into.pk,
            expected=number_of(request.POST.get("expected", "")),
            by=person_of(request),
            at=timezone.now(),
        )
    except MergeRefused as refusal:
        return _show_merge(request, merged, chosen, problem=str(refusal), status=409)
    except CountDrifted:
        problem = "Leads got or lost this tag since you looked, so nothing was merged. The counts below are today's."
        return _show_merge(request, merged, chosen, problem=problem, status=409)
    return redirect("tags:merged", done.pk)


@require_safe
@needs("tags.view_tag")
def merged(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A merge: its progress, then what it did and the way back. htmx asks for the state while it is being applied."""
    return _show_merged(request, _find(pk))


def _find(pk: int) -> TagMerge:
    merges = TagMerge.objects.select_related("change__by", "undo_change__by", "merged", "into__merged_into")
    return get_object_or_404(merges, pk=pk)


def _show_merged(request: HtmxHttpRequest, merge: TagMerge, *, problem: str = "", status: int = 200) -> HttpResponse:
    change = merge.undo_change or merge.change
    may_undo = person_of(request).has_perms(["tags.change_tag", "tags.view_tag"])
    refusal = ""
    try:
        refuse_undo(merge=merge, at=timezone.now())
    except MergeRefused as refused:
        refusal = str(refused)
    is_applying = change.applied_at is None
    context = {
        "merge": merge,
        "change": change,
        "job": jobs_of([change]).get(change.pk),
        "is_applying": is_applying,
        "may_undo": may_undo,
        "refusal": refusal,
        "problem": problem,
        "kept": MergedAssignment.objects.filter(merge=merge).count() if may_undo and not refusal else 0,
        "until": merge.change.at + KEPT_FOR,
    }
    if wants_part(request) and not is_applying:
        status = STOP_POLLING
    return show(request, "tags/merged.html", context, part="state", status=status)


@require_POST
@needs("tags.view_tag", "tags.change_tag")
def undo(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Undo a merge wherever nothing was changed since."""
    merge = _find(pk)
    try:
        undo_merge(merge_id=merge.pk, by=person_of(request), at=timezone.now())
    except MergeRefused as refusal:
        return _show_merged(request, _find(pk), problem=str(refusal), status=409)
    messages.success(request, f"{merge.merged} is a tag of its own again; its leads come back one after the other.")
    return redirect("tags:merged", merge.pk)
