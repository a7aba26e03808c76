"""Contractors over the API, for staff."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError as InvalidModel
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    IdempotentView,
    StrictIntegerField,
    StrictSerializer,
    UtcDateTimeField,
    answers,
    person_of,
)
from accounts.models import User, validate_time_zone
from tags.models import Tag
from territories.contractors.operations import (
    CompanyTaken,
    Contact,
    StatusRefused,
    end_contractor,
    pause_contractor,
    resume_contractor,
    save_contractor,
    tidy_company,
)
from territories.contractors.queries import accounts_of
from territories.holdings.api import Busy
from territories.holdings.operations import TerritoriesBusy
from territories.models import Contractor, ReferralReturn

SEES, MAKES, CHANGES = "territories.view_contractor", "territories.add_contractor", "territories.change_contractor"
MOST = 2**31 - 1
MAX_ID = 2**63 - 1


class NotMoved(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "contractor_not_changed"


class ContactSerializer(StrictSerializer):
    """A person at the contractor."""

    name = serializers.CharField(max_length=200)
    role = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    email = serializers.EmailField(required=False, allow_blank=True, default="")
    phone = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


class UsageSerializer(serializers.Serializer):
    """Leads taken, by the moment of their assignment; approved returns and what was taken back are not counted."""

    today = serializers.IntegerField(help_text="In the contractor's day.")
    month = serializers.IntegerField(help_text="In its calendar month.")
    total = serializers.IntegerField()
    remaining = serializers.IntegerField(allow_null=True, help_text="Until the first cap is reached; null: no cap.")


class ContractorSerializer(serializers.ModelSerializer):
    contacts = ContactSerializer(many=True, read_only=True)
    wanted_tags: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    unwanted_tags: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    created_at = UtcDateTimeField(read_only=True)
    auto_return_reasons = serializers.ListField(
        child=serializers.ChoiceField(ReferralReturn.Reason.choices), read_only=True
    )
    zips_held = serializers.IntegerField(read_only=True, help_text="ZIPs that it holds now.")
    usage = UsageSerializer(read_only=True)

    class Meta:
        model = Contractor
        fields = [
            "id",
            "company",
            "trade",
            "status",
            "time_zone",
            "daily_cap",
            "monthly_cap",
            "total_cap",
            "usage",
            "min_score",
            "wanted_tags",
            "unwanted_tags",
            "price",
            "return_window_days",
            "return_quota_percent",
            "auto_return_reasons",
            "contacts",
            "zips_held",
            "notes",
            "created_at",
        ]
        read_only_fields = fields


def _cap(words: str) -> serializers.Field:
    return StrictIntegerField(required=False, allow_null=True, min_value=0, max_value=MOST, help_text=words)


class TagsField(serializers.ListField):
    """Ids of tags, which must exist."""

    child = StrictIntegerField()

    def to_internal_value(self, data: Any) -> list[Tag]:
        ids = set(super().to_internal_value(data))
        found = list(Tag.objects.filter(pk__in=[pk for pk in ids if 0 < pk <= MAX_ID]))
        if missing := sorted(ids - {tag.pk for tag in found}):
            raise ValidationError([f"There is no tag with the id {str(missing[0])[:40]}."])
        return found


class ContractorChangeSerializer(StrictSerializer):
    """Fields of a contractor; those that are not named stay as they are."""

    company = serializers.CharField(max_length=200, help_text="Unique, whatever its case and blanks.")
    trade = serializers.CharField(max_length=100, required=False, allow_blank=True)
    time_zone = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        help_text="Where its day and month begin, such as America/Chicago; blank takes the installation's.",
    )
    daily_cap = _cap("Most leads a day; null: no cap. The lowest cap binds.")
    monthly_cap = _cap("Most leads a calendar month.")
    total_cap = _cap("Most leads ever.")
    min_score = StrictIntegerField(
        required=False, allow_null=True, min_value=-MOST, max_value=MOST, help_text="Takes no lead below this score."
    )
    wanted_tags = TagsField(required=False, help_text="Takes only leads with one of these; none: any lead.")
    unwanted_tags = TagsField(required=False, help_text="Takes no lead with one of these.")
    price = serializers.DecimalField(
        max_digits=10, decimal_places=2, min_value=0, required=False, help_text="What a lead costs, in dollars."
    )
    return_window_days = StrictIntegerField(required=False, min_value=0, max_value=3_650)
    return_quota_percent = StrictIntegerField(
        required=False,
        min_value=0,
        max_value=100,
        help_text="Most returns of the leads delivered in 30 days, at least one; 0 allows none.",
    )
    auto_return_reasons = serializers.ListField(
        child=serializers.ChoiceField(ReferralReturn.Reason.choices),
        required=False,
        max_length=len(ReferralReturn.Reason),
    )
    contacts = serializers.ListField(
        child=ContactSerializer(), required=False, max_length=50, help_text="All of them: they replace what was."
    )
    notes = serializers.CharField(required=False, allow_blank=True, max_length=10_000)

    def validate_company(self, company: str) -> str:
        if not (company := tidy_company(company)):
            raise ValidationError("Write the name with letters that show.")
        return company

    def validate_time_zone(self, name: str) -> str:
        try:
            validate_time_zone(name)
        except InvalidModel as refusal:
            raise ValidationError(refusal.messages) from refusal
        return name


class MovedSerializer(serializers.Serializer):
    """What pausing, resuming or ending did to each state."""

    contractor = ContractorSerializer()
    cancelled = serializers.IntegerField(help_text="Assigned and not delivered: taken back.")
    requeued = serializers.IntegerField(help_text="Leads of these that wait to be offered again.")
    assigned = serializers.IntegerField(help_text="When resumed: waiting leads that it got at once.")
    delivered = serializers.IntegerField(help_text="Delivered ones, which stay with it.")
    converted = serializers.IntegerField(help_text="Converted ones, which stay with it.")
    territories_ended = serializers.IntegerField()
    territories_called_off = serializers.IntegerField(help_text="Those that had not begun.")


CONTRACTOR_EXAMPLE: dict[str, Any] = {
    "id": 4,
    "company": "Harbor Roofing",
    "trade": "Roofing",
    "status": "active",
    "time_zone": "America/New_York",
    "daily_cap": 10,
    "monthly_cap": 150,
    "total_cap": None,
    "usage": {"today": 3, "month": 41, "total": 320, "remaining": 7},
    "min_score": 500,
    "wanted_tags": [3],
    "unwanted_tags": [],
    "price": "45.00",
    "return_window_days": 14,
    "return_quota_percent": 20,
    "auto_return_reasons": ["unreachable"],
    "contacts": [{"name": "Ada Lopez", "role": "Owner", "email": "ada@example.com", "phone": "201 555 0143"}],
    "zips_held": 12,
    "notes": "",
    "created_at": "2026-05-28T14:03:00Z",
}


class ContractorView(IdempotentView):
    """What the routes of contractors share: how one is told."""

    serializer_class: Any = ContractorSerializer
    queryset = Contractor.objects.real()

    def told_all(self, contractors: list[Contractor], at: dt.datetime) -> list[dict[str, Any]]:
        for account in accounts_of(contractors, at):
            account.contractor.zips_held, account.contractor.usage = account.zips, account.usage  # type: ignore[attr-defined]
        return list(ContractorSerializer(contractors, many=True).data)

    def told(self, pk: int, at: dt.datetime) -> dict[str, Any]:
        (told,) = self.told_all([self.find(self.whole(), pk)], at)
        return told

    def whole(self) -> QuerySet[Contractor]:
        return self.queryset.prefetch_related("contacts", "wanted_tags", "unwanted_tags")

    def save(self, contractor: Contractor, asked: dict[str, Any], *, by: User, at: dt.datetime) -> Contractor:
        relations = {name: asked.pop(name, None) for name in ("wanted_tags", "unwanted_tags")}
        contacts = asked.pop("contacts", None)
        for name, value in asked.items():
            setattr(contractor, name, value)
        try:
            return save_contractor(
                contractor=contractor,
                at=at,
                by=by,
                contacts=None if contacts is None else [Contact(**contact) for contact in contacts],
                fields=asked.keys(),
                **relations,
            )
        except CompanyTaken as refusal:
            raise ValidationError({"company": [str(refusal)]}) from refusal


class ContractorList(ContractorView):
    permissions = {"GET": SEES, "POST": MAKES}
    query_parameters = frozenset({"status", "q"})
    sorts = {"company": ("company", "id"), "-company": ("-company", "-id"), "id": ("id",), "-id": ("-id",)}
    default_sort = "company"

    @extend_schema(
        operation_id="contractors_list",
        summary="Contractors",
        description="Who buys leads, with caps, wishes, and what they have used of the caps.",
        tags=["Contractors"],
        parameters=[
            OpenApiParameter("status", str, enum=[*Contractor.Status.values], description="Only those in this state."),
            OpenApiParameter("q", str, description="A part of the company's name or of the trade."),
        ],
        responses=answers(200, ContractorSerializer(many=True), 400),
        examples=[OpenApiExample("A contractor", CONTRACTOR_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        found = self.whole()
        if (wanted := request.query_params.get("status")) is not None:
            if wanted not in Contractor.Status.values:
                raise ValidationError({"status": [f"Choose one of {', '.join(Contractor.Status.values)}."]})
            found = found.filter(status=wanted)
        if text := request.query_params.get("q", "").strip()[:200]:
            found = found.filter(company__icontains=text) | found.filter(trade__icontains=text)
        page: Any = self.paginate_queryset(found)
        return self.get_paginated_response(self.told_all(page, timezone.now()))

    @extend_schema(
        operation_id="contractors_create",
        summary="Make a contractor",
        description="Active at once; only its company must be named. ZIPs are assigned with `POST /api/territories`.",
        tags=["Contractors"],
        request=ContractorChangeSerializer,
        parameters=[
            IDEMPOTENCY_KEY,
            REPLAYED,
            OpenApiParameter(
                "Location", str, OpenApiParameter.HEADER, response=[201], description="`/api/contractors/{id}`"
            ),
        ],
        responses=answers(201, ContractorSerializer, 400, 409, 415, 422),
        examples=[
            OpenApiExample(
                "A roofer",
                {
                    "company": "Harbor Roofing",
                    "trade": "Roofing",
                    "daily_cap": 10,
                    "price": "45.00",
                    "wanted_tags": [3],
                },
                request_only=True,
            ),
            OpenApiExample("The contractor", CONTRACTOR_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        def act(at: dt.datetime) -> Answer:
            form = ContractorChangeSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            made = self.save(Contractor(), dict(form.validated_data), by=person_of(request), at=at)
            headers = {"Location": reverse("api:contractor", args=[made.pk])}
            return Answer(status=status.HTTP_201_CREATED, body=self.told(made.pk, at), headers=headers)

        return self.once(request, act)


class ContractorDetail(ContractorView):
    permissions = {"GET": SEES, "PATCH": CHANGES}

    @extend_schema(
        operation_id="contractors_retrieve",
        summary="One contractor",
        description="Caps, wishes, contacts, return policy, and its use of the caps.",
        tags=["Contractors"],
        responses=answers(200, ContractorSerializer, 404),
        examples=[OpenApiExample("A contractor", CONTRACTOR_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(self.told(pk, timezone.now()))

    @extend_schema(
        operation_id="contractors_partial_update",
        summary="Change a contractor",
        description="The fields that are named; the others stay. They count for leads that are assigned from now on. "
        "The state changes with `pause`, `resume` and `end`, which also say what that did.",
        tags=["Contractors"],
        request=ContractorChangeSerializer,
        responses=answers(200, ContractorSerializer, 400, 404, 415),
        examples=[
            OpenApiExample("Fewer a day", {"daily_cap": 5}, request_only=True),
            OpenApiExample("The contractor", CONTRACTOR_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def patch(self, request: Request, pk: int) -> Response:
        at = timezone.now()
        contractor = self.find(self.queryset.all(), pk)
        form = ContractorChangeSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        if not form.validated_data:
            raise ValidationError("Name at least one field that is to become different.")
        self.save(contractor, dict(form.validated_data), by=person_of(request), at=at)
        return Response(self.told(pk, at))


class ContractorMove(ContractorView):
    permissions = {"POST": CHANGES}
    serializer_class = MovedSerializer

    def moved(
        self, request: Request, pk: int, act: Callable[[Contractor, User, dt.datetime], dict[str, Any]]
    ) -> Response:
        self.refuse_members(request)

        def move(at: dt.datetime) -> Answer:
            contractor = self.find(self.queryset.all(), pk)
            try:
                counts = act(contractor, person_of(request), at)
            except StatusRefused as refusal:
                raise NotMoved(str(refusal)) from refusal
            except TerritoriesBusy as refusal:
                raise Busy(str(refusal)) from refusal
            zero = dict.fromkeys(("cancelled", "requeued", "assigned", "delivered", "converted"), 0) | {
                "territories_ended": 0,
                "territories_called_off": 0,
            }
            return Answer(status=status.HTTP_200_OK, body=zero | counts | {"contractor": self.told(pk, at)})

        return self.once(request, move)


def _moved_example(state: str, **counts: int) -> OpenApiExample:
    zero = dict.fromkeys(("cancelled", "requeued", "assigned", "delivered", "converted"), 0)
    body = {
        "contractor": CONTRACTOR_EXAMPLE | {"status": state},
        **zero,
        "territories_ended": 0,
        "territories_called_off": 0,
        **counts,
    }
    return OpenApiExample("What it did", body, response_only=True, status_codes=["200"])


class ContractorPause(ContractorMove):
    @extend_schema(
        operation_id="contractors_pause",
        summary="Pause a contractor",
        description="Nothing new is assigned to it. What was assigned and not delivered is taken back and offered "
        "again later; delivered and converted leads stay, and so do its territories.",
        tags=["Contractors"],
        request=None,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, MovedSerializer, 400, 404, 409, 415, 422),
        examples=[_moved_example("paused", cancelled=3, requeued=3, delivered=38, converted=4)],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(contractor: Contractor, by: User, at: dt.datetime) -> dict[str, Any]:
            done = pause_contractor(contractor=contractor, by=by, at=at)
            return {name: getattr(done, name) for name in ("cancelled", "requeued", "delivered", "converted")}

        return self.moved(request, pk, act)


class ContractorResume(ContractorMove):
    @extend_schema(
        operation_id="contractors_resume",
        summary="Resume a paused contractor",
        description="It gets leads again, at once those that waited in its ZIPs, as far as wishes and caps allow; "
        "those that fit no longer expire.",
        tags=["Contractors"],
        request=None,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, MovedSerializer, 400, 404, 409, 415, 422),
        examples=[_moved_example("active", assigned=3)],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(contractor: Contractor, by: User, at: dt.datetime) -> dict[str, Any]:
            return {"assigned": resume_contractor(contractor=contractor, by=by, at=at).assigned}

        return self.moved(request, pk, act)


class ContractorEnd(ContractorMove):
    @extend_schema(
        operation_id="contractors_end",
        summary="End the business with a contractor",
        description="As pausing, for good: its territories end at this moment, those to come are called off, and it "
        "leaves every line. Delivered and converted leads stay with it.",
        tags=["Contractors"],
        request=None,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, MovedSerializer, 400, 404, 409, 415, 422),
        examples=[_moved_example("ended", cancelled=3, requeued=3, delivered=38, converted=4, territories_ended=12)],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(contractor: Contractor, by: User, at: dt.datetime) -> dict[str, Any]:
            done = end_contractor(contractor=contractor, by=by, at=at)
            counts = {name: getattr(done, name) for name in ("cancelled", "requeued", "delivered", "converted")}
            ended = {"territories_ended": len(done.ended.ended), "territories_called_off": len(done.ended.called_off)}
            return counts | ended

        return self.moved(request, pk, act)
