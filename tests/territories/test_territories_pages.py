"""Pages of territories: the table, free ZIPs, assigning in bulk, one ZIP, the line, and proof of exclusivity."""

import datetime as dt
import io
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from territories.holdings.exclusivity import prove_exclusivity
from territories.holdings.operations import end_territories, join_waitlist
from territories.holdings.places import CountyRefused
from territories.models import Referral, Territory, TerritoryWait
from tests.conftest import NOW
from tests.factories import make_lead
from tests.territories.holders import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def page(client: Client, name: str, *args: object, query: str = "", status: int = 200) -> str:
    response = client.get(reverse(f"territories:{name}", args=args) + query)
    assert response.status_code == status
    return response.content.decode()


def zips_of(html: str) -> list[str]:
    return re.findall(r'<th scope="row" class="k-name"><a href="/territories/zip/(\d{5})/"', html)


# The table ------------------------------------------------------------------------------------------------------------


def test_an_empty_table_says_what_next(manager_client, viewer_client) -> None:
    assert "Nobody holds a ZIP yet" in page(manager_client, "territories")
    assert "/territories/assign/" not in page(viewer_client, "territories")
    assert "No free ZIP with such leads" in page(manager_client, "territories", query="?show=free")


def test_the_table_is_filtered_and_sorted_by_its_address(viewer_client) -> None:
    at = timezone.now()
    acme, zeta = make_contractor(company="Acme"), make_contractor(company="Zeta")
    make_territory(zeta, "07030", to_at=at + DAY)
    make_territory(acme, "08540")
    make_territory(acme, "07302", from_at=at + DAY, taken_up_at=None)
    make_territory(acme, "07303", from_at=at - 9 * DAY, to_at=at - DAY)  # over
    make_territory(acme, "07304", from_at=at + DAY, to_at=at + DAY)  # called off
    for query, expected in {
        "": ["07030", "08540"],
        "?sort=contractor": ["08540", "07030"],
        "?sort=nonsense&page=x": ["07030", "08540"],
        "?zip=07": ["07030"],
        f"?contractor={acme.pk}": ["08540"],
        "?show=future": ["07302"],
        "?show=all": ["07030", "07302", "08540"],
        "?zip=%27%00;drop": ["07030", "08540"],
    }.items():
        assert zips_of(page(viewer_client, "territories", query=query)) == expected, query


def test_the_table_is_narrowed_to_a_state(viewer_client, monkeypatch) -> None:
    make_territory(make_contractor(), "07030")
    make_territory(make_contractor(), "10001")
    monkeypatch.setattr("territories.holdings.views.zips_of_state", lambda code: {"NJ": ["07030"]}.get(code, []))
    assert zips_of(page(viewer_client, "territories", query="?state=nj")) == ["07030"]


def test_free_zips_come_with_the_leads_that_wait_best_first(viewer_client) -> None:
    make_territory(make_contractor(), "07030")
    for zip_code, scores in {"07030": [900], "07302": [100, 200, 600], "07305": [700]}.items():
        for score in scores:
            make_lead(zip=zip_code, score=score)
    make_lead(zip="07302", score=999, suppressed_at=NOW, suppressed_reason="asked")
    make_referral(make_lead(zip="07302", score=950), contractor=make_contractor(), status="delivered")
    html = page(viewer_client, "territories", query="?show=free")
    assert zips_of(html) == ["07302", "07305"]
    row = html.split("/territories/zip/07302/")[1].split("</tr>")[0]
    assert re.findall(r'data-label="\w+">([\d,]+)<', row) == ["3", "600", "300"]
    assert zips_of(page(viewer_client, "territories", query="?show=free&sort=score")) == ["07305", "07302"]
    assert zips_of(page(viewer_client, "territories", query="?show=free&score=650")) == ["07305"]


def test_many_rows_cost_no_more_queries(viewer_client, django_assert_max_num_queries) -> None:
    acme = make_contractor()
    for number in range(60):
        make_territory(acme, f"07{number:03}")
    with django_assert_max_num_queries(14):
        html = page(viewer_client, "territories")
    assert len(zips_of(html)) == 50
    assert len(zips_of(page(viewer_client, "territories", query="?page=2"))) == 10


