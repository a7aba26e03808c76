"""Leads over the API: the list with the filters of the page, and one lead."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import ApiView, UtcDateTimeField, answers
from leads import registry
from leads.filters import LeadFilterSet, lead_filterset
from leads.models import Lead


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    field: Callable[..., serializers.Field]
    blank: Callable[[], Any]


_described: dict[str, _Described] = {}


def describe_api_field(name: str, field: Callable[..., serializers.Field], *, blank: Callable[[], Any]) -> None:
    """Say what a field that a room registered for each lead looks like, and what it is where nothing was found."""
    _described[name] = _Described(field=field, blank=blank)


class MailingSerializer(serializers.Serializer):
    """Where the owner gets mail."""

    address = serializers.CharField(source="mailing_address")
    unit = serializers.CharField(source="mailing_unit")
    city = serializers.CharField(source="mailing_city")
    state = serializers.CharField(source="mailing_state")
    zip = serializers.CharField(source="mailing_zip")
    raw = serializers.CharField(source="raw_mailing", help_text="As the list wrote it.")


class LeadSerializer(serializers.ModelSerializer):
    """A property."""

    # Serves leads that `with_registered` has seen.

    mailing = MailingSerializer(source="*", read_only=True)
    suppressed_at = UtcDateTimeField(
        read_only=True, allow_null=True, help_text="Since when it is offered to nobody; null: it may be offered."
    )
    created_at = UtcDateTimeField(read_only=True)
    updated_at = UtcDateTimeField(read_only=True)

    class Meta:
        model = Lead
        fields = [
            "id",
            "address",
            "unit",
            "city",
            "state",
            "zip",
            "plus4",
            "county",
            "parcel_number",
            "owner_name",
            "co_owner",
            "mailing",
            "phone",
            "email",
            "raw_address",
            "is_address_parsed",
            "is_place_unknown",
            "suppressed_at",
            "suppressed_reason",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def get_fields(self) -> dict[str, serializers.Field]:
        fields: dict[str, serializers.Field] = super().get_fields()
        for name in registry.api_fields:
            described = _described.get(name)
            make = described.field if described else serializers.JSONField
            fields[name] = make(source=f"registered.{name}", read_only=True)
        return fields


def with_registered(leads: Sequence[Lead]) -> Sequence[Lead]:
    """Give each lead what upper rooms add to it: one query a registered field, however many leads."""
    ids = [lead.pk for lead in leads]
    found = {name: fetch(ids) if ids else {} for name, fetch in registry.api_fields.items()}
    for lead in leads:
        lead.registered = {  # type: ignore[attr-defined]
            name: values[lead.pk] if lead.pk in values else _blank(name) for name, values in found.items()
        }
    return leads


def _blank(name: str) -> Any:
    described = _described.get(name)
    return described.blank() if described else None


def lead_sorts() -> dict[str, tuple[str, ...]]:
    """What `sort` may say. A registered one breaks ties by id in the opposite direction: the older lead first
    among the best, as its index has it."""
    up = {"created": ("created_at", "id"), "id": ("id",)}
    up |= {name: (field, "-id") for name, field in registry.sorts.items()}
    down = {f"-{name}": tuple(_turned(field) for field in fields) for name, fields in up.items()}
    return {**up, **down}


def _turned(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


LEAD_EXAMPLE: dict[str, Any] = {
    "id": 4711,
    "address": "123 N MAIN ST",
    "unit": "APT 4",
    "city": "HOBOKEN",
    "state": "NJ",
    "zip": "07030",
    "plus4": "1234",
    "county": "HUDSON",
    "parcel_number": "1201502",
    "owner_name": "ELM STREET HOLDINGS LLC",
    "co_owner": "",
    "mailing": {
        "address": "PO BOX 12",
        "unit": "",
        "city": "NEWARK",
        "state": "NJ",
        "zip": "07102",
        "raw": "P.O. Box 12, Newark NJ 07102",
    },
    "phone": "2015550123",
    "email": "",
    "raw_address": "123 North Main Street Apt. 4",
    "is_address_parsed": True,
    "is_place_unknown": False,
    "suppressed_at": None,
    "suppressed_reason": "",
    "created_at": "2026-06-15T12:00:00Z",
    "updated_at": "2026-06-15T12:00:00Z",
    "tags": [{"id": 3, "name": "Foreclosure"}, {"id": 9, "name": "Vacant"}],
    "score": 1400,
}


class LeadView(ApiView):
    permissions = {"GET": "leads.view_lead"}
    queryset = Lead.objects.all()
    serializer_class = LeadSerializer


class LeadList(LeadView):
    default_sort = "-score"

    @property
    def sorts(self) -> Mapping[str, Sequence[str]]:
        return lead_sorts()

    @cached_property
    def filterset_class(self) -> type[LeadFilterSet]:
        filterset = lead_filterset(at=timezone.now())  # upper rooms have registered theirs by now
        for choice in filterset.base_filters.values():
            if isinstance(choice, django_filters.ModelChoiceFilter | django_filters.ModelMultipleChoiceFilter):
                extend_schema_field({"type": "integer", "description": f"{choice.label}: an id; repeat it."})(choice)
        return filterset

    def known_parameters(self) -> set[str]:
        return super().known_parameters() | set(self.filterset_class.base_filters)

    @extend_schema(
        operation_id="leads_list",
        summary="Leads, the best first",
        description="Filters are those of the leads page and hold together (all of them). Several tags: repeat "
        "`tags`; a lead must hold each. Several `expiring`: a lead holds one of them, and it ends within its notice. "
        "Follow `next` until it is null. A parameter that does not exist is refused.",
        tags=["Leads"],
        responses=answers(200, LeadSerializer(many=True), 400),
        examples=[OpenApiExample("A lead", LEAD_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.filter_queryset(self.queryset.all()))
        return self.get_paginated_response(self.get_serializer(with_registered(page), many=True).data)


class LeadDetail(LeadView):
    @extend_schema(
        operation_id="leads_retrieve",
        summary="One lead",
        description="The property as the lists left it, with its live tags and its stored score.",
        tags=["Leads"],
        responses=answers(200, LeadSerializer, 404),
        examples=[OpenApiExample("A lead", LEAD_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        lead = self.find(self.queryset.all(), pk)
        return Response(self.get_serializer(with_registered([lead])[0]).data)
