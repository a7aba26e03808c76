"""Scores over the API: why a lead has its score, what it was and will be, how all lie, and recalculating them."""

import datetime as dt
import re
from typing import Any

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
from scoring.distribution import THRESHOLD, score_distribution
from scoring.forms import DistributionForm
from scoring.models import ScoreChange
from scoring.operations import start_recalculation
from scoring.queries import FORECAST_DAYS, explain_score, forecast_score

describe_api_field("score", serializers.IntegerField, blank=int)
# A decay runs over at most a hundred years; beyond these years a moment is a slip.
FIRST_YEAR, LAST_YEAR = 1900, 2200
MOST_DAYS = 365


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
    """A moment in ISO 8601 with its zone, in UTC. Raises ValidationError."""
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
    return moment.astimezone(dt.UTC)  # PostgreSQL takes no offset of 16 hours or more


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


class TurnSerializer(serializers.Serializer):
    """One thing that time does to a score."""

    tag = serializers.CharField(help_text="The tag, or the cap of a group.")
    color = serializers.CharField(help_text="Empty: a cap.")
    what = serializers.CharField(help_text="Such as: expires; fades to 80%; starts to count; gives back.")
    points = serializers.IntegerField()


class ForecastPointSerializer(serializers.Serializer):
    """The score from a moment on; the points of its turns add up to the change."""

    at = UtcDateTimeField()
    score = serializers.IntegerField()
    change = serializers.IntegerField()
    turns = TurnSerializer(many=True)


class ForecastSerializer(serializers.Serializer):
    """A step curve: each score holds until the next point."""

    at = UtcDateTimeField()
    until = UtcDateTimeField()
    days = serializers.IntegerField()
    points = ForecastPointSerializer(many=True, help_text="The first one is the score at `at`.")


def parse_days(text: str | None) -> int:
    """Whole days of a forecast. Raises ValidationError."""
    if text is None:
        return FORECAST_DAYS
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MOST_DAYS):
        raise ValidationError({"days": [f"Give a whole number from 1 to {MOST_DAYS}."]})
    return int(text)


