"""POST /api/leads/import, GET /api/imports/{id} and its rejected rows."""

import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from imports.models import ImportBatch
from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from tags.models import Tag
from tests.api import api_client, problem
from tests.factories import import_rows, make_tag

pytestmark = pytest.mark.django_db
ROUTE = "/api/leads/import"
CSV = b"Address,City,State,Zip,Owner\n123 N Main St,Hoboken,NJ,07030,Ann Elm\n125 N Main St,Hoboken,NJ,07030,Bob Oak\n"
ROWS = [{"address": "123 N Main St", "city": "Hoboken", "zip": "07030"}]


@pytest.fixture
def api(analyst) -> Client:
    return api_client(analyst)


def upload(content: bytes = CSV, name: str = "hudson.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def send(api: Client, **fields: Any) -> Any:
    return api.post(ROUTE, {"file": upload(), **fields})


def post(api: Client, content: bytes, how: str) -> Any:
    if how == "form":
        return api.post(ROUTE, {"file": upload(content)})
    # Django's test client leaves the type out where the body is empty.
    return api.post(ROUTE, content, content_type="text/csv", CONTENT_TYPE="text/csv")


def accepted(response: Any) -> ImportBatch:
    """The batch of an import that was taken."""
    assert response.status_code == 202, response.content
    return ImportBatch.objects.get(pk=response.json()["import"]["id"])


def nothing_was_kept() -> bool:
    return not ImportBatch.objects.exists() and not Job.objects.exists()


def test_a_file_answers_202_with_its_job_and_lands(api, analyst) -> None:
    response = send(api, source="Hudson tax sale")
    batch = accepted(response)
    body = response.json()
    assert response["Location"] == f"/api/jobs/{body['job']['id']}"
    assert body["job"]["status"] == "queued"
    assert (batch.name, batch.source, batch.on_duplicate, batch.unknown_tags) == (
        "hudson.csv",
        "Hudson tax sale",
        "fill",
        "create",
    )
    assert body["import"]["status"] == "started"
    assert body["import"]["job"]["id"] == body["job"]["id"]
    assert {"field": "owner_name", "column": "Owner"} in body["import"]["columns"]
    assert batch.job is not None
    assert batch.job.created_by == analyst
    run_job(job_id=batch.job.pk)
    told = api.get(f"/api/imports/{batch.pk}").json()
    assert (told["status"], told["rows"], told["created"], told["rejected"]) == ("succeeded", 2, 2, 0)
    assert told["rejected_url"] is None
    assert (told["job"]["status"], told["job"]["result"]["created"]) == ("succeeded", 2)
    assert Lead.objects.count() == 2


def test_the_options_of_a_form_arrive(api) -> None:
    tag, other = make_tag(name="Chosen"), make_tag(name="By name")
    response = send(
        api,
        place="Hoboken, NJ",
        on_duplicate="overwrite",
        unknown_tags="reject",
        tag=["by NAME"],
        tag_id=[str(tag.pk)],
        map=["mailing_address=Owner"],
        encoding="cp1252",
        name="renamed.csv",
    )
    batch = accepted(response)
    assert (batch.default_city, batch.default_state) == ("HOBOKEN", "NJ")
    assert (batch.on_duplicate, batch.unknown_tags, batch.name) == ("overwrite", "reject", "renamed.csv")
    assert set(batch.tag_ids) == {tag.pk, other.pk}
    assert {"field": "mailing_address", "column": "Owner"} in response.json()["import"]["columns"]
    assert {entry["name"] for entry in response.json()["import"]["tags"]} == {"Chosen", "By name"}
    assert batch.layout["encoding"] == "cp1252"


def test_a_bare_csv_body_lands_with_options_from_the_query(api) -> None:
    tag = make_tag()
    response = api.post(
        f"{ROUTE}?source=Vendor&tag_id={tag.pk}&tag=Fresh&tag=Second&on_duplicate=skip", CSV, content_type="text/csv"
    )
    batch = accepted(response)
    assert (batch.name, batch.source, batch.on_duplicate) == ("list.csv", "Vendor", "skip")
    assert set(batch.tag_ids) == {
        tag.pk,
        *Tag.objects.filter(name__in=["Fresh", "Second"]).values_list("pk", flat=True),
    }
    assert len(batch.tag_ids) == 3
    assert batch.job is not None
    run_job(job_id=batch.job.pk)
    assert Lead.objects.count() == 2


def test_a_bare_json_body_lands(api) -> None:
    response = api.post(ROUTE, json.dumps(ROWS), content_type="application/json; charset=utf-8")
    batch = accepted(response)
    assert (batch.name, batch.source) == ("list.json", "API")
    assert batch.job is not None
    run_job(job_id=batch.job.pk)
    assert Lead.objects.get().zip == "07030"


def test_a_json_file_in_a_form_lands(api) -> None:
    batch = accepted(api.post(ROUTE, {"file": upload(json.dumps(ROWS).encode(), "rows.json")}))
    assert (batch.layout["format"], batch.source) == ("json", "rows")


def test_a_body_larger_than_django_keeps_in_memory_is_taken(api, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    content = CSV + b"127 N Main St,Hoboken,NJ,07030,Owner\n" * 500
    for response in (api.post(ROUTE, content, content_type="text/csv"), api.post(ROUTE, {"file": upload(content)})):
        assert accepted(response).size == len(content)


@pytest.mark.parametrize("how", ["csv", "json", "form"])
def test_a_file_over_the_limit_gets_413(api, settings, how) -> None:
    settings.IMPORT_MAX_BYTES = 2 * 1024 * 1024
    content = CSV + b" " * (4 * 1024 * 1024)
    response = {
        "csv": lambda: api.post(ROUTE, content, content_type="text/csv"),
        "json": lambda: api.post(ROUTE, content, content_type="application/json"),
        "form": lambda: api.post(ROUTE, {"file": upload(content)}),
    }[how]()
    assert "2 MB" in problem(response, 413)["detail"]
    assert nothing_was_kept()


@pytest.mark.parametrize("how", ["bare", "form"])
def test_a_file_just_over_the_limit_gets_413(api, settings, how) -> None:
    settings.IMPORT_MAX_BYTES = 1024 * 1024
    content = CSV + b" " * (1024 * 1024)
    problem(post(api, content, how), 413)
    assert nothing_was_kept()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"Address,City,Zip\n", ""),
        (b"Case,Filed,Amount\n1,2026-01-01,5\n2,2026-01-02,6\n", "address"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04xl/workbook", "CSV"),
    ],
)
@pytest.mark.parametrize("how", ["bare", "form"])
def test_a_file_that_is_no_lead_list_gets_400_in_words(api, content, told, how) -> None:
    found = problem(post(api, content, how), 400)
    assert found["code"] == "list_refused"
    assert told in found["detail"]
    assert nothing_was_kept()


