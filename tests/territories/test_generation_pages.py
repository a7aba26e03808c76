"""Profiles, who would get what, and the run: on pages and over the API; and who may."""

import json
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from tags.models import Tag
from territories.generation import urls
from territories.generation.profiles import archive_profile
from territories.generation.runs import GENERATE, start_generation
from territories.models import GenerationProfile, Referral
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_territory
from tests.territories.test_generation import generate, make_profile

pytestmark = pytest.mark.django_db
ROLES = ("viewer", "analyst", "manager", "admin", "contractor")
SEES, CANCELS, MAKES, NOBODY = ROLES[:4], ROLES[1:4], ROLES[2:4], ()
# Name of the page -> who may GET it, who may POST to it.
PAGES = {
    "generation": (SEES, NOBODY),
    "new-profile": (MAKES, MAKES),
    "profile": (SEES, MAKES),
    "profile-preview": (SEES, NOBODY),
    "profile-run": (NOBODY, MAKES),
    "profile-archive": (NOBODY, MAKES),
    "take-back-run": (CANCELS, CANCELS),
}


@pytest.fixture
def tag() -> Tag:
    return make_tag(name="Haunted", base_score=800)


@pytest.fixture
def form() -> dict[str, str]:
    return {"name": " Fresh  ones ", "min_score": "500", "not_referred_days": "90", "max_referrals": "1000"}


def test_a_profile_is_made_previewed_run_and_archived(
    manager_client, manager, tag, form, django_capture_on_commit_callbacks
):
    lead = make_scored_lead(tags=[tag], phone="201-555-0100")
    make_scored_lead(tags=[tag], zip="07302", phone="201-555-0101")
    contractor = make_contractor(company="Hudson Roofing")
    make_territory(contractor=contractor)
    response = manager_client.post(
        reverse("territories:new-profile"),
        form
        | {
            "required_tags": [tag.pk],
            "zips": "07302, 07030-1234\n07030",
            "includes_unheld": "on",
            "criterion-is_reachable": "on",
            "preview": "1",
        },
    )
    profile = GenerationProfile.objects.get()
    assert response["Location"] == reverse("territories:profile-preview", args=[profile.pk])
    assert (profile.name, profile.zips, profile.criteria) == ("Fresh ones", ["07030", "07302"], {"is_reachable": True})
    assert list(profile.required_tags.all()) == [tag]
    html = manager_client.get(response["Location"]).content.decode()
    assert '<strong id="preview-assigned">1</strong>' in html
    assert '<strong id="preview-generated">1</strong>' in html
    assert "Hudson Roofing" in html
    assert lead.title in html
    assert "With a phone number or an e-mail address" in html
    assert not Referral.objects.exists()
    with django_capture_on_commit_callbacks():
        response = manager_client.post(reverse("territories:profile-run", args=[profile.pk]))
    job = Job.objects.get(kind=GENERATE)
    assert response["Location"] == job.get_absolute_url()
    assert job.created_by == manager
    run_job(job_id=job.pk)
    html = manager_client.get(job.get_absolute_url()).content.decode()
    assert "Hudson Roofing 1" in html
    assert f"/referrals/?job={job.pk}" in html
    html = manager_client.get(reverse("territories:generation")).content.decode()
    assert "2 referrals" in html
    assert "with Haunted" in html
    again = start_generation(profile=profile, at=timezone.now(), by=manager)
    run_job(job_id=again.pk)
    html = manager_client.get(profile.get_absolute_url()).content.decode().split("Its last runs")[1]
    assert re.findall(r'href="/jobs/(\d+)/"', html) == [str(again.pk), str(job.pk)]
    assert re.findall(r"(\d+) referrals?<", html) == ["0", "2"]
    manager_client.post(reverse("territories:profile-archive", args=[profile.pk]))
    html = manager_client.get(reverse("territories:generation")).content.decode()
    assert "No profile in use" in html
    assert "Archived: 1 profile" in html
    html = manager_client.post(reverse("territories:profile-run", args=[profile.pk]), follow=True).content.decode()
    assert "is archived and makes no referrals" in html
    manager_client.post(reverse("territories:profile-archive", args=[profile.pk]))
    profile.refresh_from_db()
    assert profile.archived_at is None


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(manager_client, tag, form):
    make_profile(name="fresh ones")
    response = manager_client.post(
        reverse("territories:new-profile"),
        form
        | {
            "min_score": "many",
            "zips": "07030 7302 O7030",
            "counties": "Essex\nAtlantis, NJ",
            "max_referrals": "100001",
            "max_per_zip": "0",
            "required_tags": [tag.pk],
            "excluded_tags": [tag.pk],
        },
    )
    html = response.content.decode()
    assert response.status_code == 422
    for words in (
        "Another profile has this name.",
        "Enter a whole number.",
        "“7302”, “O7030”: no ZIP of five digits.",
        "“Essex” may be Essex, MA, Essex, NJ, Essex, NY, Essex, VA, Essex, VT. Add the state.",
        "No county is called “Atlantis, NJ”.",
        "less than or equal to 100000",
        "greater than or equal to 1",
        "Haunted: a lead cannot have it and not have it.",
        "07030 7302 O7030",
    ):
        assert words in html, words
    assert GenerationProfile.objects.count() == 1


