"""Lead generation over the API: the profiles, who would get what, a run, and taking it back."""

import dataclasses
import datetime as dt
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    ApiView,
    IdempotentView,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    UtcDateTimeField,
    answers,
    person_of,
)
from jobs.api import JOB_EXAMPLE, LOCATION, JobSerializer, StartedSerializer
from jobs.models import Job
from territories.generation.criteria import UnknownCriterion, criteria_of
from territories.generation.dealing import REASONS, preview_generation
from territories.generation.previews import summary_of
from territories.generation.runs import GENERATE, ProfileArchived, start_generation
from territories.generation.undo import RunAtWork, RunStanding, standing_of_run, take_back_run
from territories.models import GenerationProfile
from territories.referrals.forms import MAX_NOTE

MAX_ID = 2**63 - 1
TAGS = ["Lead generation"]


class NotGenerated(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "not_generated"


class NotTakenBack(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "run_at_work"


class ProfileSerializer(serializers.ModelSerializer):
    """A profile; tags by id."""

    archived_at = UtcDateTimeField(read_only=True, allow_null=True, help_text="Since when it runs no more; null: runs.")
    criteria = serializers.DictField(read_only=True, help_text="Values of further criteria, by key.")

    class Meta:
        model = GenerationProfile
        fields = [
            "id",
            "name",
            "min_score",
            "required_tags",
            "excluded_tags",
            "zips",
            "counties",
            "max_reason_age_days",
            "not_referred_days",
            "max_referrals",
            "max_per_zip",
            "max_per_contractor",
            "includes_unheld",
            "criteria",
            "runs_nightly",
            "archived_at",
        ]
        read_only_fields = fields


PROFILE_EXAMPLE: dict[str, Any] = {
    "id": 3,
    "name": "Fresh foreclosures",
    "min_score": 1500,
    "required_tags": [9],
    "excluded_tags": [14],
    "zips": [],
    "counties": ["34017"],
    "max_reason_age_days": 60,
    "not_referred_days": 90,
    "max_referrals": 1000,
    "max_per_zip": 20,
    "max_per_contractor": None,
    "includes_unheld": True,
    "criteria": {"is_reachable": True},
    "runs_nightly": True,
    "archived_at": None,
}


class ProfileList(ApiView):
    permissions = {"GET": "territories.view_generationprofile"}
    queryset = GenerationProfile.objects.prefetch_related("required_tags", "excluded_tags")
    serializer_class = ProfileSerializer
    sorts = {"id": ("id",), "-id": ("-id",)}
    default_sort = "id"

    @extend_schema(
        operation_id="lead_generation_profiles",
        summary="The profiles of lead generation",
        description="Which leads each profile chooses and how many of them a run refers. Follow `next` until it is "
        "null.",
        tags=TAGS,
        responses=answers(200, ProfileSerializer(many=True), 400),
        examples=[OpenApiExample("A profile", PROFILE_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.queryset.all())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class RunSerializer(StrictSerializer):
    profile = StrictIntegerField(help_text="The id of a profile.")
    dry_run = StrictBooleanField(default=False, help_text="True: say who would get what, and make nothing.")


class PreviewSerializer(serializers.Serializer):
    """What a run at this moment would make."""

    referrals = serializers.IntegerField(help_text="Assigned and generated together.")
    assigned = serializers.IntegerField(help_text="Of these, how many go to the holder of their ZIP.")
    generated = serializers.IntegerField(help_text="Of these, how many wait for their ZIP to be taken.")
    replacements = serializers.IntegerField(help_text="Besides: leads that are owed for returned ones.")
    by_contractor = serializers.DictField(child=serializers.IntegerField(), help_text="Assigned, by company.")
    left_out = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Leads that meet the profile and are not referred, by reason: "
        + "; ".join(f"`{key}`: they {words}" for key, words in REASONS.items())
        + ".",
    )
    leads_read = serializers.IntegerField(help_text="Leads with the score and in the places wanted that were read.")
    slices = serializers.IntegerField(help_text="In how many steps.")


RESULT_EXAMPLE: dict[str, Any] = {
    "referrals": 240,
    "assigned": 200,
    "generated": 40,
    "replacements": 1,
    "by_contractor": {"Hudson Roofing": 120, "Palisade Homes": 80},
    "left_out": {"already_referred": 31, "cap_reached": 12},
    "leads_read": 20_000,
    "slices": 1,
}


class Runs(IdempotentView):
    permissions = {"POST": "territories.generate_leads"}
    serializer_class = RunSerializer
    queryset = GenerationProfile.objects.all()

    @extend_schema(
        operation_id="lead_generation_run",
        summary="Refer leads by a profile",
        description="Starts a job that offers the best leads of the profile to the holders of their ZIPs, within their "
        "wishes and caps; a lead has one live referral at most, so that running again makes nothing twice. While a run "
        "of the profile is queued or running, that one is the answer. With `dry_run` the answer (200) says what a run "
        "would make now.",
        tags=TAGS,
        request=RunSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED, LOCATION],
        responses=answers(202, StartedSerializer, 400, 409, 415, 422) | {(200, "application/json"): PreviewSerializer},
        examples=[
            OpenApiExample("Run", {"profile": 3}, request_only=True),
            OpenApiExample("Who would get what", {"profile": 3, "dry_run": True}, request_only=True),
            OpenApiExample("Would be made", RESULT_EXAMPLE, response_only=True, status_codes=["200"]),
            OpenApiExample(
                "Started",
                {
                    "job": JOB_EXAMPLE
                    | {"kind": GENERATE, "title": "Lead generation: Fresh foreclosures", "stage": "Choosing leads"}
                },
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        form = RunSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        pk = asked["profile"]
        profile = self.queryset.filter(pk=pk).first() if 0 < pk <= MAX_ID else None
        if profile is None:
            raise ValidationError({"profile": [f"There is no profile with the id {str(pk)[:40]}."]})

        def act(at: dt.datetime) -> Answer:
            try:
                if asked["dry_run"]:
                    found = summary_of(preview_generation(criteria=criteria_of(profile), at=at))
                    return Answer(status=status.HTTP_200_OK, body=found)
                job = start_generation(profile=profile, at=at, by=person_of(request))
            except (ProfileArchived, UnknownCriterion) as refusal:
                raise NotGenerated(str(refusal)) from refusal
            return Answer(
                status=status.HTTP_202_ACCEPTED,
                body={"job": JobSerializer(job).data},
                headers={"Location": reverse("api:job", args=[job.pk])},
            )

        return self.once(request, act)


class TakeBackSerializer(StrictSerializer):
    note = serializers.CharField(
        max_length=MAX_NOTE,
        default="",
        allow_blank=True,
        help_text="Why; the timeline of each referral keeps it. A dry run needs none.",
    )
    dry_run = StrictBooleanField(default=False, help_text="True: say what would be taken back, and change nothing.")

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not asked["note"] and not asked["dry_run"]:
            raise ValidationError({"note": ["Say why; the timeline of each referral keeps it."]})
        return asked


class TakenBackSerializer(serializers.Serializer):
    """The referrals of the run by the state in which they were found."""

    generated = serializers.IntegerField(help_text="Waited for their ZIP to be taken: taken back.")
    assigned = serializers.IntegerField(help_text="Assigned, and not delivered yet: taken back.")
    delivered = serializers.IntegerField(help_text="Stay with their contractors.")
    converted = serializers.IntegerField(help_text="Stay with their contractors.")
    ended = serializers.IntegerField(help_text="Were returned, expired or cancelled before: stay so.")


class RunTakeBack(IdempotentView):
    permissions = {"POST": "territories.change_referral"}
    serializer_class = TakeBackSerializer
    queryset = Job.objects.filter(kind=GENERATE)

    @extend_schema(
        operation_id="lead_generation_take_back",
        summary="Take back what a run made and nobody has got",
        description="Cancels the referrals of a run that are generated or assigned, each with its event, all of them "
        "or none; their leads are free to be referred again at once. What is delivered, converted or has ended stays, "
        "and so does what the run gave in place of returned leads. `id` is that of the run's job, which must have "
        "ended, well or not; else 409 (`run_at_work`). With `dry_run` nothing changes. A second time finds nothing.",
        tags=TAGS,
        request=TakeBackSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, TakenBackSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Take back", {"note": "The profile was wrong"}, request_only=True),
            OpenApiExample("Only count", {"dry_run": True}, request_only=True),
            OpenApiExample(
                "Taken back",
                dataclasses.asdict(RunStanding(generated=40, assigned=180, delivered=20, converted=0, ended=0)),
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        form = TakeBackSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data

        def act(at: dt.datetime) -> Answer:
            job = self.find(self.queryset.all(), pk)
            try:
                if asked["dry_run"]:
                    if job.is_live:
                        raise RunAtWork(job)
                    found = standing_of_run(job=job)
                else:
                    found = take_back_run(job=job, at=at, by=person_of(request), note=asked["note"])
            except RunAtWork as refusal:
                raise NotTakenBack(str(refusal)) from refusal
            return Answer(status=status.HTTP_200_OK, body=dataclasses.asdict(found))

        return self.once(request, act)