def test_the_columns_that_were_found_stand_beside_the_refusal(api) -> None:
    response = api.post(ROUTE, b"Case,Filed,Amount\n1,2026-01-01,5\n", content_type="text/csv")
    assert problem(response, 400)["columns"] == ["Case", "Filed", "Amount"]


@pytest.mark.parametrize(
    "content",
    [
        b"[",
        b"{}",
        b"5",
        b'"text"',
        b'[{"address": "1 Elm St"',
        b"[1, 2]",
        b"not json",
        b"[" * 100_000,
        b'{"a": ' * 50_000,
    ],
)
def test_json_that_is_not_a_list_of_objects_gets_400(api, content) -> None:
    response = api.post(ROUTE, content, content_type="application/json")
    if response.status_code == 202:  # the rows are read by the job, which rejects what it cannot use
        batch = accepted(response)
        assert batch.job is not None
        run_job(job_id=batch.job.pk)
        batch.refresh_from_db()
        assert (batch.created, batch.updated) == (0, 0)
        return
    problem(response, 400)
    assert nothing_was_kept()


def test_unknown_tag_ids_are_named(api) -> None:
    tag = make_tag()
    detail = problem(send(api, tag_id=[str(tag.pk), "999999", "0", "-4", "9" * 30]), 400)["detail"]
    for unknown in ("999999", " 0", "-4", "9" * 30):
        assert unknown in detail
    assert nothing_was_kept()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tag_id", "abc"),
        ("tag_id", "1.5"),
        ("tag_id", "1" * 5000),
        ("on_duplicate", "merge"),
        ("unknown_tags", "ignore"),
        ("map", "address"),
        ("map", "=Owner"),
        ("map", "a\0b=Owner"),
        ("source", "x" * 101),
        ("source", "a\0b"),
        ("place", "a\0b"),
        ("tag", "a\0b"),
        ("tag", "x" * 81),
        ("encoding", "a\0b"),
        ("name", "a\0b.csv"),
    ],
)
@pytest.mark.parametrize("how", ["query", "form"])
def test_an_option_that_cannot_be_right_gets_400_naming_it(api, name, value, how) -> None:
    if how == "form":
        response = send(api, **{name: value})
    else:
        response = api.post(ROUTE, CSV, content_type="text/csv", query_params={name: value})
    errors = problem(response, 400)["errors"]
    assert any(field == name or field.startswith(f"{name}.") for field in errors), errors
    assert nothing_was_kept()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("map", "colour=Owner"),
        ("map", "owner_name=Nowhere"),
        ("place", "Nowhere at all"),
        ("encoding", "klingon"),
        ("tag", "!!!"),
    ],
)
def test_an_option_that_does_not_fit_gets_400_in_words(api, name, value) -> None:
    found = problem(send(api, **{name: value}), 400)
    assert found["code"] == "list_refused"
    assert nothing_was_kept()


