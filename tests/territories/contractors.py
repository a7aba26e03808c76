"""What the tests of the contractors' API share: a contractor with its login and token, and every route of it."""

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import ApiToken, User
from leadscore.api_urls import urlpatterns
from territories.models import Contractor
from tests.territories.factories import make_contractor

BASE = "/api/contractor"
STEPS: dict[str, dict[str, Any] | None] = {
    "accept": None,
    "contacted": None,
    "convert": {"value": "100.00"},
    "return": {"reason": "unreachable"},
}


def make_user(name: str, *roles: str) -> User:
    user = User.objects.create_user(username=name, password="correct horse battery")
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def make_login(company: str = "Alder Roofing", **fields: Any) -> Contractor:
    """A contractor whose user has the role of contractors."""
    name = company.lower().replace(" ", "-")
    return make_contractor(company=company, user=make_user(name, "contractor"), **fields)


def token_client(user: User, *, is_sandbox: bool = False, **client: Any) -> Client:
    """A program that acts for a login."""
    made, token = ApiToken.objects.create(user=user, name="test", expiry=None)
    ApiToken.objects.filter(pk=made.pk).update(is_sandbox=is_sandbox)
    return Client(headers={"Authorization": f"Token {token}"}, **client)


def program_of(contractor: Contractor, *, is_sandbox: bool = False) -> Client:
    assert contractor.user is not None
    return token_client(contractor.user, is_sandbox=is_sandbox)


def post(client: Client, address: str, body: Any = None, key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return client.generic("POST", address, headers=headers)
    return client.post(address, body, content_type="application/json", headers=headers)


def contractor_routes() -> list[tuple[str, Any]]:
    """Address (with `{pk}`) and view of every route of contractors, as the project composes them."""
    return [
        ("/api/" + str(pattern.pattern).replace("<int:pk>", "{pk}"), pattern.callback.cls)  # type: ignore[attr-defined]
        for pattern in urlpatterns
        if str(pattern.pattern).startswith("contractor/")
    ]
