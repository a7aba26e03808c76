from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from imports.files import Layout, UnusableFile, read_rows, sample_rows
from imports.forms import PlaceForm, UploadForm
from imports.mapping import FIELDS, Mapping, MappingError, require_address
from imports.models import ImportBatch
from imports.operations import (
    ImportRefused,
    discard_batch,
    preview_batch,
    receive_file,
    remap_batch,
    start_import,
    stored_path,
)
from imports.queries import Evidence, evidence_of, rejected_rows_csv, tag_evidence_of
from jobs.views import STOP_POLLING, may_cancel
from leads.models import Lead
from leads.views import show_panel
from tags.models import Tag

RECENT = 50
SAMPLES = 3
MAX_CHOICES = 250  # unused columns that get a box of their own; each costs a list of all fields
COUNTED_BYTES = 8 * 1024 * 1024  # up to here the rows are counted for the review; beyond, estimated


@require_http_methods(["GET", "HEAD", "POST"])
@needs("imports.view_importbatch")
def import_list(request: HtmxHttpRequest) -> HttpResponse:
    """The imports of late, and the form that brings a new list."""
    if request.method == "POST":
        return _upload(request)
    return _import_list(request, UploadForm())


def _import_list(
    request: HtmxHttpRequest, form: UploadForm, *, unusable: UnusableFile | None = None, status: int = 200
) -> HttpResponse:
    batches = list(ImportBatch.objects.select_related("job").order_by("-pk")[:RECENT])
    any_live = any(batch.job and batch.job.is_live for batch in batches)
    context = {
        "form": form,
        "unusable": unusable,
        "batches": batches,
        "any_live": any_live,
        "may_import": _may_import(request),
    }
    over = wants_part(request) and not any_live
    return show(request, "imports/list.html", context, part="rows", status=STOP_POLLING if over else status)


def _may_import(request: HtmxHttpRequest) -> bool:
    return person_of(request).has_perm("imports.import_leads")


@needs("imports.import_leads")
def _upload(request: HtmxHttpRequest) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_list(request, form, status=422)
    asked = form.cleaned_data
    try:
        # A file without an address column becomes a draft all the same: the person may choose the column.
        batch = receive_file(
            content=asked["file"],
            name=asked["file"].name,
            at=timezone.now(),
            by=person_of(request),
            source=asked["source"],
            place=asked["place"],
            on_duplicate=asked["on_duplicate"],
            unknown_tags=asked["unknown_tags"],
            tag_ids=[tag.pk for tag in asked["tags"]],
            require_address=False,
        )
    except UnusableFile as unusable:
        return _import_list(request, form, unusable=unusable, status=422)
    except (ImportRefused, MappingError) as refusal:
        form.add_error(None, str(refusal))
        return _import_list(request, form, status=422)
    return redirect(batch)


