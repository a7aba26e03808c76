"""Imports over the API: bring a list, see what became of it, fetch its rejected rows."""

import io
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import ApiView, UtcDateTimeField, answers, person_of
from imports.files import UnusableFile
from imports.mapping import MappingError
from imports.models import ImportBatch
from imports.operations import ImportRefused, receive_file, start_import
from imports.queries import rejected_rows_csv
from jobs.api import JOB_EXAMPLE, LOCATION, JobSerializer, started
from tags.api import TagReferenceSerializer
from tags.models import Tag

FORM_OVERHEAD = 1024 * 1024  # bytes of a form around its file
SEND = (
    "Send the list as the field `file` of a multipart form, or as the body itself with the Content-Type text/csv or "
    "application/json (curl: -H 'Content-Type: text/csv' --data-binary @list.csv)."
)


class ListRefused(APIException):
    """A list that cannot be imported as asked; the columns that were found stand beside the reason."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "list_refused"

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason.with_remedy("map=") if isinstance(reason, UnusableFile) else str(reason))
        self.members = {"columns": list(reason.columns)} if isinstance(reason, UnusableFile) else {}


class ListTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"

    def __init__(self) -> None:
        limit = settings.IMPORT_MAX_BYTES // 1024**2
        super().__init__(f"The file is larger than {limit:,} MB, the limit here; split it.")


class LengthRequired(APIException):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the list with a Content-Length, not in chunks."


class WholeBody:
    """The body of a request, refused when it ends before its length: half a list must not pass for a whole one."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self.stream = stream
        self.left = length

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if not data and size != 0 and self.left > 0:
            raise ParseError("The connection broke before the list had arrived; nothing was imported.")
        return data


def _length(request: Request) -> int:
    text = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() else 0


class FormParser(MultiPartParser):
    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles:
        body: Any = WholeBody(stream, _length((parser_context or {})["request"]))
        return super().parse(body, media_type, dict(parser_context or {}))


class CsvBody(BaseParser):
    """Hands the body on unread, so that a list of any size streams."""

    media_type = "text/csv"
    file_name = "list.csv"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        length = _length((parser_context or {})["request"])
        if length > settings.IMPORT_MAX_BYTES:
            raise ListTooLarge
        return WholeBody(stream, length)


class TsvBody(CsvBody):
    media_type = "text/tab-separated-values"
    file_name = "list.tsv"


class TextBody(CsvBody):
    media_type = "text/plain"
    file_name = "list.txt"


class JsonBody(CsvBody):
    media_type = "application/json"
    file_name = "list.json"


BODIES = (CsvBody, JsonBody, TsvBody, TextBody)


class ImportOptionsSerializer(serializers.Serializer):
    """How to import the list."""

    source = serializers.CharField(  # type: ignore[assignment]
        required=False,
        allow_blank=True,
        max_length=100,
        help_text="Who the list comes from; else the file's name, or `API` for a bare body.",
    )
    place = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text='Where rows lie that name neither ZIP nor city, such as "Hoboken, NJ".',
    )
    on_duplicate = serializers.ChoiceField(
        choices=ImportBatch.OnDuplicate.choices, default=ImportBatch.OnDuplicate.FILL, help_text="For known properties."
    )
    unknown_tags = serializers.ChoiceField(
        choices=ImportBatch.UnknownTags.choices,
        default=ImportBatch.UnknownTags.CREATE,
        help_text="For tag names that do not exist.",
    )
    tag = serializers.ListField(
        child=serializers.CharField(max_length=80), required=False, help_text="Names of tags for every row; repeat it."
    )
    tag_id = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="Ids of tags for every row; repeat it."
    )
    map = serializers.ListField(
        child=serializers.CharField(max_length=400),
        required=False,
        help_text="`FIELD=COLUMN`, where the suggested column is wrong; repeat it.",
    )
    encoding = serializers.CharField(
        required=False, allow_blank=True, max_length=40, help_text="Such as cp1252; else it is found out."
    )
    name = serializers.CharField(
        required=False, max_length=255, help_text="The name of the list; else the file's name."
    )

    def validate_map(self, pairs: list[str]) -> list[str]:
        for pair in pairs:
            field, _, column = pair.partition("=")
            if not field.strip() or not column.strip():
                raise serializers.ValidationError(f"{pair!r} is not FIELD=COLUMN, such as address=SITUS_ADDR.")
        return pairs