def test_counties_are_typed_by_name_or_code_and_shown_by_name(manager_client, form):
    typed = form | {"counties": "Essex, NJ\n34017, 34003"}
    manager_client.post(reverse("territories:new-profile"), typed)
    profile = GenerationProfile.objects.get()
    assert profile.counties == ["34003", "34013", "34017"]
    html = manager_client.get(profile.get_absolute_url()).content.decode()
    assert "Bergen, NJ\nEssex, NJ\nHudson, NJ</textarea>" in html


def test_changing_a_profile_keeps_what_the_form_does_not_show(manager_client, form):
    archived = make_tag(is_archived=True)
    profile = make_profile(required=[archived], counties=["34017"])
    html = manager_client.get(profile.get_absolute_url()).content.decode()
    assert archived.name in html
    assert "Hudson, NJ" in html
    typed = {"required_tags": [archived.pk], "max_reason_age_days": "9", "zips": "", "counties": ""}
    manager_client.post(profile.get_absolute_url(), form | typed)
    profile.refresh_from_db()
    assert (profile.max_reason_age_days, profile.includes_unheld, profile.counties) == (9, False, [])
    assert list(profile.required_tags.all()) == [archived]
    assert profile.updated_at > profile.created_at


def test_who_saves_over_what_somebody_else_saved_is_told_first_and_keeps_what_was_typed(manager_client, form, tag):
    profile = make_profile(zips=["07030"])
    url = profile.get_absolute_url()
    seen = form | {"version": version_in(manager_client.get(url))}
    theirs = {"min_score": "1500", "required_tags": [tag.pk], "zips": "07030 07302", "counties": "Essex, NJ"}
    assert manager_client.post(url, seen | theirs).status_code == 302

    mine = {"max_per_zip": "7", "zips": "07030, 07310", "criterion-is_reachable": "on"}
    answer = manager_client.post(url, seen | mine | {"preview": "1"})
    html = answer.content.decode()
    assert answer.status_code == 409
    for words in (
        "Somebody changed this profile meanwhile; nothing of yours was saved.",
        "Score at least: now 1,500; you typed 500.",
        "Has all of these tags: now also Haunted.",
        "ZIPs: now also 07302; not 07310, which you typed.",
        "Counties: now also Essex, NJ.",
        "Most in one ZIP: now blank; you typed 7.",
        "Only with a phone number or an e-mail address: now off; you typed on.",
        'name="max_per_zip" id="id_max_per_zip" value="7"',
    ):
        assert words in html, words
    assert "Most referrals of one run: now" not in html
    profile.refresh_from_db()
    assert (profile.min_score, profile.max_per_zip, profile.zips) == (1500, None, ["07030", "07302"])

    # Seen and saved again.
    assert manager_client.post(url, seen | mine | {"version": version_in(answer)}).status_code == 302
    profile.refresh_from_db()
    assert (profile.min_score, profile.max_per_zip, profile.zips) == (500, 7, ["07030", "07310"])
    assert not profile.required_tags.exists()


def version_in(answer):
    return re.search(r'name="version" value="([^"]+)"', answer.content.decode())[1]


def test_who_saves_a_profile_that_was_archived_meanwhile_is_told(manager_client, form):
    profile = make_profile()
    seen = form | {"version": version_in(manager_client.get(profile.get_absolute_url()))}
    archive_profile(profile=profile, at=timezone.now())
    answer = manager_client.post(profile.get_absolute_url(), seen)
    assert (answer.status_code, "It is archived now." in answer.content.decode()) == (409, True)
    profile.refresh_from_db()
    assert profile.archived_at is not None


def test_a_name_in_use_keeps_an_archived_profile_archived(manager_client):
    old = make_profile(name="Twins", archived_at=timezone.now())
    make_profile(name="twins")
    page = manager_client.post(reverse("territories:profile-archive", args=[old.pk]), follow=True)
    assert "Another profile is called “Twins”" in page.content.decode()
    old.refresh_from_db()
    assert old.archived_at is not None


