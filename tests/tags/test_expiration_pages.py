"""The toggle that applies other days to existing assignments: live counts, preview, publishing, versions, admin."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from scoring.operations import drain_due
from tags.models import LeadTag, RuleChange, Tag
from tags.queries import version_of
from tests.factories import make_scored_lead, make_tag
from tests.tags.test_rule_pages import publish, typed

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
LABEL = "Apply changes retroactively to existing assignments"


def carried(tag: Tag, *ages: int) -> None:
    """Leads that carry a tag since so many days, and their scores of today."""
    for age in ages:
        make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=age))
    drain_due(at=timezone.now())


def words(response) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def ask(client, tag, **values):
    return client.get(f"/tags/{tag.pk}/expiration-effect/", typed(tag) | values, headers=HTMX)


def panel(client, tag, **values):
    return client.get("/scoring/what-if/", typed(tag) | {"rule": "tag", "id": tag.pk} | values, headers=HTMX)


def hidden(response) -> dict[str, str]:
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', response.content.decode()))
    found.pop("csrfmiddlewaretoken", None)
    return found


# Live -----------------------------------------------------------------------------------------------------------------


def test_the_counts_follow_what_is_typed(manager_client):
    tag = make_tag(base_score=100, expiration_days=30)
    carried(tag, 40, 20, 5)
    page = manager_client.get(f"/tags/{tag.pk}/").content.decode()
    assert LABEL in page
    assert f'hx-get="/tags/{tag.pk}/expiration-effect/"' in page
    on = ask(manager_client, tag, expiration_days=10, is_retroactive="on")
    assert "3 of 3 assignments change · 1 expires · 0 revive" in words(on)
    off = words(ask(manager_client, tag, expiration_days=10))
    assert "Off: the 3 assignments that are there keep their end. On: 3 would change, 1 expire, 0 revive." in off
    assert "1 revives" in words(ask(manager_client, tag, expiration_days="", is_retroactive="on"))
    assert "0 of 3 assignments change" in words(ask(manager_client, tag, is_retroactive="on"))
    assert "On: none would change" in words(ask(manager_client, tag))
    # The scores follow beside it.
    address = re.search(r'hx-get="(/scoring/what-if/moves/[^"]+)"', on.content.decode())[1].replace("&amp;", "&")
    assert "1 of 3 leads changes its score" in words(manager_client.get(address, headers=HTMX))
    assert manager_client.get(address).url == address.replace("moves/", "")
    assert not RuleChange.objects.exists()


@pytest.mark.parametrize("days", [0, -1, 36_501, "1.5", "soon", "9" * 40])
def test_days_that_no_tag_can_have_are_not_counted(manager_client, days):
    tag = make_tag(expiration_days=30)
    carried(tag, 5)
    assert "as soon as the days are sound" in words(ask(manager_client, tag, expiration_days=days, is_retroactive="on"))
    moves = manager_client.get(
        "/scoring/what-if/moves/", typed(tag, expiration_days=days) | {"rule": "tag", "id": tag.pk}, headers=HTMX
    )
    assert words(moves) == ""


def test_a_tag_that_nobody_carries_says_so_and_a_new_one_has_no_toggle(manager_client):
    assert "No lead carries it yet" in words(ask(manager_client, make_tag(), expiration_days=1))
    assert LABEL not in manager_client.get("/tags/new/").content.decode()


def test_only_who_may_change_tags_is_told(viewer_client, analyst_client, manager_client):
    tag = make_tag()
    for client in (viewer_client, analyst_client):
        assert ask(client, tag).status_code == 403
        moves = client.get("/scoring/what-if/moves/", typed(tag) | {"rule": "tag", "id": tag.pk}, headers=HTMX)
        assert moves.status_code == 403
        assert LABEL not in client.get(f"/tags/{tag.pk}/").content.decode()
    assert manager_client.get("/tags/999999/expiration-effect/", headers=HTMX).status_code == 404
    plain = manager_client.get(f"/tags/{tag.pk}/expiration-effect/", {"name": "x"})
    assert plain.url == f"/tags/{tag.pk}/?name=x"


# Preview, then publish ------------------------------------------------------------------------------------------------


def test_a_manager_previews_and_publishes_with_retroactive_effect(manager_client, django_capture_on_commit_callbacks):
    tag = make_tag(name="Haunted", base_score=700, expiration_days=30)
    carried(tag, 40, 20, 5)
    wanted = typed(tag, expiration_days=10, is_retroactive="on")
    page = manager_client.get(f"/tags/{tag.pk}/", wanted | {"preview": 1}).content.decode()
    assert re.search(r'name="is_retroactive" id="id_is_retroactive" checked', page)
    address = re.search(r'hx-get="(/scoring/what-if/\?[^"]+)"', page)[1].replace("&amp;", "&")
    shown = manager_client.get(address, headers=HTMX)
    assert "Assignments there are 3 End otherwise 3 Expire 1 Revive 0" in words(shown)
    assert "Falling 1" in words(shown)
    posted = hidden(shown)
    assert posted["is_retroactive"] == "on"
    with django_capture_on_commit_callbacks(execute=True):
        assert manager_client.post(f"/tags/{tag.pk}/", posted | {"reason": "sooner"}).status_code == 302
    change = RuleChange.objects.get()
    assert change.retroactive_tag_ids == [tag.pk]
    page = words(manager_client.get(f"/tags/{tag.pk}/"))
    assert "being applied : assignments get their end anew and leads their new scores" in page
    assert "Retroactive: the assignments that run get their expiration anew" in page
    run_job(job_id=Job.objects.get().pk)
    for address in (f"/tags/{tag.pk}/", "/tags/changes/", f"/tags/changes/{change.pk}/"):
        assert "Retroactive: 3 assignments changed, 1 expired, 0 revived" in words(manager_client.get(address))


def test_the_panel_without_the_toggle_moves_no_assignment(manager_client):
    tag = make_tag(base_score=700, expiration_days=30)
    carried(tag, 20)
    shown = panel(manager_client, tag, expiration_days=10)
    assert "What it does to assignments" not in words(shown)
    assert "No score changes now" in words(shown)
    assert "is_retroactive" not in hidden(shown)


def test_running_clocks_alone_may_be_published(manager_client):
    tag = make_tag(base_score=700, expiration_days=30)
    carried(tag, 20)
    assert "nothing to publish" in words(panel(manager_client, tag, is_retroactive="on"))
    Tag.objects.filter(pk=tag.pk).update(expiration_days=10)
    tag.refresh_from_db()
    shown = panel(manager_client, tag, is_retroactive="on")
    assert "The rule stays as it is; assignments that end otherwise get its days." in words(shown)
    assert manager_client.post(f"/tags/{tag.pk}/", hidden(shown)).status_code == 302
    assert RuleChange.objects.get().retroactive_tag_ids == [tag.pk]


def test_other_days_wait_for_a_retroactive_change_and_what_was_typed_stays(manager_client):
    tag = make_tag(name="Haunted", expiration_days=30)
    carried(tag, 5)
    manager_client.post(f"/tags/{tag.pk}/", typed(tag, expiration_days=10, is_retroactive="on"))
    tag.refresh_from_db()
    wanted = typed(tag, expiration_days=50, description="Kept as typed")
    refused = manager_client.post(f"/tags/{tag.pk}/", wanted)
    assert refused.status_code == 409
    assert "is still being applied to its assignments" in words(refused)
    assert 'value="Kept as typed"' in refused.content.decode()
    preview = panel(manager_client, tag, expiration_days=50)
    assert preview.status_code == 422
    assert "still being applied" in words(preview)
    first = RuleChange.objects.get()
    assert "nothing to roll back" in words(manager_client.post(f"/tags/changes/{first.pk}/", {"seen": first.pk}))
    assert manager_client.post(f"/tags/{tag.pk}/", wanted | {"is_retroactive": "on"}).status_code == 302
    back = manager_client.post(f"/tags/changes/{first.pk}/", {"seen": RuleChange.objects.latest("pk").pk})
    assert back.status_code == 409
    assert "still being applied" in words(back)


# Admin ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def staff_client(manager, client):
    manager.is_staff = True
    manager.save()
    client.force_login(manager)
    return client


def admin_values(client, tag, **other) -> dict[str, object]:
    """What the form of the admin sends as it stands, and what a person types."""
    page = client.get(f"/admin/tags/tag/{tag.pk}/change/").content.decode()
    sent = dict(re.findall(r'<input type="hidden" name="(version|confirmed_days)"(?: value="([^"]*)")?', page))
    values = typed(tag) | {"decay_steps": "[]"} | sent
    return values | other


def test_admin_shows_the_counts_first_and_saves_when_asked_again(staff_client):
    tag = make_tag(name="Haunted", base_score=700, expiration_days=30)
    carried(tag, 40, 20, 5)
    address = f"/admin/tags/tag/{tag.pk}/change/"
    assert LABEL in staff_client.get(address).content.decode()
    values = admin_values(staff_client, tag, expiration_days=10, is_retroactive="on")
    asked = staff_client.post(address, values)
    assert asked.status_code == 200
    said = words(asked)
    assert "Not saved yet. 3 of 3 assignments end otherwise then: 1 expire, 0 revive." in said
    assert not RuleChange.objects.exists()
    confirmed = re.search(r'name="confirmed_days" value="([^"]*)"', asked.content.decode())[1]
    # Other days than those that were shown are asked about again.
    other = staff_client.post(address, values | {"confirmed_days": confirmed, "expiration_days": 25})
    assert "Not saved yet" in words(other)
    assert staff_client.post(address, values | {"confirmed_days": confirmed}).status_code == 302
    change = RuleChange.objects.get()
    assert (change.retroactive_tag_ids, change.by.username, change.reason) == ([tag.pk], "manager", "edited in admin")
    tag.refresh_from_db()
    assert tag.expiration_days == 10


def test_admin_without_the_toggle_saves_at_once_for_later_assignments(staff_client):
    tag = make_tag(expiration_days=30)
    carried(tag, 5)
    address = f"/admin/tags/tag/{tag.pk}/change/"
    assert staff_client.post(address, admin_values(staff_client, tag, expiration_days=10)).status_code == 302
    assert RuleChange.objects.get().retroactive_tag_ids == []
    again = staff_client.post(address, admin_values(staff_client, tag, expiration_days=10), follow=True)
    assert "nothing was published" in words(again)
    assert RuleChange.objects.count() == 1


def test_admin_refuses_what_somebody_published_meanwhile_and_says_what_differs(staff_client):
    tag = make_tag(name="Haunted", expiration_days=30)
    values = admin_values(staff_client, tag, expiration_days=10)
    assert int(str(values["version"])) == version_of(tag)
    publish(tag, expiration_days=60)
    refused = staff_client.post(f"/admin/tags/tag/{tag.pk}/change/", values)
    assert refused.status_code == 200
    assert "Somebody published this meanwhile" in words(refused)
    assert "Expires after was 30 days and is 60 days." in words(refused)
    tag.refresh_from_db()
    assert tag.expiration_days == 60


def test_admin_waits_for_a_retroactive_change_too(staff_client):
    tag = make_tag(expiration_days=30)
    carried(tag, 5)
    RuleChange.objects.create(at=timezone.now(), tag_ids=[tag.pk], retroactive_tag_ids=[tag.pk])
    refused = staff_client.post(
        f"/admin/tags/tag/{tag.pk}/change/", admin_values(staff_client, tag, expiration_days=10)
    )
    assert "still being applied" in words(refused)
    assert LeadTag.objects.get().tag.expiration_days == 30


def test_admin_makes_new_tags_groups_and_brings_back_an_older_version(staff_client):
    added = staff_client.post("/admin/tags/tag/add/", typed(Tag(name="New")) | {"decay_steps": "[]", "version": ""})
    assert added.status_code == 302
    tag = Tag.objects.get(name="New")
    staff_client.post(f"/admin/tags/tag/{tag.pk}/change/", admin_values(staff_client, tag, base_score=9))
    first = tag.history.order_by("history_id").first()
    address = f"/admin/tags/tag/{tag.pk}/history/{first.pk}/"
    assert staff_client.get(address).status_code == 200
    done = staff_client.post(address, typed(tag) | {"decay_steps": "[]", "base_score": first.base_score})
    assert done.status_code == 302
    tag.refresh_from_db()
    assert tag.base_score == first.base_score
    assert staff_client.post("/admin/tags/taggroup/add/", {"name": "G", "cap": 5, "version": ""}).status_code == 302


def test_admin_shows_a_tag_to_who_may_only_look(analyst, client):
    analyst.is_staff = True
    analyst.save()
    client.force_login(analyst)
    tag, values = make_tag(name="Haunted", expiration_days=30), {"name": "Mine"}
    shown = client.get(f"/admin/tags/tag/{tag.pk}/change/")
    assert "Haunted" in words(shown)
    assert 'type="checkbox"' not in shown.content.decode().split("<main", 1)[1]
    assert client.post(f"/admin/tags/tag/{tag.pk}/change/", values).status_code == 403