class ImportFormSerializer(ImportOptionsSerializer):
    """A list in a multipart form."""

    file = serializers.FileField(allow_empty_file=True, help_text="CSV, tab-separated or JSON (a list of objects).")


class UsedColumnSerializer(serializers.Serializer):
    field = serializers.CharField()
    column = serializers.CharField()


class ImportSerializer(serializers.ModelSerializer):
    """One list and what became of it: once it has succeeded, rows = created + updated + unchanged + rejected."""

    created_at = UtcDateTimeField(read_only=True)
    notes = serializers.ListField(child=serializers.CharField(), read_only=True)
    columns = serializers.SerializerMethodField(help_text="Which column feeds which field.")
    unused_columns = serializers.SerializerMethodField(help_text="Kept with each row as evidence.")
    tags = serializers.SerializerMethodField(help_text="Tags for every row.")
    new_tags = serializers.SerializerMethodField(help_text="Tags that this import made, to be reviewed.")
    job = JobSerializer(read_only=True, allow_null=True)
    rejected_url = serializers.SerializerMethodField(help_text="The rejected rows as CSV; null when there are none.")

    class Meta:
        model = ImportBatch
        fields = [
            "id",
            "name",
            "source",
            "status",
            "on_duplicate",
            "unknown_tags",
            "size",
            "sha256",
            "columns",
            "unused_columns",
            "notes",
            "tags",
            "rows",
            "created",
            "updated",
            "unchanged",
            "rejected",
            "blank",
            "new_tags",
            "rejected_url",
            "job",
            "created_at",
        ]
        read_only_fields = fields

    def get_columns(self, batch: ImportBatch) -> UsedColumnSerializer(many=True):  # type: ignore[valid-type]
        return [{"field": name, "column": entry["column"]} for name, entry in batch.mapping.get("fields", {}).items()]

    def get_unused_columns(self, batch: ImportBatch) -> list[str]:
        return [entry["column"] for entry in batch.mapping.get("extra", [])]

    def get_tags(self, batch: ImportBatch) -> TagReferenceSerializer(many=True):  # type: ignore[valid-type]
        return _references(batch.tag_ids)

    def get_new_tags(self, batch: ImportBatch) -> TagReferenceSerializer(many=True):  # type: ignore[valid-type]
        return _references(batch.new_tag_ids)

    def get_rejected_url(self, batch: ImportBatch) -> str | None:
        if not batch.rejected:
            return None
        path = reverse("api:import-rejected", args=[batch.pk])
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


def _references(tag_ids: list[int]) -> list[dict[str, Any]]:
    found = Tag.objects.filter(pk__in=tag_ids).order_by("name") if tag_ids else []
    return [{"id": tag.pk, "name": tag.name} for tag in found]


class ImportStartedSerializer(serializers.Serializer):
    """The job at work, and the import as it begins."""

    job = JobSerializer()
    # `import` is a keyword of Python, so that the field cannot be declared as the others are.
    vars()["import"] = ImportSerializer()


