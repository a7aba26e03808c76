"""Tags over the API."""

import contextlib
import datetime as dt
import functools
import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError as InvalidModel
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
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
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    answers,
    person_of,
)
from leads.api import describe_api_field
from tags.forms import MAX_REASON
from tags.models import MAX_BASE, MAX_DAYS, MAX_STEPS, Tag, TagGroup, fold_name, validate_decay_steps
from tags.operations import NothingToPublish, StillApplying, publish_edited_rule
from tags.queries import FIELDS, history_of, version_of

MAX_ID = 2**63 - 1


class TagReferenceSerializer(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(read_only=True)


describe_api_field(
    "tags",
    functools.partial(TagReferenceSerializer, many=True, help_text="Live tags, the weightiest first."),
    blank=list,
)


class TagGroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = TagGroup
        fields = ["id", "name", "cap"]
        read_only_fields = fields


class TagSerializer(serializers.ModelSerializer):
    decay_steps = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        read_only=True,
        help_text="[[days, percent], ...]: from that age on, that percent of the points is left.",
    )
    group = TagGroupSerializer(read_only=True, allow_null=True)
    version = serializers.IntegerField(
        read_only=True, help_text="Another one after each published change; send it back with what you change."
    )

    class Meta:
        model = Tag
        fields = [
            "id",
            "name",
            "description",
            "color",
            "base_score",
            "expiration_days",
            "notice_days",
            "decay_steps",
            "expired_percent",
            "reassertion",
            "group",
            "is_archived",
            "merged_into",
            "needs_review",
            "version",
        ]
        read_only_fields = fields


TAG_EXAMPLE: dict[str, Any] = {
    "id": 3,
    "name": "Foreclosure",
    "description": "A foreclosure case is open.",
    "color": "#d63939",
    "base_score": 1000,
    "expiration_days": 365,
    "notice_days": None,
    "decay_steps": [[90, 80], [180, 50]],
    "expired_percent": 0,
    "reassertion": "restart",
    "group": {"id": 1, "name": "Court", "cap": 2000},
    "is_archived": False,
    "merged_into": None,
    "needs_review": False,
    "version": 41,
}
REASON: dict[str, Any] = {
    "required": False,
    "allow_blank": True,
    "max_length": MAX_REASON,
    "help_text": "Why; kept with the change.",
}
VERSION: dict[str, Any] = {
    "required": False,
    "min_value": 0,
    "max_value": MAX_ID,
    "help_text": "The version that you saw. When somebody has published another since, the answer is 409 with what "
    "differs. Without it the change counts from whatever holds now.",
}


class TagCreateSerializer(StrictSerializer):
    """A tag to be made; only its name must be given."""

    name = serializers.CharField(max_length=80, help_text="Compared without case, spaces and punctuation.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=200)
    color = serializers.RegexField(
        r"^#[0-9a-fA-F]{6}\Z",
        required=False,
        error_messages={"invalid": "Write a colour as #rrggbb."},
        help_text="#rrggbb; grey when not given.",
    )
    base_score = StrictIntegerField(
        required=False, min_value=-MAX_BASE, max_value=MAX_BASE, help_text="Points of a fresh assignment; 0 at first."
    )
    expiration_days = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_DAYS,
        help_text="Days until an assignment expires; null: never. Holds for later assignments.",
    )
    notice_days = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_DAYS,
        help_text="Days before its end from which an assignment is expiring soon; null: as the installation says.",
    )
    decay_steps = serializers.ListField(
        child=serializers.ListField(child=StrictIntegerField(), min_length=2, max_length=2),
        required=False,
        max_length=MAX_STEPS,
        validators=[validate_decay_steps],
        help_text="[[days, percent], ...] by rising days; [] fades never.",
    )
    expired_percent = StrictIntegerField(
        required=False, min_value=0, max_value=100, help_text="The most percent that is left after expiry; 0 at first."
    )
    reassertion = serializers.ChoiceField(
        required=False, choices=Tag.Reassertion.choices, help_text="What a later list does to a clock that still runs."
    )
    group = StrictIntegerField(required=False, allow_null=True, help_text="The id of a group; null: none.")
    reason = serializers.CharField(**REASON)

    def validate_group(self, pk: int | None) -> TagGroup | None:
        group = TagGroup.objects.filter(pk=pk).first() if pk is not None else None
        if group is None and pk is not None:
            raise serializers.ValidationError(f"There is no group with the id {str(pk)[:40]}.")
        return group


class TagChangeSerializer(TagCreateSerializer):
    """What is to become different; fields that are not named stay."""

    is_archived = StrictBooleanField(
        required=False, help_text="An archived tag counts no more; its assignments are kept."
    )
    version = StrictIntegerField(**VERSION)