def test_a_list_without_address_column_is_refused_with_the_parameter_that_names_it(api) -> None:
    response = api.post(ROUTE, "Colour,Shape\nred,round\n", content_type="text/csv")
    assert problem(response, 400)["detail"].endswith("Name it with map=address=COLUMN.")


def test_unknown_tag_names_are_refused_when_asked(api) -> None:
    assert "Nonesuch" in problem(send(api, tag="Nonesuch", unknown_tags="reject"), 400)["detail"]
    assert not Tag.objects.filter(name="Nonesuch").exists()


def test_a_mistyped_option_is_named(api) -> None:
    assert "on_duplicates" in problem(send(api, on_duplicates="skip"), 400)["errors"]
    response = api.post(f"{ROUTE}?on_duplicates=skip", CSV, content_type="text/csv")
    assert "on_duplicates" in problem(response, 400)["errors"]
    assert nothing_was_kept()


def test_a_form_without_its_file_says_so(api) -> None:
    assert "file" in problem(api.post(ROUTE, {"source": "x"}), 400)["errors"]
    assert "file" in problem(api.post(ROUTE, {"file": "Address\n1 Elm St"}), 400)["errors"]
    assert "file" in problem(api.post(ROUTE, {"file": [upload(), upload()]}), 400)["errors"]
    assert nothing_was_kept()


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/xml", "nonsense", "text/html"]
)
def test_another_content_type_gets_415_that_says_how_to_send(api, content_type) -> None:
    assert "multipart" in problem(api.post(ROUTE, CSV, content_type=content_type), 415)["detail"]


def test_nothing_at_all_gets_400(api) -> None:
    problem(api.generic("POST", ROUTE, b"", content_type=""), 400)
    problem(api.generic("POST", ROUTE, b"", content_type="application/octet-stream"), 400)


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"--x\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n"]
)
@pytest.mark.parametrize("boundary", ["; boundary=x", "", "; boundary=" + "x" * 300, "; boundary=é"])
def test_a_broken_form_gets_400(api, body, boundary) -> None:
    response = api.generic("POST", ROUTE, body, content_type=f"multipart/form-data{boundary}")
    problem(response, 415 if response.status_code == 415 else 400)  # a content type that cannot be read is none
    assert nothing_was_kept()


