"""POST /api/leads/{id}/suppress and /unsuppress, for one lead; /api/leads/suppress and /unsuppress, for many."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    IdempotentView,
    StrictIntegerField,
    StrictSerializer,
    answers,
    person_of,
)
from accounts.models import User
from leads.api import LEAD_EXAMPLE, LeadSerializer, with_registered
from leads.models import Lead
from leads.selections import MAX_ID, MAX_IDS
from leads.suppression import Suppressed, lift_suppression, suppress_leads

WHY = "Owner asked not to be contacted"
NOTES = (IDEMPOTENCY_KEY, REPLAYED)


class ReasonSerializer(StrictSerializer):
    """Why."""

    reason = serializers.CharField(max_length=500, help_text="What others will read who ask why.")


class OptionalReasonSerializer(StrictSerializer):
    """Why, where there is something to say."""

    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class IdsSerializer(StrictSerializer):
    """Which leads."""

    lead_ids = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_ID),
        min_length=1,
        max_length=MAX_IDS,
        help_text=f"Ids of leads, at most {MAX_IDS:,}; those that do not exist are passed over.",
    )


class SuppressManySerializer(IdsSerializer, ReasonSerializer):
    """Which leads, and why."""


class UnsuppressManySerializer(IdsSerializer, OptionalReasonSerializer):
    """Which leads, and why where there is something to say."""


class ChangedSerializer(serializers.Serializer):
    """How many leads changed; the others were so already."""

    changed = serializers.IntegerField()


class SuppressionView(IdempotentView):
    permissions = {"POST": "leads.change_lead"}
    queryset = Lead.objects.all()
    form_class: type[StrictSerializer] = ReasonSerializer

    def read(self, request: Request) -> dict[str, Any]:
        if not isinstance(request.data, dict):
            raise ValidationError("Send a JSON object.")
        form = self.form_class(data=request.data)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def act(self, ids: Sequence[int], reason: str, by: User, at: dt.datetime) -> Suppressed:
        raise NotImplementedError

    def one(self, request: Request, pk: int) -> Response:
        asked = self.read(request)

        def act(at: dt.datetime) -> Answer:
            lead = self.find(self.queryset.all(), pk)
            self.act([lead.pk], asked["reason"], person_of(request), at)
            lead.refresh_from_db()
            return Answer(status=200, body=dict(LeadSerializer(with_registered([lead])[0]).data))

        return self.once(request, act)

    def many(self, request: Request) -> Response:
        asked = self.read(request)

        def act(at: dt.datetime) -> Answer:
            done = self.act(asked["lead_ids"], asked["reason"], person_of(request), at)
            return Answer(status=200, body={"changed": len(done.changed)})

        return self.once(request, act)


class Suppressing(SuppressionView):
    def act(self, ids: Sequence[int], reason: str, by: User, at: dt.datetime) -> Suppressed:
        return suppress_leads(lead_ids=ids, reason=reason, by=by, at=at)


class Lifting(SuppressionView):
    def act(self, ids: Sequence[int], reason: str, by: User, at: dt.datetime) -> Suppressed:
        return lift_suppression(lead_ids=ids, reason=reason, by=by, at=at)


class LeadSuppress(Suppressing):
    @extend_schema(
        operation_id="leads_suppress",
        summary="Suppress a lead",
        description="The lead is offered to nobody from now on; it is kept, scored and listed. Referrals of it that "
        "wait for a contractor are cancelled; what was delivered stays. A lead that is suppressed already keeps its "
        "reason.",
        tags=["Leads"],
        request=ReasonSerializer,
        parameters=NOTES,
        responses=answers(200, LeadSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Suppress", {"reason": WHY}, request_only=True),
            OpenApiExample(
                "Suppressed",
                LEAD_EXAMPLE | {"suppressed_at": "2026-06-15T12:00:00Z", "suppressed_reason": WHY},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        return self.one(request, pk)


class LeadUnsuppress(Lifting):
    form_class = OptionalReasonSerializer

    @extend_schema(
        operation_id="leads_unsuppress",
        summary="Lift the suppression of a lead",
        description="The lead may be offered again. Referrals that were cancelled stay cancelled. A lead that is not "
        "suppressed stays as it is.",
        tags=["Leads"],
        request=OptionalReasonSerializer,
        parameters=NOTES,
        responses=answers(200, LeadSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Lift", {"reason": "Owner called back"}, request_only=True),
            OpenApiExample("Lifted", LEAD_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        return self.one(request, pk)


class LeadsSuppress(Suppressing):
    form_class = SuppressManySerializer

    @extend_schema(
        operation_id="leads_suppress_many",
        summary="Suppress many leads",
        description="As for one lead, for a list of ids, all or none; tells how many changed.",
        tags=["Leads"],
        request=SuppressManySerializer,
        parameters=NOTES,
        responses=answers(200, ChangedSerializer, 400, 409, 415, 422),
        examples=[
            OpenApiExample("Suppress", {"lead_ids": [4711, 4712], "reason": WHY}, request_only=True),
            OpenApiExample("Suppressed", {"changed": 2}, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request) -> Response:
        return self.many(request)


class LeadsUnsuppress(Lifting):
    form_class = UnsuppressManySerializer

    @extend_schema(
        operation_id="leads_unsuppress_many",
        summary="Lift the suppression of many leads",
        description="As for one lead, for a list of ids, all or none; tells how many changed.",
        tags=["Leads"],
        request=UnsuppressManySerializer,
        parameters=NOTES,
        responses=answers(200, ChangedSerializer, 400, 409, 415, 422),
        examples=[
            OpenApiExample("Lift", {"lead_ids": [4711, 4712]}, request_only=True),
            OpenApiExample("Lifted", {"changed": 2}, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request) -> Response:
        return self.many(request)