class ClocksRunning(APIException):
    """A retroactive change of the tag is not applied yet; other days for later assignments must wait for it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "still_applying"
    wait = 5  # becomes Retry-After

    def __init__(self, refusal: StillApplying) -> None:
        super().__init__(str(refusal))
        self.members = {"tag": refusal.tag.pk, "rule_change": refusal.change.pk}


class TagsStale(APIException):
    """Somebody published these tags meanwhile; says what is other than the sender saw."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "stale"

    def __init__(self, seen: Sequence[tuple[Tag, int]]) -> None:
        self.members: dict[str, Any] = {
            "stale": [
                {
                    "tag": tag.pk,
                    "seen": version,
                    "version": version_of(tag),
                    "differences": differences_since(tag, version),
                }
                for tag, version in seen
            ]
        }
        if len(seen) == 1:
            self.members |= {name: self.members["stale"][0][name] for name in ("version", "differences")}
        told = "; ".join(
            f"{tag.name} is version {found['version']}, not {version}"
            + "".join(f", {one['field']} {one['new']!r}, not {one['old']!r}" for one in found["differences"])
            for (tag, version), found in zip(seen[:5], self.members["stale"], strict=False)
        )
        more = f" ... and {len(seen) - 5} more" if len(seen) > 5 else ""
        super().__init__(
            f"Somebody published meanwhile, so nothing was changed: {told}{more}. Look at what differs, then send "
            "yours again with the version of now."
        )


def differences_since(tag: Tag, version: int) -> list[dict[str, Any]]:
    """Field by field what a tag was in that version and is now; nothing where there was no such version."""
    row = history_of(Tag).filter(id=tag.pk, history_id=version).first()
    if row is None:
        return []
    return [
        {"field": name.removesuffix("_id"), "old": getattr(row, name), "new": getattr(tag, name)}
        for name in FIELDS[Tag]
        if getattr(row, name) != getattr(tag, name)
    ]


def refuse_stale(seen: Sequence[tuple[Tag, int | None]]) -> None:
    """Raise TagsStale unless these are the versions of the tags; None is any."""
    stale = [(tag, version) for tag, version in seen if version is not None and version != version_of(tag)]
    if stale:
        raise TagsStale(stale)