@pytest.mark.parametrize("body", [b"", b"garbage", b"--x\r\nContent-Disposition: form-data; name=file"])
@pytest.mark.parametrize("boundary", ["; boundary=x", "", "; boundary=" + "x" * 300])
def test_a_broken_form_in_a_session_gets_a_problem(analyst, body, boundary) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(analyst)
    token = client.get("/imports/").cookies["csrftoken"].value
    response = client.generic(
        "POST", ROUTE, body, content_type=f"multipart/form-data{boundary}", headers={"X-CSRFToken": token}
    )
    assert response.status_code in {400, 415}
    problem(response, response.status_code)
    assert nothing_was_kept()


@pytest.mark.parametrize("how", ["bare", "form"])
def test_half_a_list_is_refused_when_the_connection_breaks(api, how) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + CSV
    body, content_type = (CSV, "text/csv") if how == "bare" else (form, "multipart/form-data; boundary=x")
    response = api.post(
        ROUTE,
        content_type=content_type,
        **{"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body) + 1000)},
    )
    assert "broke" in problem(response, 400)["detail"]
    assert nothing_was_kept()


def test_a_body_of_unknown_length_gets_411(api) -> None:
    request = {"wsgi.input": io.BytesIO(CSV), "HTTP_TRANSFER_ENCODING": "chunked"}
    environ = {"CONTENT_LENGTH": "", "CONTENT_TYPE": "text/csv", "REQUEST_METHOD": "POST", "PATH_INFO": ROUTE}
    problem(api.request(**environ, **request), 411)


def test_a_form_field_of_many_megabytes_gets_413(api, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    problem(send(api, source="x" * 20_000), 413)


def test_more_form_fields_than_allowed_get_400(api, settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 20
    problem(send(api, tag=[f"t{n}" for n in range(30)]), 400)
    problem(api.get("/api/leads?" + "tags=1&" * 30), 400)


def test_importing_takes_its_own_right(viewer) -> None:
    problem(send(api_client(viewer)), 403)
    assert nothing_was_kept()


def test_a_session_imports_with_its_csrf_token(analyst) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(analyst)
    problem(send(client), 403)
    token = client.get("/imports/").cookies["csrftoken"].value
    assert client.post(ROUTE, {"file": upload()}, headers={"X-CSRFToken": token}).status_code == 202
    assert send(client, csrfmiddlewaretoken=token).status_code == 202


def test_rejected_rows_come_as_csv_with_line_and_reason(api) -> None:
    batch = import_rows("Address,City,Zip\n1 Elm St,Hoboken,07030\n,,\n,Hoboken,07030\n", name="Hudson & Co.csv")
    told = api.get(f"/api/imports/{batch.pk}").json()
    assert (told["rejected"], told["blank"]) == (1, 1)
    assert told["rejected_url"] == f"http://testserver/api/imports/{batch.pk}/rejected"
    for accept in ("*/*", "text/csv", "application/json"):
        response = api.get(told["rejected_url"], headers={"Accept": accept})
        assert response["Content-Type"].startswith("text/csv")
        assert response["Content-Disposition"] == 'attachment; filename="hudson-co-rejected.csv"'
        lines = b"".join(response).decode().splitlines()
        assert lines[0] == "line,reason,Address,City,Zip"
        assert lines[1].startswith("4,")


@pytest.mark.parametrize("batch_id", ["0", "9223372036854775808", "9" * 5000, "last"])
def test_an_id_that_names_no_import_gets_404(api, batch_id) -> None:
    problem(api.get(f"/api/imports/{batch_id}"), 404)
    problem(api.get(f"/api/imports/{batch_id}/rejected", headers={"Accept": "text/csv"}), 404)
