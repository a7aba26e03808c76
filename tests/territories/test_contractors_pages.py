"""Pages of contractors as people of stated rights see them."""

import datetime as dt
import re
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken
from territories.models import Contractor, Referral
from tests.api import api_client
from tests.conftest import NOW
from tests.factories import make_lead, make_tag
from tests.territories.holders import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
FORM = {
    "company": "Harbor Roofing",
    "price": "45.00",
    "return_window_days": "14",
    "return_quota_percent": "20",
    "contact-TOTAL_FORMS": "2",
    "contact-INITIAL_FORMS": "0",
}


def page(client: Client, name: str, *args: object, query: str = "", status: int = 200) -> str:
    response = client.get(reverse(f"territories:{name}", args=args) + query)
    assert response.status_code == status
    return response.content.decode()


def test_an_empty_list_says_what_to_do_and_only_offers_what_one_may(manager_client, viewer_client) -> None:
    assert "Enter the first one" in page(manager_client, "contractors")
    assert "A manager enters them" in page(viewer_client, "contractors")
    assert "New contractor" not in page(viewer_client, "contractors")


def test_the_list_shows_state_zips_use_of_caps_and_price_in_a_fixed_number_of_queries(
    viewer_client, django_assert_max_num_queries
) -> None:
    acme = make_contractor(company="Acme", trade="Roofing", daily_cap=7, price="12.50", status="paused")
    make_territory(acme, "07030")
    make_referral(contractor=acme, assigned_at=timezone.now())
    for _ in range(20):
        make_contractor()
    with django_assert_max_num_queries(12):
        html = page(viewer_client, "contractors", query="?q=roof")
    assert "Acme" in html
    assert "Contractor 1" not in html
    assert re.search(r'data-label="today">1<span class="muted"> of 7', html)
    assert "$12.50" in html
    assert "paused" in html
    assert "Acme" in page(viewer_client, "contractors", query="?q=roof%00")
    assert "No contractor matches" in page(viewer_client, "contractors", query="?status=ended")


def test_a_sandbox_is_no_contractor_for_the_pages(viewer_client) -> None:
    acme = make_contractor()
    sandbox = make_contractor(company="Acme (sandbox)", sandbox_of=acme)
    assert "Acme (sandbox)" not in page(viewer_client, "contractors")
    page(viewer_client, "contractor", sandbox.pk, status=404)


def test_a_manager_makes_a_contractor_with_wishes_and_contacts(manager_client) -> None:
    wanted, unwanted = make_tag(name="Old roof"), make_tag(name="No roof")
    answer = manager_client.post(
        reverse("territories:new-contractor"),
        FORM
        | {
            "daily_cap": "5",
            "wanted_tags": [wanted.pk],
            "unwanted_tags": [unwanted.pk],
            "auto_return_reasons": ["sold"],
            "contact-0-name": "Ada Lopez",
            "contact-0-email": "ada@example.com",
        },
        follow=True,
    )
    contractor = Contractor.objects.get()
    assert answer.redirect_chain[-1][0] == contractor.get_absolute_url()
    assert (contractor.daily_cap, contractor.monthly_cap, contractor.auto_return_reasons) == (5, None, ["sold"])
    assert (list(contractor.wanted_tags.all()), list(contractor.unwanted_tags.all())) == ([wanted], [unwanted])
    html = answer.content.decode()
    for told in ("Ada Lopez", "ada@example.com", "The property is sold", "of 5", "no login yet"):
        assert told in html


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"company": ""}, "This field is required"),
        ({"company": "ACME"}, "There is a contractor called ACME already"),
        ({"price": "-1"}, "A price is never negative"),
        ({"price": "1e5"}, "Write an amount such as 18500.00."),
        ({"daily_cap": "many"}, "Enter a whole number"),
        ({"daily_cap": "99999999999"}, "less than or equal to 2147483647"),
        ({"return_quota_percent": "101"}, "contractor_quota_percent|less than or equal|percent"),
        ({"contact-0-phone": "201 555 0100"}, "Whose is it"),
        ({"contact-0-name": "Ada", "contact-0-email": "nowhere"}, "valid email"),
    ],
)
def test_what_cannot_be_taken_is_said_where_it_stands_and_kept(manager_client, changes, words) -> None:
    make_contractor(company="Acme")
    answer = manager_client.post(reverse("territories:new-contractor"), FORM | {"trade": "Roofing"} | changes)
    assert answer.status_code == 422
    assert re.search(words, answer.content.decode())
    assert 'value="Roofing"' in answer.content.decode()
    assert Contractor.objects.count() == 1


