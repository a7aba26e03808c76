"""The contractors' API: a contractor's own referrals, territories and usage, and nothing of anybody else."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import IDEMPOTENCY_KEY, REPLAYED, Answer, IdempotentView, StrictSerializer, answers, person_of
from accounts.models import User
from territories.contractor_api import bodies
from territories.contractor_api.filters import NAMES, PARAMETERS, referral_filter
from territories.contractor_api.limits import Allowance, count_request
from territories.contractor_api.sandbox import invented_zips, open_sandbox, reset_sandbox
from territories.contractor_api.usage import usage_body
from territories.models import Contractor, Referral, Territory
from territories.referrals.lifecycle import MoveRefused, accept_referral, convert_referral, mark_contacted
from territories.referrals.receipts import deliver
from territories.referrals.returns import ReturnRefused, request_return

USE = "territories.use_contractor_api"
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
READ_BY_API = "read over the API"
LIMITS = [
    OpenApiParameter(name, OpenApiTypes.INT, OpenApiParameter.HEADER, response=True, description=text)
    for name, text in (
        ("RateLimit-Limit", "Requests that a minute allows; reads and writes have one each."),
        ("RateLimit-Remaining", "How many of them are left."),
        ("RateLimit-Reset", "Seconds until the next minute."),
    )
]
RETRY_AFTER = OpenApiParameter(
    "Retry-After", OpenApiTypes.INT, OpenApiParameter.HEADER, response=[429], description="Seconds to wait."
)
LIMITS += [RETRY_AFTER]
POSTS = [IDEMPOTENCY_KEY, REPLAYED, *LIMITS]


class TooManyRequests(APIException):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many_requests"

    def __init__(self, allowance: Allowance) -> None:
        self.wait = allowance.reset_seconds  # becomes Retry-After
        super().__init__(f"More than {allowance.limit:,} requests in this minute; go on in {self.wait} seconds.")


class NotAllowedNow(APIException):
    """The referral is in a state in which this cannot be done; `referral_status` says in which."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "not_allowed_now"

    def __init__(self, refusal: MoveRefused, *, can_be_read: bool) -> None:
        how = f" Read it first: GET /api/contractor/referrals/{refusal.referral.pk} delivers it."
        super().__init__(f"{refusal}{how if can_be_read else ''}")
        self.members = {"referral_status": refusal.referral.status}


class NotReturned(APIException):
    status_code = status.HTTP_409_CONFLICT

    def __init__(self, refusal: ReturnRefused, referral: Referral) -> None:
        super().__init__(str(refusal), code=refusal.code)
        self.members = {"referral_status": referral.status}


class ContractorView(IdempotentView):
    """A route of a contractor: whatever it touches is looked for among `self.contractor`'s own."""

    read_with_token = ("user__contractor",)
    serves_sandbox = True
    contractor: Contractor | None = None
    allowance: Allowance | None = None
    at: dt.datetime

    def check_permissions(self, request: Request) -> None:
        self.at = timezone.now()
        if isinstance(request.user, User) and request.user.is_authenticated:
            self.contractor = _contractor_of(request, self.at)
        if self.contractor is not None:
            self.allowance = count_request(
                contractor_id=self.contractor.pk, is_write=request.method in WRITES, at=self.at
            )
        super().check_permissions(request)
        if self.contractor is None:
            raise PermissionDenied("This login belongs to no contractor; ask the people you buy leads from.")

    def check_throttles(self, request: Request) -> None:
        if self.allowance is not None and self.allowance.is_exceeded:
            raise TooManyRequests(self.allowance)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"  # names and telephones of people
        if self.allowance is not None:
            for name, value in self.allowance.headers().items():
                response[name] = value
        return response

    @property
    def own(self) -> Contractor:
        assert self.contractor is not None
        return self.contractor

    def referrals(self) -> QuerySet[Referral]:
        """The contractor's own, those of its sandbox with a sandbox token. Index: referral_by_contractor."""
        return Referral.objects.filter(
            contractor=self.own, is_sandbox=self.own.sandbox_of_id is not None, assigned_at__isnull=False
        )

    def find_referral(self, pk: int) -> Referral:
        """One of the contractor's own; anybody else's is as unknown as none."""
        return self.find(self.referrals(), pk)

    def would_deliver(self, referral: Referral) -> bool:
        """Whether reading it delivers it: not while paused, nor when its time is up or its territory has ended.

        Until the sweep comes by, such a referral is still there.
        """
        if referral.expires_at is not None and referral.expires_at <= self.at:
            return False
        if referral.status != Referral.Status.ASSIGNED or self.own.status != Contractor.Status.ACTIVE:
            return False
        ended = Territory.objects.filter(to_at__lte=self.at)
        return referral.territory_id is None or not ended.filter(pk=referral.territory_id).exists()


