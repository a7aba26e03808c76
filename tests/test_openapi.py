"""The description of the API holds for every route: it validates, says what each does, and names the rights."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, get_resolver
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import IsAuthenticated

from accounts.api import ApiView
from accounts.permissions import HasRoutePermission
from accounts.roles import ADMIN, ROLES
from leadscore import api_urls
from tests.api import api_client, problem

METHODS = ("get", "post", "put", "patch", "delete")
MAIN = {"leads_import", "leads_list", "leads_retrieve", "leads_score", "jobs_retrieve", "leads_recalculate_scores"}
MAIN |= {"tags_create", "tags_partial_update", "tags_update_expiration", "tags_bulk_update_expiration"}
MAIN |= {"leads_bulk_tag", "leads_bulk_tag_undo"}
MAIN |= {"referrals_list", "referrals_retrieve", "referrals_cancel", "referrals_return", "returns_approve"}
MAIN |= {"leads_assign", "leads_suppress"}
MAIN |= {f"contractor_{name}" for name in ("me", "usage", "territories_list", "sandbox_reset", "referrals_list")}
MAIN |= {f"contractor_referrals_{name}" for name in ("retrieve", "accept", "contacted", "convert", "return")}
# For anybody who is logged in, whatever the role.
OPEN_TO_ALL = {"schema", "docs"}


def routes() -> Iterator[tuple[str, str, Any]]:
    """Name, address and view of every route but the one for unknown addresses."""
    for pattern in api_urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name != "unknown":
            yield str(pattern.name), "/api/" + str(pattern.pattern).replace("<int:pk>", "1"), pattern.callback.cls


def served(view: Any) -> set[str]:
    return {method.upper() for method in METHODS if hasattr(view, method) and method in view.http_method_names}


@pytest.fixture(scope="module")
def schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_description_validates_and_warns_of_nothing(tmp_path) -> None:
    options = {"file": str(tmp_path / "schema.yml")}
    call_command("spectacular", "--validate", "--fail-on-warn", **options)


def test_every_operation_says_what_it_does(schema) -> None:
    for name, operation in operations(schema):
        assert operation.get("summary"), name
        assert operation.get("description"), name
        assert operation.get("tags"), name
        assert {"token": []} in operation["security"], name
        assert {"401", "403"} <= set(operation["responses"]), name


def test_contractors_are_told_of_unknown_parameters_and_of_when_to_go_on(schema) -> None:
    for name, operation in operations(schema):
        if "/api/contractor/" in name:
            assert "400" in operation["responses"], name
            assert "Retry-After" in operation["responses"]["429"]["headers"], name
            assert "Retry-After" not in operation["responses"]["200"]["headers"], name


def test_the_main_operations_have_examples(schema) -> None:
    found = set()
    for _, operation in operations(schema):
        contents = [*operation["responses"].values(), operation.get("requestBody", {})]
        if any("examples" in media for content in contents for media in content.get("content", {}).values()):
            found.add(operation["operationId"])
    assert found >= MAIN


def test_every_route_is_described(schema) -> None:
    described = {path.replace("{id}", "1") for path in schema["paths"]}
    assert {address for name, address, _ in routes() if name not in OPEN_TO_ALL} == described


def test_every_route_names_a_known_right_for_each_method_it_serves() -> None:
    for name, address, view in routes():
        if name in OPEN_TO_ALL:
            assert view.permission_classes == [IsAuthenticated]
            continue
        assert issubclass(view, ApiView), address
        assert [permission.__name__ for permission in view.permission_classes] == [HasRoutePermission.__name__], address
        assert set(view.permissions) == served(view), address
        assert set(view.permissions.values()) <= ADMIN | ROLES["contractor"], address


def test_no_api_route_is_hung_elsewhere() -> None:
    rest = [
        pattern
        for pattern in get_resolver().url_patterns
        if isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls")
    ]
    assert rest == []


@pytest.mark.django_db
def test_every_route_answers_401_without_a_login(client) -> None:
    for _, address, view in routes():
        for method in served(view):
            response = getattr(client, method.lower())(address)
            assert problem(response, 401)["code"] == "not_authenticated", f"{method} {address}"
            assert response["WWW-Authenticate"] == "Token"


@pytest.mark.django_db
def test_a_role_without_rights_gets_403_from_every_route_but_the_description(person) -> None:
    """A contractor's login has no right on staff routes, and without its contractor none on its own ones."""
    api = api_client(person("contractor"))
    for name, address, view in routes():
        for method in served(view):
            response = getattr(api, method.lower())(address)
            if name in OPEN_TO_ALL:
                assert response.status_code in {200, 406}, address
            else:
                assert problem(response, 403)["code"] == "permission_denied", f"{method} {address}"


@pytest.mark.django_db
def test_a_method_that_no_route_serves_gets_405(manager) -> None:
    api = api_client(manager)
    for _, address, view in routes():
        response = api.delete(address)
        problem(response, 405)
        assert set(response["Allow"].split(", ")) >= served(view)


@pytest.mark.django_db
def test_the_description_is_served_as_openapi_3_1(viewer) -> None:
    response = api_client(viewer).get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.1")


@pytest.mark.django_db
def test_the_docs_are_a_page_without_inline_scripts_served_from_our_own_files(viewer_client: Client) -> None:
    response = viewer_client.get("/api/docs", headers={"Accept": "text/html"})
    html = response.content.decode()
    assert response.status_code == 200
    assert "<script>" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in html
    script = viewer_client.get("/api/docs?script=", headers={"Accept": "*/*"})
    assert script.status_code == 200
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema" in script.content.decode()
    bundle = viewer_client.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")
    assert bundle.status_code == 200