def test_a_free_zip_is_offered_to_the_first_in_line(manager_client) -> None:
    holder, first = make_contractor(), make_contractor(company="First & Sons")
    territory = make_territory(holder, "07030")
    join_waitlist(zip_code="07030", contractor=first, at=NOW)
    join_waitlist(zip_code="07030", contractor=make_contractor(company="Second"), at=NOW + DAY)
    assert "somebody in line" not in page(manager_client, "territories")
    end_territories(ids=[territory.pk], by=None, at=timezone.now())
    html = page(manager_client, "territories")
    assert "1 free ZIP has somebody in line" in html
    assert "to First &amp; Sons" in html
    assert f"zips=07030&amp;contractor={first.pk}" in html
    assert f'value="{first.pk}" selected' in page(manager_client, "assign", query=f"?zips=07030&contractor={first.pk}")


# Assigning ------------------------------------------------------------------------------------------------------------


def test_a_preview_lists_every_conflict_and_commits_the_rest(manager_client) -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    make_territory(other, "07030")
    make_lead(zip="07302", score=444)
    url = reverse("territories:assign")
    asked = {"contractor": acme.pk, "zips": "07030 7302, 07305-1234"}
    html = manager_client.post(url, asked).content.decode()
    assert '<strong id="free-count">2</strong>' in html
    assert '<strong id="taken-count">1</strong>' in html
    assert "<td>Other</td>" in html
    assert "444" in html
    assert Territory.objects.count() == 1
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))
    assert hidden["zips"] == "07302 07305"
    answer = manager_client.post(url, hidden, follow=True)
    assert "Acme got 2 ZIPs" in answer.content.decode()
    assert sorted(acme.territories.values_list("zip", flat=True)) == ["07302", "07305"]


def test_who_takes_a_zip_reads_before_and_after_what_waits_there_and_what_expires(manager_client) -> None:
    acme = make_contractor(company="Acme", min_score=500)
    for score in (900, 100, 200):
        waits_until = timezone.now() + dt.timedelta(days=1)
        make_referral(make_lead(zip="07302", score=score), status="generated", score=score, expires_at=waits_until)
    asked = {"contractor": acme.pk, "zips": "07302"}
    html = manager_client.post(reverse("territories:assign"), asked).content.decode()
    assert "3 leads wait in these ZIPs for a holder. They go to Acme, best first, as far as its wishes and caps" in html
    html = manager_client.post(reverse("territories:assign"), asked | {"confirm": "1"}, follow=True).content.decode()
    assert "Of the leads that waited there 1 went to it; 2 fit no longer and expired." in html


def test_a_period_that_is_over_is_refused_and_one_that_began_before_says_so(manager_client, settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    acme = make_contractor(company="Acme")
    asked = {"contractor": acme.pk, "zips": "07030", "from_date": "2020-01-01"}
    over = manager_client.post(reverse("territories:assign"), asked | {"to_date": "2021-01-01", "confirm": "1"})
    assert over.status_code == 422
    assert "would rewrite who held the ZIP" in over.content.decode()
    assert not Territory.objects.exists()
    html = manager_client.post(reverse("territories:assign"), asked).content.decode()
    assert "begins at once" not in html
    assert "before it was entered, and the proof of exclusivity will say so" in html
    html = manager_client.post(reverse("territories:assign"), asked | {"confirm": "1"}, follow=True).content.decode()
    assert "It counts from Jan 1, 2020." in html
    assert "entered " in page(manager_client, "exclusivity", query="?zip=07030")
    answer = manager_client.get(reverse("territories:exclusivity"), {"zip": "07030", "format": "csv"})
    header, _, held = b"".join(answer.streaming_content).decode().splitlines()
    assert header.endswith(",entered_late")
    assert held.endswith(Territory.objects.get().created_at.strftime(",%Y-%m-%dT%H:%M:%S+00:00"))


def test_zips_that_no_table_knows_are_marked(manager_client) -> None:
    asked = {"contractor": make_contractor().pk, "zips": "07030 00001"}
    html = manager_client.post(reverse("territories:assign"), asked).content.decode()
    assert "The table of ZIPs does not know 1 of these:</strong> 00001." in html
    assert html.count("not in the table of ZIPs") == 1


def test_whoever_was_quicker_is_named_and_nothing_is_given(manager_client) -> None:
    acme, quick = make_contractor(company="Acme"), make_contractor(company="Quick")
    make_territory(quick, "07302")
    asked = {"contractor": acme.pk, "zips": "07030 07302", "confirm": "1"}
    answer = manager_client.post(reverse("territories:assign"), asked)
    assert answer.status_code == 409
    assert "Somebody was quicker" in answer.content.decode()
    assert "<td>Quick</td>" in answer.content.decode()
    assert not acme.territories.exists()


def test_dates_are_days_of_the_business(manager_client, settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    acme = make_contractor()
    asked = {"contractor": acme.pk, "zips": "07030", "from_date": "2030-07-01", "to_date": "2030-12-01", "confirm": "1"}
    answer = manager_client.post(reverse("territories:assign"), asked, follow=True)
    territory = Territory.objects.get()
    assert territory.from_at == dt.datetime(2030, 7, 1, 4, tzinfo=dt.UTC)
    assert territory.to_at == dt.datetime(2030, 12, 1, 5, tzinfo=dt.UTC)
    assert "It begins Jul 1, 2030" in answer.content.decode()


def test_zips_come_from_a_county_and_a_file_as_well(manager_client, monkeypatch) -> None:
    def zips_of_county(text: str) -> tuple[str, list[str]]:
        if text != "Hudson, NJ":
            raise CountyRefused(f"No county is called “{text}”.")
        return "Hudson, NJ", ["07302", "07305"]

    monkeypatch.setattr("territories.holdings.forms.zips_of_county", zips_of_county)
    url, acme = reverse("territories:assign"), make_contractor()
    asked = {"contractor": acme.pk, "zips": "07030", "county": "Hudson, NJ"}
    html = manager_client.post(url, asked | {"file": io.BytesIO(b"ZIP\n07086\n")}).content.decode()
    assert '<strong id="free-count">4</strong>' in html
    assert 'name="zips" value="07030 07086 07302 07305"' in html
    wrong = manager_client.post(url, asked | {"county": "Nowhere"})
    assert wrong.status_code == 422
    assert "No county is called “Nowhere”" in wrong.content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zips": ""}, "Name at least one ZIP"),
        ({"zips": "07030 Hoboken"}, "“Hoboken” is no ZIP"),
        ({"contractor": "0"}, "valid choice"),
        ({"from_date": "2030-02-01", "to_date": "2030-02-01"}, "end must come after"),
        ({"from_date": "soon"}, "Enter a valid date"),
        ({"file": io.BytesIO(b"City,State\nHoboken,NJ\n")}, "No column is called ZIP"),
    ],
)
def test_what_cannot_be_taken_is_said_and_kept(manager_client, changes, words) -> None:
    asked = {"contractor": make_contractor().pk, "zips": "07030", "note": "as agreed"} | changes
    answer = manager_client.post(reverse("territories:assign"), asked)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert "as agreed" in answer.content.decode()


