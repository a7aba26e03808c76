"""Pages of bulk tagging: what it would do, how far it is, what it did, and undoing it."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.models import Job
from jobs.views import STOP_POLLING, may_cancel
from leads.selections import CountDrifted, Selection, SelectionRefused, select_ids, select_matching
from tags.bulk import (
    ASSIGN,
    BULK_TAG,
    UNDO,
    Action,
    BulkPreview,
    NothingSelected,
    TagArchived,
    UndoRefused,
    left_by_undo,
    preview_bulk_tagging,
    start_bulk_tagging,
    start_undo,
    undo_of,
    why_not_undo,
)
from tags.lead_pages import tags_to_choose
from tags.models import Tag


@dataclass(slots=True, kw_only=True)
class Asked:
    """What the address asks for at a moment, as far as it can be understood; `problems` says what cannot."""

    at: dt.datetime
    action: Action
    tag: Tag | None
    selection: Selection | None
    problems: list[str]
    values: list[tuple[str, str]]  # the selection as the address has it


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _asked(query: QueryDict, at: dt.datetime) -> Asked:
    problems: list[str] = []
    try:
        action = Action(query.get("action", Action.ADD))
    except ValueError:
        action = Action.ADD
        problems.append(f"“{query['action'][:40]}” is nothing that can be done with tags; choose Add or Remove.")
    chosen = query.get("tag", "")
    tag = Tag.objects.filter(pk=number).first() if (number := _whole(chosen)) is not None else None
    if tag is None:
        problems.append("Choose a tag first." if not chosen else "That tag is not there any more; choose another.")
    values = [(name, value) for name in ("all", "filter", "lead") for value in query.getlist(name) if value]
    selection = None
    try:
        selection = _selected(query, at)
    except SelectionRefused as refusal:
        problems += _in_words(refusal)
    return Asked(at=at, action=action, tag=tag, selection=selection, problems=problems, values=values)


def _selected(query: QueryDict, at: dt.datetime) -> Selection:
    if query.get("all"):
        parameters = QueryDict(query.get("filter", ""))
        return select_matching({name: parameters.getlist(name) for name in parameters}, at=at)
    numbers = [(text, _whole(text)) for text in query.getlist("lead")]
    if odd := [text for text, number in numbers if number is None]:
        raise SelectionRefused({"lead_ids": [f"“{odd[0][:40]}” is not the id of a lead."]})
    return select_ids([number for _, number in numbers if number is not None])


def _in_words(refusal: SelectionRefused) -> list[str]:
    """Each problem of a selection, with the filter that has it."""
    return [
        " ".join(notes) if name == "lead_ids" else f"Filter “{name}”: {' '.join(notes)}"
        for name, notes in refusal.errors.items()
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@needs("leads.view_lead", ASSIGN)
def bulk(request: HtmxHttpRequest) -> HttpResponse:
    """How many leads would change, and a sample; the address holds selection, action and tag. POST starts."""
    if request.method != "POST":
        return _confirm(request, _asked(request.GET, timezone.now()))
    asked = _asked(request.POST, timezone.now())
    if asked.problems or asked.tag is None or asked.selection is None:
        return _confirm(request, asked)
    confirmed = _whole(request.POST.get("count", ""))
    if confirmed is None:
        asked.problems.append("Look at the leads and their number first, then confirm.")
        return _confirm(request, asked)
    try:
        job = start_bulk_tagging(
            selection=asked.selection,
            action=asked.action,
            tag=asked.tag,
            confirmed=confirmed,
            by=person_of(request),
            at=asked.at,
        )
    except CountDrifted as drift:
        return _confirm(request, asked, drift=str(drift), status=409)
    except SelectionRefused as refusal:
        asked.problems += _in_words(refusal)
        return _confirm(request, asked)
    except (TagArchived, NothingSelected) as refusal:
        asked.problems.append(str(refusal))
        return _confirm(request, asked)
    return redirect("tags:bulk-job", job.pk)


def _confirm(request: HtmxHttpRequest, asked: Asked, *, drift: str = "", status: int = 200) -> HttpResponse:
    preview: BulkPreview | None = None
    if asked.selection is not None and asked.tag is not None and not asked.problems:
        try:
            preview = preview_bulk_tagging(selection=asked.selection, action=asked.action, tag=asked.tag, at=asked.at)
        except TagArchived as refusal:
            asked.problems.append(str(refusal))
    context: dict[str, Any] = {
        "asked": asked,
        "is_adding": asked.action == Action.ADD,
        "preview": preview,
        "drift": drift,
        "given": tags_to_choose(),
        "filters": asked.selection.in_words(at=asked.at) if asked.selection else [],
        "back": _leads_url(request.GET.get("filter", "") or request.POST.get("filter", "")),
    }
    return show(request, "tags/bulk.html", context, status=422 if asked.problems else status)


def _leads_url(filter_query: str) -> str:
    return reverse("leads:list") + (f"?{filter_query}" if filter_query else "")


def _bulk_job(pk: int) -> Job:
    return get_object_or_404(Job.objects.select_related("created_by"), pk=pk, kind__in=[BULK_TAG, UNDO])


@require_safe
@needs("tags.view_tag", "jobs.view_job")
def bulk_job(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One bulk change or undo: its bar, then what it did, and the way back."""
    job = _bulk_job(pk)
    over = wants_part(request) and not job.is_live
    return show(request, "tags/bulk_job.html", _about(request, job), part="state", status=STOP_POLLING if over else 200)