IMPORT_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "name": "hudson-tax-sale.csv",
    "source": "Hudson County tax sale",
    "status": "started",
    "on_duplicate": "fill",
    "unknown_tags": "create",
    "size": 48_213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "columns": [{"field": "address", "column": "Property Location"}, {"field": "owner_name", "column": "Owner"}],
    "unused_columns": ["Lien Amount"],
    "notes": ["read as cp1252 (Windows)"],
    "tags": [{"id": 5, "name": "Tax Delinquent"}],
    "rows": 0,
    "created": 0,
    "updated": 0,
    "unchanged": 0,
    "rejected": 0,
    "blank": 0,
    "new_tags": [],
    "rejected_url": None,
    "job": None,
    "created_at": "2026-06-15T12:00:00Z",
}
IMPORT_JOB = JOB_EXAMPLE | {
    "id": 31,
    "kind": "import",
    "title": "Import hudson-tax-sale.csv",
    "status": "queued",
    "stage": "",
    "done": 0,
    "total": 0,
    "percent": 0,
    "started_at": None,
}
DONE_EXAMPLE = IMPORT_EXAMPLE | {
    "status": "succeeded",
    "rows": 412,
    "created": 380,
    "updated": 20,
    "unchanged": 9,
    "rejected": 3,
    "blank": 1,
    "rejected_url": "https://leads.example.com/api/imports/12/rejected",
    "job": IMPORT_JOB
    | {
        "status": "succeeded",
        "percent": 100,
        "result": {"rows": 412, "created": 380, "updated": 20, "unchanged": 9, "rejected": 3, "blank": 1},
        "started_at": "2026-06-15T12:00:00Z",
        "finished_at": "2026-06-15T12:00:02Z",
    },
}
ROWS_EXAMPLE = [{"address": "123 N Main St", "city": "Hoboken", "zip": "07030", "tags": "Foreclosure; Vacant"}]


def _as_parameter(name: str, field: serializers.Field) -> OpenApiParameter:
    is_many = isinstance(field, serializers.ListField)
    one = field.child if isinstance(field, serializers.ListField) else field
    return OpenApiParameter(
        name,
        int if isinstance(one, serializers.IntegerField) else str,
        many=is_many,
        enum=list(one.choices) if isinstance(one, serializers.ChoiceField) else None,
        description=f"{field.help_text} (With a form: a field of the form.)",
    )


