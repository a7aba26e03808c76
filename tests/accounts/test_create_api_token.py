"""manage.py create_api_token, and what a token opens."""

import datetime as dt
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken
from tests.api import problem

pytestmark = pytest.mark.django_db


def make_token(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def get(token: str, **headers: Any) -> Any:
    return Client(headers={"Authorization": token}).get("/api/tags?limit=1")


def test_it_prints_a_token_that_opens_the_api_and_keeps_only_its_hash(viewer) -> None:
    token = make_token("viewer", "--name", "nightly")
    assert get(f"Token {token}").status_code == 200
    kept = ApiToken.objects.get()
    assert (kept.name, kept.user, kept.expiry) == ("nightly", viewer, None)
    assert kept.last_used_at is not None
    assert token not in {kept.digest, kept.token_key}


def test_json_tells_when_it_expires(viewer) -> None:
    told = json.loads(make_token("viewer", "--name", "x", "--days", "30", "--json"))
    assert (told["user"], told["name"]) == ("viewer", "x")
    expires_at = dt.datetime.fromisoformat(told["expires_at"])
    assert dt.timedelta(days=29) < expires_at - timezone.now() <= dt.timedelta(days=30)
    assert get(f"Token {told['token']}").status_code == 200


def test_an_expired_token_opens_nothing(viewer) -> None:
    token = make_token("viewer", "--name", "x", "--days", "1")
    ApiToken.objects.update(expiry=timezone.now() - dt.timedelta(seconds=1))
    problem(get(f"Token {token}"), 401)


@pytest.mark.parametrize(
    "header",
    ["Token", "Token a b", "Token wrong", "Token " + "x" * 5000, "Token é"],
)
def test_a_token_that_is_none_gets_401(viewer, header) -> None:
    make_token("viewer", "--name", "x")
    assert problem(get(header), 401)["code"] in {"authentication_failed", "not_authenticated"}


def test_the_token_of_someone_who_left_opens_nothing(viewer) -> None:
    token = make_token("viewer", "--name", "x")
    viewer.is_active = False
    viewer.save()
    problem(get(f"Token {token}"), 401)
    with pytest.raises(CommandError, match="not active"):
        make_token("viewer", "--name", "y")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nobody", "--name", "x"],
        ["viewer", "--name", ""],
        ["viewer", "--name", "x" * 101],
        ["viewer", "--name", "x", "--days", "0"],
        ["viewer", "--name", "x", "--days", "99999999"],
    ],
)
def test_what_cannot_be_is_refused_in_words(viewer, arguments) -> None:
    with pytest.raises(CommandError):
        make_token(*arguments)
    assert not ApiToken.objects.exists()