def test_a_price_is_read_as_pages_print_money(manager_client) -> None:
    manager_client.post(reverse("territories:new-contractor"), FORM | {"price": "$1,045.50"})
    assert Contractor.objects.get().price == Decimal("1045.50")


def test_a_tag_cannot_be_wanted_and_unwanted(manager_client) -> None:
    tag = make_tag(name="Old roof")
    answer = manager_client.post(
        reverse("territories:new-contractor"), FORM | {"wanted_tags": [tag.pk], "unwanted_tags": [tag.pk]}
    )
    assert "Old roof cannot be wanted and unwanted at once" in answer.content.decode()


def test_editing_keeps_state_and_login_and_replaces_contacts(manager_client) -> None:
    contractor = make_contractor(status="paused")
    contractor.contacts.create(name="Ben")
    assert 'value="Ben"' in page(manager_client, "edit-contractor", contractor.pk)
    answer = manager_client.post(
        reverse("territories:edit-contractor", args=[contractor.pk]),
        FORM | {"contact-INITIAL_FORMS": "1", "contact-0-name": "", "contact-1-name": "Cleo", "status": "ended"},
    )
    assert answer.status_code == 302
    contractor.refresh_from_db()
    assert (contractor.company, contractor.status) == ("Harbor Roofing", "paused")
    assert [one.name for one in contractor.contacts.all()] == ["Cleo"]


def test_pausing_shows_first_what_it_touches_and_then_says_what_it_did(manager_client) -> None:
    contractor = make_contractor(company="Acme")
    for status in ("assigned", "assigned", "delivered"):
        make_referral(contractor=contractor, status=status)
    html = page(manager_client, "pause-contractor", contractor.pk)
    assert '<strong id="standing-assigned">2</strong>' in html
    assert Contractor.objects.get().status == "active"
    url = reverse("territories:pause-contractor", args=[contractor.pk])
    html = manager_client.post(url, follow=True).content.decode()
    assert "2 leads not delivered taken back, 2 of them to be offered again; 1 delivered" in html
    assert Referral.objects.filter(status="cancelled").count() == 2
    late = manager_client.post(url)
    assert late.status_code == 409
    assert "Only an active contractor can be paused" in late.content.decode()
    html = manager_client.post(reverse("territories:resume-contractor", args=[contractor.pk]), follow=True)
    assert "gets leads again. No lead that waited there went to it." in html.content.decode()


def test_resuming_says_what_it_got_and_what_expired(manager_client) -> None:
    contractor = make_contractor(company="Acme", status="paused", min_score=500)
    make_territory(contractor, "07030")
    for score in (900, 100, 200):
        tomorrow = timezone.now() + dt.timedelta(days=1)
        make_referral(make_lead(score=score), status="generated", score=score, expires_at=tomorrow)
    url = reverse("territories:resume-contractor", args=[contractor.pk])
    html = manager_client.post(url, follow=True).content.decode()
    words = "Acme gets leads again. Of the leads that waited there 1 went to it; 2 fit no longer and expired."
    assert words in html


def test_ending_counts_the_territories_too(manager_client) -> None:
    contractor = make_contractor(company="Acme")
    make_territory(contractor, "07030")
    make_territory(contractor, "07031", from_at=timezone.now() + dt.timedelta(days=9), taken_up_at=None)
    html = page(manager_client, "end-contractor", contractor.pk)
    assert "This cannot be undone" in html
    answer = manager_client.post(reverse("territories:end-contractor", args=[contractor.pk]), follow=True)
    assert "1 territory ended, 1 called off" in answer.content.decode()


