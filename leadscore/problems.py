"""Every error of the API as a problem in the form of RFC 9457: type, title, status, detail, and what else helps."""

import errno
import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.template.loader import render_to_string
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError
from rest_framework.views import exception_handler

from leadscore.outages import is_database_away

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
SHOWN_IN_DETAIL = 5


class TooMuchText(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is over the size limit; only a file in a form may be larger."
    default_code = "too_large"


class DatabaseAway(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database does not answer; it may be restarting. Try again in some seconds."
    default_code = "database_away"
    title = "The database is being restarted"
    wait = 10


class CannotStore(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = (
        "The file could not be stored here, and nothing of it was kept. Tell whoever runs this installation: the log "
        "has the reason, such as a full disk."
    )
    default_code = "cannot_store"
    title = "There is no room for this file"
    wait = 60


# What a disk or a directory refuses; other errors of this kind are bugs.
STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}


def outage(exc: BaseException | None) -> DatabaseAway | CannotStore | None:
    """What passes by itself or by an operator's hand, and is no bug; None for all else, deadlocks and timeouts too."""
    if is_database_away(exc):
        return DatabaseAway()
    if isinstance(exc, OSError) and exc.errno in STORAGE_ERRORS:
        return CannotStore()
    return None


def outage_answer(request: HttpRequest, exc: BaseException | None) -> HttpResponse | None:
    """503 for an outage that no view's own handling met, as a problem or a page; None when it is none."""
    found = outage(exc)
    if found is None:
        return None
    if request.path.startswith("/api/"):
        return problem_details(found, {})
    context = {"status": found.status_code, "title": found.title, "advice": found.detail}
    page = render_to_string("problem.html", context)
    return HttpResponse(page, status=found.status_code, headers={"Retry-After": str(found.wait)})


def problem_details(exc: Exception, context: dict[str, Any]) -> JsonResponse | None:
    """Answer an API error; None leaves what nobody foresaw to Django and its log.

    An exception may carry `members`, a mapping of further members of the problem, such as the columns of a file.
    """
    if isinstance(exc, RequestDataTooBig):
        exc = TooMuchText()
    elif isinstance(exc, SuspiciousOperation | UnreadablePostError):
        exc = ParseError(str(exc) or "The request could not be read to its end.")
    elif (found := outage(exc)) is not None:
        logger.warning("api: %s: %s", type(exc).__name__, exc)
        exc = found
    response = exception_handler(exc, context)
    if response is None:
        return None
    problem: dict[str, Any]
    if isinstance(exc, ValidationError):
        errors: dict[str, list[str]] = {}
        for field, message in _flatten(exc.detail):
            errors.setdefault(field, []).append(message)
        told = [f"{field}: {' '.join(messages)}" for field, messages in errors.items()]
        more = f" ... and {len(told) - SHOWN_IN_DETAIL} more" if len(told) > SHOWN_IN_DETAIL else ""
        problem = {"detail": "; ".join(told[:SHOWN_IN_DETAIL]) + more, "code": "invalid", "errors": errors}
    else:
        detail = response.data["detail"]  # DRF's handler answers Http404 and PermissionDenied in this form too
        problem = {"detail": str(detail), "code": detail.code if isinstance(detail, ErrorDetail) else "error"}
    problem |= getattr(exc, "members", {})
    headers = {name: response[name] for name in ("WWW-Authenticate", "Retry-After") if response.has_header(name)}
    return write_problem(response.status_code, problem, headers)


def write_problem(status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JsonResponse:
    """The answer with a problem: `members` are its detail, its code, and what else helps.

    Not a DRF response: a problem is JSON whatever the view itself renders (CSV, the schema's YAML).
    """
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, **members}
    return JsonResponse(problem, status=status, content_type=CONTENT_TYPE, headers=headers)


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each message with the dotted path of its field; a message of the whole stands under "request"."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            part = "" if name == "non_field_errors" else str(name)
            yield from _flatten(inner, ".".join(filter(None, (path, part))))
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            is_item = isinstance(inner, dict | list)
            yield from _flatten(inner, f"{path}.{number}".lstrip(".") if is_item else path)
    else:
        yield path or "request", str(detail)
