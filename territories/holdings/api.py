"""Territories over the API, for staff: list, assign, end, transfer, prove."""

import datetime as dt
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
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
from territories.holdings.exclusivity import SHOWN, Proof, prove_exclusivity, referrals_of
from territories.holdings.operations import (
    Ended,
    NotAHolder,
    PeriodRefused,
    SameHolder,
    TerritoriesBusy,
    TerritoryOver,
    TerritoryTaken,
    assign_territories,
    check_period,
    end_territories,
    lift_end,
    transfer_territory,
)
from territories.holdings.queries import not_called_off, propose_assignment
from territories.holdings.zips import MOST, ZipsRefused, check_zips
from territories.models import Contractor, Territory

MAX_ID = 2**63 - 1
SEES, GIVES, CHANGES = "territories.view_territory", "territories.add_territory", "territories.change_territory"
STATES = ("held", "future", "ended")


class Taken(APIException):
    """Somebody holds some of the ZIPs; `conflicts` names each territory."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "territory_taken"

    def __init__(self, refusal: TerritoryTaken) -> None:
        super().__init__(str(refusal))
        self.members = {"conflicts": ConflictSerializer(refusal.conflicts, many=True).data}


class NotChanged(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "territory_not_changed"


class Busy(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "territories_busy"
    wait = 1  # becomes Retry-After


class HolderSerializer(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    company = serializers.CharField(read_only=True)


class ConflictSerializer(serializers.Serializer):
    """A territory that stands in the way."""

    id = serializers.IntegerField(read_only=True)
    zip = serializers.CharField(read_only=True)
    contractor = HolderSerializer(read_only=True)
    from_at = UtcDateTimeField(read_only=True)
    to_at = UtcDateTimeField(read_only=True, allow_null=True)


class TerritorySerializer(ConflictSerializer):
    """One ZIP of one contractor during [from_at, to_at)."""

    to_at = UtcDateTimeField(read_only=True, allow_null=True, help_text="Null: without an end.")
    created_at = UtcDateTimeField(read_only=True)


class AssignSerializer(StrictSerializer):
    """ZIPs for a contractor and a period."""

    zips = serializers.ListField(
        child=serializers.RegexField(r"^[0-9]{5}\Z", error_messages={"invalid": "Write five digits."}),
        min_length=1,
        max_length=MOST,
    )
    contractor = StrictIntegerField(help_text="The id of a contractor.")
    from_at = UtcDateTimeField(required=False, allow_null=True, help_text="When it begins; now when not given.")
    to_at = UtcDateTimeField(
        required=False,
        allow_null=True,
        help_text="When it ends, that moment excluded; later than now. Without, it has no end.",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, help_text="Why; kept with it.")
    dry_run = StrictBooleanField(required=False, default=False, help_text="Tell what it would do, and do nothing.")


class AssignedSerializer(serializers.Serializer):
    """What was given, or with `dry_run` what would be."""

    zips = serializers.ListField(child=serializers.CharField(), help_text="ZIPs that were given, or would be.")
    territory_ids = serializers.ListField(child=serializers.IntegerField(), help_text="In the order of their ids.")
    has_begun = serializers.BooleanField(help_text="Whether the contractor holds them now.")
    assigned = serializers.IntegerField(help_text="Leads that waited in these ZIPs and went to the contractor at once.")
    expired = serializers.IntegerField(help_text="Leads that waited and fitted no more.")
    conflicts = ConflictSerializer(many=True, help_text="With `dry_run`: what stands in the way. Empty otherwise.")


class EndSerializer(StrictSerializer):
    """When, and why."""

    to_at = UtcDateTimeField(required=False, allow_null=True, help_text="Now when not given; never in the past.")
    no_end = StrictBooleanField(
        required=False, default=False, help_text="Take the planned end back instead; not together with `to_at`."
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, help_text="Why; kept with it.")

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["no_end"] and asked.get("to_at"):
            raise ValidationError({"no_end": ["Leave out `to_at`: it cannot end then and have no end."]})
        return asked


class TransferSerializer(StrictSerializer):
    """To whom, when, and why."""

    contractor = StrictIntegerField(help_text="The id of the next holder.")
    from_at = UtcDateTimeField(required=False, allow_null=True, help_text="Now when not given; never in the past.")
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, help_text="Why; kept with it.")


class EndedSerializer(serializers.Serializer):
    """What became of the territory and of leads that were not delivered."""

    territory = TerritorySerializer(help_text="The territory as it is now; after a transfer, the new one.")
    was_called_off = serializers.BooleanField(help_text="It had not begun, and never will.")
    cancelled = serializers.IntegerField(help_text="Undelivered referrals that were taken back.")
    requeued = serializers.IntegerField(help_text="Leads of these that wait for a holder again.")
    assigned = serializers.IntegerField(help_text="Waiting leads that the next holder got at once.")


class StretchSerializer(serializers.Serializer):
    from_at = UtcDateTimeField()
    to_at = UtcDateTimeField()
    contractor = HolderSerializer(allow_null=True, help_text="Null: nobody held the ZIP.")
    territory = serializers.IntegerField(allow_null=True, help_text="The id of the territory.")
    entered_late_at = UtcDateTimeField(
        allow_null=True, help_text="When it was entered, where that is more than a day after it began; otherwise null."
    )


class MadeSerializer(serializers.Serializer):
    """A referral that was made of the ZIP."""

    id = serializers.IntegerField()
    lead = serializers.IntegerField(source="lead_id")
    status = serializers.CharField()
    contractor = HolderSerializer(allow_null=True)
    assigned_at = UtcDateTimeField(allow_null=True)
    delivered_at = UtcDateTimeField(allow_null=True)
    ended_at = UtcDateTimeField(allow_null=True)


class ProofSerializer(serializers.Serializer):
    """Who held a ZIP in a period, and where its leads went."""

    zip = serializers.CharField()
    from_at = UtcDateTimeField()
    to_at = UtcDateTimeField()
    is_exclusive = serializers.BooleanField(help_text="No two holders, no lead to anybody else, none to two at once.")
    overlaps = serializers.IntegerField(help_text="Territories whose periods meet; counted in the data.")
    strays = serializers.IntegerField(help_text="Referrals to somebody who did not hold the ZIP then.")
    doubles = serializers.IntegerField(help_text="Pairs of referrals of one lead that ran at the same time.")
    stretches = StretchSerializer(many=True, help_text="The whole period, gaps included.")
    referral_count = serializers.IntegerField()
    referrals = MadeSerializer(many=True, help_text=f"The first {SHOWN}, by assignment.")


TERRITORY_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "zip": "07030",
    "contractor": {"id": 4, "company": "Harbor Roofing"},
    "from_at": "2026-06-01T04:00:00Z",
    "to_at": None,
    "created_at": "2026-05-28T14:03:00Z",
}


def _territory(territory: Territory) -> dict[str, Any]:
    data: dict[str, Any] = TerritorySerializer(territory).data
    return data


def _contractor(pk: int) -> Contractor:
    found = Contractor.objects.real().filter(pk=pk).first() if 0 < pk <= MAX_ID else None
    if found is None:
        raise ValidationError({"contractor": [f"There is no contractor with the id {str(pk)[:40]}."]})
    return found


def refused(refusal: Exception) -> APIException:
    """A refusal of the room as an answer."""
    if isinstance(refusal, TerritoryTaken):
        return Taken(refusal)
    if isinstance(refusal, TerritoriesBusy):
        return Busy(str(refusal))
    if isinstance(refusal, ZipsRefused):
        return ValidationError({"zips": [str(refusal)]})
    if isinstance(refusal, PeriodRefused):
        return ValidationError({"to_at": [str(refusal)]})
    if isinstance(refusal, NotAHolder):
        return ValidationError({"contractor": [str(refusal)]})
    return NotChanged(str(refusal))


REFUSALS = (TerritoryTaken, TerritoriesBusy, ZipsRefused, PeriodRefused, NotAHolder, TerritoryOver, SameHolder)


class TerritoryList(IdempotentView):
    permissions = {"GET": SEES, "POST": GIVES}
    serializer_class = TerritorySerializer
    queryset = Territory.objects.none()
    query_parameters = frozenset({"zip", "contractor", "state"})
    sorts = {"-id": ("-id",), "id": ("id",), "zip": ("zip", "id"), "-from_at": ("-from_at", "-id")}
    default_sort = "-id"

    @extend_schema(
        operation_id="territories_list",
        summary="Territories",
        description="Which contractor holds which ZIP, from when, until when; those that have ended are the history. "
        "What was called off before it began is left out.",
        tags=["Territories"],
        parameters=[
            OpenApiParameter("zip", str, description="Five digits, or the first of them."),
            OpenApiParameter("contractor", int, description="The id of a contractor."),
            OpenApiParameter("state", str, enum=STATES, description="Held now, to come, or over."),
        ],
        responses=answers(200, TerritorySerializer(many=True), 400),
        examples=[OpenApiExample("A territory", TERRITORY_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self._filtered(request, timezone.now()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def _filtered(self, request: Request, at: dt.datetime) -> Any:
        found = not_called_off().select_related("contractor")
        asked = request.query_params
        errors: dict[str, list[str]] = {}
        if zip_code := asked.get("zip"):
            if zip_code.isascii() and zip_code.isdigit() and len(zip_code) <= 5:
                found = found.filter(zip__startswith=zip_code)
            else:
                errors["zip"] = ["Write up to five digits."]
        if pk := asked.get("contractor"):
            if pk.isascii() and pk.isdigit() and int(pk[:20]) <= MAX_ID:
                found = found.filter(contractor=int(pk))
            else:
                errors["contractor"] = ["Give the id of a contractor."]
        if state := asked.get("state"):
            if state not in STATES:
                errors["state"] = [f"Choose one of {', '.join(STATES)}."]
            elif state == "future":
                found = found.filter(from_at__gt=at)
            elif state == "ended":
                found = found.filter(to_at__lte=at)
            else:
                found = found.filter(Q(to_at__gt=at) | Q(to_at__isnull=True), from_at__lte=at)
        if errors:
            raise ValidationError(errors)
        return found

    @extend_schema(
        operation_id="territories_assign",
        summary="Assign ZIPs to a contractor",
        description="All of them for the period, or none: where somebody holds one, the answer is 409 and `conflicts` "
        "names every territory that stands in the way. Leads that wait in ZIPs that begin by now are assigned at once; "
        "those for which the contractor's wishes and caps leave no room expire. A period may begin in the past, but "
        "not lie in it: that would rewrite who held the ZIP. "
        "With `dry_run` nothing is changed: 200 tells what is free and what is not.",
        tags=["Territories"],
        request=AssignSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(201, AssignedSerializer, 400, 409, 415, 422)
        | {(200, "application/json"): AssignedSerializer},
        examples=[
            OpenApiExample(
                "Two ZIPs from June on",
                {"zips": ["07030", "07302"], "contractor": 4, "from_at": "2026-06-01T04:00:00Z"},
                request_only=True,
            ),
            OpenApiExample(
                "Given",
                {
                    "zips": ["07030", "07302"],
                    "territory_ids": [12, 13],
                    "has_begun": True,
                    "assigned": 41,
                    "expired": 2,
                    "conflicts": [],
                },
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        def act(at: dt.datetime) -> Answer:
            form = AssignSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            asked = form.validated_data
            contractor = _contractor(asked["contractor"])
            from_at, to_at = asked.get("from_at") or at, asked.get("to_at")
            try:
                if asked["dry_run"]:
                    return _proposed(check_zips(asked["zips"]), from_at, to_at, at)
                done = assign_territories(
                    zips=asked["zips"],
                    contractor=contractor,
                    from_at=from_at,
                    to_at=to_at,
                    by=person_of(request),
                    at=at,
                    note=asked.get("note", ""),
                )
            except REFUSALS as refusal:
                raise refused(refusal) from refusal
            body = {
                "zips": done.zips,
                "territory_ids": done.territory_ids,
                "has_begun": done.has_begun,
                "assigned": done.taken_up.assigned,
                "expired": done.taken_up.expired,
                "conflicts": [],
            }
            return Answer(status=status.HTTP_201_CREATED, body=body)

        return self.once(request, act)


def _proposed(zips: list[str], from_at: dt.datetime, to_at: dt.datetime | None, at: dt.datetime) -> Answer:
    check_period(from_at=from_at, to_at=to_at, at=at)
    proposal = propose_assignment(zips=zips, from_at=from_at, to_at=to_at, min_score=1, at=at)
    body = {
        "zips": [one.zip for one in proposal.free],
        "territory_ids": [],
        "has_begun": from_at <= at,
        "assigned": 0,
        "expired": 0,
        "conflicts": ConflictSerializer(proposal.conflicts, many=True).data,
    }
    return Answer(status=status.HTTP_200_OK, body=body)


class TerritoryAct(IdempotentView):
    permissions = {"POST": CHANGES}
    serializer_class = EndedSerializer
    queryset = Territory.objects.select_related("contractor")

    def told(self, pk: int, ended: Ended) -> Answer:
        body = {
            "territory": _territory(self.find(self.queryset.all(), pk)),
            "was_called_off": bool(ended.called_off),
            "cancelled": ended.cancelled,
            "requeued": ended.requeued,
            "assigned": ended.taken_up.assigned,
        }
        return Answer(status=status.HTTP_200_OK, body=body)


ENDED_EXAMPLE: dict[str, Any] = {
    "territory": TERRITORY_EXAMPLE | {"to_at": "2026-09-01T04:00:00Z"},
    "was_called_off": False,
    "cancelled": 3,
    "requeued": 3,
    "assigned": 0,
}


class TerritoryEnd(TerritoryAct):
    @extend_schema(
        operation_id="territories_end",
        summary="End a territory",
        description="Now, or at a moment to come. What was assigned and not delivered by then is taken back and "
        "offered to the next holder; delivered and converted leads stay. One that has not begun is called off. With "
        "`no_end` a planned end is taken back, where nobody follows.",
        tags=["Territories"],
        request=EndSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, EndedSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("At a date", {"to_at": "2026-09-01T04:00:00Z", "note": "moves away"}, request_only=True),
            OpenApiExample("Ended", ENDED_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(at: dt.datetime) -> Answer:
            territory = self.find(self.queryset.all(), pk)
            form = EndSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            asked = form.validated_data
            who: Any = {"by": person_of(request), "at": at, "note": asked.get("note", "")}
            try:
                if asked["no_end"]:
                    lift_end(territory=territory, **who)
                    ended = Ended()
                else:
                    ended = end_territories(ids=[territory.pk], to_at=asked.get("to_at"), **who)
            except REFUSALS as refusal:
                raise refused(refusal) from refusal
            return self.told(territory.pk, ended)

        return self.once(request, act)


class TerritoryTransfer(TerritoryAct):
    @extend_schema(
        operation_id="territories_transfer",
        summary="Transfer a territory",
        description="Ends it for its holder and begins it for another contractor at the same moment, now or to come; "
        "the new one keeps the former end. What was assigned and not delivered goes back and is offered to the new "
        "holder.",
        tags=["Territories"],
        request=TransferSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses=answers(200, EndedSerializer, 400, 404, 409, 415, 422),
        examples=[
            OpenApiExample("From July on", {"contractor": 5, "from_at": "2026-07-01T04:00:00Z"}, request_only=True),
            OpenApiExample(
                "Transferred",
                ENDED_EXAMPLE | {"territory": TERRITORY_EXAMPLE | {"id": 31}},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        def act(at: dt.datetime) -> Answer:
            territory = self.find(self.queryset.all(), pk)
            form = TransferSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            asked = form.validated_data
            try:
                done = transfer_territory(
                    territory=territory,
                    contractor=_contractor(asked["contractor"]),
                    from_at=asked.get("from_at"),
                    by=person_of(request),
                    at=at,
                    note=asked.get("note", ""),
                )
            except PeriodRefused as refusal:
                raise ValidationError({"from_at": [str(refusal)]}) from refusal
            except REFUSALS as refusal:
                raise refused(refusal) from refusal
            return self.told(done.territory_id, done.ended)

        return self.once(request, act)


class TerritoryExclusivity(ApiView):
    permissions = {"GET": SEES}
    serializer_class = ProofSerializer
    query_parameters = frozenset({"zip", "from", "to"})
    pagination_class = None

    @extend_schema(
        operation_id="territories_exclusivity",
        summary="Proof of exclusivity",
        description="Who held a ZIP in a period, gaps included, and where every lead of it went. The counts of what "
        "must not be are taken from the data, not from what the program believes.",
        tags=["Territories"],
        parameters=[
            OpenApiParameter("zip", str, required=True, description="Five digits."),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="A year before `to` when not given."),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="That moment excluded; now when not given."),
        ],
        responses=answers(200, ProofSerializer, 400),
        examples=[
            OpenApiExample(
                "Proven",
                {
                    "zip": "07030",
                    "from_at": "2026-01-01T05:00:00Z",
                    "to_at": "2026-07-01T04:00:00Z",
                    "is_exclusive": True,
                    "overlaps": 0,
                    "strays": 0,
                    "doubles": 0,
                    "stretches": [
                        {
                            "from_at": "2026-01-01T05:00:00Z",
                            "to_at": "2026-06-01T04:00:00Z",
                            "contractor": None,
                            "territory": None,
                            "entered_late_at": None,
                        },
                        {
                            "from_at": "2026-06-01T04:00:00Z",
                            "to_at": "2026-07-01T04:00:00Z",
                            "contractor": {"id": 4, "company": "Harbor Roofing"},
                            "territory": 12,
                            "entered_late_at": None,
                        },
                    ],
                    "referral_count": 1,
                    "referrals": [
                        {
                            "id": 88,
                            "lead": 4711,
                            "status": "delivered",
                            "contractor": {"id": 4, "company": "Harbor Roofing"},
                            "assigned_at": "2026-06-02T09:00:00Z",
                            "delivered_at": "2026-06-02T09:00:04Z",
                            "ended_at": None,
                        }
                    ],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request) -> Response:
        at = timezone.now()
        errors: dict[str, list[str]] = {}
        zip_code = request.query_params.get("zip", "")
        if not (len(zip_code) == 5 and zip_code.isascii() and zip_code.isdigit()):
            errors["zip"] = ["Write five digits."]
        to_at = _moment(request, "to", errors) or at
        from_at = _moment(request, "from", errors)
        if from_at is None:
            from_at = to_at - dt.timedelta(days=365) if to_at.year > 1 else to_at
        if not errors and from_at >= to_at:
            errors["to"] = ["It must come after `from`."]
        if errors:
            raise ValidationError(errors)
        proof = prove_exclusivity(zip_code=zip_code, from_at=from_at, to_at=to_at, at=at)
        return Response(ProofSerializer(_proof(proof)).data)


def _moment(request: Request, name: str, errors: dict[str, list[str]]) -> dt.datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = parse_datetime(text.replace(" ", "+"))  # a plus that came unescaped
        found = found.astimezone(dt.UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        errors[name] = ["Write a moment with its zone, such as 2026-06-01T04:00:00Z."]
    return found


def _proof(proof: Proof) -> dict[str, Any]:
    referrals = referrals_of(zip_code=proof.zip, from_at=proof.from_at, to_at=proof.to_at)
    return {
        "zip": proof.zip,
        "from_at": proof.from_at,
        "to_at": proof.to_at,
        "is_exclusive": proof.is_proven,
        "overlaps": proof.overlaps,
        "strays": proof.strays,
        "doubles": proof.doubles,
        "stretches": [
            {
                "from_at": one.from_at,
                "to_at": one.to_at,
                "contractor": one.territory.contractor if one.territory else None,
                "territory": one.territory.pk if one.territory else None,
                "entered_late_at": one.territory.entered_late_at if one.territory else None,
            }
            for one in proof.stretches
        ],
        "referral_count": proof.count,
        "referrals": referrals[:SHOWN],
    }