def test_a_token_is_shown_once_and_works_as_the_contractors_login(manager_client) -> None:
    contractor = make_contractor(company="Acme")
    make_login = reverse("territories:make-login", args=[contractor.pk])
    assert "acme" in manager_client.post(make_login, follow=True).content.decode()
    assert manager_client.post(make_login).status_code == 422
    typed = {"name": "crm", "days": "30", "is_sandbox": "on"}
    answer = manager_client.post(reverse("territories:make-token", args=[contractor.pk]), typed, follow=True)
    assert answer.redirect_chain == [(contractor.get_absolute_url(), 302)]  # so that loading it again makes none
    token = ApiToken.objects.get()
    text = re.search(r"<code>(\w+)</code>", answer.content.decode())[1]
    assert "no-store" in answer["Cache-Control"]
    assert text not in page(manager_client, "contractor", contractor.pk)
    assert (token.name, token.is_sandbox, token.user.username) == ("crm", True, "acme")
    assert Client(headers={"Authorization": f"Token {text}"}).get("/api/contractors").status_code == 403
    rotated = manager_client.post(
        reverse("territories:rotate-token", args=[contractor.pk]),
        {"token": token.token_key, "hours": "24"},
        follow=True,
    )
    assert "shown only now" in rotated.content.decode()
    assert ApiToken.objects.count() == 2
    url = reverse("territories:revoke-token", args=[contractor.pk])
    assert (
        "opens nothing any more" in manager_client.post(url, {"token": token.token_key}, follow=True).content.decode()
    )
    assert manager_client.post(url, {"token": token.token_key}).status_code == 409
    assert manager_client.post(url, {"token": "\0"}).status_code == 409
    bad = manager_client.post(reverse("territories:make-token", args=[contractor.pk]), {"name": "", "days": "-3"})
    assert bad.status_code == 422


def test_a_version_that_was_never_there_is_stale_and_saves_on_the_second_try(manager_client) -> None:
    contractor = make_contractor(company="Acme")
    url = reverse("territories:edit-contractor", args=[contractor.pk])
    for version in ("999999", "9" * 30):
        answer = manager_client.post(url, FORM | {"version": version})
        assert answer.status_code == 409
        assert "nothing of yours was saved" in answer.content.decode()
        assert 'name="version" value="0"' in answer.content.decode()
    assert manager_client.post(url, FORM | {"version": "0"}).status_code == 302
    answer = manager_client.post(url, FORM | {"price": "50.00", "version": "999999"})
    assert answer.status_code == 409
    assert "Harbor Roofing" in answer.content.decode().split('id="stale"')[1].split("</form>")[0]


def test_names_that_differ_in_what_nobody_sees_are_the_same(manager_client, manager) -> None:
    make_contractor(company="Harbor Roofing")
    for company in ("Harbor  Roofing", "Harbor\u00a0Roofing", "Har\u200bbor Roofing "):
        made = manager_client.post(reverse("territories:new-contractor"), FORM | {"company": company})
        assert "There is a contractor called Harbor Roofing already" in made.content.decode()
        body = {"company": company}
        told = api_client(manager).post("/api/contractors", body, content_type="application/json")
        assert told.status_code == 400
    blank = manager_client.post(reverse("territories:new-contractor"), FORM | {"company": "\u200b\u2060"})
    assert "Write the name with letters that show." in blank.content.decode()
    manager_client.post(reverse("territories:new-contractor"), FORM | {"company": " Old\u2003  Pier\t Co "})
    assert Contractor.objects.latest("pk").company == "Old Pier Co"


