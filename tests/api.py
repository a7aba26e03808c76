"""What the tests of the API share: a program with a token, and what a problem looks like."""

from typing import Any

from django.test import Client

from accounts.models import ApiToken, User


def api_client(user: User) -> Client:
    """A program that acts for `user`."""
    _, token = ApiToken.objects.create(user=user, name="test", expiry=None)
    return Client(headers={"Authorization": f"Token {token}"})


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem that a refusal must be."""
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert body["code"]
    return body