class ImportLeads(ApiView):
    permissions = {"POST": "imports.import_leads"}
    serializer_class = ImportStartedSerializer
    parser_classes = [FormParser, *BODIES]
    query_parameters = frozenset(ImportOptionsSerializer().fields)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before authentication: with a session, Django reads the whole form to look for its CSRF token.
        if _length(request) > settings.IMPORT_MAX_BYTES + FORM_OVERHEAD:
            raise ListTooLarge
        super().initial(request, *args, **kwargs)
        if not request.META.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" in request.META:
            raise LengthRequired

    @extend_schema(
        operation_id="leads_import",
        summary="Import a list",
        description="Brings CSV, tab-separated text or JSON (a list of objects): as the field `file` of a multipart "
        "form with the options beside it, or as the body itself with the options in the query string. The answer "
        "comes as soon as the file is stored and its columns are understood; the job does the rest.",
        tags=["Imports"],
        parameters=[
            *(_as_parameter(name, field) for name, field in ImportOptionsSerializer().fields.items()),
            LOCATION,
        ],
        request={
            "multipart/form-data": ImportFormSerializer,
            "text/csv": OpenApiTypes.STR,
            "application/json": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        },
        responses=answers(202, ImportStartedSerializer, 400, 411, 413, 415),
        examples=[
            OpenApiExample("Rows", ROWS_EXAMPLE, request_only=True, media_type="application/json"),
            OpenApiExample(
                "A CSV file",
                "Property Location,City,Zip,Owner\n123 N Main St,Hoboken,07030,Elm Street Holdings LLC\n",
                request_only=True,
                media_type="text/csv",
            ),
            OpenApiExample(
                "Queued",
                {"job": IMPORT_JOB, "import": IMPORT_EXAMPLE | {"job": IMPORT_JOB}},
                response_only=True,
                status_codes=["202"],
            ),
            OpenApiExample(
                "No address column",
                {
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "No column holds an address; the columns are: Case, Filed, Amount.",
                    "code": "list_refused",
                    "columns": ["Case", "Filed", "Amount"],
                },
                response_only=True,
                media_type="application/problem+json",
                status_codes=["400"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        content, options = self._content_and_options(request)
        at, by = timezone.now(), person_of(request)
        try:
            batch = receive_file(
                content=content,
                name=options["name"],
                at=at,
                by=by,
                source=options.get("source", ""),
                place=options.get("place", ""),
                on_duplicate=options["on_duplicate"],
                unknown_tags=options["unknown_tags"],
                tag_ids=options.get("tag_id", []),
                tag_names=options.get("tag", []),
                overrides=_overrides(options.get("map", [])),
                encoding=options.get("encoding", ""),
            )
            job = start_import(batch=batch, at=at, by=by)
        except (UnusableFile, MappingError, ImportRefused) as refusal:
            raise ListRefused(refusal) from refusal
        batch.refresh_from_db()
        return started(job, **{"import": ImportSerializer(batch, context={"request": request}).data})

    def _content_and_options(self, request: Request) -> tuple[Any, dict[str, Any]]:
        """What to read the list from, and the options from the form or the query string."""
        try:
            data = request.data
        except UnsupportedMediaType as error:
            raise UnsupportedMediaType(request.content_type or "", detail=f"{error.detail} {SEND}") from None
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if media_type == FormParser.media_type:
            return self._form(request)
        name = next((body.file_name for body in BODIES if body.media_type == media_type), "")
        if not name:
            raise ParseError(SEND)
        options = ImportOptionsSerializer(data=request.query_params)
        options.is_valid(raise_exception=True)
        asked = {"name": name, "source": "API"} | options.validated_data
        if not str(asked["source"]).strip():
            asked["source"] = "API"
        return (data if isinstance(data, WholeBody) else io.BytesIO()), asked

    def _form(self, request: Request) -> tuple[Any, dict[str, Any]]:
        fields: Any = request.query_params.copy()
        fields.update(request.data)
        form = ImportFormSerializer(data=fields)
        unknown = sorted(set(fields) - set(form.fields) - {"csrfmiddlewaretoken"})
        if unknown:
            offer = ", ".join(form.fields)
            raise ValidationError({name[:100]: [f"Unknown field; the fields are {offer}."] for name in unknown})
        if len(request.FILES.getlist("file")) > 1:
            raise ValidationError({"file": ["Send one file at a time."]})
        if any(file.size > settings.IMPORT_MAX_BYTES for file in request.FILES.values()):
            raise ListTooLarge
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        return file, {"name": file.name} | form.validated_data


def _overrides(pairs: list[str]) -> dict[str, str]:
    """FIELD=COLUMN pairs; a column's name may itself hold an equals sign."""
    return {field.strip(): column.strip() for field, _, column in (pair.partition("=") for pair in pairs)}


class ImportDetail(ApiView):
    permissions = {"GET": "imports.view_importbatch"}
    queryset = ImportBatch.objects.select_related("job")
    serializer_class = ImportSerializer

    @extend_schema(
        operation_id="imports_retrieve",
        summary="What became of an import",
        description="Its counts, its job, the columns it used, and where its rejected rows are.",
        tags=["Imports"],
        responses=answers(200, ImportSerializer, 404),
        examples=[OpenApiExample("Finished", DONE_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.find(self.queryset.all(), pk)).data)


class ImportRejected(ApiView):
    permissions = {"GET": "imports.import_leads"}
    queryset = ImportBatch.objects.all()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return super().perform_content_negotiation(request, force=True)  # it is CSV, whatever is accepted

    @extend_schema(
        operation_id="imports_rejected",
        summary="Rejected rows",
        description="The rows that did not land, as CSV: line number, reason, then the cells as they were. Mend it "
        "and import it again.",
        tags=["Imports"],
        responses=answers(200, OpenApiResponse(OpenApiTypes.STR, "A CSV file."), 404, media_type="text/csv"),
        examples=[
            OpenApiExample(
                "One row",
                "line,reason,Property Location,Owner\n17,no address: the address is blank,,Elm Street Holdings LLC\n",
                response_only=True,
                status_codes=["200"],
                media_type="text/csv",
            )
        ],
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        batch = self.find(self.queryset.all(), pk)
        response = StreamingHttpResponse(rejected_rows_csv(batch=batch), content_type="text/csv; charset=utf-8")
        stem = slugify(batch.name.rpartition(".")[0]) or "list"
        response["Content-Disposition"] = f'attachment; filename="{stem}-rejected.csv"'
        return response