def asked_version(request: Request, version: int | None) -> int | None:
    """The version of the body or of `If-Match`, which is an ETag that we gave; they must not contradict."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return version
    match = re.fullmatch(r'\s*"(\d{1,18})"\s*', header, re.ASCII)
    if match is None:
        raise ValidationError({"If-Match": ['Send the ETag as it came, such as "41" with its quotes.']})
    if version is not None and version != int(match[1]):
        raise ValidationError({"version": [f"It is {version} here and {match[1]} in If-Match; send one of them."]})
    return int(match[1])


def etag_of(version: int) -> str:
    return f'"{version}"'


def _check(tag: Tag) -> None:
    """Refuse what no form would take. Raises ValidationError by field."""
    tag.name_key = fold_name(tag.name)
    errors: dict[str, list[str]] = {}
    for check in (tag.clean_fields, tag.clean):
        try:
            check()
        except InvalidModel as refusal:
            for name, messages in refusal.message_dict.items():
                errors.setdefault("name" if name == "name_key" else name, []).extend(messages)
    if errors:
        raise ValidationError(errors)


IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag that you got: another way to send `version`.",
)


def _etag(*statuses: int) -> OpenApiParameter:
    return OpenApiParameter(
        "ETag", str, OpenApiParameter.HEADER, response=list(statuses), description="The version in quotes."
    )


class TagView(IdempotentView):
    permissions = {"GET": "tags.view_tag"}
    queryset = Tag.objects.select_related("group")
    serializer_class = TagSerializer

    def versioned(self) -> QuerySet[Tag]:
        """Tags with their versions."""
        rows = history_of(Tag).filter(id=OuterRef("pk")).order_by("-history_id").values("history_id")
        return self.queryset.annotate(version=Coalesce(Subquery(rows[:1]), Value(0)))

    def tell(self, pk: int) -> dict[str, Any]:
        data: dict[str, Any] = self.get_serializer(self.versioned().get(pk=pk)).data
        return data

    def publish(self, request: Request, tag: Tag, values: dict[str, Any], *, version: int, at: dt.datetime) -> None:
        """Give the tag these values and publish it; whoever publishes a tag has reviewed it."""
        reason = values.pop("reason", "")
        for name, value in values.items():
            setattr(tag, name, value)
        tag.needs_review = False
        _check(tag)
        try:
            publish_edited_rule(rule=tag, version=version, by=person_of(request), at=at, reason=reason)
        except InvalidModel as refusal:  # the name was taken at the same moment
            raise ValidationError({"name": refusal.messages}) from refusal
        except StillApplying as refusal:
            raise ClocksRunning(refusal) from refusal


class TagList(TagView):
    permissions = {"GET": "tags.view_tag", "POST": "tags.add_tag"}
    sorts = {"name": ("name", "id"), "-name": ("-name", "-id"), "id": ("id",), "-id": ("-id",)}
    default_sort = "name"

    @extend_schema(
        operation_id="tags_list",
        summary="Tags",
        description="Every tag, archived ones included, by name.",
        tags=["Tags"],
        responses=answers(200, TagSerializer(many=True), 400),
        examples=[OpenApiExample("A tag", TAG_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.versioned())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="tags_create",
        summary="Make a tag",
        description="Published as a change of rules, as on the pages. Fields that are not named take the values of a "
        "blank form: grey, 0 points, never fading, never expiring, in no group.",
        tags=["Tags"],
        request=TagCreateSerializer,
        parameters=[
            IDEMPOTENCY_KEY,
            REPLAYED,
            _etag(201),
            OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[201], description="`/api/tags/{id}`"),
        ],
        responses=answers(201, TagSerializer, 400, 409, 415, 422),
        examples=[
            OpenApiExample(
                "A new tag",
                {
                    "name": "Foreclosure",
                    "color": "#d63939",
                    "base_score": 1000,
                    "expiration_days": 365,
                    "decay_steps": [[90, 80], [180, 50]],
                    "reassertion": "restart",
                    "group": 1,
                    "reason": "county lists name it now",
                },
                request_only=True,
            ),
            OpenApiExample("The tag", TAG_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        def act(at: dt.datetime) -> Answer:
            asked = TagCreateSerializer(data=request.data)
            asked.is_valid(raise_exception=True)
            tag = Tag()
            self.publish(request, tag, asked.validated_data, version=0, at=at)
            told = self.tell(tag.pk)
            headers = {"Location": reverse("api:tag", args=[tag.pk]), "ETag": etag_of(told["version"])}
            return Answer(status=status.HTTP_201_CREATED, body=told, headers=headers)

        return self.once(request, act)


class TagDetail(TagView):
    permissions = {"GET": "tags.view_tag", "PATCH": "tags.change_tag"}

    @extend_schema(
        operation_id="tags_retrieve",
        summary="One tag",
        description="Its points, how they fade and when an assignment ends.",
        tags=["Tags"],
        parameters=[_etag(200)],
        responses=answers(200, TagSerializer, 404),
        examples=[OpenApiExample("A tag", TAG_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        told = self.get_serializer(self.find(self.versioned(), pk)).data
        return Response(told, headers={"ETag": etag_of(told["version"])})

    @extend_schema(
        operation_id="tags_partial_update",
        summary="Change a tag",
        description="Publishes the fields that are named; the others stay as they are. A job then gives the leads "
        "that carry the tag their new scores. Send the `version` that you saw (or its ETag in `If-Match`), and you "
        "get 409 with what differs when somebody was faster; without it your fields replace whatever holds now. Where "
        "nothing differs, nothing is published. Other days until expiry count for later assignments; to change "
        "running ones, too, use `update-expiration`.",
        tags=["Tags"],
        request=TagChangeSerializer,
        parameters=[IF_MATCH, _etag(200)],
        responses=answers(200, TagSerializer, 400, 404, 409, 415),
        examples=[
            OpenApiExample("Other points", {"base_score": 1000, "version": 40}, request_only=True),
            OpenApiExample("Archive it", {"is_archived": True, "reason": "no county has it"}, request_only=True),
            OpenApiExample("The tag", TAG_EXAMPLE, response_only=True, status_codes=["200"]),
        ],
    )
    def patch(self, request: Request, pk: int) -> Response:
        tags = Tag.objects.all()
        self.find(tags, pk)
        asked = TagChangeSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        version = asked_version(request, values.pop("version", None))
        if not set(values) - {"reason"}:
            raise ValidationError("Name at least one field that is to become different.")
        with transaction.atomic():
            tag = self.find(tags.select_for_update(no_key=True), pk)
            refuse_stale([(tag, version)])
            with contextlib.suppress(NothingToPublish):
                self.publish(request, tag, values, version=version_of(tag), at=timezone.now())
            told = self.tell(pk)
        return Response(told, headers={"ETag": etag_of(told["version"])})
