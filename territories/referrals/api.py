"""Referrals and returns over the API, for staff; the contractors' own API is another one."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    ApiView,
    IdempotentView,
    StrictBooleanField,
    StrictSerializer,
    UtcDateTimeField,
    answers,
    person_of,
)
from leads.api import describe_api_field
from leads.models import Lead
from territories.models import Contractor, Referral, ReferralEvent, ReferralReturn
from territories.referrals.forms import MAX_NOTE
from territories.referrals.lifecycle import MoveRefused, cancel_referral, correct_value, release_referral
from territories.referrals.listing import ReferralFilterSet
from territories.referrals.returns import ReturnRefused, approve_return, refuse_return, request_return

VIEW, CHANGE, DECIDE = "territories.view_referral", "territories.change_referral", "territories.decide_return"
NOTES = (IDEMPOTENCY_KEY, REPLAYED)


class MoveConflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "move_refused"


class AssignConflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "assign_refused"


# What is told --------------------------------------------------------------------------------------------------------


class ContractorNameSerializer(serializers.ModelSerializer):
    """Who the lead went to."""

    class Meta:
        model = Contractor
        fields = ["id", "company"]
        read_only_fields = fields


class ReferralSerializer(serializers.ModelSerializer):
    """One lead offered to one contractor."""

    status = serializers.ChoiceField(choices=Referral.Status.choices, read_only=True)
    contractor = ContractorNameSerializer(read_only=True, allow_null=True, help_text="null while nobody holds the ZIP.")
    lead_id = serializers.IntegerField(read_only=True)
    profile_id = serializers.IntegerField(read_only=True, allow_null=True)
    job_id = serializers.IntegerField(read_only=True, allow_null=True)
    generated_at = UtcDateTimeField(read_only=True)
    assigned_at = UtcDateTimeField(read_only=True, allow_null=True)
    delivered_at = UtcDateTimeField(read_only=True, allow_null=True)
    accepted_at = UtcDateTimeField(read_only=True, allow_null=True)
    contacted_at = UtcDateTimeField(read_only=True, allow_null=True)
    converted_at = UtcDateTimeField(read_only=True, allow_null=True)
    ended_at = UtcDateTimeField(read_only=True, allow_null=True)
    released_at = UtcDateTimeField(read_only=True, allow_null=True)
    expires_at = UtcDateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Referral
        fields = [
            "id",
            "status",
            "lead_id",
            "zip",
            "score",
            "urgency",
            "contractor",
            "profile_id",
            "job_id",
            "price",
            "value",
            "generated_at",
            "assigned_at",
            "delivered_at",
            "accepted_at",
            "contacted_at",
            "converted_at",
            "ended_at",
            "released_at",
            "expires_at",
        ]
        read_only_fields = fields


class ReferralEventSerializer(serializers.ModelSerializer):
    """One step: a new status, or a moment such as accepted."""

    at = UtcDateTimeField(read_only=True)
    by = serializers.CharField(source="by.username", default=None, read_only=True, allow_null=True)
    job_id = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = ReferralEvent
        fields = ["at", "what", "from_status", "note", "by", "job_id"]
        read_only_fields = fields


class ReturnSerializer(serializers.ModelSerializer):
    """A contractor's wish to give a lead back, and what was decided."""

    status = serializers.ChoiceField(choices=ReferralReturn.Status.choices, read_only=True)
    reason = serializers.ChoiceField(choices=ReferralReturn.Reason.choices, read_only=True)
    referral_id = serializers.IntegerField(read_only=True)
    requested_at = UtcDateTimeField(read_only=True)
    requested_by = serializers.CharField(source="requested_by.username", default=None, read_only=True, allow_null=True)
    decided_at = UtcDateTimeField(read_only=True, allow_null=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True, allow_null=True)
    is_automatic = serializers.BooleanField(read_only=True, help_text="Approved by the contractor's own rules.")
    replacement_id = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="The referral that replaces the returned one."
    )

    class Meta:
        model = ReferralReturn
        fields = [
            "id",
            "referral_id",
            "status",
            "reason",
            "note",
            "is_automatic",
            "requested_at",
            "requested_by",
            "decided_at",
            "decided_by",
            "decision_note",
            "is_replacement_owed",
            "replacement_id",
        ]
        read_only_fields = fields