# One ZIP --------------------------------------------------------------------------------------------------------------


def test_a_zip_shows_holders_events_line_and_what_waits(manager_client) -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    now = timezone.now()
    make_territory(other, "07030", from_at=now - 90 * DAY, to_at=now - 30 * DAY, wound_up_at=now)
    territory = make_territory(acme, "07030", from_at=now - 30 * DAY)
    make_referral(contractor=acme, territory=territory)
    make_lead(score=321)
    join_waitlist(zip_code="07030", contractor=other, at=now)
    html = page(manager_client, "zip", "07030")
    for told in ("held by", "Acme", "ended", "1 lead assigned and not delivered", "321", "Take Other out of the line"):
        assert told in html
    assert "Nobody has ever held it" in page(manager_client, "zip", "10001")
    assert manager_client.get("/territories/zip/0703/").status_code == 404


def test_a_transfer_says_what_expired_because_the_new_holder_does_not_want_it(manager_client) -> None:
    territory = make_territory(make_contractor(), "07030")
    other = make_contractor(company="Other", min_score=500)
    make_referral(make_lead(score=100), contractor=territory.contractor, territory=territory, score=100)
    url = reverse("territories:transfer-territory", args=[territory.pk])
    html = manager_client.post(url, {"contractor": other.pk}, follow=True).content.decode()
    assert "1 waits again. Of the leads that waited there 0 went to it; 1 fit no longer and expired." in html


