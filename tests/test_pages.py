"""The frame: home, login, health, errors, and the first user."""

import io
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import path

from accounts.models import User
from leadscore import urls as project_urls
from leadscore import views
from tests.factories import import_rows, make_scored_lead, make_tag


def boom(request):
    raise RuntimeError("boom")


urlpatterns = [*project_urls.urlpatterns, path("boom/", boom)]
handler400, handler403, handler404, handler500 = (
    views.bad_request,
    views.permission_denied,
    views.not_found,
    views.server_error,
)


@pytest.mark.django_db
def test_home_is_for_people_who_are_logged_in(client):
    assert client.get("/").url == "/login/?next=/"


@pytest.mark.django_db
def test_home_of_an_empty_installation_says_what_to_do_first(analyst_client, viewer_client):
    assert b"Import the first list" in analyst_client.get("/").content
    assert b"Import the first list" not in viewer_client.get("/").content


@pytest.mark.django_db
def test_home_shows_counts_the_best_leads_and_what_came_of_late(analyst_client, viewer_client):
    make_scored_lead(tags=[make_tag(base_score=900)], address="1 BEST ST")
    import_rows("Address,City,State\n2 Main St,Hoboken,NJ\n", name="roll.csv")
    page = analyst_client.get("/").content.decode()
    assert "1 BEST ST" in page
    assert "<strong>2</strong><span>leads</span>" in page
    assert "roll.csv" in page
    assert "roll.csv</a>" not in viewer_client.get("/").content.decode().split("Recent jobs")[0]


@pytest.mark.django_db
def test_a_person_without_a_role_is_told_whom_to_ask(viewer):
    viewer.groups.clear()
    client = Client()
    client.force_login(viewer)
    assert b"Ask an admin" in client.get("/").content


@pytest.mark.django_db
def test_login_and_logout(client, viewer):
    wrong = client.post("/login/", {"username": "viewer", "password": "no"})
    assert b'role="alert"' in wrong.content
    assert b'value="viewer"' in wrong.content
    right = client.post("/login/", {"username": "viewer", "password": "correct horse battery", "next": "/leads/?q=a"})
    assert right.url == "/leads/?q=a"
    assert client.post("/logout/").url == "/login/"


@pytest.mark.django_db
def test_pages_carry_no_inline_script_and_a_strict_policy(manager_client):
    make_scored_lead(tags=[make_tag()])
    for address in ("/", "/leads/", "/imports/", "/jobs/"):
        response = manager_client.get(address)
        assert b"<script>" not in response.content
        assert b" onclick" not in response.content
        assert "default-src 'self'" in response["Content-Security-Policy"]


@pytest.mark.django_db
def test_errors_are_pages_with_a_way_on(viewer_client):
    missing = viewer_client.get("/nothing/")
    assert missing.status_code == 404
    assert b"There is nothing at this address" in missing.content
    denied = viewer_client.get("/imports/")
    assert denied.status_code == 403
    assert b"Your role does not include this" in denied.content


@pytest.mark.django_db
@override_settings(ROOT_URLCONF="tests.test_pages")
def test_a_bug_shows_a_page_that_needs_neither_database_nor_session(viewer):
    client = Client(raise_request_exception=False)
    client.force_login(viewer)
    response = client.get("/boom/")
    assert response.status_code == 500
    assert b"Something went wrong here" in response.content
    assert b"boom" not in response.content.replace(b"/boom/", b"")


@pytest.mark.django_db
def test_an_old_form_says_that_nothing_was_changed(manager):
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    response = client.post("/scoring/recalculate/")
    assert response.status_code == 403
    assert b"Nothing was changed" in response.content


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setattr(views, "_database_answers", lambda: True)
    monkeypatch.setattr(views, "_broker_answers", lambda: True)
    monkeypatch.setattr(views, "_worker_answers", lambda: True)


@pytest.mark.django_db
def test_health_needs_no_login_and_is_never_cached(client, answers):
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"database": True, "broker": True, "worker": True}
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("part", ["database", "broker", "worker"])
def test_health_names_what_does_not_answer(client, answers, monkeypatch, part):
    monkeypatch.setattr(views, f"_{part}_answers", lambda: False)
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()[part] is False


@pytest.mark.django_db
def test_health_with_a_dead_broker_is_quick_and_never_raises(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"database": True, "broker": False, "worker": False}


@pytest.mark.django_db
def test_the_first_start_makes_an_admin_and_prints_the_password_once(client, monkeypatch):
    monkeypatch.delenv("LEADSCORE_ADMIN_PASSWORD", raising=False)
    out = io.StringIO()
    call_command("ensure_admin", stdout=out)
    password = out.getvalue().split("Password: ")[1].split()[0]
    admin = User.objects.get()
    assert admin.username == "admin"
    assert admin.is_superuser
    assert list(admin.groups.values_list("name", flat=True)) == ["admin"]
    assert client.login(username="admin", password=password)
    again = io.StringIO()
    call_command("ensure_admin", stdout=again)
    assert again.getvalue() == ""


@pytest.mark.django_db
def test_a_given_password_is_taken_and_not_printed(client, monkeypatch):
    monkeypatch.setenv("LEADSCORE_ADMIN_PASSWORD", "given-by-the-operator")
    out = io.StringIO()
    call_command("ensure_admin", stdout=out)
    assert "given-by-the-operator" not in out.getvalue()
    assert client.login(username="admin", password="given-by-the-operator")


def test_the_stylesheet_closes_what_it_opens() -> None:
    """A block that stays open takes all that follows with it, and no browser complains."""
    text = re.sub(r"/\*.*?\*/", "", (Path(settings.BASE_DIR) / "static/leadscore.css").read_text(), flags=re.DOTALL)
    depth = 0
    for line in text.splitlines():
        # Rules stand one to a line; blocks of a media query are indented.
        assert depth == 0 or line.startswith((" ", "}")) or not line, line
        depth += line.count("{") - line.count("}")
    assert depth == 0
