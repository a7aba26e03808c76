"""Pages of tags and groups: who may what, preview then publish, refusals that keep what was typed, versions."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from tags.models import RuleChange, Tag, TagGroup
from tags.operations import (
    NothingToPublish,
    RuleStale,
    create_unreviewed_tag,
    latest_change_id,
    publish_rule_change,
    roll_back,
    rules_as_of,
)
from tags.queries import version_of
from tests.factories import make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def typed(rule, **other):
    """What the form of a rule sends, as it stands today unless said otherwise."""
    values = {"name": rule.name, "version": version_of(rule), "threshold": 1000, "reason": ""}
    if isinstance(rule, Tag):
        values |= {
            "description": rule.description,
            "color": rule.color,
            "base_score": rule.base_score,
            "expiration_days": rule.expiration_days or "",
            "expired_percent": rule.expired_percent,
            "reassertion": rule.reassertion,
            "group": rule.group_id or "",
            "decay": "steps" if rule.decay_steps else "none",
        }
        for number, (days, percent) in enumerate(rule.decay_steps, 1):
            values |= {f"days-{number}": days, f"percent-{number}": percent}
        if rule.is_archived:
            values["is_archived"] = "on"
    else:
        values["cap"] = "" if rule.cap is None else rule.cap
    return values | other


def publish(rule, by=None, reason="", **fields):
    """A change published apart from the pages."""
    rule = type(rule).objects.get(pk=rule.pk)
    for name, value in fields.items():
        setattr(rule, name, value)
    return publish_rule_change(save=[rule], by=by, at=timezone.now(), reason=reason)


# The list -------------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_to_review_first_and_archived_tags_last(viewer_client):
    make_tag(name="Aardvark", is_archived=True)
    make_tag(name="Zebra", needs_review=True)
    page = viewer_client.get("/tags/").content.decode()
    rows = page.split('id="tag-rows"')[1]
    assert rows.index("Zebra") < rows.index(">Foreclosure<") < rows.index("<details") < rows.index("Aardvark")
    assert "New tag" not in page
    assert 'aria-current="page"' in page.split("Tags</span>")[0].rsplit("<li", 1)[1]


def test_the_list_counts_active_assignments_in_one_query(viewer_client, django_assert_max_num_queries):
    tag = make_tag(name="Haunted", decay_steps=[[90, 50]])
    for _ in range(3):
        make_scored_lead(tags=[tag])
    with django_assert_max_num_queries(12):
        page = viewer_client.get("/tags/").content.decode()
    assert f'<a href="/leads/?tags={tag.pk}">3</a>' in page
    assert "50% from day 90" in page


# Who may what ---------------------------------------------------------------------------------------------------------


def test_others_than_managers_see_the_rule_and_no_form(viewer_client, analyst_client):
    tag = make_tag(name="Haunted", base_score=700, decay_steps=[[90, 50]])
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    for client in (viewer_client, analyst_client):
        for address in (f"/tags/{tag.pk}/", f"/tags/groups/{group.pk}/"):
            page = client.get(address)
            assert page.status_code == 200
            assert b"rule-form" not in page.content
            assert client.post(address, {"name": "Mine"}).status_code == 403
        assert b"50% from day 90" in client.get(f"/tags/{tag.pk}/").content
        for address in ("/tags/new/", "/tags/groups/new/", "/tags/changes/"):
            assert client.get(address).status_code == 403
    # Values in the address make no form either.
    assert b"rule-form" not in viewer_client.get(f"/tags/{tag.pk}/", typed(tag, preview=1)).content


def test_what_is_not_there_is_not_found(manager_client):
    for address in ("/tags/999999/", "/tags/groups/999999/", "/tags/changes/999999/", "/tags/changes/?tag=999999"):
        assert manager_client.get(address).status_code == 404


# Preview, then publish ------------------------------------------------------------------------------------------------


def test_a_manager_previews_then_publishes_and_the_page_says_it_is_being_applied(
    manager_client, django_capture_on_commit_callbacks
):
    tag = make_tag(name="Haunted", base_score=700)
    lead = make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=1))
    wanted = typed(tag, base_score=900, decay="linear", linear_days=100)

    page = manager_client.get(f"/tags/{tag.pk}/", wanted | {"preview": 1}).content.decode()
    address = re.search(r'hx-get="(/scoring/what-if/[^"]+)"', page)[1].replace("&amp;", "&")
    panel = manager_client.get(address, headers=HTMX).content.decode()
    tag.refresh_from_db()
    assert tag.base_score == 700
    posted = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', panel))
    posted.pop("csrfmiddlewaretoken")
    assert posted["base_score"] == "900"

    with django_capture_on_commit_callbacks(execute=True):
        done = manager_client.post(f"/tags/{tag.pk}/", posted | {"reason": "more of them sell"})
    assert done.url == f"/tags/{tag.pk}/"
    tag.refresh_from_db()
    assert tag.base_score == 900
    assert tag.decay_steps == [[10 * i, 100 - 10 * i] for i in range(1, 11)]
    change = RuleChange.objects.get()
    assert (change.by.username, change.reason, change.tag_ids) == ("manager", "more of them sell", [tag.pk])

    job = Job.objects.get()
    page = manager_client.get(done.url).content.decode()
    assert "<strong>being applied</strong>" in page
    assert job.get_absolute_url() in page
    assert "evenly to 0 in 100 days" in page
    run_job(job_id=job.pk)
    lead.refresh_from_db()
    assert lead.score == 900
    after = manager_client.get(done.url, headers=HTMX | {"HX-Target": "rule-applying"})
    assert after.status_code == 286
    assert b"Applied" in after.content
    assert b"<html" not in after.content


def test_a_new_tag_and_a_new_group_are_published_alike(manager_client):
    done = manager_client.post("/tags/groups/new/", {"name": " Ghost  stories ", "cap": 500})
    group = TagGroup.objects.get(name="Ghost stories")
    assert done.url == f"/tags/groups/{group.pk}/"
    values = typed(Tag(name="Haunted", base_score=300), decay="half-life", half_life_days=60, group=group.pk)
    done = manager_client.post("/tags/new/", values)
    tag = Tag.objects.get(name="Haunted")
    assert done.url == f"/tags/{tag.pk}/"
    assert tag.group == group
    assert tag.decay_steps[1] == [60, 50]
    assert RuleChange.objects.count() == 2
    assert b"Haunted" in manager_client.get(f"/tags/groups/{group.pk}/").content


def test_publishing_a_tag_that_an_import_made_is_its_review(manager_client):
    tag = create_unreviewed_tag(name="Haunted", by=None)
    assert b"Made by an import" in manager_client.get(f"/tags/{tag.pk}/").content
    manager_client.post(f"/tags/{tag.pk}/", typed(tag))
    tag.refresh_from_db()
    assert not tag.needs_review


def test_nothing_is_published_when_nothing_differs(manager_client):
    tag = make_tag(decay_steps=[[30, 80]])
    response = manager_client.post(f"/tags/{tag.pk}/", typed(tag))
    assert response.status_code == 422
    assert b"nothing to publish" in response.content
    assert not RuleChange.objects.exists()


def test_the_form_shows_presets_as_presets_and_steps_as_steps(manager_client):
    linear = make_tag(decay_steps=[[10 * i, 100 - 10 * i] for i in range(1, 11)])
    page = manager_client.get(f"/tags/{linear.pk}/").content.decode()
    assert re.search(r'id="decay-linear" value="linear" checked', page)
    assert re.search(r'id="id_linear_days" value="100"', page)
    steps = make_tag(decay_steps=[[30, 80], [90, 50]])
    page = manager_client.get(f"/tags/{steps.pk}/").content.decode()
    assert re.search(r'id="decay-steps" value="steps" checked', page)
    assert 'id="days-2" value="90"' in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "  "}, "This field is required"),
        ({"name": "!!"}, "needs a letter or a digit"),
        ({"name": "FORE-closure"}, "Another tag has this name"),
        ({"name": "Foreclosures"}, "former name of another tag"),
        ({"base_score": 100_001}, "100000"),
        ({"base_score": "9" * 40}, "100000"),
        ({"base_score": "many"}, "whole number"),
        ({"expiration_days": 0}, "greater than or equal to 1"),
        ({"expired_percent": 101}, "100"),
        ({"color": "red"}, "#rrggbb"),
        ({"group": 999_999}, "not one of the available choices"),
        ({"decay": "sometimes"}, "not one of the available choices"),
        ({"decay": "linear"}, "how many days that takes"),
        ({"decay": "linear", "linear_days": 36_501}, "36500"),
        ({"decay": "half-life", "half_life_days": 9_126}, "9125"),
        ({"decay": "steps"}, "at least one step"),
        ({"decay": "steps", "days-1": "30"}, "Step 1: the percent is missing."),
        ({"decay": "steps", "days-1": "30", "percent-1": "80", "percent-2": "70"}, "Step 2: the days are missing."),
        ({"decay": "steps", "days-1": "1.5", "percent-1": "80"}, "Step 1: “1.5” is not a whole number of days."),
        ({"decay": "steps", "days-1": "0", "percent-1": "80"}, "Step 1: 0 days is outside 1 to 36,500."),
        ({"decay": "steps", "days-3": "30", "percent-3": "101"}, "Step 3: 101 percent is outside 0 to 100."),
        (
            {"decay": "steps", "days-1": "30", "percent-1": "80", "days-2": "30", "percent-2": "70"},
            "Step 2: day 30 does not come after day 30 of the step before.",
        ),
        ({"decay": "steps", "days-1": "9" * 30, "percent-1": "1"}, "outside 1 to 36,500"),
        ({"threshold": "high"}, "whole number"),
        ({"reason": "x" * 101}, "at most 100"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(manager_client, wrong, said):
    tag = make_tag(name="Haunted")
    values = typed(tag, description="Kept as typed") | wrong
    for response in (
        manager_client.get(f"/tags/{tag.pk}/", values | {"preview": 1}),
        manager_client.post(f"/tags/{tag.pk}/", values),
    ):
        page = response.content.decode()
        assert response.status_code == 422
        assert said in page.replace("&#x27;", "'") or "reason" in wrong
        assert "Kept as typed" in page
        assert "/scoring/what-if/" not in page
    tag.refresh_from_db()
    assert tag.name == "Haunted"
    assert not RuleChange.objects.exists()


@pytest.mark.parametrize("wrong", [{"name": "Condition"}, {"cap": -1}, {"cap": 1_000_001}, {"name": ""}])
def test_a_group_is_checked_too(manager_client, wrong):
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    assert manager_client.post(f"/tags/groups/{group.pk}/", typed(group) | wrong).status_code == 422


# Somebody was faster --------------------------------------------------------------------------------------------------


def test_a_stale_edit_is_refused_says_what_differs_and_keeps_what_was_typed(manager_client, analyst):
    tag = make_tag(name="Haunted", base_score=700)
    mine = typed(tag, description="Screams at night")
    publish(tag, by=analyst, base_score=450)
    response = manager_client.post(f"/tags/{tag.pk}/", mine)
    page = response.content.decode()
    assert response.status_code == 409
    stale = page.split('id="stale"')[1].split("</form>")[0]
    assert "by analyst" in stale
    assert "700" in stale.split("</dl>")[0]
    assert "450" in stale.split("</dl>")[0]
    assert 'value="Screams at night"' in page
    assert 'name="base_score" id="id_base_score" value="700"' in page
    tag.refresh_from_db()
    assert (tag.base_score, tag.description) == (450, "")
    # Having seen it, the person may publish over it: the page carries today's version.
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    assert manager_client.post(f"/tags/{tag.pk}/", mine | {"version": version}).status_code == 302
    tag.refresh_from_db()
    assert (tag.base_score, tag.description) == (700, "Screams at night")


def test_a_preview_warns_already(manager_client):
    tag = make_tag(base_score=700)
    mine = typed(tag, base_score=800)
    publish(tag, base_score=450)
    page = manager_client.get(f"/tags/{tag.pk}/", mine | {"preview": 1}).content.decode()
    assert 'id="stale"' in page
    assert f"version={version_of(tag)}" in page


# The curve ------------------------------------------------------------------------------------------------------------


def test_the_curve_follows_what_is_typed(viewer_client):
    values = typed(Tag(name="x", base_score=200), decay="linear", linear_days=50, version="")
    page = viewer_client.get("/tags/curve/", values, headers=HTMX).content.decode()
    assert "<svg" in page
    assert "day 50" in page
    assert 'id="preview"' not in page
    outdated = viewer_client.get("/tags/curve/", values | {"previewed": 1, "days-1": "x"}, headers=HTMX)
    assert b'hx-swap-oob="innerHTML"' in outdated.content
    wrong = viewer_client.get("/tags/curve/", values | {"linear_days": "0"}, headers=HTMX).content.decode()
    assert "<svg" not in wrong
    assert "greater than or equal to 1" in wrong
    assert viewer_client.get("/tags/curve/").url == "/tags/"


# Versions -------------------------------------------------------------------------------------------------------------


def test_versions_say_who_when_why_and_what_became_what(manager_client, manager):
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    tag, other = make_tag(name="Haunted", base_score=700), make_tag(name="Flooded")
    publish(tag, by=manager, reason="too loud", base_score=450, group_id=group.pk, decay_steps=[[30, 80]])
    publish(other, base_score=1)
    page = manager_client.get("/tags/changes/").content.decode()
    assert page.index("Flooded") < page.index("Haunted")
    for part in ("too loud", "manager", ">700<", "<strong>450<", "<strong>Ghosts<", "80% from day 30", "being applied"):
        assert part in page
    own = manager_client.get("/tags/changes/", {"tag": tag.pk}).content.decode()
    own = own.split('id="trail-results"')[1]
    assert "Haunted" in own
    assert "Flooded" not in own
    assert "too loud" in manager_client.get(f"/tags/{tag.pk}/").content.decode()


def test_older_changes_are_a_page_further(manager_client, django_assert_max_num_queries):
    tag = make_tag(base_score=0)
    for points in range(1, 30):
        publish(tag, base_score=points)
    with django_assert_max_num_queries(20):
        page = manager_client.get("/tags/changes/", {"tag": tag.pk}).content.decode()
    assert page.count("version-head") == 25
    older = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert manager_client.get(older).content.decode().count("version-head") == 5


def test_rules_as_of_gives_back_values_and_leaves_later_tags_alone(now):
    group = TagGroup.objects.create(name="Ghosts", cap=900)
    tag = make_tag(base_score=700, group=group)
    wanted = publish(tag, base_score=600)
    publish(tag, base_score=450, group_id=None, decay_steps=[[30, 80]], is_archived=True)
    publish(group, cap=100)
    later = make_tag(base_score=5)
    publish(later, base_score=6)
    first, second = rules_as_of(wanted)
    assert (first.pk, first.cap) == (group.pk, 900)
    assert isinstance(second, Tag)
    assert (second.pk, second.base_score, second.group_id, second.decay_steps) == (tag.pk, 600, group.pk, [])
    assert not second.is_archived
    assert Tag.objects.get(pk=tag.pk).base_score == 450
    assert rules_as_of(RuleChange.objects.latest("pk")) == []


def test_rolling_back_publishes_the_old_values_as_a_new_version(manager, now):
    tag = make_tag(base_score=700)
    first, _ = publish(tag, base_score=600), publish(tag, base_score=450)
    done = roll_back(to=first, seen=latest_change_id(), by=manager, at=now)
    assert Tag.objects.get(pk=tag.pk).base_score == 600
    assert done.reason == f"roll back to version {first.pk}"
    assert done.tag_ids == [tag.pk]
    assert rules_as_of(done) == []
    with pytest.raises(NothingToPublish):
        roll_back(to=first, seen=done.pk, by=manager, at=now)
    with pytest.raises(RuleStale):
        roll_back(to=first, seen=first.pk, by=manager, at=now)


def test_a_manager_rolls_back_by_preview_and_publish(manager_client):
    tag = make_tag(name="Haunted", base_score=700)
    make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=1))
    first, _ = publish(tag, base_score=600), publish(tag, base_score=450)
    page = manager_client.get(f"/tags/changes/{first.pk}/", {"threshold": 500, "preview": 1}).content.decode()
    assert "1 rule would change" in page
    address = re.search(r'hx-get="(/scoring/what-if/[^"]+)"', page)[1].replace("&amp;", "&")
    panel = manager_client.get(address, headers=HTMX).content.decode()
    posted = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', panel))
    posted.pop("csrfmiddlewaretoken")
    reason = re.search(r'name="reason" [^>]*value="([^"]*)"', panel)[1]
    assert reason == f"roll back to version {first.pk}"
    done = manager_client.post(f"/tags/changes/{first.pk}/", posted | {"reason": reason})
    newest = RuleChange.objects.latest("pk")
    assert done.url == f"/tags/changes/{newest.pk}/"
    assert newest.reason == reason
    assert Tag.objects.get(pk=tag.pk).base_score == 600
    # The same page sent again: somebody has published since.
    again = manager_client.post(f"/tags/changes/{first.pk}/", posted)
    assert again.status_code == 409
    assert b"Somebody published another change meanwhile" in again.content


def test_rolling_back_onto_a_name_that_was_given_away_is_refused_in_words(manager_client):
    tag = make_tag(name="Haunted")
    first, _ = publish(tag, base_score=1), publish(tag, name="Spooky")
    make_tag(name="haunted!")
    seen = latest_change_id()
    response = manager_client.post(f"/tags/changes/{first.pk}/", {"seen": seen})
    assert response.status_code == 422
    assert b"Another tag has this name" in response.content
    assert Tag.objects.get(pk=tag.pk).name == "Spooky"
    panel = manager_client.get("/scoring/what-if/", {"rule": "rollback", "id": first.pk}, headers=HTMX)
    assert panel.status_code == 422


def test_others_do_not_roll_back(analyst_client, viewer_client):
    change = publish(make_tag(), base_score=1)
    for client in (analyst_client, viewer_client):
        assert client.post(f"/tags/changes/{change.pk}/", {"seen": change.pk}).status_code == 403


# Around ---------------------------------------------------------------------------------------------------------------


def test_admin_leads_to_the_preview(manager, client):
    manager.is_staff = True
    manager.save()
    client.force_login(manager)
    tag, group = make_tag(), TagGroup.objects.create(name="Ghosts")
    assert f'href="/tags/{tag.pk}/"' in client.get(f"/admin/tags/tag/{tag.pk}/change/").content.decode()
    page = client.get(f"/admin/tags/taggroup/{group.pk}/change/").content.decode()
    assert f'href="/tags/groups/{group.pk}/"' in page
    assert client.get("/admin/tags/tag/add/").status_code == 200


def test_pages_carry_no_inline_script(manager_client):
    tag = make_tag(decay_steps=[[30, 50]], expiration_days=90)
    make_lead()
    change = publish(tag, base_score=3)
    addresses = ["/tags/", "/tags/new/", "/tags/groups/new/", "/tags/changes/"]
    for address in [*addresses, f"/tags/{tag.pk}/", f"/tags/changes/{change.pk}/"]:
        page = manager_client.get(address).content
        assert b"<script>" not in page
        assert b" onclick" not in page