def _about(request: HtmxHttpRequest, job: Job) -> dict[str, Any]:
    person = person_of(request)
    is_undo = job.kind == UNDO
    selection, filters = None, []
    if not is_undo and job.params["filter"] is not None:
        selection = Selection(filter=job.params["filter"])
        try:
            filters = selection.in_words(at=job.as_of)
        except SelectionRefused:  # a tag of the filter is gone since
            filters = [(name, ", ".join(values)) for name, values in job.params["filter"].items()]
    undo = undo_of(job)
    left = left_by_undo(job) if is_undo and not job.is_live and (job.result or {}).get(LEFT) else []
    may_assign = person.has_perm(ASSIGN)
    return {
        "job": job,
        "may_cancel": may_cancel(request, job),
        "is_undo": is_undo,
        "tag": Tag.objects.filter(pk=job.params["tag_id"]).first(),
        "is_adding": not is_undo and job.params["action"] == Action.ADD,
        "selection": selection,
        "filters": filters,
        "undone": Job.objects.filter(pk=job.params["undone_id"]).first() if is_undo else None,
        "undo": undo,
        "may_undo": may_assign and undo is None and not why_not_undo(job, at=timezone.now()),
        "may_undo_again": may_assign and undo is not None and undo.status in {Job.Status.FAILED, Job.Status.CANCELLED},
        "why_not": "" if job.is_live or undo else why_not_undo(job, at=timezone.now()),
        "again": _again_url(job) if job.status == Job.Status.FAILED and may_assign and selection else "",
        "left": left,
        "leads_url": selection.list_url if selection else reverse("leads:list"),
    }


LEFT = "left_because_changed_since"


def _again_url(job: Job) -> str:
    """The confirmation of the same change, as things stand now."""
    query = QueryDict(mutable=True)
    query.update({"action": job.params["action"], "tag": str(job.params["tag_id"]), "all": "1"})
    query["filter"] = Selection(filter=job.params["filter"]).filter_query
    return f"{reverse('tags:bulk')}?{query.urlencode()}"


@require_POST
@needs(ASSIGN)
def undo(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Begin to put back what a bulk change found."""
    job = _bulk_job(pk)
    try:
        started = start_undo(job=job, by=person_of(request), at=timezone.now())
    except UndoRefused as refusal:
        messages.error(request, f"{job.title} is left as it is. {refusal}")
        return redirect("tags:bulk-job", job.pk)
    return redirect("tags:bulk-job", started.pk)
