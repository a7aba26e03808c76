"""What every answer carries."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

type_GetResponse = Callable[[HttpRequest], HttpResponse]

# Bars and chips carry their width and colour in a style attribute; scripts come only from files of ours.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    ]
)


class ContentSecurityPolicy:
    """Scripts only from our own files."""

    def __init__(self, get_response: type_GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class HealthForAnybody:
    """Health is asked without a person: a session would be looked up in the database that may be away."""

    def __init__(self, get_response: type_GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            request.COOKIES.clear()
        return self.get_response(request)


class PersonsTimeZone:
    """Pages show moments in the time zone of the person who is logged in."""

    def __init__(self, get_response: type_GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = getattr(request.user, "time_zone", "")
        if not name:
            return self.get_response(request)
        with timezone.override(zoneinfo.ZoneInfo(name)):
            return self.get_response(request)
