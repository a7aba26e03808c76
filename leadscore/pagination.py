"""Pages by keyset: each begins right after the last row of the one before, however many rows are equal."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.core import signing
from django.db.models import Func, QuerySet, TextField, Value
from django.db.models.lookups import GreaterThan, LessThan
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

SALT = "leadscore.cursor"


class KeysetPagination(BasePagination):
    """Cursor pages over `view.sorts`: a name to one or two fields without nulls, the last one unique.

    `view.default_sort` holds when `sort` is not given. The fields should be those of an index, in its directions.
    """

    query_parameters = ("sort", "cursor", "limit")
    default_limit = 50
    max_limit = 500

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        sorts: Mapping[str, Sequence[str]] = getattr(view, "sorts", {})
        limit = self._limit(request.query_params.get("limit"))
        sort, position = self._sort_and_position(request, sorts, getattr(view, "default_sort", ""))
        order = sorts[sort]
        rows = _rows_after(queryset, order, position, limit + 1)
        self.next_url: str | None = None
        if len(rows) > limit:
            rows = rows[:limit]
            values = [getattr(rows[-1], field.lstrip("-")) for field in order]
            cursor = signing.dumps(
                [sort, *(value.isoformat() if isinstance(value, dt.datetime) else value for value in values)], salt=SALT
            )
            self.next_url = replace_query_param(request.build_absolute_uri(), "cursor", cursor)
        return rows

    def _limit(self, text: str | None) -> int:
        if text is None:
            return self.default_limit
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= self.max_limit):
            raise ValidationError({"limit": [f"Give a whole number from 1 to {self.max_limit}."]})
        return int(text)

    def _sort_and_position(
        self, request: Request, sorts: Mapping[str, Sequence[str]], default: str
    ) -> tuple[str, list[Any]]:
        sort = request.query_params.get("sort")
        if sort is not None and sort not in sorts:
            raise ValidationError({"sort": [f"Unknown sort; choose one of {', '.join(sorts)}."]})
        text = request.query_params.get("cursor")
        if text is None:
            return sort or default, []
        try:
            # Signed, so that what comes back is what was given out.
            told, *position = signing.loads(text, salt=SALT)
        except signing.BadSignature:
            raise ValidationError({"cursor": ["This is not a cursor; follow `next` of the page before."]}) from None
        if told not in sorts or len(position) != len(sorts[told]) or (sort is not None and sort != told):
            raise ValidationError({"cursor": [f"This cursor belongs to another list, or to sort={told}."]})
        return told, position

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next_url, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {
                    "type": ["string", "null"],
                    "format": "uri",
                    "example": None,
                    "description": "Address of the next page; null on the last one.",
                },
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        sorts = list(getattr(view, "sorts", {}))
        return [
            {
                "name": "sort",
                "in": "query",
                "required": False,
                "description": "Order of the list; a minus turns it round.",
                "schema": {"type": "string", "enum": sorts, "default": getattr(view, "default_sort", "")},
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page begins, as `next` of the page before gives it.",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "Rows on a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": self.max_limit,
                    "default": self.default_limit,
                },
            },
        ]


class _Row(Func):
    """Several values as one, compared from the left: (a, b) < (c, d) is one range of an index on both."""

    template = "(%(expressions)s)"
    output_field = TextField()


def _rows_after(queryset: QuerySet, order: Sequence[str], position: Sequence[Any], count: int) -> list[Any]:
    """The first `count` rows after `position` (none: from the start), each read one range of the index.

    Where the fields go in one direction that is one comparison of rows. Else there are two reads: what is left of the
    tie, then what lies beyond it; one condition over both would walk through the whole tie, and after an import of a
    million rows all of them were created at once.
    """
    ordered = queryset.order_by(*order)
    if not position:
        return list(ordered[:count])
    names = [field.lstrip("-") for field in order]
    is_downward = [field.startswith("-") for field in order]
    fields = [queryset.model._meta.get_field(name) for name in names]
    values = [field.to_python(value) for field, value in zip(fields, position, strict=True)]
    if len(set(is_downward)) == 1:
        lookup = LessThan if is_downward[0] else GreaterThan
        there = _Row(*(Value(value, output_field=field) for field, value in zip(fields, values, strict=True)))
        return list(ordered.filter(lookup(_Row(*names), there))[:count])
    beyond = [f"{name}__{'lt' if down else 'gt'}" for name, down in zip(names, is_downward, strict=True)]
    rows = list(ordered.filter(**{names[0]: values[0], beyond[1]: values[1]})[:count])
    if len(rows) < count:
        seen = {row.pk for row in rows}  # a row may move between the two reads
        rows += [row for row in ordered.filter(**{beyond[0]: values[0]})[: count - len(rows)] if row.pk not in seen]
    return rows
