"""Scores over the API: why a lead has its score, and recalculating all of them."""

import datetime as dt
import re

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import ApiView, UtcDateTimeField, answers, person_of
from jobs.api import JOB_EXAMPLE, LOCATION, StartedSerializer, started
from leads.api import describe_api_field
from leads.models import Lead
from scoring.operations import start_recalculation
from scoring.queries import explain_score

describe_api_field("score", serializers.IntegerField, blank=int)
# A decay runs over at most a hundred years; beyond these years a moment is a slip.
FIRST_YEAR, LAST_YEAR = 1900, 2200


class LineSerializer(serializers.Serializer):
    """One assignment of a tag."""

    tag_id = serializers.IntegerField()
    tag = serializers.CharField()
    color = serializers.CharField()
    group = serializers.CharField(help_text="Empty: in no group.")
    base_score = serializers.IntegerField()
    percent = serializers.IntegerField(help_text="How much of the base is left.")
    points = serializers.IntegerField()
    assigned_at = UtcDateTimeField()
    expiration_at = UtcDateTimeField(allow_null=True)
    age_days = serializers.IntegerField()
    is_expired = serializers.BooleanField()
    is_counted = serializers.BooleanField(help_text="False: it starts later, or its tag is archived.")
    next_change_at = UtcDateTimeField(allow_null=True, help_text="When its points may next change.")


class CapLineSerializer(serializers.Serializer):
    """What the cap of a group takes away."""

    group = serializers.CharField()
    cap = serializers.IntegerField()
    points = serializers.IntegerField(help_text="Cap minus the sum of the group: negative.")


class ExplanationSerializer(serializers.Serializer):
    """Points of all lines and cap lines add up to the total."""

    at = UtcDateTimeField(help_text="The moment explained.")
    total = serializers.IntegerField()
    stored_score = serializers.IntegerField(help_text="What the lead is ranked by; without `at` the same as the total.")
    scored_at = UtcDateTimeField(allow_null=True)
    pending = serializers.BooleanField(help_text="A change of rules that touches this lead is still being applied.")
    lines = LineSerializer(many=True)
    cap_lines = CapLineSerializer(many=True)


def parse_moment(text: str) -> dt.datetime:
    """A moment in ISO 8601 with its zone. Raises ValidationError."""
    # A plus sign that was not escaped arrives as a space; nothing else can stand there.
    text = re.sub(r" (?=\d\d:?\d\d$)", "+", text.strip())
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError({"at": ["Write a moment in ISO 8601, such as 2026-06-15T12:00:00Z."]}) from None
    if moment.tzinfo is None:
        raise ValidationError({"at": ["Name the time zone: end with Z, or with an offset such as -05:00."]})
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValidationError({"at": [f"Choose a year from {FIRST_YEAR} to {LAST_YEAR}."]})
    return moment


class LeadScore(ApiView):
    permissions = {"GET": "leads.view_lead"}
    queryset = Lead.objects.all()
    serializer_class = ExplanationSerializer
    query_parameters = frozenset({"at"})

    @extend_schema(
        operation_id="leads_score",
        summary="Why this score",
        description="A line for each tag, and one for each cap that cuts; they add up to the total. Without `at` the "
        "total is the stored score, brought up to date first. With `at`: today's rules and tags at that moment.",
        tags=["Scores"],
        parameters=[
            OpenApiParameter(
                "at", OpenApiTypes.DATETIME, description="A moment in ISO 8601 with its time zone; escape a + as %2B."
            )
        ],
        responses=answers(200, ExplanationSerializer, 400, 404),
        examples=[
            OpenApiExample(
                "Two tags",
                {
                    "at": "2026-06-15T12:00:00Z",
                    "total": 1300,
                    "stored_score": 1300,
                    "scored_at": "2026-06-15T12:00:00Z",
                    "pending": False,
                    "lines": [
                        {
                            "tag_id": 3,
                            "tag": "Foreclosure",
                            "color": "#d63939",
                            "group": "",
                            "base_score": 1000,
                            "percent": 80,
                            "points": 800,
                            "assigned_at": "2026-03-01T00:00:00Z",
                            "expiration_at": "2027-03-01T00:00:00Z",
                            "age_days": 106,
                            "is_expired": False,
                            "is_counted": True,
                            "next_change_at": "2026-08-28T00:00:00Z",
                        },
                        {
                            "tag_id": 9,
                            "tag": "Vacant",
                            "color": "#f59f00",
                            "group": "",
                            "base_score": 500,
                            "percent": 100,
                            "points": 500,
                            "assigned_at": "2026-06-01T00:00:00Z",
                            "expiration_at": None,
                            "age_days": 14,
                            "is_expired": False,
                            "is_counted": True,
                            "next_change_at": None,
                        },
                    ],
                    "cap_lines": [],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, pk: int) -> Response:
        text = request.query_params.get("at")
        at = None if text is None else parse_moment(text)
        lead = self.find(self.queryset.all(), pk)
        return Response(self.get_serializer(explain_score(lead=lead, now=timezone.now(), at=at)).data)


class RecalculateScores(ApiView):
    permissions = {"POST": "scoring.recalculate_scores"}
    serializer_class = StartedSerializer

    @extend_schema(
        operation_id="leads_recalculate_scores",
        summary="Recalculate all scores",
        description="Starts a job; while one is queued or running, that one is the answer.",
        tags=["Scores"],
        request=None,
        parameters=[LOCATION],
        responses=answers(202, StartedSerializer, 400),
        examples=[OpenApiExample("Started", {"job": JOB_EXAMPLE}, response_only=True, status_codes=["202"])],
    )
    def post(self, request: Request) -> Response:
        self.refuse_body(request)
        return started(start_recalculation(at=timezone.now(), by=person_of(request)))