@require_safe
@needs("imports.view_importbatch")
def import_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A draft to review, a running import with its bar, or what became of it."""
    batch = get_object_or_404(ImportBatch.objects.select_related("job", "job__created_by"), pk=pk)
    if batch.status == ImportBatch.Status.DRAFT:
        return _review(request, batch)
    job = batch.job
    context = {
        "batch": batch,
        "job": job,
        "landed": batch.created + batch.updated + batch.unchanged + batch.rejected,
        "may_cancel": job is not None and may_cancel(request, job),
        "may_import": _may_import(request),
        "leads_url": f"{reverse('leads:list')}?import={batch.pk}",
        "new_tags": Tag.objects.filter(pk__in=batch.new_tag_ids),
        "file_tags": Tag.objects.filter(pk__in=batch.tag_ids),
    }
    over = wants_part(request) and not (job and job.is_live)
    return show(request, "imports/detail.html", context, part="state", status=STOP_POLLING if over else 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoice:
    """A column of the file as the review shows it; `number` counts from 1."""

    number: int
    name: str
    samples: list[str]
    field: str


def _review(
    request: HtmxHttpRequest,
    batch: ImportBatch,
    *,
    problem: str = "",
    chosen: dict[str, int] | None = None,
    place_form: PlaceForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """How the file was understood. With `chosen` and `place_form`, what a person just asked that could not be taken."""
    layout = Layout.from_dict(batch.layout)
    path = stored_path(batch)
    try:
        sample = sample_rows(path, layout)
        preview = preview_batch(batch=batch)
        rows, is_exact = _count_rows(batch, layout)
    except (OSError, UnusableFile) as error:
        sample, preview, rows, is_exact = [], [], 0, True
        problem = problem or f"The file cannot be read any more ({error}); discard this draft and upload it again."
    mapping = Mapping.from_dict(batch.mapping)
    fields = {at: name for name, at in mapping.fields.items()}
    if chosen is not None:
        fields = {number - 1: name for name, number in chosen.items()}
    elif not problem:
        try:
            require_address(mapping, layout.columns, sample)
        except UnusableFile as unusable:
            # The file was taken as a draft, so that the person can choose.
            problem = f"{unusable} Choose the right column below, and start the import."
    choices = [
        ColumnChoice(number=at + 1, name=name, samples=_samples(sample, at), field=fields.get(at, ""))
        for at, name in enumerate(layout.columns)
    ]
    unused = [column for column in choices if not column.field]
    place = f"{batch.default_city}, {batch.default_state}" if batch.default_city else ""
    context = {
        "batch": batch,
        "place_form": place_form or PlaceForm(initial={"place": place}),
        "landing": sum(1 for row in preview if not row.problem),
        "placeless": sum(1 for row in preview if not row.problem and row.is_place_unknown),
        "width": len(choices),
        "used": [column for column in choices if column.field],
        "unused": unused[:MAX_CHOICES],
        "unused_count": len(unused),
        "fields": [(name, field.label) for name, field in FIELDS.items()],
        "preview": preview,
        "problems": sum(1 for row in preview if row.problem),
        "rows": rows,
        "is_exact": is_exact,
        "problem": problem,
        "may_import": _may_import(request),
        "file_tags": Tag.objects.filter(pk__in=batch.tag_ids),
    }
    return show(request, "imports/review.html", context, status=status)


def _samples(sample: list[list[str]], at: int) -> list[str]:
    """The first different values of a column."""
    values = (row[at].strip() for row in sample if at < len(row))
    return list(islice(dict.fromkeys(value for value in values if value), SAMPLES))


def _count_rows(batch: ImportBatch, layout: Layout) -> tuple[int, bool]:
    """The rows of the file: exact for a small file, else about how many, from the width of its first rows."""
    if batch.size <= COUNTED_BYTES:
        return sum(1 for row in read_rows(stored_path(batch), layout) if not row.is_blank), True
    first = list(islice(read_rows(stored_path(batch), layout), 2_000))
    width = sum(sum(len(cell) + 1 for cell in row.cells) + 1 for row in first) / max(len(first), 1)
    return int(round(batch.size / max(width, 1.0), -3)), False


def _draft(pk: int) -> ImportBatch | None:
    """The batch while it is still a draft; 404 where there is none."""
    batch = get_object_or_404(ImportBatch, pk=pk)
    return batch if batch.status == ImportBatch.Status.DRAFT else None


@require_http_methods(["GET", "HEAD", "POST"])
@needs("imports.import_leads")
def columns(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Take the columns and the place as chosen; with `start`, begin the import as well."""
    batch = _draft(pk)
    # A refusal is answered under this address: opened again, it leads back to the review.
    if batch is None or request.method != "POST":
        return redirect("imports:detail", pk)
    names = list(batch.layout.get("columns", []))
    chosen: dict[str, int] = {}
    twice = ""
    for number in range(1, len(names) + 1):
        field = request.POST.get(f"column-{number}", "")
        if field in chosen:
            twice = (
                f"Both “{names[chosen[field] - 1]}” and “{names[number - 1]}” are set to "
                f"{FIELDS[field].label}; a field takes one column."
            )
        if field in FIELDS:
            chosen[field] = number
    asked = PlaceForm(request.POST)
    try:
        if twice:
            raise MappingError(twice)
        if not asked.is_valid():
            raise ImportRefused("Nothing is taken over yet: see what is said beside the place.")
        place = asked.cleaned_data["place"] if "place" in request.POST else None
        batch = remap_batch(batch=batch, columns=chosen, place=place)
    except (ImportRefused, MappingError, UnusableFile) as error:
        return _review(request, batch, problem=str(error), chosen=chosen, place_form=asked, status=422)
    if "start" in request.POST:
        start_import(batch=batch, at=timezone.now(), by=person_of(request))
    return redirect(batch)


@require_POST
@needs("imports.import_leads")
def discard(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    batch = _draft(pk)
    if batch is None:
        return redirect("imports:detail", pk)
    discard_batch(batch=batch)
    messages.success(request, f"The draft of {batch.name} is discarded; nothing was imported.")
    return redirect("imports:list")


@require_safe
@needs("imports.import_leads")
def rejected(request: HtmxHttpRequest, pk: int) -> StreamingHttpResponse:
    """The rejected rows with line and reason, to be mended and uploaded again."""
    batch = get_object_or_404(ImportBatch, pk=pk)
    response = StreamingHttpResponse(rejected_rows_csv(batch=batch), content_type="text/csv; charset=utf-8")
    stem = slugify(batch.name.rpartition(".")[0]) or "list"
    response["Content-Disposition"] = f'attachment; filename="{stem}-rejected.csv"'
    return response


@require_safe
@needs("leads.view_lead")
def lead_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What each list said of a lead, list by list."""
    lead = get_object_or_404(Lead, pk=pk)
    by_source: dict[str, list[Evidence]] = {}
    for evidence in evidence_of(lead=lead):
        by_source.setdefault(evidence.source, []).append(evidence)
    context: dict[str, Any] = {
        "sources": by_source,
        "tags": tag_evidence_of(lead=lead),
        "may_view_imports": person_of(request).has_perm("imports.view_importbatch"),
    }
    return show_panel(request, "imports/lead_panel.html", lead, "evidence", context)
