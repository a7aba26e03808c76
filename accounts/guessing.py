"""A limit on guessing passwords at both logins, and a line in the log for each wrong one."""

import functools
import hashlib
import logging
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.cache import cache
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest, HttpResponseBase

from accounts.counting import count

logger = logging.getLogger(__name__)
WITHIN_SECONDS = 15 * 60
TRIES_OF_A_NAME = 10
TRIES_OF_AN_ADDRESS = 30  # an office shares one
CODE = "too_many_tries"
TOO_MANY = (
    "Too many wrong tries for this name or from your address. Wait 15 minutes and try again. Whoever lost the password "
    "gets a new one from an admin of this installation."
)


def address_of(request: HttpRequest) -> str:
    """Who asks. Behind the proxy whose word on https is trusted, whom that proxy saw: the last that it appended."""
    seen = request.headers.get("X-Forwarded-For", "") if settings.SECURE_PROXY_SSL_HEADER else ""
    return seen.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


def _of_name(username: str) -> str:
    return _key("name", username.lower())


def _of_address(request: HttpRequest) -> str:
    return _key("address", address_of(request))


def _key(kind: str, text: str) -> str:
    # What somebody typed may be of any length and kind, and names of people are nobody's business in a cache.
    return f"login:{kind}:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def note_wrong_login(*, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Log a wrong login and count it, for name and address; while the cache is away nothing is counted.

    The receiver of `user_login_failed`, whose credentials come without the password.
    """
    username = str(credentials.get("username") or "")
    address = address_of(request) if request is not None else ""
    logger.warning("login: wrong name or password for %.150r from %.64s", username, address or "this machine")
    if request is not None:
        for key in (_of_name(username), _of_address(request)):
            count(key, WITHIN_SECONDS)


class _Limited(AuthenticationForm):
    """Refuses in words, without a look at the password, who was wrong too often."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if username is None or self.request is None:
            return super().clean()
        of_name = _of_name(username)
        tries = cache.get(of_name, 0), cache.get(_of_address(self.request), 0)
        if tries[0] >= TRIES_OF_A_NAME or tries[1] >= TRIES_OF_AN_ADDRESS:
            logger.warning("login: too many tries for %.150r from %.64s, refused", username, address_of(self.request))
            raise forms.ValidationError(TOO_MANY, code=CODE)
        cleaned = super().clean()
        if tries[0]:
            cache.delete(of_name)
        return cleaned


class LoginForm(_Limited):
    """For the pages."""


class AdminLoginForm(_Limited, AdminAuthenticationForm):
    """For the admin."""


def told_by_status(login: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A login page that answers 429, not 200, when its form refused for too many tries."""

    @functools.wraps(login)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = login(request, *args, **kwargs)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if form is not None and form.has_error(NON_FIELD_ERRORS, CODE):
            response.status_code = 429
            response["Retry-After"] = str(WITHIN_SECONDS)
        return response

    return answer