def test_empty_pages_say_what_to_do_next(manager_client, viewer_client, monkeypatch):
    assert "No profile yet" in manager_client.get(reverse("territories:generation")).content.decode()
    assert "A manager makes profiles" in viewer_client.get(reverse("territories:generation")).content.decode()
    profile = make_profile(min_score=99_999)
    html = viewer_client.get(reverse("territories:profile-preview", args=[profile.pk])).content.decode()
    assert "No lead has this score in these places" in html
    GenerationProfile.objects.update(criteria={"gone": 1})
    response = viewer_client.get(reverse("territories:profile-preview", args=[profile.pk]))
    assert (response.status_code, "“gone”" in response.content.decode()) == (409, True)


# Taking a run back ----------------------------------------------------------------------------------------------------


def make_run(*states: str, status: str = "succeeded") -> Job:
    """A run that has made a referral of each state."""
    job = Job.objects.create(kind=GENERATE, title="Lead generation: Fresh", as_of=NOW, created_at=NOW, status=status)
    for state in states:
        make_referral(status=state, job=job)
    return job


def states_of(job: Job) -> list[str]:
    return list(Referral.objects.filter(job=job).order_by("pk").values_list("status", flat=True))


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_what_is_not_delivered_of_a_run_is_taken_back_for_a_reason(analyst_client, analyst, status):
    states = ["generated", "assigned", "assigned", "delivered", "converted", "returned", "expired", "cancelled"]
    job, other = make_run(*states, status=status), make_referral(status="assigned")
    address = reverse("territories:take-back-run", args=[job.pk])
    assert address in analyst_client.get(job.get_absolute_url()).content.decode()
    html = analyst_client.get(address).content.decode()
    assert '<strong id="standing-assigned">2</strong>' in html
    assert '<strong id="standing-generated">1</strong>' in html
    assert "Take back 3 referrals" in html
    assert analyst_client.post(address, {"note": " "}).status_code == 422
    assert states_of(job) == states

    html = analyst_client.post(address, {"note": "The profile was wrong"}, follow=True).content.decode()
    assert "Taken back: 2 assigned and 1 that waited for their ZIP; their leads are free." in html
    assert "1 delivered, 1 converted and 3 that had ended stay as they are." in html
    assert states_of(job) == ["cancelled"] * 3 + states[3:]
    taken = list(Referral.objects.filter(job=job).order_by("pk")[:3])
    told = [(one.what, one.from_status, one.note, one.by) for one in (two.events.latest("pk") for two in taken)]
    words = "The run was taken back: The profile was wrong"
    assert told == [("cancelled", state, words, analyst) for state in states[:3]]
    assert all(one.ended_at and one.expires_at is None for one in taken)
    other.refresh_from_db()
    assert other.status == "assigned"

    # Once more: the link is gone, and the page says why.
    assert address not in html
    assert "There is nothing to take back" in analyst_client.get(address).content.decode()
    html = analyst_client.post(address, {"note": "Again"}, follow=True).content.decode()
    assert "Nothing was left to take back." in html


def test_what_was_taken_back_can_be_referred_again(manager_client, tag):
    lead = make_scored_lead(tags=[tag])
    profile = make_profile(not_referred_days=0)
    first = generate(profile)
    manager_client.post(reverse("territories:take-back-run", args=[first.pk]), {"note": "Too early"})
    assert list(Referral.objects.filter(job=generate(profile)).values_list("lead", "status")) == [
        (lead.pk, "generated")
    ]


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_run_at_work_is_not_taken_back(manager_client, manager, status):
    job = make_run("assigned", status=status)
    address = reverse("territories:take-back-run", args=[job.pk])
    assert address not in manager_client.get(job.get_absolute_url()).content.decode()
    answer = manager_client.post(address, {"note": "Stop"})
    assert answer.status_code == 409
    assert f"The run is {status}. Stop it first, or wait until it has ended." in answer.content.decode()
    for body in ({"note": "Stop"}, {"dry_run": True}):
        route = f"/api/lead-generation/runs/{job.pk}/take-back"
        told = problem(api_client(manager).post(route, json.dumps(body), "application/json"), 409)
        assert told["code"] == "run_at_work"
    assert states_of(job) == ["assigned"]


def test_only_runs_of_lead_generation_are_taken_back(manager_client, manager):
    job = Job.objects.create(kind="import", title="A list", as_of=NOW, created_at=NOW, status="succeeded")
    assert manager_client.get(reverse("territories:take-back-run", args=[job.pk])).status_code == 404
    route = f"/api/lead-generation/runs/{job.pk}/take-back"
    problem(api_client(manager).post(route, '{"note": "Wrong"}', "application/json"), 404)


