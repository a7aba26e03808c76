"""What every API view shares: rights before anything else, strict query parameters, UTC, documented problems."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed, NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from accounts.models import User

M = TypeVar("M", bound=Model)
FORMS = {"multipart/form-data", "application/x-www-form-urlencoded"}
PROBLEMS = {
    400: "A value cannot be used; `errors` names it.",
    401: "No login: send `Authorization: Token ...`, or log in on the pages.",
    403: "Your role does not include this right.",
    404: "There is no such thing.",
    409: "It is too late for this.",
    411: "The request does not say how long it is.",
    413: "The file is over the size limit.",
    415: "This content type is not read here.",
}


class ApiTokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """How the description of the API calls our tokens; drf-spectacular finds it by its target."""

    target_class = "accounts.authentication.ApiTokenAuthentication"
    name = "token"


class ApiView(GenericAPIView):
    """A route. It names the right of each method in `permissions`, and its parameters in `query_parameters`."""

    permissions: ClassVar[Mapping[str, str]] = {}
    query_parameters: ClassVar[frozenset[str]] = frozenset()
    http_method_names = ["get", "head", "post", "patch"]
    metadata_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.check_query(request)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:  # an unknown `?format=`, which is a parameter nobody reads
            return super().perform_content_negotiation(request, force=True)

    def check_permissions(self, request: Request) -> None:
        method = str(request.method).lower()
        is_served = method in self.http_method_names and hasattr(self, method)
        if request.user and request.user.is_authenticated and not is_served:
            raise MethodNotAllowed(str(request.method))  # 403 would tell of a right that nobody can have
        super().check_permissions(request)

    def known_parameters(self) -> set[str]:
        """Names that the query string may hold."""
        return {*self.query_parameters, *getattr(self.pagination_class, "query_parameters", ())}

    def check_query(self, request: Request) -> None:
        """Refuse parameters nobody reads (a typo would silently filter nothing) and text no database takes."""
        known = self.known_parameters()
        offer = f"the parameters here are {', '.join(sorted(known))}" if known else "there are no parameters here"
        errors = {}
        for name, values in request.query_params.lists():
            if name not in known:
                errors[name[:100].replace("\0", "\N{REPLACEMENT CHARACTER}")] = [f"Unknown parameter; {offer}."]
            elif any("\0" in value for value in values):
                errors[name] = ["NUL characters are not allowed."]
        if errors:
            raise ValidationError(errors)

    def refuse_body(self, request: Request) -> None:
        """Refuse a body on a route that reads none, so that nobody believes it had an effect."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if media_type in FORMS:
            has_body = bool(set(request.data) - {"csrfmiddlewaretoken"})
        else:
            has_body = bool(request.stream) and request.stream.read(16).strip() not in {b"", b"{}", b"null"}
        if has_body:
            raise ValidationError("This takes no body.")

    def find(self, queryset: QuerySet[M], pk: int) -> M:
        """The row with this id; NotFound in words when there is none."""
        found = queryset.filter(pk=pk).first()
        if found is None:
            raise NotFound(f"There is no {queryset.model._meta.verbose_name} with the id {str(pk)[:40]}.")
        return found


class UtcDateTimeField(serializers.DateTimeField):
    """A moment, always told in UTC, whoever asks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=dt.UTC, **kwargs)


class ProblemSerializer(serializers.Serializer):
    """An error, in the form of RFC 9457."""

    type = serializers.CharField(help_text="Always `about:blank`: the status says it all.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong, and how to mend it.")
    code = serializers.CharField(help_text="The reason, for programs.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Messages by field or parameter.",
    )


def answers(status: int, body: Any, *codes: int, media_type: str = "application/json") -> dict[Any, Any]:
    """For `responses=`: the good answer, these problems, and 401 and 403, which every route has."""
    refusals = {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, PROBLEMS[code])
        for code in sorted({401, 403, *codes})
    }
    return {(status, media_type): body, **refusals}


def person_of(request: Request) -> User:
    """Who asks; the rights were checked before."""
    assert isinstance(request.user, User)
    return request.user
