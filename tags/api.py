"""Tags over the API."""

import functools
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import ApiView, answers
from leads.api import describe_api_field
from tags.models import Tag, TagGroup


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
            "needs_review",
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
    "needs_review": False,
}


class TagView(ApiView):
    permissions = {"GET": "tags.view_tag"}
    queryset = Tag.objects.select_related("group")
    serializer_class = TagSerializer


class TagList(TagView):
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
        page: Any = self.paginate_queryset(self.queryset.all())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class TagDetail(TagView):
    @extend_schema(
        operation_id="tags_retrieve",
        summary="One tag",
        description="Its points, how they fade and when an assignment ends.",
        tags=["Tags"],
        responses=answers(200, TagSerializer, 404),
        examples=[OpenApiExample("A tag", TAG_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.find(self.queryset.all(), pk)).data)
