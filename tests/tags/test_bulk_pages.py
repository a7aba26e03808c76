"""Selecting leads, confirming, the bar and the result, undo; on the pages and over the API."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils.html import escape

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from tags.models import LeadTag, Tag
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
API = "/api/leads/bulk-tag"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch) -> None:
    monkeypatch.setattr("jobs.operations.announce_job", lambda **kwargs: None)


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())).strip()


def do(job_id: int) -> Job:
    done = run_job(job_id=job_id)
    assert done is not None
    return done


def hidden_fields(page: str) -> dict[str, list[str]]:
    """What the form that starts the job sends."""
    form = re.findall(r'<form class="form-end" method="post".*?</form>', page, re.DOTALL)[0]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form):
        if name != "csrfmiddlewaretoken":
            fields.setdefault(name, []).append(value.replace("&amp;", "&"))
    return fields


# The table of all leads -----------------------------------------------------------------------------------------------


def test_an_analyst_can_select_rows_and_a_viewer_cannot(viewer_client, analyst_client):
    lead, old = make_lead(address="1 MAIN ST"), make_tag(name="Old one", is_archived=True)
    page = analyst_client.get("/leads/").content.decode()
    assert f'name="lead" value="{lead.pk}" form="bulk-form"' in page
    assert "Select 1 MAIN ST" in page
    assert page.count('formaction="/tags/bulk/"') == 2
    assert re.search(rf'<optgroup label="Archived[^>]*><option value="{old.pk}">', page)
    seen = viewer_client.get("/leads/").content.decode()
    assert "bulk-form" not in seen
    assert 'type="checkbox" name="lead"' not in seen


def test_all_that_match_are_offered_where_a_page_does_not_hold_them(analyst_client, monkeypatch):
    monkeypatch.setattr("leads.queries.PAGE_SIZE", 2)
    for city in ("HOBOKEN", "HOBOKEN", "HOBOKEN", "NEWARK"):
        make_lead(city=city)
    page = analyst_client.get("/leads/", {"city": "Hoboken", "sort": "zip", "page": "2"}, headers=HTMX)
    assert "All 3 that match this filter" in text_of(page)
    assert b'<input type="hidden" name="filter" value="city=Hoboken">' in page.content
    assert "All 4 leads" in text_of(analyst_client.get("/leads/"))
    assert "that match this filter" not in text_of(analyst_client.get("/leads/", {"city": "Newark"}))


# Confirming -----------------------------------------------------------------------------------------------------------


def test_the_confirmation_counts_what_changes_and_shows_a_sample(analyst_client):
    tag, mark = make_tag(name="Haunted", base_score=100), make_tag(name="Mark")
    for number in range(10):
        make_scored_lead(tags=[mark, tag] if number < 3 else [mark], address=f"{number} MAIN ST")
    address = f"/tags/bulk/?action=add&tag={tag.pk}&all=1&filter=tags%3D{mark.pk}"
    response = analyst_client.get(address)
    page = response.content.decode()
    assert "Add Haunted to 10 leads" in text_of(response)
    assert "All that match Tags: Mark" in text_of(response)
    counts = [re.search(rf'id="bulk-{name}">([^<]*)<', page)[1] for name in ("count", "changing", "unchanged")]
    assert counts == ["10", "7", "3"]
    assert len(re.findall('<span class="line">', page)) == 7
    assert "0 MAIN ST" not in page
    assert f'href="/leads/?tags={mark.pk}"' in page
    assert not Job.objects.exists()
    assert not LeadTag.objects.filter(tag=tag).count() > 3


def test_a_large_selection_shows_eight(analyst_client):
    tag = make_tag()
    for _ in range(12):
        make_lead()
    response = analyst_client.get("/tags/bulk/", {"action": "add", "tag": tag.pk, "all": "1"})
    assert response.content.decode().count('<span class="line">') == 8
    assert "The best 8 of 12 that change" in text_of(response)
    assert "All leads, without any filter" in text_of(response)


def test_from_the_confirmation_to_the_result_and_back(analyst_client, analyst, django_capture_on_commit_callbacks):
    tag = make_tag(name="Haunted", base_score=250)
    had = make_scored_lead(tags=[tag], city="HOBOKEN")
    leads = [make_scored_lead(tags=[], city="HOBOKEN") for _ in range(2)]
    make_scored_lead(tags=[], city="NEWARK")
    page = analyst_client.get(f"/tags/bulk/?action=add&tag={tag.pk}&all=1&filter=city%3DHoboken").content.decode()
    fields = hidden_fields(page)
    assert fields["count"] == ["3"]
    started = analyst_client.post("/tags/bulk/", fields)
    job = Job.objects.get()
    assert started.url == f"/tags/bulk/{job.pk}/"
    assert job.title == "Add Haunted to 3 leads"
    assert job.created_by == analyst
    waiting = analyst_client.get(started.url)
    assert b'hx-trigger="every 1s"' in waiting.content
    assert b'id="undo"' not in waiting.content
    with django_capture_on_commit_callbacks(execute=True):
        do(job.pk)
    part = analyst_client.get(started.url, headers=HTMX)
    assert part.status_code == 286
    assert b"<html" not in part.content
    assert b'id="changed">2<' in part.content
    assert b'id="unchanged">1<' in part.content
    assert {lead.score for lead in Lead.objects.filter(pk__in=[one.pk for one in leads])} == {250}
    on_job_page = analyst_client.get(f"/jobs/{job.pk}/").content.decode()
    assert f'action="/tags/bulk/{job.pk}/undo/"' in on_job_page
    assert f'href="/tags/bulk/{job.pk}/"' in on_job_page

    undoing = analyst_client.post(f"/tags/bulk/{job.pk}/undo/")
    undo = Job.objects.get(kind="undo-bulk-tag")
    assert undoing.url == f"/tags/bulk/{undo.pk}/"
    assert "It is being undone" in text_of(analyst_client.get(started.url))
    LeadTag.objects.filter(lead=leads[0]).update(removed_at=NOW)  # somebody took it off since
    with django_capture_on_commit_callbacks(execute=True):
        do(undo.pk)
    result = analyst_client.get(undoing.url)
    assert b'id="put-back">1<' in result.content
    assert b'id="left">1<' in result.content
    assert re.findall('<span class="line">([^<]*)<', result.content.decode()) == [leads[0].address]
    assert "It was undone" in text_of(analyst_client.get(started.url))
    assert b'id="undo"' not in analyst_client.get(started.url).content
    assert set(LeadTag.objects.kept().values_list("lead_id", flat=True)) == {had.pk}


def test_ticked_leads_alone_change(analyst_client):
    tag = make_tag()
    first, second, third = (make_scored_lead(tags=[tag]) for _ in range(3))
    asked = {"action": "remove", "tag": tag.pk, "lead": [first.pk, third.pk], "filter": "city=Hoboken"}
    page = analyst_client.get("/tags/bulk/", asked)
    assert "Selected one by one" in text_of(page)
    analyst_client.post("/tags/bulk/", hidden_fields(page.content.decode()))
    do(Job.objects.get().pk)
    assert set(LeadTag.objects.kept().values_list("lead_id", flat=True)) == {second.pk}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"tag": ""}, "Choose a tag first."),
        ({"tag": "999999"}, "That tag is not there any more; choose another."),
        ({"tag": "²"}, "That tag is not there any more"),
        ({"action": "burn"}, "“burn” is nothing that can be done with tags"),
        ({"all": ""}, "No lead is selected."),
        ({"all": "", "lead": "999999"}, "There is no lead with the id 999999."),
        ({"all": "", "lead": "x"}, "“x” is not the id of a lead."),
        ({"filter": "zip=7030"}, "“7030” is not a ZIP; write five digits, such as 07030."),
        ({"filter": "tags=999999"}, "There is no tag with the id 999999."),
        ({"filter": "town=Hoboken"}, "Unknown filter; the filters are"),
        ({"filter": "q=a\x00b"}, "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_done_is_said_before_and_at_the_start(analyst_client, asked, words):
    tag = make_tag()
    make_lead()
    query = {"action": "add", "tag": tag.pk, "all": "1", "filter": ""} | asked
    for response in (
        analyst_client.get("/tags/bulk/", query),
        analyst_client.post("/tags/bulk/", query | {"count": 1}),
    ):
        assert response.status_code == 422
        assert escape(words) in response.content.decode()
        assert "Nothing was changed." in text_of(response)
        assert b'id="bulk-start"' not in response.content
    assert not Job.objects.exists()


def test_an_archived_tag_can_be_removed_only(analyst_client):
    tag = make_tag(name="Old one", is_archived=True)
    assign(make_lead(), tag)
    asked = {"tag": tag.pk, "all": "1", "filter": "", "count": "1"}
    for response in (
        analyst_client.get("/tags/bulk/", asked | {"action": "add"}),
        analyst_client.post("/tags/bulk/", asked | {"action": "add"}),
    ):
        assert response.status_code == 422
        assert "“Old one” is archived and cannot be added." in text_of(response)
    assert analyst_client.post("/tags/bulk/", asked | {"action": "remove"}).status_code == 302


def test_where_nothing_would_change_there_is_no_button(analyst_client):
    tag = make_tag()
    make_scored_lead(tags=[tag])
    asked = {"action": "add", "tag": tag.pk, "all": "1", "filter": ""}
    response = analyst_client.get("/tags/bulk/", asked)
    assert "every one of these leads carries the tag already" in text_of(response)
    assert b'id="bulk-start"' not in response.content
    empty = analyst_client.get("/tags/bulk/", asked | {"filter": "city=Nowhere"})
    assert "No lead matches this filter, so there is nothing to do." in text_of(empty)
    started = analyst_client.post("/tags/bulk/", asked | {"filter": "city=Nowhere", "count": "0"})
    assert started.status_code == 422
    assert not Job.objects.exists()


def test_a_count_that_has_changed_since_asks_again(analyst_client):
    tag = make_tag()
    for _ in range(3):
        make_lead()
    asked = {"action": "add", "tag": tag.pk, "all": "1", "filter": "", "count": "2"}
    response = analyst_client.post("/tags/bulk/", asked)
    assert response.status_code == 409
    assert "3 leads match now, and 2 were confirmed. Nothing was changed" in text_of(response)
    assert hidden_fields(response.content.decode())["count"] == ["3"]
    assert analyst_client.post("/tags/bulk/", asked | {"count": "many"}).status_code == 422
    assert not Job.objects.exists()


def test_a_job_that_stopped_over_its_count_leads_back_to_the_confirmation(analyst_client):
    tag = make_tag()
    make_lead(city="HOBOKEN")
    query = {"action": "add", "tag": tag.pk, "all": "1", "filter": "city=Hoboken"}
    address = analyst_client.post("/tags/bulk/", query | {"count": "1"}).url
    make_lead(city="HOBOKEN")
    do(Job.objects.get().pk)
    page = analyst_client.get(address).content.decode()
    assert "2 leads match now, and 1 were confirmed" in page
    again = re.search(r'href="([^"]*)" id="again"', page)[1].replace("&amp;", "&")
    assert parse_qs(urlsplit(again).query) == {name: [str(value)] for name, value in query.items()}
    assert b'id="bulk-count">2<' in analyst_client.get(again).content


def test_what_cannot_be_undone_is_left_and_said(analyst_client):
    tag = make_tag()
    lead = make_scored_lead(tags=[tag])
    asked = {"action": "add", "tag": tag.pk, "lead": lead.pk, "count": "1"}
    address = analyst_client.post("/tags/bulk/", asked).url
    too_soon = analyst_client.post(f"{address}undo/", follow=True)
    assert "It is still at work." in text_of(too_soon)
    do(Job.objects.get().pk)
    page = analyst_client.get(address)
    assert "It changed nothing, so there is nothing to undo." in text_of(page)
    assert b'id="undo"' not in page.content


def test_rights_of_the_pages(viewer_client, analyst_client, manager_client, person):
    tag, lead = make_tag(), make_lead()
    asked = {"action": "add", "tag": tag.pk, "lead": lead.pk, "count": "1"}
    address = manager_client.post("/tags/bulk/", asked).url
    do(Job.objects.get().pk)
    assert viewer_client.get("/tags/bulk/", asked).status_code == 403
    assert viewer_client.post("/tags/bulk/", asked).status_code == 403
    assert viewer_client.post(f"{address}undo/").status_code == 403
    seen = viewer_client.get(address)
    assert b'id="changed">1<' in seen.content
    assert b'id="undo"' not in seen.content
    assert b"/undo/" not in viewer_client.get(f"/jobs/{Job.objects.get().pk}/").content
    stranger = Client()
    stranger.force_login(person("contractor"))
    assert stranger.get(address).status_code == 403
    assert Client().get("/tags/bulk/").url.startswith("/login/")
    assert analyst_client.get(f"{address}undo/").status_code == 405
    assert analyst_client.post(f"{address}undo/").status_code == 302


def test_another_kind_of_job_has_no_such_page(manager_client):
    job = Job.objects.create(kind="test", title="Other", as_of=NOW, created_at=NOW)
    assert manager_client.get(f"/tags/bulk/{job.pk}/").status_code == 404
    assert manager_client.post(f"/tags/bulk/{job.pk}/undo/").status_code == 404


# The API --------------------------------------------------------------------------------------------------------------


def send(client: Client, body: Any) -> Any:
    return client.post(API, body, content_type="application/json")


@pytest.fixture
def api(analyst) -> Client:
    return api_client(analyst)


def test_the_api_counts_starts_and_undoes(api):
    tag, mark = make_tag(name="Haunted"), make_tag()
    for number in range(4):
        make_scored_lead(tags=[mark, tag] if number == 0 else [mark])
    make_scored_lead(tags=[])
    body = {"action": "add", "tag": tag.pk, "filter": {"tags": [mark.pk], "score_min": 0}}
    counted = send(api, body | {"dry_run": True})
    assert counted.status_code == 200
    assert counted.json() == {"count": 4, "changing": 3, "unchanged": 1}
    assert not Job.objects.exists()
    started = send(api, body | {"expected_count": 4})
    job = started.json()["job"]
    assert started.status_code == 202
    assert started["Location"] == f"/api/jobs/{job['id']}"
    assert job["kind"] == "bulk-tag"
    assert problem(api.post(f"{API}/{job['id']}/undo"), 409)["code"] == "not_undone"
    do(job["id"])
    assert api.get(f"/api/jobs/{job['id']}").json()["result"] == {"leads": 4, "changed": 3, "unchanged": 1}
    undo = api.post(f"{API}/{job['id']}/undo")
    assert undo.status_code == 202
    assert api.post(f"{API}/{job['id']}/undo").json()["job"]["id"] == undo.json()["job"]["id"]
    result = do(undo.json()["job"]["id"]).result
    assert result == {"leads": 3, "put_back": 3, "left_because_changed_since": 0}
    assert LeadTag.objects.filter(tag=tag).count() == 1


def test_a_repeated_start_with_the_same_key_starts_one_job(api):
    tag, lead = make_tag(), make_scored_lead(tags=[])
    body = {"action": "add", "tag": tag.pk, "lead_ids": [lead.pk]}
    first, again = (
        api.post(API, body, content_type="application/json", headers={"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert again["Idempotent-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_the_api_takes_ids(api):
    tag = make_tag()
    leads = [make_scored_lead(tags=[tag]) for _ in range(3)]
    started = send(api, {"action": "remove", "tag": tag.pk, "lead_ids": [lead.pk for lead in leads[:2]]})
    do(started.json()["job"]["id"])
    assert set(LeadTag.objects.kept().values_list("lead_id", flat=True)) == {leads[2].pk}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"tag": 999_999}, "tag", "There is no tag with the id 999999."),
        ({"tag": 10**30}, "tag", "There is no tag with the id 1000000000"),
        ({"tag": None}, "tag", "may not be null"),
        ({"action": "burn"}, "action", "not a valid choice"),
        ({"filter": None}, "filter", "may not be null"),
        ({"filter": []}, "filter", "Expected a dictionary"),
        ({"filter": {"zip": "7030"}}, "filter.zip", "“7030” is not a ZIP"),
        ({"filter": {"tags": [999_999]}}, "filter.tags", "There is no tag with the id 999999."),
        ({"filter": {"tags": []}}, "filter.tags", "leave it out where it should not filter"),
        ({"filter": {"q": " "}}, "filter.q", "leave it out where it should not filter"),
        ({"filter": {"q": {"a": 1}}}, "filter.q", "Give a text or a number"),
        ({"filter": {"q": True}}, "filter.q", "Give a text or a number"),
        ({"filter": {"town": "Hoboken"}}, "filter.town", "Unknown filter; the filters are"),
        ({"filter": {"city": "Nowhere"}}, "filter", "No lead matches this filter"),
        ({"filter": {"q": "a\x00b"}}, "filter.q", "Null characters are not allowed."),
        ({"lead_ids": [1]}, "request", "either `filter` or `lead_ids`"),
        ({"dryrun": True}, "dryrun", "Unknown field; the fields here are action, tag, filter"),
        ({"expected_count": -1}, "expected_count", "greater than or equal to 0"),
        ({"dry_run": "perhaps"}, "dry_run", "valid boolean"),
    ],
)
def test_bad_values_are_named_and_nothing_is_done(api, change, field, words):
    tag = Tag.objects.earliest("pk")
    make_lead()
    body = {"action": "add", "tag": tag.pk, "filter": {}} | change
    assert words in " ".join(problem(send(api, body), 400)["errors"][field])
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], "No lead is selected."),
        ([999_998, 999_999], "There is no lead with the ids 999998, 999999."),
        ([-1, 10**30], f"There is no lead with the ids -1, {10**30}."),
        (list(range(1, 10_002)), "These are 10,001 leads; name at most 10,000"),
    ],
)
def test_ids_that_cannot_be_are_listed(api, ids, words):
    body = {"action": "add", "tag": make_tag().pk, "lead_ids": ids}
    for dry_run in (True, False):
        assert words in problem(send(api, body | {"dry_run": dry_run}), 400)["errors"]["lead_ids"][0]
    assert not Job.objects.exists()


def test_neither_filter_nor_ids_is_not_all_leads(api):
    make_lead()
    refusal = problem(send(api, {"action": "add", "tag": make_tag().pk}), 400)
    assert "An empty filter is all leads" in refusal["detail"]
    assert "Send a JSON object" in problem(send(api, [1]), 400)["detail"]
    assert problem(api.post(API, {"action": "add"}), 415)


def test_another_count_than_expected_is_a_conflict_that_names_it(api):
    tag = make_tag()
    for _ in range(3):
        make_lead()
    body = {"action": "add", "tag": tag.pk, "filter": {}, "expected_count": 2}
    for dry_run in (True, False):
        conflict = problem(send(api, body | {"dry_run": dry_run}), 409)
        assert (conflict["code"], conflict["count"], conflict["expected_count"]) == ("count_differs", 3, 2)
    assert not Job.objects.exists()


def test_an_archived_tag_is_refused_by_the_api_too(api):
    tag = make_tag(is_archived=True)
    assign(make_lead(), tag)
    body = {"action": "add", "tag": tag.pk, "filter": {}}
    assert "is archived and cannot be added" in problem(send(api, body), 400)["errors"]["tag"][0]
    assert send(api, body | {"action": "remove"}).status_code == 202


def test_rights_of_the_api(viewer, manager):
    tag = make_tag()
    make_lead()
    body = {"action": "add", "tag": tag.pk, "filter": {}}
    viewing, managing = api_client(viewer), api_client(manager)
    problem(send(viewing, body | {"dry_run": True}), 403)
    started = send(managing, body)
    job_id = started.json()["job"]["id"]
    do(job_id)
    problem(viewing.post(f"{API}/{job_id}/undo"), 403)
    assert managing.post(f"{API}/{job_id}/undo").status_code == 202


def test_only_bulk_changes_of_tags_can_be_undone_here(api):
    job = Job.objects.create(kind="test", title="Other", as_of=NOW, created_at=NOW)
    assert "no bulk change of tags with the job id" in problem(api.post(f"{API}/{job.pk}/undo"), 404)["detail"]
    problem(api.post(f"{API}/{10**18}/undo"), 404)


def test_a_tag_of_the_filter_that_is_gone_since_does_not_break_the_page(analyst_client):
    tag, mark = make_tag(), make_tag()
    make_scored_lead(tags=[mark])
    asked = {"action": "add", "tag": tag.pk, "all": "1", "filter": f"tags={mark.pk}", "count": "1"}
    address = analyst_client.post("/tags/bulk/", asked).url
    do(Job.objects.get().pk)
    Tag.objects.filter(pk=mark.pk).update(is_archived=True)
    assert f"tags: {mark.pk}" in text_of(analyst_client.get(address))