class ReferralDetailSerializer(ReferralSerializer):
    """One referral with every step of its way."""

    events = ReferralEventSerializer(many=True, read_only=True)
    returns = ReturnSerializer(many=True, read_only=True)
    receipt = serializers.JSONField(
        read_only=True, allow_null=True, help_text="The lead as it was delivered; null before."
    )

    class Meta(ReferralSerializer.Meta):
        fields = [*ReferralSerializer.Meta.fields, "events", "returns", "receipt"]
        read_only_fields = fields


REFERRAL_EXAMPLE: dict[str, Any] = {
    "id": 815,
    "status": "delivered",
    "lead_id": 4711,
    "zip": "07030",
    "score": 1400,
    "urgency": 62,
    "contractor": {"id": 12, "company": "Harbor Roofing LLC"},
    "profile_id": 2,
    "job_id": 7,
    "price": "25.00",
    "value": None,
    "generated_at": "2026-06-15T12:00:00Z",
    "assigned_at": "2026-06-15T12:00:00Z",
    "delivered_at": "2026-06-15T12:00:20Z",
    "accepted_at": None,
    "contacted_at": None,
    "converted_at": None,
    "ended_at": None,
    "released_at": None,
    "expires_at": None,
}
EVENT_EXAMPLE = {
    "at": "2026-06-15T12:00:20Z",
    "what": "delivered",
    "from_status": "assigned",
    "note": "",
    "by": "harbor",
    "job_id": None,
}
DETAIL_EXAMPLE = REFERRAL_EXAMPLE | {
    "events": [EVENT_EXAMPLE],
    "returns": [],
    "receipt": {"lead": {"id": 4711, "zip": "07030"}},
}
RETURN_EXAMPLE: dict[str, Any] = {
    "id": 31,
    "referral_id": 815,
    "status": "pending",
    "reason": "not_owner",
    "note": "Sold in May",
    "is_automatic": False,
    "requested_at": "2026-06-16T09:00:00Z",
    "requested_by": "harbor",
    "decided_at": None,
    "decided_by": None,
    "decision_note": "",
    "is_replacement_owed": False,
    "replacement_id": None,
}


# What is asked -------------------------------------------------------------------------------------------------------


class WhySerializer(StrictSerializer):
    """Why; the timeline of the referral keeps it."""

    note = serializers.CharField(max_length=MAX_NOTE)


class CorrectSerializer(WhySerializer):
    """What the converted lead was worth, and why that is told anew."""

    value = serializers.DecimalField(max_digits=12, decimal_places=2, min_value=Decimal(0))


class DecisionSerializer(StrictSerializer):
    """What the contractor reads beside the decision."""

    note = serializers.CharField(max_length=MAX_NOTE, default="", allow_blank=True)


class ReturnRequestSerializer(StrictSerializer):
    """Why the lead goes back."""

    reason = serializers.ChoiceField(choices=ReferralReturn.Reason.choices)
    note = serializers.CharField(max_length=MAX_NOTE, default="", allow_blank=True)
    anyway = StrictBooleanField(
        default=False,
        help_text="Approve it at once, whatever window and quota say; takes the right to decide returns.",
    )


def referral_rows() -> QuerySet[Referral]:
    """Real referrals, as staff sees them; the receipt of a list stays in the database."""
    return Referral.objects.real().select_related("contractor").defer("receipt")


def return_rows() -> QuerySet[ReferralReturn]:
    real = ReferralReturn.objects.filter(referral__is_sandbox=False)
    return real.select_related("requested_by", "decided_by")


def tell_referral(pk: int) -> dict[str, Any]:
    """One referral with its events, the first one first."""
    found = Referral.objects.real().select_related("contractor").prefetch_related("returns")
    referral = found.get(pk=pk)
    told = dict(ReferralDetailSerializer(referral).data)
    told["events"] = ReferralEventSerializer(referral.events.select_related("by").order_by("pk"), many=True).data
    told["returns"] = ReturnSerializer(return_rows().filter(referral=referral).order_by("pk"), many=True).data
    return told


