"""The page on which people set what is their own: time zone and mail."""

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import make_lead

pytestmark = pytest.mark.django_db


def test_the_menu_of_the_person_leads_to_it(viewer_client):
    assert 'class="menu-item" href="/me/"' in viewer_client.get("/").content.decode()
    assert viewer_client.get("/me/").status_code == 200


def test_it_is_for_people_who_are_logged_in(client):
    assert client.get("/me/").url == "/login/?next=/me/"
    assert client.post("/me/").status_code == 302


def test_a_person_sets_time_zone_and_digest_and_pages_follow(viewer_client, viewer, analyst):
    User.objects.filter(pk=viewer.pk).update(email="ana@example.com")
    page = viewer_client.get("/me/").content.decode()
    assert "<strong>ana@example.com</strong>" in page
    assert "As everywhere here (America/New_York)" in page
    done = viewer_client.post("/me/", {"time_zone": "Asia/Tokyo", "wants_digest": "on", "email": "mine@example.com"})
    assert done.url == "/me/"
    viewer.refresh_from_db()
    assert (viewer.time_zone, viewer.wants_digest, viewer.email) == ("Asia/Tokyo", True, "ana@example.com")
    page = viewer_client.get("/me/").content.decode()
    assert '<option value="Asia/Tokyo" selected>' in page
    assert "Saved." in page
    lead = make_lead()  # made at 12:00 UTC
    assert "9:00:00 PM JST" in viewer_client.get(lead.get_absolute_url()).content.decode()
    viewer_client.post("/me/", {"time_zone": ""})
    viewer.refresh_from_db()
    assert (viewer.time_zone, viewer.wants_digest) == ("", False)
    analyst.refresh_from_db()
    assert analyst.time_zone == ""


@pytest.mark.parametrize("odd", ["Mars/Olympus", "../../etc/passwd", "x" * 100, "a\x00b"])
def test_a_time_zone_that_does_not_exist_is_refused_and_breaks_no_page(viewer_client, viewer, odd):
    response = viewer_client.post("/me/", {"time_zone": odd, "wants_digest": "on"})
    assert response.status_code == 422
    page = response.content.decode()
    assert "Nothing was saved" in page
    assert 'name="wants_digest" id="id_wants_digest" checked' in page
    viewer.refresh_from_db()
    assert (viewer.time_zone, viewer.wants_digest) == ("", False)


def test_who_has_no_address_is_told_so(viewer_client):
    assert "No address of yours is known" in viewer_client.get("/me/").content.decode()


def test_a_zone_of_an_older_name_stays_chosen(viewer_client, viewer):
    User.objects.filter(pk=viewer.pk).update(time_zone="EST5EDT")
    assert '<option value="EST5EDT" selected>' in viewer_client.get("/me/").content.decode()


def test_who_may_not_see_leads_is_offered_no_digest_of_them(person):
    user = person("contractor")
    client = Client()
    client.force_login(user)
    assert "wants_digest" not in client.get("/me/").content.decode()
    client.post("/me/", {"time_zone": "UTC", "wants_digest": "on"})
    user.refresh_from_db()
    assert (user.time_zone, user.wants_digest) == ("UTC", False)


def test_admin_shows_who_wants_the_digest(client, viewer):
    client.force_login(User.objects.create_superuser("root", password="correct horse battery"))
    assert b'name="wants_digest"' in client.get(f"/admin/accounts/user/{viewer.pk}/change/").content
