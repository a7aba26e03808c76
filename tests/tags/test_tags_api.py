"""GET, POST /api/tags; GET, PATCH /api/tags/{id}."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from tags.models import RuleChange, Tag, TagGroup
from tags.operations import create_unreviewed_tag, publish_rule_change
from tags.queries import version_of
from tests.api import api_client, problem
from tests.factories import make_scored_lead, make_tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


@pytest.fixture
def managing(manager) -> Client:
    return api_client(manager)


def send(client, method, address, body, **headers):
    return getattr(client, method)(address, body, content_type="application/json", headers=headers)


def publish(tag, **fields):
    """A change published apart from the API."""
    tag = Tag.objects.get(pk=tag.pk)
    for name, value in fields.items():
        setattr(tag, name, value)
    return publish_rule_change(save=[tag], by=None, at=timezone.now())


# Reading --------------------------------------------------------------------------------------------------------------


def test_a_tag_tells_its_rules(api) -> None:
    group = TagGroup.objects.create(name="Court papers", cap=2000)
    tag = make_tag(
        name="Lis pendens",
        base_score=900,
        description="Filed",
        color="#d63939",
        expiration_days=365,
        notice_days=14,
        decay_steps=[[90, 80], [180, 50]],
        expired_percent=10,
        reassertion="restart",
        group=group,
        is_archived=True,
        needs_review=True,
    )
    assert api.get(f"/api/tags/{tag.pk}").json() == {
        "id": tag.pk,
        "name": "Lis pendens",
        "description": "Filed",
        "color": "#d63939",
        "base_score": 900,
        "expiration_days": 365,
        "notice_days": 14,
        "decay_steps": [[90, 80], [180, 50]],
        "expired_percent": 10,
        "reassertion": "restart",
        "group": {"id": group.pk, "name": "Court papers", "cap": 2000},
        "is_archived": True,
        "merged_into": None,
        "needs_review": True,
        "version": version_of(tag),
    }


def test_all_tags_come_by_name_page_by_page(api, django_assert_num_queries) -> None:
    found, address = [], "/api/tags?limit=4"
    while address:
        body = api.get(address).json()
        found += [tag["id"] for tag in body["results"]]
        address = body["next"]
    assert found == list(Tag.objects.order_by("name", "id").values_list("pk", flat=True))
    assert len(found) > 8


@pytest.mark.parametrize("tag_id", ["0", "-3", "9223372036854775808", "Foreclosure", "9" * 5000])
def test_an_id_that_names_no_tag_gets_404(api, tag_id) -> None:
    problem(api.get(f"/api/tags/{tag_id}"), 404)


def test_the_list_tells_versions_in_a_constant_number_of_queries(api, django_assert_max_num_queries) -> None:
    tag = make_tag(name="AAA")
    publish(tag, base_score=5)
    with django_assert_max_num_queries(6):
        body = api.get("/api/tags").json()
    assert body["results"][0]["version"] == version_of(tag) > 0
    one = api.get(f"/api/tags/{tag.pk}")
    assert one["ETag"] == f'"{version_of(tag)}"'


# Making ---------------------------------------------------------------------------------------------------------------

WHOLE = {
    "name": "  Haunted   house ",
    "description": "People say so",
    "color": "#aa00FF",
    "base_score": -250,
    "expiration_days": 90,
    "decay_steps": [[30, 80], [60, 40]],
    "expired_percent": 10,
    "reassertion": "restart",
}


def test_a_manager_makes_a_tag_and_its_change_is_kept(managing, manager) -> None:
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    response = send(managing, "post", "/api/tags", WHOLE | {"group": group.pk, "reason": "they sell"})
    assert response.status_code == 201
    tag = Tag.objects.get(name="Haunted house")
    body = response.json()
    assert response["Location"] == f"/api/tags/{tag.pk}"
    assert response["ETag"] == f'"{body["version"]}"'
    assert body == managing.get(response["Location"]).json()
    assert {name: body[name] for name in WHOLE} == WHOLE | {"name": "Haunted house"}
    assert body["group"] == {"id": group.pk, "name": "Ghosts", "cap": 900}
    assert (body["is_archived"], body["needs_review"], body["version"]) == (False, False, version_of(tag))
    change = RuleChange.objects.get()
    assert (change.by, change.reason, change.tag_ids) == (manager, "they sell", [tag.pk])
    assert tag.history.get().rule_change == change


def test_a_name_is_enough(managing) -> None:
    body = send(managing, "post", "/api/tags", {"name": "Haunted"}).json()
    assert (body["base_score"], body["expiration_days"], body["decay_steps"], body["group"]) == (0, None, [], None)


WRONG = [
    ({"name": ""}, "name", "may not be blank"),
    ({"name": "!!"}, "name", "needs a letter or a digit"),
    ({"name": "FORE-closure"}, "name", "Another tag has this name"),
    ({"name": "Foreclosures"}, "name", "former name of another tag"),
    ({"name": "x" * 81}, "name", "no more than 80"),
    ({"name": "\ufb03" * 80}, "name", "at most 160"),
    ({"name": "a\u0000b"}, "name", "Null characters"),
    ({"description": "x" * 201}, "description", "no more than 200"),
    ({"color": "red"}, "color", "#rrggbb"),
    ({"base_score": 100_001}, "base_score", "100000"),
    ({"base_score": "9"}, "base_score", '"9" is not a whole number'),
    ({"base_score": True}, "base_score", "true is not a whole number"),
    ({"base_score": None}, "base_score", "may not be null"),
    ({"expiration_days": 0}, "expiration_days", "greater than or equal to 1"),
    ({"expiration_days": -1}, "expiration_days", "greater than or equal to 1"),
    ({"expiration_days": 1.5}, "expiration_days", "1.5 is not a whole number"),
    ({"expiration_days": 36_501}, "expiration_days", "36500"),
    ({"expiration_days": 10**30}, "expiration_days", "36500"),
    ({"expired_percent": 101}, "expired_percent", "100"),
    ({"reassertion": "sometimes"}, "reassertion", "not a valid choice"),
    ({"decay_steps": [[30, 80], [30, 70]]}, "decay_steps", "does not come after 30"),
    ({"decay_steps": [[30, 101]]}, "decay_steps", "outside 0 to 100"),
    ({"decay_steps": [[30]]}, "decay_steps.0", "at least 2"),
    ({"decay_steps": [["30", 1]]}, "decay_steps.0.0", '"30" is not a whole number'),
    ({"decay_steps": "linear"}, "decay_steps", "Expected a list"),
    ({"decay_steps": [[n, 1] for n in range(1, 14)]}, "decay_steps", "no more than 12"),
    ({"group": 999_999}, "group", "no group with the id 999999"),
    ({"group": 10**30}, "group", "no group with the id"),
    ({"reason": "x" * 101}, "reason", "no more than 100"),
    ({"expiry_days": 3}, "expiry_days", "Unknown field; the fields here are name, description"),
]


@pytest.mark.parametrize(("wrong", "field", "said"), WRONG)
def test_what_cannot_be_taken_is_named_and_nothing_is_made(managing, wrong, field, said) -> None:
    tags = Tag.objects.count()
    errors = problem(send(managing, "post", "/api/tags", {"name": "Haunted"} | wrong), 400)["errors"]
    assert list(errors) == [field]
    assert said in " ".join(errors[field])
    tag = make_tag(name="Old")
    errors = problem(send(managing, "patch", f"/api/tags/{tag.pk}", wrong), 400)["errors"]
    assert said.partition(";")[0] in " ".join(errors[field])
    assert Tag.objects.count() == tags + 1
    assert not RuleChange.objects.exists()


def test_all_that_is_wrong_is_said_at_once(managing) -> None:
    errors = problem(send(managing, "post", "/api/tags", {"colour": "#112233", "base_score": "many"}), 400)["errors"]
    assert list(errors) == ["colour", "name", "base_score"]


@pytest.mark.parametrize("body", ["[]", "3", "null", '"x"', "{", "", "[" * 100_000, '{"name": ' + "9" * 5_000 + "}"])
def test_a_body_that_is_no_object_is_refused(managing, body) -> None:
    problem(send(managing, "post", "/api/tags", body), 400)


def test_other_content_types_are_refused(managing) -> None:
    problem(managing.post("/api/tags", {"name": "Haunted"}), 415)


# Changing -------------------------------------------------------------------------------------------------------------


def test_a_patch_changes_what_it_names_and_leads_follow(managing, django_capture_on_commit_callbacks) -> None:
    tag = make_tag(name="Haunted", base_score=700, description="Kept", decay_steps=[[30, 80]])
    lead = make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=1))
    seen = managing.get(f"/api/tags/{tag.pk}").json()["version"]
    with django_capture_on_commit_callbacks(execute=True):
        response = send(managing, "patch", f"/api/tags/{tag.pk}", {"base_score": 900, "version": seen})
    assert response.status_code == 200
    body = response.json()
    assert (body["base_score"], body["description"], body["decay_steps"]) == (900, "Kept", [[30, 80]])
    assert body["version"] > seen
    assert response["ETag"] == f'"{body["version"]}"'
    run_job(job_id=Job.objects.get().pk)
    lead.refresh_from_db()
    assert lead.score == 900


def test_a_tag_is_archived_and_comes_back_by_patch(managing) -> None:
    tag = make_tag()
    for state in (True, False):
        assert send(managing, "patch", f"/api/tags/{tag.pk}", {"is_archived": state}).json()["is_archived"] is state
    problem(send(managing, "patch", f"/api/tags/{tag.pk}", {"is_archived": "false"}), 400)
    problem(send(managing, "post", "/api/tags", {"name": "Haunted", "is_archived": True}), 400)


def test_a_patch_that_differs_in_nothing_publishes_nothing(managing) -> None:
    tag = make_tag(base_score=700)
    response = send(managing, "patch", f"/api/tags/{tag.pk}", {"base_score": 700})
    assert (response.status_code, response.json()["version"]) == (200, version_of(tag))
    assert not RuleChange.objects.exists()
    for empty in ({}, {"reason": "none"}, {"version": version_of(tag)}):
        problem(send(managing, "patch", f"/api/tags/{tag.pk}", empty), 400)


def test_publishing_a_tag_that_an_import_made_is_its_review(managing) -> None:
    tag = create_unreviewed_tag(name="Haunted", by=None)
    assert send(managing, "patch", f"/api/tags/{tag.pk}", {"base_score": 0}).json()["needs_review"] is False


def test_a_renamed_tag_is_still_found_by_its_former_name(managing) -> None:
    tag = make_tag(name="Haunted")
    send(managing, "patch", f"/api/tags/{tag.pk}", {"name": "Spooky"})
    assert tag.aliases.get().name_key == "haunted"


def test_who_saw_an_older_version_is_told_what_differs(managing) -> None:
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    tag = make_tag(name="Haunted", base_score=700)
    old = managing.get(f"/api/tags/{tag.pk}")
    publish(tag, base_score=450, group_id=group.pk, decay_steps=[[30, 80]])
    address, mine = f"/api/tags/{tag.pk}", {"description": "Screams"}
    for response in (
        send(managing, "patch", address, mine | {"version": old.json()["version"]}),
        send(managing, "patch", address, mine, **{"If-Match": old["ETag"]}),
    ):
        refusal = problem(response, 409)
        assert refusal["code"] == "stale"
        assert refusal["version"] == version_of(tag)
        assert refusal["differences"] == [
            {"field": "base_score", "old": 700, "new": 450},
            {"field": "decay_steps", "old": [], "new": [[30, 80]]},
            {"field": "group", "old": None, "new": group.pk},
        ]
        assert "base_score 450, not 700" in refusal["detail"]
    assert Tag.objects.get(pk=tag.pk).description == ""
    done = send(managing, "patch", address, mine, **{"If-Match": f'"{refusal["version"]}"'})
    assert (done.json()["base_score"], done.json()["description"]) == (450, "Screams")


def test_versions_that_cannot_be_meant_are_refused(managing) -> None:
    tag = make_tag()
    address = f"/api/tags/{tag.pk}"
    for etag in ("x", "12", 'W/"12"', '"' + "9" * 40 + '"'):
        problem(send(managing, "patch", address, {"base_score": 1}, **{"If-Match": etag}), 400)
    problem(send(managing, "patch", address, {"base_score": 1, "version": 3}, **{"If-Match": '"4"'}), 400)
    for version in ("3", 1.5, -1, 10**30):
        problem(send(managing, "patch", address, {"base_score": 1, "version": version}), 400)
    refusal = problem(send(managing, "patch", address, {"base_score": 1, "version": 2**62}), 409)
    assert refusal["differences"] == []
    assert send(managing, "patch", address, {"base_score": 1}, **{"If-Match": "*"}).status_code == 200


def test_other_days_wait_while_a_retroactive_change_is_being_applied(managing) -> None:
    tag = make_tag(expiration_days=90)
    tag.expiration_days = 30
    publish_rule_change(save=[tag], by=None, at=timezone.now(), retroactive=[tag.pk])
    response = send(managing, "patch", f"/api/tags/{tag.pk}", {"expiration_days": 60})
    assert problem(response, 409)["code"] == "still_applying"
    assert response["Retry-After"]
    assert send(managing, "patch", f"/api/tags/{tag.pk}", {"base_score": 60}).status_code == 200


# Who may what ---------------------------------------------------------------------------------------------------------


def test_viewers_and_analysts_read_and_do_not_write(viewer, analyst) -> None:
    tag = make_tag()
    for person in (viewer, analyst):
        client = api_client(person)
        assert client.get("/api/tags").status_code == 200
        problem(send(client, "post", "/api/tags", {"name": "Haunted"}), 403)
        problem(send(client, "patch", f"/api/tags/{tag.pk}", {"base_score": 1}), 403)
    assert not Tag.objects.filter(name="Haunted").exists()


def test_a_logged_in_browser_writes_with_its_csrf_token(manager) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(manager)
    problem(send(browser, "post", "/api/tags", {"name": "Haunted"}), 403)
    browser.get("/tags/new/")
    token = browser.cookies["csrftoken"].value
    assert send(browser, "post", "/api/tags", {"name": "Haunted"}, **{"X-CSRFToken": token}).status_code == 201


def test_a_tag_that_is_not_there_is_not_found(managing) -> None:
    for pk in ("0", "999999", "9223372036854775808"):
        problem(send(managing, "patch", f"/api/tags/{pk}", {"base_score": 1}), 404)