def test_the_api_counts_first_and_takes_back_once(manager):
    job, api = make_run("generated", "assigned", "delivered", "expired"), api_client(manager)
    found = {"generated": 1, "assigned": 1, "delivered": 1, "converted": 0, "ended": 1}

    def post(body, **headers):
        route = f"/api/lead-generation/runs/{job.pk}/take-back"
        return api.post(route, json.dumps(body), "application/json", headers=headers)

    assert "Say why" in json.dumps(problem(post({"note": ""}), 400))
    assert (post({"dry_run": True}).json(), states_of(job)[0]) == (found, "generated")
    key = {"Idempotency-Key": "back"}
    first, again = post({"note": "Wrong"}, **key), post({"note": "Wrong"}, **key)
    assert (first.status_code, first.json(), states_of(job)) == (
        200, found, ["cancelled", "cancelled", "delivered", "expired"],
    )  # fmt: skip
    assert (again["Idempotent-Replayed"], again.json()) == ("true", found)
    assert post({"note": "Wrong"}).json() == found | {"generated": 0, "assigned": 0, "ended": 3}


# The API --------------------------------------------------------------------------------------------------------------


def test_the_api_lists_profiles_previews_and_runs_once(manager, tag, django_capture_on_commit_callbacks):
    make_scored_lead(tags=[tag])
    contractor = make_contractor()
    make_territory(contractor=contractor)
    profile = make_profile(required=[tag], zips=["07030"])
    api = api_client(manager)
    (told,) = api.get("/api/lead-generation/profiles").json()["results"]
    assert (told["id"], told["required_tags"], told["zips"], told["archived_at"]) == (
        profile.pk, [tag.pk], ["07030"], None,
    )  # fmt: skip

    def post(body, **headers):
        with django_capture_on_commit_callbacks():
            return api.post("/api/lead-generation/runs", json.dumps(body), "application/json", headers=headers)

    preview = post({"profile": profile.pk, "dry_run": True})
    assert preview.status_code == 200
    assert preview.json()["by_contractor"] == {contractor.company: 1}
    assert not Job.objects.filter(kind=GENERATE).exists()
    response = post({"profile": profile.pk}, **{"Idempotency-Key": "once"})
    job = Job.objects.get(kind=GENERATE)
    assert (response.status_code, response["Location"]) == (202, f"/api/jobs/{job.pk}")
    assert post({"profile": profile.pk}).json()["job"]["id"] == job.pk
    run_job(job_id=job.pk)
    again = post({"profile": profile.pk}, **{"Idempotency-Key": "once"})
    assert (again["Idempotent-Replayed"], again.json()["job"]["id"]) == ("true", job.pk)
    assert Job.objects.filter(kind=GENERATE).count() == 1
    result = api.get(f"/api/jobs/{job.pk}").json()["result"]
    assert {key: result[key] for key in preview.json()} == preview.json()


def test_the_api_refuses_in_words(manager):
    api = api_client(manager)
    archived = make_profile(archived_at=timezone.now())
    for body, status, words in (
        ({"profile": 2**70}, 400, "There is no profile with the id"),
        ({"profile": "1"}, 400, "is not a whole number"),
        ({"profil": 1}, 400, "Unknown field"),
        ({"profile": archived.pk}, 409, "is archived"),
    ):
        told = problem(api.post("/api/lead-generation/runs", json.dumps(body), "application/json"), status)
        assert words in json.dumps(told, ensure_ascii=False), body


# Rights ---------------------------------------------------------------------------------------------------------------


def test_every_page_of_generation_stands_in_the_table():
    assert {pattern.name for pattern in urls.urlpatterns} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_what_each_role_may_do(person, role, form):
    profile = make_profile()
    job = make_run()
    browser, api = Client(), api_client(person(role))
    browser.force_login(person_of(role))
    ids = {name: [profile.pk] for name in PAGES if "profile-" in name} | {"profile": [profile.pk]}
    ids["take-back-run"] = [job.pk]
    for name, (readers, writers) in PAGES.items():
        address = reverse(f"territories:{name}", args=ids.get(name, []))
        for method, may in (("get", readers), ("post", writers)):
            status = getattr(browser, method)(address).status_code
            if may is NOBODY:
                assert status == 405, (name, method)
            elif role in may:
                assert status in {200, 302, 422}, (name, method, status)
            else:
                assert status == 403, (name, method, status)
    assert api.get("/api/lead-generation/profiles").status_code == (200 if role in SEES else 403)
    another = make_profile(name="Another")
    run = api.post("/api/lead-generation/runs", json.dumps({"profile": another.pk}), "application/json")
    assert run.status_code == (202 if role in MAKES else 403)
    back = api.post(f"/api/lead-generation/runs/{job.pk}/take-back", '{"note": "Wrong"}', "application/json")
    assert back.status_code == (200 if role in CANCELS else 403)


def person_of(role: str):
    from accounts.models import User

    return User.objects.get(username=role)