def test_a_contractors_referrals_are_counted_by_state_and_each_count_leads_to_them(manager_client) -> None:
    contractor = make_contractor()
    for status in ("delivered", "delivered", "converted", "returned", "cancelled", "cancelled", "cancelled"):
        make_referral(contractor=contractor, status=status)
    html = page(manager_client, "contractor", contractor.pk)
    address = f"/referrals/?view=list&amp;contractor={contractor.pk}&amp;status="
    for label, status, count in (
        ("Assigned, not delivered", "assigned", 0),
        ("Delivered, still open", "delivered", 2),
        ("Converted", "converted", 1),
        ("Returned", "returned", 1),
        ("Cancelled", "cancelled", 3),
    ):
        assert f'<span>{label}</span><strong><a href="{address}{status}">{count}</a>' in html
    assert "/referrals/report/" in html


def test_the_link_to_the_webhook_is_for_those_who_may_open_it(manager_client, viewer_client) -> None:
    contractor = make_contractor()
    url = reverse("territories:webhook", args=[contractor.pk])
    assert url in page(manager_client, "contractor", contractor.pk)
    assert url not in page(viewer_client, "contractor", contractor.pk)
    assert viewer_client.get(url).status_code == 403


READS = ("contractors", "contractor")
WRITES = ("new-contractor", "edit-contractor", "pause-contractor", "resume-contractor", "end-contractor")
POSTS = ("make-login", "make-token", "rotate-token", "revoke-token")


@pytest.mark.parametrize("role", ["viewer", "analyst", "manager", "admin", "contractor"])
def test_every_role_gets_what_it_may_and_nothing_else(person, role) -> None:
    client, contractor = Client(), make_contractor()
    client.force_login(person(role))
    may_see, may_change = role != "contractor", role in ("manager", "admin")
    for name in READS + WRITES + POSTS:
        url = reverse(f"territories:{name}", args=[] if name in ("contractors", "new-contractor") else [contractor.pk])
        got, posted = client.get(url).status_code, client.post(url).status_code
        if name in READS:
            assert (got, posted) == ((200, 405) if may_see else (403, 405)), url
        elif name in WRITES:
            assert (got == 200, posted != 403) == (may_change, may_change), url
        else:
            assert (got, posted != 403) == (405, may_change), url
    api = api_client(client_user(client))
    assert api.get("/api/contractors").status_code == (200 if may_see else 403)
    body = {"company": "New"}
    made = api.post("/api/contractors", body, content_type="application/json").status_code
    assert made == (201 if may_change else 403)
    for act in ("pause", "resume", "end"):
        status = api.post(f"/api/contractors/{contractor.pk}/{act}").status_code
        assert (status != 403) == may_change


def client_user(client: Client):
    from accounts.models import User

    return User.objects.get(pk=client.session["_auth_user_id"])


def test_the_admin_keeps_the_state_and_deletes_nothing(person) -> None:
    admin = person("admin")
    admin.is_staff = True
    admin.save()
    client, contractor = Client(), make_contractor(status="paused", created_at=NOW)
    client.force_login(admin)
    url = f"/admin/territories/contractor/{contractor.pk}/change/"
    assert client.get(url).status_code == 200
    assert client.get("/admin/territories/contractor/").status_code == 200
    inline = {
        "contacts-TOTAL_FORMS": "1",
        "contacts-INITIAL_FORMS": "0",
        "contacts-0-name": "Ada",
        "contacts-0-contractor": contractor.pk,
    }
    answer = client.post(url, FORM | inline | {"status": "active", "auto_return_reasons": ["sold"]})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    contractor.refresh_from_db()
    assert (contractor.company, contractor.status, contractor.auto_return_reasons) == (
        "Harbor Roofing",
        "paused",
        ["sold"],
    )
    assert contractor.contacts.get().name == "Ada"
    assert client.post(url.replace("change", "delete")).status_code == 403
    made = client.post(
        "/admin/territories/contractor/add/", FORM | inline | {"company": "By admin", "contacts-0-contractor": ""}
    )
    assert made.status_code == 302
    assert Contractor.objects.get(company="By admin").created_at is not None