def test_a_territory_is_transferred_ended_and_called_off_on_the_page_of_its_zip(manager_client) -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    territory = make_territory(acme, "07030")
    make_referral(contractor=acme, territory=territory)
    transfer = reverse("territories:transfer-territory", args=[territory.pk])
    refused = manager_client.post(transfer, {"contractor": acme.pk, "note": "why"})
    assert refused.status_code == 409
    assert "Acme holds 07030 already" in refused.content.decode()
    assert 'value="why"' in refused.content.decode()
    assert manager_client.post(transfer, {"contractor": ""}).status_code == 422
    done = manager_client.post(transfer, {"contractor": other.pk}, follow=True)
    assert "Other holds 07030 now. 1 lead not delivered was taken back; 1 waits again." in done.content.decode()
    new = Territory.objects.get(contractor=other)
    end = reverse("territories:end-territory", args=[new.pk])
    assert manager_client.post(end, {"when": "day", "date": "2001-01-01"}).status_code == 409
    later = manager_client.post(end, {"when": "day", "date": "2040-01-01"}, follow=True)
    assert "Other holds 07030 until Jan 1, 2040" in later.content.decode()
    assert "no longer holds 07030" in manager_client.post(end, {"when": "now"}, follow=True).content.decode()
    future = make_territory(acme, "07030", from_at=timezone.now() + DAY, taken_up_at=None)
    answer = manager_client.post(reverse("territories:end-territory", args=[future.pk]), {"when": "now"}, follow=True)
    assert "is called off for Acme" in answer.content.decode()
    html = page(manager_client, "zip", "07030")
    assert "never began" in html
    assert "Called off" in html


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "Choose when it is to end."),
        ({"date": "2040-02-01"}, "Choose when it is to end."),
        ({"when": "day"}, "Name the day."),
        ({"when": "now", "date": "2040-02-01"}, "You named a day as well."),
        ({"when": "day", "date": "0001-01-01"}, "Choose a day from 1900 to 9000."),
    ],
)
def test_a_territory_ends_only_when_somebody_said_when(manager_client, typed, words) -> None:
    territory = make_territory(make_contractor(), to_at=NOW + 9_999 * DAY)
    answer = manager_client.post(reverse("territories:end-territory", args=[territory.pk]), typed)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    territory.refresh_from_db()
    assert territory.to_at == NOW + 9_999 * DAY


def test_a_planned_end_is_taken_back_where_nobody_follows(manager_client) -> None:
    territory = make_territory(make_contractor(company="Acme"), to_at=NOW + 900 * DAY)
    end = reverse("territories:end-territory", args=[territory.pk])
    assert 'value="never"' in page(manager_client, "zip", "07030")
    done = manager_client.post(end, {"when": "never"}, follow=True).content.decode()
    assert "Acme holds 07030 without an end again." in done
    assert 'value="never"' not in done
    make_territory(make_contractor(), "07031", to_at=NOW + 900 * DAY)
    make_territory(make_contractor(), "07031", from_at=NOW + 900 * DAY)
    assert 'value="never"' not in page(manager_client, "zip", "07031")


def test_people_are_put_in_line_and_taken_out(manager_client) -> None:
    other = make_contractor(company="Other")
    join = reverse("territories:join-line", args=["07030"])
    assert manager_client.post(join, {"contractor": other.pk}).status_code == 409
    make_territory(make_contractor(), "07030")
    assert manager_client.post(join, {}).status_code == 422
    assert "Other stands in line" in manager_client.post(join, {"contractor": other.pk}, follow=True).content.decode()
    wait = TerritoryWait.objects.get()
    leave = reverse("territories:leave-line", args=[wait.pk])
    assert "no longer" in manager_client.post(leave, follow=True).content.decode()
    assert TerritoryWait.objects.get().ended_at is not None


# Proof ----------------------------------------------------------------------------------------------------------------


def prove(**changes):
    values = {"zip_code": "07030", "from_at": NOW - 30 * DAY, "to_at": NOW + 30 * DAY, "at": NOW} | changes
    return prove_exclusivity(**values)


def test_the_proof_shows_every_holder_and_every_gap() -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    make_territory(acme, from_at=NOW - 90 * DAY, to_at=NOW - 20 * DAY)
    make_territory(other, from_at=NOW - 10 * DAY)
    make_territory(other, from_at=NOW - 15 * DAY, to_at=NOW - 15 * DAY)
    make_territory(acme, "07031")
    proof = prove()
    told = [(str(one.territory.contractor) if one.territory else "", one.from_at, one.to_at) for one in proof.stretches]
    assert told == [
        ("Acme", NOW - 30 * DAY, NOW - 20 * DAY),
        ("", NOW - 20 * DAY, NOW - 10 * DAY),
        ("Other", NOW - 10 * DAY, NOW + 30 * DAY),
    ]
    assert [str(one.contractor) for one in proof.called_off] == ["Other"]
    assert proof.is_proven


def test_the_proof_counts_a_lead_that_went_to_somebody_else() -> None:
    acme, other = make_contractor(), make_contractor()
    make_territory(acme)
    make_referral(contractor=acme)
    make_referral(contractor=other, assigned_at=NOW - 60 * DAY)  # before the period
    assert prove().is_proven
    make_referral(contractor=other)
    proof = prove()
    assert (proof.is_proven, proof.strays, proof.count) == (False, 1, 2)


