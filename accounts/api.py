"""What every API view shares: rights before anything else, strict query parameters, UTC, documented problems."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers, status
from rest_framework.exceptions import (
    APIException,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    ParseError,
    ValidationError,
)
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.models import IdempotencyKey, User
from accounts.operations import KeyBusy, KeyReused, claim_key

M = TypeVar("M", bound=Model)
FORMS = {"multipart/form-data", "application/x-www-form-urlencoded"}
PROBLEMS = {
    400: "A value cannot be used; `errors` names it.",
    401: "No login: send `Authorization: Token ...`, or log in on the pages.",
    403: "Your role does not include this right.",
    404: "There is no such thing.",
    409: "It is too late for this; where somebody changed the thing meanwhile, `differences` says how.",
    411: "The request does not say how long it is.",
    413: "The body, or the file in it, is over the size limit.",
    415: "This content type is not read here.",
    422: "This idempotency key came with another request before.",
    429: "Too many requests in this minute; `Retry-After` says when to go on.",
}
# Names under which programs send a token where nobody reads one.
TOKEN_NAMES = {"token", "api_token", "apikey", "api_key", "api-key", "access_token", "auth", "authorization", "key"}


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

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if request.authenticators and not request.successful_authenticator:
            raise NotAuthenticated(_where_the_token_belongs(request))
        super().permission_denied(request, message, code)

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


def _where_the_token_belongs(request: Request) -> str:
    """What to tell a program without a login; it never repeats what came."""
    belongs = "Send the token as a header, `Authorization: Token ...`"
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    if scheme in {"bearer", "basic"}:
        return f"{belongs}: the word before it is Token, not {scheme.capitalize()}."
    if scheme:
        return f"{belongs}: the word Token and a space stand before it."
    if TOKEN_NAMES & {name.lower() for name in request.query_params}:
        return f"{belongs}, not in the address: that is kept in logs on its way, so take a new token."
    if TOKEN_NAMES & {name.lower() for name in request.COOKIES}:
        return f"{belongs}, not as a cookie."
    if {"X-Api-Key", "X-Auth-Token", "X-Token"} & set(request.headers):
        return f"{belongs}, under that name."
    return f"No login. {belongs}; it is read nowhere else, neither in the address nor in the body."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a POST did, as it is told, and told again to who repeats it."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class KeyNotUsable(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = (
        "This Idempotency-Key came with another request in the last 24 hours. Repeat that request as it was, or take "
        "a new key for this one."
    )


class KeyInUse(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_busy"
    default_detail = "The first request with this Idempotency-Key is not told yet; send this one again in a second."
    wait = 1  # becomes Retry-After


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Up to 200 visible ASCII characters of your choice, such as a UUID. The same request with the same "
    "key is done once within 24 hours: a repetition gets the first answer again. Refused requests do not count.",
)
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    OpenApiTypes.BOOL,
    OpenApiParameter.HEADER,
    response=True,
    description="`true`: this was done before; it is the answer of then.",
)


class JsonParser(JSONParser):
    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply.") from None


class IdempotentView(ApiView):
    """A route that reads JSON, and whose POST may carry an `Idempotency-Key`: `post` answers with `once`."""

    parser_classes = [JsonParser]

    def finish(self, answer: Answer) -> Answer:
        """The answer with what is known only after the commit, such as the job that it started; twice does no harm."""
        return answer

    def refuse_members(self, request: Request) -> None:
        """Refuse a body where none is read. Not `refuse_body`: it has been parsed, for the key is bound to it."""
        if request.data is not None and request.data != {}:
            raise ValidationError("This takes no body.")

    def once(self, request: Request, act: Callable[[dt.datetime], Answer]) -> Response:
        """Do `act`, in one transaction with the note that it is done; what was done before is told again instead."""
        key, at = _idempotency_key(request), timezone.now()
        if key is None:
            with transaction.atomic():
                answer = act(at)
            return _respond(self.finish(answer))
        try:
            with transaction.atomic():
                row, is_first = claim_key(
                    user=person_of(request), key=key, route=request.path[:200], digest=_digest(request.data), at=at
                )
                if is_first:
                    _keep(row, act(at))
                    row.save()
        except KeyReused:
            raise KeyNotUsable from None
        except KeyBusy:
            raise KeyInUse from None
        if not row.is_final:
            _keep(row, self.finish(_kept(row)))
            # Of two who finish it at the same moment, the answer of one holds for both.
            values = {"status": row.status, "headers": row.headers, "body": row.body, "is_final": True}
            if not IdempotencyKey.objects.filter(pk=row.pk, is_final=False).update(**values):
                row.refresh_from_db()
        return _respond(_kept(row), is_replayed=not is_first)


def _idempotency_key(request: Request) -> str | None:
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[!-~]{1,200}", key):
        raise ValidationError({"Idempotency-Key": ["Write 1 to 200 visible ASCII characters, such as a UUID."]})
    return key


def _digest(body: Any) -> str:
    """The same for the same JSON, whatever the order of its members and its blanks; null is no body."""
    return hashlib.sha256(json.dumps({} if body is None else body, sort_keys=True).encode()).hexdigest()


def _keep(row: IdempotencyKey, answer: Answer) -> None:
    row.status, row.headers, row.body = answer.status, answer.headers, json.dumps(answer.body, cls=JSONEncoder)


def _kept(row: IdempotencyKey) -> Answer:
    return Answer(status=row.status, headers=row.headers, body=json.loads(row.body))


def _respond(answer: Answer, *, is_replayed: bool = False) -> Response:
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if is_replayed else {})
    return Response(answer.body, status=answer.status, headers=headers)


class StrictSerializer(serializers.Serializer):
    """Refuses members that it does not know: a typo would silently change nothing."""

    def to_internal_value(self, data: Any) -> Any:
        known = ", ".join(self.fields)
        names = [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        unknown = {name[:100]: [f"Unknown field; the fields here are {known}."] for name in names}
        try:
            values = super().to_internal_value(data)
        except ValidationError as refusal:
            raise ValidationError({**unknown, **refusal.detail}) from None  # type: ignore[dict-item]
        if unknown:
            raise ValidationError(unknown)
        return values


class StrictIntegerField(serializers.IntegerField):
    """A whole number of JSON: no text, no truth value, no fraction."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            raise ValidationError(f"{_shown(data)} is not a whole number.")
        return data


class StrictBooleanField(serializers.BooleanField):
    """true or false of JSON."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            raise ValidationError(f"{_shown(data)} is neither true nor false.")
        return data


def _shown(data: Any) -> str:
    """A value as its sender wrote it, cut where it is long."""
    text = json.dumps(data, ensure_ascii=False) if isinstance(data, str | bool | float) or data is None else ""
    return f"{text[:40]}..." if len(text) > 40 else text or "This"


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
    referral_status = serializers.CharField(required=False, help_text="With 409: the status that forbids the step.")


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