def _contractor_of(request: Request, at: dt.datetime) -> Contractor | None:
    """Whom a request acts for: the contractor of its login, or the sandbox of that one."""
    contractor = getattr(person_of(request), "contractor", None)
    if contractor is not None and getattr(request.auth, "is_sandbox", False):
        return open_sandbox(contractor=contractor, at=at)
    return contractor


def _full(referral: Referral) -> dict[str, Any]:
    return bodies.full_body(referral, referral.returns.order_by("-pk").first())


class Me(ContractorView):
    permissions = {"GET": USE}
    serializer_class = bodies.ContractorMeSerializer

    @extend_schema(
        operation_id="contractor_me",
        summary="Who you are here",
        description="Your company as it is kept here, its status, what holds for returns, and whether the token is one "
        "of the sandbox. A good first request.",
        tags=["Contractors' API"],
        parameters=LIMITS,
        responses=answers(200, bodies.ContractorMeSerializer, 400, 429),
        examples=[OpenApiExample("An active contractor", bodies.ME_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        limits = {"reads": settings.CONTRACTOR_READS, "writes": settings.CONTRACTOR_WRITES}
        return Response(bodies.me_body(self.own, limits))


class Usage(ContractorView):
    permissions = {"GET": USE}
    serializer_class = bodies.ContractorUsageSerializer

    @extend_schema(
        operation_id="contractor_usage",
        summary="Leads taken against your caps",
        description="How many leads you got today, this month and ever, and how many may still come. Returns that were "
        "approved and leads that were taken back do not count.",
        tags=["Contractors' API"],
        parameters=LIMITS,
        responses=answers(200, bodies.ContractorUsageSerializer, 400, 429),
        examples=[OpenApiExample("Two caps", bodies.USAGE_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        return Response(usage_body(self.own, at=self.at))


class TerritoryList(ContractorView):
    permissions = {"GET": USE}
    serializer_class = bodies.ContractorTerritorySerializer
    queryset = Territory.objects.none()
    sorts = {"zip": ("zip", "id"), "-zip": ("-zip", "-id")}
    default_sort = "zip"

    @extend_schema(
        operation_id="contractor_territories_list",
        summary="Your territories",
        description="The ZIPs that you hold now or will hold. While you hold one, its leads go to nobody else.",
        tags=["Contractors' API"],
        parameters=LIMITS,
        responses=answers(200, bodies.ContractorTerritorySerializer(many=True), 400, 429),
        examples=[OpenApiExample("A ZIP", bodies.TERRITORY_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        contractor = self.own
        page: Any
        if contractor.sandbox_of_id is not None:
            invented: Any = self.paginate_queryset(invented_zips(contractor))
            page = [Territory(zip=one.zip, from_at=contractor.created_at) for one in invented]
        else:
            current = Territory.objects.filter(contractor=contractor).exclude(to_at__lte=self.at)
            page = self.paginate_queryset(current.exclude(to_at=F("from_at")))
        return self.get_paginated_response([bodies.territory_body(territory, self.at) for territory in page])


class ReferralList(ContractorView):
    permissions = {"GET": USE}
    serializer_class = bodies.ContractorReferralSerializer
    queryset = Referral.objects.none()
    query_parameters = NAMES
    filter_backends = ()
    sorts = {
        "-assigned_at": ("-assigned_at", "-id"),
        "assigned_at": ("assigned_at", "id"),
        "-score": ("-score", "-id"),
        "score": ("score", "id"),
    }
    default_sort = "-assigned_at"

    @extend_schema(
        operation_id="contractor_referrals_list",
        summary="Your referrals, the newest first",
        description="Filters hold together. Until a referral is delivered only its id, ZIP, score and moments show: "
        "`GET /api/contractor/referrals/{id}` delivers it, this list does not. Follow `next` until it is null.",
        tags=["Contractors' API"],
        parameters=[*PARAMETERS, *LIMITS],
        responses=answers(200, bodies.ContractorReferralSerializer(many=True), 400, 429),
        examples=[
            OpenApiExample("Not read yet", bodies.ASSIGNED_EXAMPLE, response_only=True, status_codes=["200"]),
            OpenApiExample(
                "Delivered",
                {name: value for name, value in bodies.DELIVERED_EXAMPLE.items() if name != "return"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        wanted = self.referrals().filter(referral_filter(request.query_params, zone=self.own.zone))
        page: Any = self.paginate_queryset(wanted.only(*bodies.COLUMNS))
        return self.get_paginated_response([bodies.referral_body(referral) for referral in page])


class ReferralDetail(ContractorView):
    permissions = {"GET": USE}
    serializer_class = bodies.ContractorReferralFullSerializer
    queryset = Referral.objects.none()

    @extend_schema(
        operation_id="contractor_referrals_retrieve",
        summary="One referral, with its lead",
        description="The first such request delivers an assigned referral: its status becomes `delivered`, the days "
        "in which it may be returned begin, and the receipt is frozen. While you are paused, and once your territory "
        "has ended, nothing is delivered; what was delivered before can be read. `HEAD` delivers nothing.",
        tags=["Contractors' API"],
        parameters=LIMITS,
        responses=answers(200, bodies.ContractorReferralFullSerializer, 400, 404, 429),
        examples=[OpenApiExample("Delivered", bodies.DELIVERED_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        referral = self.find_referral(pk)
        if request.method != "GET" or not self.would_deliver(referral):
            return Response(_full(referral))
        with transaction.atomic():
            deliver(ids=[referral.pk], at=self.at, by=person_of(request), note=READ_BY_API)
            # Read again: it may have been cancelled, or delivered by a webhook, in this instant.
            return Response(_full(self.find_referral(pk)))


class ReferralStep(ContractorView):
    """A POST that moves one of the contractor's own referrals; `step` is the operation."""

    permissions = {"POST": USE}
    serializer_class = bodies.ContractorReferralFullSerializer
    queryset = Referral.objects.none()

    def move(self, request: Request, pk: int, step: Callable[[Referral, User, dt.datetime], Any]) -> Response:
        # Looked for before the key: a kept answer is told only to who may still see the referral.
        referral = self.find_referral(pk)
        person = person_of(request)

        def act(at: dt.datetime) -> Answer:
            try:
                step(referral, person, at)
            except MoveRefused as refusal:
                raise NotAllowedNow(refusal, can_be_read=self.would_deliver(refusal.referral)) from refusal
            except ReturnRefused as refusal:
                raise NotReturned(refusal, referral) from refusal
            return Answer(status=200, body=_full(self.find_referral(pk)))

        return self.once(request, act)

    def read(self, form: type[StrictSerializer], request: Request) -> dict[str, Any]:
        if not isinstance(request.data, dict):
            raise ValidationError("Send a JSON object.")
        reader = form(data=request.data)
        reader.is_valid(raise_exception=True)
        values: dict[str, Any] = reader.validated_data
        return values


class ReferralAccept(ReferralStep):
    @extend_schema(
        operation_id="contractor_referrals_accept",
        summary="Accept a referral",
        description="Tells that you work on a delivered lead. Once only: asked again without its key, it is refused.",
        tags=["Contractors' API"],
        parameters=POSTS,
        request=None,
        responses=answers(200, bodies.ContractorReferralFullSerializer, 400, 404, 409, 413, 415, 422, 429),
        examples=[OpenApiExample("Accepted", bodies.ACCEPTED_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.refuse_members(request)
        return self.move(request, pk, lambda referral, by, at: accept_referral(referral=referral, at=at, by=by))


class ReferralContacted(ReferralStep):
    @extend_schema(
        operation_id="contractor_referrals_contacted",
        summary="Mark a referral as contacted",
        description="Tells that you have reached the owner of an accepted lead.",
        tags=["Contractors' API"],
        parameters=POSTS,
        request=None,
        responses=answers(200, bodies.ContractorReferralFullSerializer, 400, 404, 409, 413, 415, 422, 429),
        examples=[OpenApiExample("Contacted", bodies.CONTACTED_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.refuse_members(request)
        return self.move(request, pk, lambda referral, by, at: mark_contacted(referral=referral, at=at, by=by))


class ReferralConvert(ReferralStep):
    @extend_schema(
        operation_id="contractor_referrals_convert",
        summary="Convert a referral",
        description="Tells that the lead became business, and what it was worth. A converted lead cannot be returned.",
        tags=["Contractors' API"],
        parameters=POSTS,
        request=bodies.ConvertSerializer,
        responses=answers(200, bodies.ContractorReferralFullSerializer, 400, 404, 409, 413, 415, 422, 429),
        examples=[
            OpenApiExample("What it was worth", {"value": "18500.00"}, request_only=True),
            OpenApiExample("Converted", bodies.CONVERTED_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.find_referral(pk)
        value = self.read(bodies.ConvertSerializer, request)["value"]
        return self.move(
            request, pk, lambda referral, by, at: convert_referral(referral=referral, value=value, at=at, by=by)
        )


class ReferralReturnIt(ReferralStep):
    @extend_schema(
        operation_id="contractor_referrals_return",
        summary="Return a referral",
        description="Gives a delivered lead back, with the reason. Some reasons are approved at once: then the status "
        "is `returned` and the lead costs nothing. Others wait for a person; `return.status` tells. Refused with 409 "
        "when the days for returns are over (`window_closed`) or your quota of 30 days is used up (`quota_reached`).",
        tags=["Contractors' API"],
        parameters=POSTS,
        request=bodies.ReturnSerializer,
        responses=answers(200, bodies.ContractorReferralFullSerializer, 400, 404, 409, 413, 415, 422, 429),
        examples=[
            OpenApiExample(
                "Nobody there", {"reason": "unreachable", "note": "Both numbers are dead."}, request_only=True
            ),
            OpenApiExample("To be decided", bodies.RETURNED_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.find_referral(pk)
        asked = self.read(bodies.ReturnSerializer, request)
        return self.move(request, pk, lambda referral, by, at: request_return(referral=referral, at=at, by=by, **asked))


class SandboxReset(ContractorView):
    permissions = {"POST": USE}
    serializer_class = bodies.SandboxResetSerializer

    @extend_schema(
        operation_id="contractor_sandbox_reset",
        summary="Make the sandbox anew",
        description="With a sandbox token: takes away what you tried, and makes the invented referrals again, in every "
        "status, with new ids.",
        tags=["Contractors' API"],
        parameters=POSTS,
        request=None,
        responses=answers(200, bodies.SandboxResetSerializer, 400, 404, 409, 413, 415, 422, 429),
        examples=[OpenApiExample("Anew", {"referrals": 12}, response_only=True, status_codes=["200"])],
    )
    def post(self, request: Request) -> Response:
        if self.own.sandbox_of_id is None:
            raise NotFound("This token sees real referrals; there is a sandbox only behind a sandbox token.")
        self.refuse_members(request)
        return self.once(
            request, lambda at: Answer(status=200, body={"referrals": reset_sandbox(double=self.own, at=at)})
        )
