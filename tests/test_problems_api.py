"""Every refusal of the API is a problem in the form of RFC 9457, whatever went wrong."""

import json

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions

from leadscore.problems import problem_details
from tests.api import api_client, problem

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (exceptions.ParseError("JSON parse error"), 400, "parse_error"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.PermissionDenied("no"), 403, "permission_denied"),
        (Http404("no"), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("text/html"), 415, "unsupported_media_type"),
        (exceptions.Throttled(wait=7), 429, "throttled"),
        (RequestDataTooBig(), 413, "too_large"),
        (SuspiciousOperation(), 400, "parse_error"),
        (UnreadablePostError("gone"), 400, "parse_error"),
    ],
)
def test_each_kind_of_refusal(exception, status, code) -> None:
    response = problem_details(exception, {})
    assert response is not None
    assert response["Content-Type"] == "application/problem+json"
    assert problem_of(response) == (status, code)
    if status == 429:
        assert response["Retry-After"] == "7"


def problem_of(response) -> tuple[int, str]:
    body = json.loads(response.content)
    assert response.status_code == body["status"]
    assert body["title"]
    assert body["detail"]
    return body["status"], body["code"]


def test_messages_of_nested_fields_stand_under_dotted_names() -> None:
    response = problem_details(
        exceptions.ValidationError({"rows": [{}, {"zip": ["bad"]}], "name": "empty", "non_field_errors": ["odd"]}), {}
    )
    assert response is not None
    body = json.loads(response.content)
    assert body["errors"] == {"rows.1.zip": ["bad"], "name": ["empty"], "request": ["odd"]}
    assert body["detail"] == "rows.1.zip: bad; name: empty; request: odd"


def test_a_message_of_the_whole_and_a_long_list_are_told_in_short() -> None:
    whole = problem_details(exceptions.ValidationError("no"), {})
    assert whole is not None
    assert json.loads(whole.content)["errors"] == {"request": ["no"]}
    many = problem_details(exceptions.ValidationError({f"f{n}": ["bad"] for n in range(9)}), {})
    assert many is not None
    assert json.loads(many.content)["detail"].endswith("... and 4 more")


def test_what_nobody_foresaw_is_left_to_django() -> None:
    assert problem_details(RuntimeError("boom"), {}) is None


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize("path", ["", "nothing", "leads/1/2/3", "docs/", "leads/1e5", "%00", "lëads", "..%2fadmin"])
def test_an_unknown_address_is_a_problem_for_anybody(client, method, path) -> None:
    problem(getattr(client, method)(f"/api/{path}"), 404)


def test_a_bad_token_is_told_before_anything_else(client) -> None:
    problem(client.get("/api/leads?nonsense=1", headers={"Authorization": "Token nonsense"}), 401)


def test_head_answers_as_get_without_a_body(viewer) -> None:
    response = api_client(viewer).head("/api/leads")
    assert (response.status_code, response.content) == (200, b"")


def test_options_and_trace_are_not_served(viewer) -> None:
    api = api_client(viewer)
    problem(api.options("/api/leads"), 405)
    problem(api.trace("/api/leads"), 405)


def test_a_format_that_is_asked_for_in_the_address_is_an_unknown_parameter(viewer) -> None:
    for name in ("json", "xml"):
        assert "format" in problem(api_client(viewer).get(f"/api/leads?format={name}"), 400)["errors"]


def test_an_answer_that_cannot_be_given_gets_406(viewer) -> None:
    problem(api_client(viewer).get("/api/leads", headers={"Accept": "application/xml"}), 406)


def test_problems_of_the_description_are_problems_too(viewer, client) -> None:
    problem(client.get("/api/schema"), 401)
    problem(client.get("/api/docs", headers={"Accept": "text/html"}), 401)
    problem(api_client(viewer).get("/api/schema", headers={"Accept": "image/png"}), 406)


def test_what_fails_before_or_after_a_view_is_a_problem_too(viewer, monkeypatch) -> None:
    api = api_client(viewer)
    api.raise_request_exception = False
    assert problem(api.get("/api/leads", headers={"Host": "unknown.example"}), 400)["code"] == "bad_request"

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("leads.api.LeadList.get", fail)
    failed = problem(api.get("/api/leads"), 500)
    assert failed["code"] == "server_error"
    assert "boom" not in str(failed)