def _read(request: Request, form_class: type[StrictSerializer]) -> dict[str, Any]:
    if not isinstance(request.data, dict):
        raise ValidationError("Send a JSON object.")
    form = form_class(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


# Referrals -----------------------------------------------------------------------------------------------------------


def _described(filterset: type[django_filters.FilterSet]) -> type[django_filters.FilterSet]:
    for choice in filterset.base_filters.values():
        if isinstance(choice, django_filters.ModelMultipleChoiceFilter):
            extend_schema_field({"type": "integer", "description": f"{choice.label}: an id; repeat it."})(choice)
    return filterset


class ReferralList(ApiView):
    permissions = {"GET": VIEW}
    queryset = Referral.objects.all()
    serializer_class = ReferralSerializer
    filterset_class = _described(ReferralFilterSet)
    sorts = {"-id": ("-id",), "id": ("id",)}
    default_sort = "-id"

    def known_parameters(self) -> set[str]:
        return super().known_parameters() | set(self.filterset_class.base_filters)

    @extend_schema(
        operation_id="referrals_list",
        summary="Referrals, the newest first",
        description="Filters are those of the referrals page and hold together. `since` and `until` are days of the "
        "business, both included, on which a referral was made. Follow `next` until it is null.",
        tags=["Referrals"],
        responses=answers(200, ReferralSerializer(many=True), 400),
        examples=[OpenApiExample("A referral", REFERRAL_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.filter_queryset(referral_rows()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ReferralDetail(ApiView):
    permissions = {"GET": VIEW}
    queryset = Referral.objects.all()
    serializer_class = ReferralDetailSerializer

    @extend_schema(
        operation_id="referrals_retrieve",
        summary="One referral",
        description="With every step of its way, its returns, and the receipt as it was delivered.",
        tags=["Referrals"],
        responses=answers(200, ReferralDetailSerializer, 404),
        examples=[OpenApiExample("A referral", DETAIL_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(tell_referral(self.find(Referral.objects.real(), pk).pk))


type_Act = Callable[[Referral, dict[str, Any], dt.datetime], Answer]


class ReferralAction(IdempotentView):
    """A move of one referral, once a key."""

    permissions = {"POST": CHANGE}
    queryset = Referral.objects.all()
    serializer_class: type[serializers.Serializer] = ReferralDetailSerializer

    def move(self, request: Request, pk: int, form_class: type[StrictSerializer], act: type_Act) -> Response:
        asked = _read(request, form_class)

        def once(at: dt.datetime) -> Answer:
            try:
                return act(self.find(Referral.objects.real(), pk), asked, at)
            except MoveRefused as refusal:
                raise MoveConflict(str(refusal)) from refusal
            except ReturnRefused as refusal:
                raise MoveConflict(str(refusal), code=refusal.code) from refusal

        return self.once(request, once)


class ReferralCancel(ReferralAction):
    @extend_schema(
        operation_id="referrals_cancel",
        summary="Cancel a referral",
        description="Takes a referral back that is generated, assigned or delivered; its lead is free for another one; "
        "a delivered one is not charged, and its lead goes to a later holder of its ZIP only.",
        tags=["Referrals"],
        request=WhySerializer,
        parameters=[*NOTES],
        responses=answers(200, ReferralDetailSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Cancel", {"note": "The owner called us"}, request_only=True),
            OpenApiExample(
                "Cancelled",
                DETAIL_EXAMPLE | {"status": "cancelled", "ended_at": "2026-06-16T09:00:00Z"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(referral: Referral, asked: dict[str, Any], at: dt.datetime) -> Answer:
            cancel_referral(referral=referral, at=at, by=person_of(request), note=asked["note"])
            return Answer(status=200, body=tell_referral(pk))

        return self.move(request, pk, WhySerializer, act)


class ReferralRelease(ReferralAction):
    @extend_schema(
        operation_id="referrals_release",
        summary="Release the lead of a converted referral",
        description="The referral stays converted; its lead may be referred again.",
        tags=["Referrals"],
        request=WhySerializer,
        parameters=[*NOTES],
        responses=answers(200, ReferralDetailSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Release", {"note": "Wants a second trade"}, request_only=True),
            OpenApiExample(
                "Released",
                DETAIL_EXAMPLE | {"status": "converted", "released_at": "2026-06-16T09:00:00Z"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(referral: Referral, asked: dict[str, Any], at: dt.datetime) -> Answer:
            release_referral(referral=referral, at=at, by=person_of(request), note=asked["note"])
            return Answer(status=200, body=tell_referral(pk))

        return self.move(request, pk, WhySerializer, act)


class ReferralCorrect(ReferralAction):
    @extend_schema(
        operation_id="referrals_correct",
        summary="Correct the value of a converted referral",
        description="Replaces what the lead was worth; the timeline keeps the former value, who corrected it and why.",
        tags=["Referrals"],
        request=CorrectSerializer,
        parameters=[*NOTES],
        responses=answers(200, ReferralDetailSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("A typing error", {"value": "18500.00", "note": "Two noughts too many"}, request_only=True),
            OpenApiExample(
                "Corrected",
                DETAIL_EXAMPLE | {"status": "converted", "value": "18500.00"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(referral: Referral, asked: dict[str, Any], at: dt.datetime) -> Answer:
            correct_value(referral=referral, at=at, by=person_of(request), **asked)
            return Answer(status=200, body=tell_referral(pk))

        return self.move(request, pk, CorrectSerializer, act)


class ReferralReturnRequest(ReferralAction):
    serializer_class = ReturnSerializer

    @extend_schema(
        operation_id="referrals_return",
        summary="Return a referral in the contractor's name",
        description="Approved at once where the contractor's rules say so, else it waits to be decided. Past the "
        "window, or over the quota of returns, it is refused (409) unless `anyway` is true.",
        tags=["Referrals"],
        request=ReturnRequestSerializer,
        parameters=[*NOTES],
        responses=answers(201, ReturnSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Return", {"reason": "not_owner", "note": "Sold in May"}, request_only=True),
            OpenApiExample("Waits to be decided", RETURN_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        person = person_of(request)

        def act(referral: Referral, asked: dict[str, Any], at: dt.datetime) -> Answer:
            if asked["anyway"] and not person.has_perm(DECIDE):
                raise PermissionDenied("Only people who may decide returns can return a lead `anyway`.")
            wish = request_return(referral=referral, at=at, by=person, **asked)
            return Answer(status=201, body=dict(ReturnSerializer(wish).data))

        return self.move(request, pk, ReturnRequestSerializer, act)


# Returns -------------------------------------------------------------------------------------------------------------


class ReturnFilterSet(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(choices=ReferralReturn.Status.choices, label="State")
    contractor = django_filters.ModelMultipleChoiceFilter(
        field_name="referral__contractor", queryset=Contractor.objects.real(), label="Contractor (any of)"
    )

    class Meta:
        model = ReferralReturn
        fields: list[str] = []
        form = ReferralFilterSet.Meta.form


class ReturnList(ApiView):
    permissions = {"GET": VIEW}
    queryset = ReferralReturn.objects.all()
    serializer_class = ReturnSerializer
    filterset_class = _described(ReturnFilterSet)
    sorts = {"-id": ("-id",), "id": ("id",)}
    default_sort = "-id"

    def known_parameters(self) -> set[str]:
        return super().known_parameters() | set(self.filterset_class.base_filters)

    @extend_schema(
        operation_id="returns_list",
        summary="Returns, the newest first",
        description="With `status=pending` those that wait to be decided.",
        tags=["Returns"],
        responses=answers(200, ReturnSerializer(many=True), 400),
        examples=[OpenApiExample("A return", RETURN_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.filter_queryset(return_rows()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ReturnAction(IdempotentView):
    permissions = {"POST": DECIDE}
    queryset = ReferralReturn.objects.all()
    serializer_class = ReturnSerializer
    form_class: type[StrictSerializer] = DecisionSerializer

    def decide(self, request: Request, pk: int, decide: Callable[..., ReferralReturn]) -> Response:
        asked = _read(request, self.form_class)

        def act(at: dt.datetime) -> Answer:
            wish = self.find(ReferralReturn.objects.filter(referral__is_sandbox=False), pk)
            try:
                decide(wish=wish, at=at, by=person_of(request), note=asked["note"])
            except MoveRefused as refusal:
                raise MoveConflict(str(refusal)) from refusal
            except ReturnRefused as refusal:
                raise MoveConflict(str(refusal), code=refusal.code) from refusal
            return Answer(status=200, body=dict(ReturnSerializer(wish).data))

        return self.once(request, act)


DECIDED_EXAMPLE = RETURN_EXAMPLE | {"decided_at": "2026-06-17T09:00:00Z", "decided_by": "maria"}


class ReturnApprove(ReturnAction):
    @extend_schema(
        operation_id="returns_approve",
        summary="Approve a return",
        description="The referral becomes returned and is not charged. Another lead replaces it at once, or as soon as "
        "there is one (`is_replacement_owed`).",
        tags=["Returns"],
        request=DecisionSerializer,
        parameters=[*NOTES],
        responses=answers(200, ReturnSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Approve", {"note": ""}, request_only=True),
            OpenApiExample(
                "Approved",
                DECIDED_EXAMPLE | {"status": "approved", "is_replacement_owed": True},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        return self.decide(request, pk, approve_return)


class ReturnRefuse(ReturnAction):
    form_class = WhySerializer

    @extend_schema(
        operation_id="returns_refuse",
        summary="Refuse a return",
        description="The lead stays with the contractor, who reads the note.",
        tags=["Returns"],
        request=WhySerializer,
        parameters=[*NOTES],
        responses=answers(200, ReturnSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("Refuse", {"note": "The deed still names the owner"}, request_only=True),
            OpenApiExample(
                "Refused",
                DECIDED_EXAMPLE | {"status": "refused", "decision_note": "The deed still names the owner"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        return self.decide(request, pk, refuse_return)


# Of a lead -----------------------------------------------------------------------------------------------------------


class LeadReferralField(serializers.Serializer):
    """The newest referral of the lead; a live one is always the newest."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Referral.Status.choices)
    contractor_id = serializers.IntegerField(allow_null=True)


describe_api_field("referral", lambda **kwargs: LeadReferralField(allow_null=True, **kwargs), blank=lambda: None)


class LeadAssign(IdempotentView):
    permissions = {"POST": CHANGE}
    queryset = Lead.objects.all()
    serializer_class = ReferralDetailSerializer

    @extend_schema(
        operation_id="leads_assign",
        summary="Refer a lead to the holder of its ZIP",
        description="By hand, whatever the profiles say. Wishes and caps of the contractor hold, and so does the rule "
        "that a returned lead goes only to a later holder; `code` of a refusal (409) says which. Takes no body.",
        tags=["Leads"],
        request=None,
        parameters=[
            *NOTES,
            OpenApiParameter(
                "Location",
                str,
                OpenApiParameter.HEADER,
                response=[201],
                description="`/api/referrals/{id}`",
            ),
        ],
        responses=answers(201, ReferralDetailSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample(
                "Assigned",
                DETAIL_EXAMPLE | {"status": "assigned", "delivered_at": None, "receipt": None},
                response_only=True,
                status_codes=["201"],
            )
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        from territories.generation.operations import AssignRefused, assign_lead

        self.refuse_members(request)

        def act(at: dt.datetime) -> Answer:
            lead = self.find(Lead.objects.all(), pk)
            try:
                referral = assign_lead(lead_id=lead.pk, at=at, by=person_of(request))
            except AssignRefused as refusal:
                code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(refusal).__name__).lower()
                raise AssignConflict(str(refusal), code=code) from refusal
            location = {"Location": reverse("api:referral", args=[referral.pk])}
            return Answer(status=201, body=tell_referral(referral.pk), headers=location)

        return self.once(request, act)
