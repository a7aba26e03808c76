"""What the pages of every room share: the request they get, the right they need, and how they answer."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from accounts.models import User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class HtmxHttpRequest(HttpRequest):
    """A request by a person who is logged in (LoginRequiredMiddleware sees to that)."""

    htmx: HtmxDetails


def person_of(request: HttpRequest) -> User:
    """The person behind a request; views run only for people who are logged in."""
    return cast("User", request.user)


def needs(*rights: str) -> Callable[[View], View]:
    """Answer 403 to people without these rights."""
    return permission_required(rights, raise_exception=True)


def wants_part(request: HtmxHttpRequest) -> bool:
    """True when htmx asks for a piece of a page; a page restored from history is wanted whole."""
    return bool(request.htmx) and not request.htmx.history_restore_request and not request.htmx.boosted


def show(
    request: HtmxHttpRequest, template: str, context: Mapping[str, Any], *, part: str = "", status: int = 200
) -> HttpResponse:
    """Render a page or, when htmx asks, the inline partial `part` of it.

    The two differ under one address, so caches are told to keep them apart.
    """
    name = f"{template}#{part}" if part and wants_part(request) else template
    response = render(request, name, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
