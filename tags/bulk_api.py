"""Bulk tagging over the API: count, start, undo."""

import datetime as dt
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    ApiView,
    IdempotentView,
    StrictSerializer,
    answers,
    person_of,
)
from jobs.api import JOB_EXAMPLE, LOCATION, StartedSerializer, started, tell_started
from jobs.models import Job
from leads.selections import (
    MAX_IDS,
    CountDrifted,
    Selection,
    SelectionRefused,
    check_drift,
    select_ids,
    select_matching,
)
from tags.bulk import (
    ASSIGN,
    BULK_TAG,
    UNDO,
    Action,
    NothingSelected,
    TagArchived,
    UndoRefused,
    preview_bulk_tagging,
    start_bulk_tagging,
    start_undo,
)
from tags.models import Tag

CHANGE_EXAMPLE: dict[str, Any] = {
    "action": "add",
    "tag": 9,
    "filter": {"city": "Hoboken", "tags": [3], "score_min": 500},
    "expected_count": 1234,
}
BULK_JOB_EXAMPLE = JOB_EXAMPLE | {
    "kind": BULK_TAG,
    "title": "Add Vacant to 1,234 leads",
    "stage": "Adding Vacant",
    "done": 500,
    "total": 1_234,
    "percent": 40,
}


class CountDiffers(APIException):
    """The leads are others than the caller expects; `count` says how many there are now."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "count_differs"

    def __init__(self, drift: CountDrifted) -> None:
        super().__init__(
            f"{drift.found:,} leads match now, and {drift.confirmed:,} were expected. Nothing was changed; ask again "
            "with dry_run, and send the count that you mean."
        )
        self.members = {"count": drift.found, "expected_count": drift.confirmed}


class NotUndone(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "not_undone"


class FilterField(serializers.DictField):
    """Query parameters as an object: a value or a list of values by name; read as the query string would be."""

    default_error_messages = {
        "no_values": "Give a text or a number, or a list of these; leave it out where it should not filter.",
    }

    def to_internal_value(self, data: Any) -> dict[str, list[str]]:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        found: dict[str, list[str]] = {}
        errors: dict[str, list[str]] = {}
        for name, value in data.items():
            values = value if isinstance(value, list) else [value]
            is_plain = all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in values)
            # As a query string these would filter nothing: what was meant for few leads would be done to all.
            if is_plain and values and all(str(one).strip() for one in values):
                found[str(name)] = [str(one) for one in values]
            else:
                errors[str(name)[:100]] = [str(self.error_messages["no_values"])]
        if errors:
            raise ValidationError(errors)
        return found


class BulkTagSerializer(StrictSerializer):
    """A tag for many leads: those of a filter, or those with these ids."""

    action = serializers.ChoiceField(choices=Action.choices)
    tag = serializers.IntegerField(help_text="The id of a tag; an archived one can only be removed.")
    filter = FilterField(
        required=False, help_text="The parameters of `GET /api/leads`, by name; an empty object chooses all leads."
    )
    lead_ids = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        help_text=f"Instead of a filter: ids of leads, at most {MAX_IDS:,}.",
    )
    expected_count = serializers.IntegerField(
        required=False,
        min_value=0,
        help_text="How many leads you mean. When they are more than 1% more or fewer, nothing is done (409).",
    )
    dry_run = serializers.BooleanField(default=False, help_text="Only count; nothing is changed.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in attrs) == ("lead_ids" in attrs):
            raise ValidationError("Say which leads: give either `filter` or `lead_ids`. An empty filter is all leads.")
        return attrs


class BulkCountSerializer(serializers.Serializer):
    """What it would do."""

    count = serializers.IntegerField(help_text="Leads that are selected.")
    changing = serializers.IntegerField(help_text="Leads that would change.")
    unchanged = serializers.IntegerField(help_text="Leads that would stay as they are.")


def _selected(asked: dict[str, Any], at: dt.datetime) -> Selection:
    if "filter" not in asked:
        return select_ids(asked["lead_ids"])
    try:
        return select_matching(asked["filter"], at=at)
    except SelectionRefused as refusal:
        raise SelectionRefused({f"filter.{name}": notes for name, notes in refusal.errors.items()}) from refusal


class BulkTag(IdempotentView):
    permissions = {"POST": ASSIGN}
    serializer_class = BulkTagSerializer

    @extend_schema(
        operation_id="leads_bulk_tag",
        summary="Tag many leads",
        description="Adds a tag to all leads of a filter, or of a list of ids, or removes it, as a job. Leads that "
        "carry the tag already keep it, and its clock unless the tag restarts. With `dry_run` it only counts. The "
        "job's result says how many changed; it can be undone for 30 days.",
        tags=["Leads"],
        parameters=[IDEMPOTENCY_KEY, REPLAYED, LOCATION],
        responses=answers(202, StartedSerializer, 400, 409, 415, 422)
        | {(200, "application/json"): BulkCountSerializer},
        examples=[
            OpenApiExample("All of a filter", CHANGE_EXAMPLE, request_only=True),
            OpenApiExample("Count only", CHANGE_EXAMPLE | {"dry_run": True}, request_only=True),
            OpenApiExample("Some leads", {"action": "remove", "tag": 9, "lead_ids": [4711, 4712]}, request_only=True),
            OpenApiExample(
                "Counted",
                {"count": 1234, "changing": 1100, "unchanged": 134},
                response_only=True,
                status_codes=["200"],
            ),
            OpenApiExample("Started", {"job": BULK_JOB_EXAMPLE}, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request) -> Response:
        if not isinstance(request.data, dict):
            raise ValidationError("Send a JSON object.")
        form = BulkTagSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        tag = Tag.objects.filter(pk=asked["tag"]).first() if 0 < asked["tag"] < 2**63 else None
        if tag is None:
            raise ValidationError({"tag": [f"There is no tag with the id {str(asked['tag'])[:40]}."]})
        action, expected = Action(asked["action"]), asked.get("expected_count")

        def act(at: dt.datetime) -> Answer:
            selection = _selected(asked, at)
            if asked["dry_run"]:
                preview = preview_bulk_tagging(selection=selection, action=action, tag=tag, at=at)
                if expected is not None:
                    check_drift(confirmed=expected, found=preview.count)
                return Answer(status=200, body=dict(BulkCountSerializer(preview).data))
            return tell_started(
                start_bulk_tagging(
                    selection=selection, action=action, tag=tag, confirmed=expected, by=person_of(request), at=at
                )
            )

        try:
            return self.once(request, act)
        except CountDrifted as drift:
            raise CountDiffers(drift) from drift
        except SelectionRefused as refusal:
            raise ValidationError(refusal.errors) from refusal
        except TagArchived as refusal:
            raise ValidationError({"tag": [str(refusal)]}) from refusal
        except NothingSelected as refusal:
            raise ValidationError({"filter": [str(refusal)]}) from refusal


class BulkTagUndo(ApiView):
    permissions = {"POST": ASSIGN}
    serializer_class = StartedSerializer
    queryset = Job.objects.filter(kind__in=[BULK_TAG, UNDO])

    @extend_schema(
        operation_id="leads_bulk_tag_undo",
        summary="Undo a bulk change of tags",
        description="Puts back, as a job, what the change with this job's id found, on every lead where nobody has "
        "changed the tag since; the result says how many those were. Asked again, the same undo is the answer. An undo "
        "can be undone by its own id.",
        tags=["Leads"],
        request=None,
        parameters=[LOCATION],
        responses=answers(202, StartedSerializer, 400, 404, 409),
        examples=[
            OpenApiExample(
                "Started",
                {
                    "job": BULK_JOB_EXAMPLE
                    | {"id": 8, "kind": UNDO, "title": "Undo: add Vacant to 1,234 leads", "stage": "Putting back"}
                },
                response_only=True,
                status_codes=["202"],
            )
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.refuse_body(request)
        job = self.queryset.filter(pk=pk).first()
        if job is None:
            raise NotFound(f"There is no bulk change of tags with the job id {str(pk)[:40]}.")
        try:
            return started(start_undo(job=job, by=person_of(request), at=timezone.now()))
        except UndoRefused as refusal:
            raise NotUndone(str(refusal)) from refusal