def test_the_proof_ends_before_the_last_moment_of_its_period() -> None:
    make_referral(contractor=make_contractor())  # who does not hold the ZIP
    assert prove(to_at=NOW).strays == 0
    assert prove(to_at=NOW + dt.timedelta(microseconds=1)).strays == 1


def test_the_proof_counts_a_lead_that_two_had_at_once() -> None:
    acme = make_contractor()
    make_territory(acme)
    lead = make_lead()
    make_referral(lead, contractor=acme, status="cancelled", ended_at=NOW + DAY)
    make_referral(lead, contractor=acme, assigned_at=NOW + DAY)
    assert prove().doubles == 0
    Referral.objects.filter(status="cancelled").update(ended_at=NOW + 2 * DAY)
    assert prove().doubles == 1


def test_a_converted_lead_is_had_until_it_is_released() -> None:
    acme = make_contractor()
    make_territory(acme)
    lead = make_lead()
    make_referral(lead, contractor=acme, status="converted", converted_at=NOW, released_at=NOW + DAY)
    make_referral(lead, contractor=acme, assigned_at=NOW + DAY)
    assert prove().doubles == 0
    Referral.objects.filter(status="converted").update(released_at=NOW + 2 * DAY)
    assert prove().doubles == 1


def test_the_proof_is_a_page_to_print_and_a_file(viewer_client) -> None:
    now = timezone.now()
    acme = make_contractor(company="=Acme")
    make_territory(acme, from_at=now - 5 * DAY)
    referral = make_referral(contractor=acme, assigned_at=now)
    make_referral(status="generated", generated_at=now)
    html = page(viewer_client, "exclusivity", query="?zip=07030")
    assert "went to one holder at a time" in html
    assert "nobody yet" in html
    assert "Every lead that was offered: 2" in html
    answer = viewer_client.get(reverse("territories:exclusivity"), {"zip": "07030", "format": "csv"})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[1].startswith('"exclusive: 0 overlaps, 0 strays, 0 doubles"')
    assert [line.split(",")[0] for line in lines[2:]] == ["held by nobody", "held", "referral", "referral"]
    assert "'=Acme" in lines[3]
    assert f",{referral.pk}," in lines[5] or f",{referral.pk}," in lines[4]
    assert page(viewer_client, "exclusivity").count("<h2") == 0
    for query in ("?zip=abc", "?zip=07030&from=2026-02-02&to=2026-01-01", "?zip=07030&to=9999-12-31&from=soon"):
        page(viewer_client, "exclusivity", query=query, status=422)


def test_the_proof_of_days_that_no_calendar_has_is_refused_at_the_day(viewer_client) -> None:
    words = "Choose a day from 1900 to 9000."
    for query in ("to=0001-01-02", "from=0001-01-02", "to=9999-12-31", "from=9999-12-31", "from=1899-12-31"):
        html = page(viewer_client, "exclusivity", query=f"?zip=07030&{query}", status=422)
        name = query.partition("=")[0]
        assert re.findall(r'name="(from|to)"[^>]*><div class="wrong">([^<]+)', html) == [(name, words)], query


def test_the_proof_of_a_time_to_come_ends_with_its_first_day(viewer_client) -> None:
    assert "Jan 1, 2100 to Jan 2, 2100" in page(viewer_client, "exclusivity", query="?zip=07030&from=2100-01-01")


# Rights ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "analyst", "manager", "admin", "contractor"])
def test_every_role_gets_what_it_may_and_nothing_else(person, role) -> None:
    client = Client()
    client.force_login(person(role))
    territory = make_territory(make_contractor())
    wait = join_waitlist(zip_code="07030", contractor=make_contractor(), at=NOW)
    may_see, may_change = role != "contractor", role in ("manager", "admin")
    for name, args in {"territories": [], "exclusivity": [], "zip": ["07030"]}.items():
        url = reverse(f"territories:{name}", args=args)
        assert (client.get(url).status_code, client.post(url).status_code) == (200 if may_see else 403, 405), url
    assert client.get(reverse("territories:assign")).status_code == (200 if may_change else 403)
    posts = {
        "assign": [],
        "end-territory": [territory.pk],
        "transfer-territory": [territory.pk],
        "join-line": ["07030"],
        "leave-line": [wait.pk],
    }
    for name, args in posts.items():
        url = reverse(f"territories:{name}", args=args)
        assert (client.post(url, {"date": "nonsense"}).status_code != 403) == may_change, url
    assert Territory.objects.get().to_at is None
    html = client.get("/").content.decode()
    assert ('href="/territories/"' in html) == may_see
    assert ('href="/contractors/"' in html) == may_see