class LeadForecast(ApiView):
    permissions = {"GET": "leads.view_lead"}
    queryset = Lead.objects.all()
    serializer_class = ForecastSerializer
    query_parameters = frozenset({"days"})

    @extend_schema(
        operation_id="leads_forecast",
        summary="What comes next",
        description="The score over the coming days under today's rules and tags: each moment at which a tag starts, "
        "fades or expires, what it does, and the score from then on.",
        tags=["Scores"],
        parameters=[
            OpenApiParameter(
                "days",
                {"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": FORECAST_DAYS},
                description="How far to look, in days of 24 hours.",
            )
        ],
        responses=answers(200, ForecastSerializer, 400, 404),
        examples=[
            OpenApiExample(
                "A tag that expires",
                {
                    "at": "2026-06-15T12:00:00Z",
                    "until": "2026-09-13T12:00:00Z",
                    "days": 90,
                    "points": [
                        {"at": "2026-06-15T12:00:00Z", "score": 1300, "change": 0, "turns": []},
                        {
                            "at": "2026-07-03T00:00:00Z",
                            "score": 900,
                            "change": -400,
                            "turns": [{"tag": "Foreclosure", "color": "#d63939", "what": "expires", "points": -400}],
                        },
                    ],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, pk: int) -> Response:
        days = parse_days(request.query_params.get("days"))
        lead = self.find(self.queryset.all(), pk)
        at = timezone.now()
        points = forecast_score(lead=lead, at=at, days=days)
        forecast = {"at": at, "until": at + dt.timedelta(hours=24 * days), "days": days, "points": points}
        return Response(self.get_serializer(forecast).data)


class ScoreChangeSerializer(serializers.Serializer):
    """One change of a lead's score."""

    at = UtcDateTimeField()
    from_score = serializers.IntegerField()
    to_score = serializers.IntegerField()
    cause = serializers.CharField(
        source="get_cause_display", help_text="rule change, import, tag change, expiration or decay."
    )
    job_id = serializers.IntegerField(allow_null=True, help_text="The job that wrote it; null: no job did.")


class LeadScoreHistory(ApiView):
    permissions = {"GET": "leads.view_lead"}
    queryset = Lead.objects.all()
    serializer_class = ScoreChangeSerializer
    # Index: scorechange_by_lead, both ways.
    sorts = {"-at": ("-at", "-id"), "at": ("at", "id")}
    default_sort = "-at"

    @extend_schema(
        operation_id="leads_score_history",
        summary="How a score came about",
        description="Each change of a lead's score that is still kept, the newest first. Follow `next` until it is "
        "null.",
        tags=["Scores"],
        responses=answers(200, ScoreChangeSerializer(many=True), 400, 404),
        examples=[
            OpenApiExample(
                "An expired tag",
                {
                    "at": "2026-06-15T12:00:00Z",
                    "from_score": 1300,
                    "to_score": 900,
                    "cause": "expiration",
                    "job_id": None,
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, pk: int) -> Response:
        lead = self.find(self.queryset.all(), pk)
        page: Any = self.paginate_queryset(ScoreChange.objects.filter(lead_id=lead.pk))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class BinSerializer(serializers.Serializer):
    low = serializers.IntegerField(help_text="The lowest score in it.")
    high = serializers.IntegerField(help_text="One more than the highest score in it.")
    leads = serializers.IntegerField()


class StackSerializer(serializers.Serializer):
    tags = serializers.IntegerField(help_text="Live tags on a lead; 10 stands for ten or more.")
    leads = serializers.IntegerField()
    average = serializers.FloatField(help_text="Their average score.")


class DistributionSerializer(serializers.Serializer):
    """How scores lie; bins and stacks each add up to the leads."""

    as_of = UtcDateTimeField(help_text="When it was computed, at most half a minute ago.")
    leads = serializers.IntegerField()
    average = serializers.FloatField(allow_null=True, help_text="Null where there is no lead, as the next three.")
    median = serializers.FloatField(allow_null=True)
    lowest = serializers.IntegerField(allow_null=True)
    highest = serializers.IntegerField(allow_null=True)
    threshold = serializers.IntegerField()
    at_or_above = serializers.IntegerField(help_text="Leads with a score of the threshold or more.")
    bin_width = serializers.IntegerField()
    bins = BinSerializer(many=True)
    stacks = StackSerializer(many=True)


class ScoreDistribution(ApiView):
    permissions = {"GET": "leads.view_lead"}
    serializer_class = DistributionSerializer
    query_parameters = frozenset({"tag", "threshold"})

    @extend_schema(
        operation_id="scores_distribution",
        summary="How the scores lie",
        description="A histogram of the scores of all leads, or of those with one live tag, their average and median, "
        "and how many live tags leads carry. The bins are those of all leads, whatever the tag.",
        tags=["Scores"],
        parameters=[
            OpenApiParameter("tag", int, description="The id of a tag that is not archived."),
            OpenApiParameter(
                "threshold", {"type": "integer", "default": THRESHOLD}, description="From which score on to count."
            ),
        ],
        responses=answers(200, DistributionSerializer, 400),
        examples=[
            OpenApiExample(
                "Three leads",
                {
                    "as_of": "2026-06-15T12:00:00Z",
                    "leads": 3,
                    "average": 700.0,
                    "median": 900.0,
                    "lowest": -100,
                    "highest": 1300,
                    "threshold": 1000,
                    "at_or_above": 1,
                    "bin_width": 500,
                    "bins": [
                        {"low": -500, "high": 0, "leads": 1},
                        {"low": 0, "high": 500, "leads": 0},
                        {"low": 500, "high": 1000, "leads": 1},
                        {"low": 1000, "high": 1500, "leads": 1},
                    ],
                    "stacks": [
                        {"tags": 1, "leads": 2, "average": 400.0},
                        {"tags": 2, "leads": 1, "average": 1300.0},
                    ],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request) -> Response:
        form = DistributionForm(request.query_params)
        tag, threshold = form.asked()
        if form.errors:
            raise ValidationError({name: [str(note) for note in notes] for name, notes in form.errors.items()})
        found = score_distribution(at=timezone.now(), tag=tag, threshold=threshold)
        return Response(self.get_serializer(found).data)


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
