"""The audit trail: whatever changed a rule is in it, by pages, file and admin; filters; undo of one change; archive."""

import csv
import datetime as dt
import io
import re

import pytest
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from jobs.operations import run_job
from tags.models import LeadTag, RuleChange, Tag, TagGroup
from tags.operations import create_unreviewed_tag, publish_rule_change
from tags.undo import UndoRefused, rules_before
from tests.factories import assign, import_rows, make_lead, make_scored_lead, make_tag
from tests.tags.test_rule_pages import publish, typed

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def trail(client, **query):
    """The entries of the trail page, as text."""
    page = client.get("/tags/changes/", query).content.decode().split('id="trail-results"')[1]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part)) for part in page.split("version-head")[1:]]


def rows_of(response):
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


@pytest.fixture
def staff_client(client, manager):
    User.objects.filter(pk=manager.pk).update(is_staff=True)
    client.force_login(manager)
    return client


# What is in it --------------------------------------------------------------------------------------------------------


def test_every_way_to_change_a_rule_is_in_the_trail(staff_client):
    client = staff_client
    tag, group = make_tag(name="Haunted", base_score=700), TagGroup.objects.create(name="Ghosts", cap=900)
    client.post(f"/tags/{tag.pk}/", typed(tag, base_score=800, reason="by page"))
    tag.refresh_from_db()
    admin = {"name": "Haunted", "color": "#667382", "base_score": 850, "expired_percent": 0, "reassertion": "keep"}
    assert client.post(f"/admin/tags/tag/{tag.pk}/change/", admin).status_code == 302
    tag.refresh_from_db()
    client.post(f"/tags/{tag.pk}/", typed(tag, name="Spooky", reason="a rename"))
    tag.refresh_from_db()
    client.post(f"/tags/{tag.pk}/", typed(tag, is_archived="on", reason="archived"))
    client.post(f"/tags/groups/{group.pk}/", typed(group, cap=500, reason="a tighter cap"))
    first = RuleChange.objects.earliest("pk")
    seen = RuleChange.objects.latest("pk").pk
    client.post(f"/tags/changes/{first.pk}/", {"seen": seen, "reason": "back to the first"})
    import_rows("Address,ZIP,Tags\n1 OAK ST,07030,Flooded cellar\n", by=User.objects.get(username="manager"))

    entries = trail(client)
    for wanted in (
        ("Made by an import", "Flooded cellar"),
        ("back to the first", "Spooky", "Haunted", "manager"),
        ("a tighter cap", "Ghosts", "900", "500"),
        ("archived", "Archived", "no", "yes"),
        ("a rename", "Haunted", "Spooky"),
        ("edited in admin", "800", "850", "manager"),
        ("by page", "700", "800", "manager"),
    ):
        assert any(all(part in entry for part in wanted) for entry in entries), wanted
    file = rows_of(client.get("/tags/changes/export/"))
    assert ("edited in admin", "Points", "800", "850", "manager") in {
        (row["reason"], row["field"], row["old"], row["new"], row["by"]) for row in file
    }
    assert {row["name"] for row in file if row["reason"] == "made by an import"} == {"Flooded cellar"}


def test_the_trail_says_what_a_retroactive_change_did(manager_client, manager):
    tag = make_tag(name="Haunted", expiration_days=30)
    change = publish(tag, by=manager, reason="=HYPERLINK(1)", expiration_days=60)
    RuleChange.objects.filter(pk=change.pk).update(
        retroactive_tag_ids=[tag.pk], affected=1200, expired=0, revived=35, applied_at=timezone.now()
    )
    publish(make_tag(name="Flooded"), base_score=5)
    (entry,) = trail(manager_client, retroactive="yes")
    assert "Retroactive: 1,200 assignments changed, 0 expired, 35 revived" in entry
    assert not any("Haunted" in entry and "60 days" in entry for entry in trail(manager_client, retroactive="no"))
    (row,) = rows_of(manager_client.get("/tags/changes/export/", {"retroactive": "yes"}))
    assert row["reason"] == "'=HYPERLINK(1)"
    assert [row[name] for name in ("version", "by", "kind", "id", "name", "field", "old", "new")] == [
        *(str(change.pk), "manager", "tag", str(tag.pk), "Haunted", "Expires after", "30 days", "60 days"),
    ]
    assert [row[name] for name in ("retroactive", "affected", "expired", "revived")] == ["yes", "1200", "0", "35"]
    assert row["applied_at_utc"].endswith("+00:00")


def test_filters_stand_in_the_address_and_hold_together(manager_client, manager, analyst):
    tag, other = make_tag(name="Haunted", base_score=1), make_tag(name="Flooded", base_score=1)
    publish(tag, by=manager, reason="too loud at night", base_score=2)
    publish(tag, by=analyst, reason="too quiet", color="#123456")
    publish(other, reason="too wet", base_score=3)
    group = TagGroup.objects.create(name="Ghosts", cap=1)
    publish(group, by=manager, cap=2)

    def reasons(**query):
        return [
            r for r in ("too loud", "too quiet", "too wet", "Ghosts") for e in trail(manager_client, **query) if r in e
        ]

    assert reasons(tag=tag.pk) == ["too loud", "too quiet"]
    assert set(reasons(group=group.pk)) == {"Ghosts"}
    assert reasons(by=manager.pk, tag=tag.pk) == ["too loud"]
    assert reasons(by="program", field="base_score") == ["too wet"]
    assert reasons(q="NIGHT loud") == ["too loud"]
    assert reasons(field="color") == ["too quiet"]
    assert reasons(field="cap") == ["Ghosts"]
    assert reasons(field="base_score", tag=tag.pk) == ["too loud"]
    assert any("Haunted" in entry for entry in trail(manager_client, field="made", tag=tag.pk))
    RuleChange.objects.filter(reason="too quiet").update(at=dt.datetime(2020, 5, 1, 12, tzinfo=dt.UTC))
    assert reasons(since="2020-05-01", until="2020-05-01") == ["too quiet"]
    assert reasons(until="2020-04-30") == []
    assert "too quiet" not in reasons(since="2020-05-02", tag=tag.pk)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "yesterday"}, "Write a day such as 2026-03-31"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "comes before the first one"),
        ({"by": "999999"}, "not one of the available choices"),
        ({"field": "pet"}, "not one of the available choices"),
        ({"retroactive": "perhaps"}, "not one of the available choices"),
        ({"q": "x" * 201}, "at most 200"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_said_and_left_out(manager_client, query, said):
    publish(make_tag(name="Haunted"), base_score=2)
    page = manager_client.get("/tags/changes/", query).content.decode()
    assert said in page
    assert "left out" in page
    assert "Haunted" in page.split('id="trail-results"')[1]
    export = manager_client.get("/tags/changes/export/", query)
    assert export.status_code == 302
    assert export.url.startswith("/tags/changes/?")


def test_htmx_gets_the_results_and_the_address_only_what_was_chosen(manager_client):
    tag = make_tag(name="Haunted")
    query = {"q": "", "tag": tag.pk, "group": "", "field": "", "by": "", "retroactive": "", "since": "", "until": ""}
    response = manager_client.get("/tags/changes/", query, headers=HTMX)
    assert response["HX-Push-Url"] == f"/tags/changes/?tag={tag.pk}"
    assert b"<html" not in response.content
    assert b"came with the program" in response.content.lower()


def test_pages_of_the_trail_are_numbered_and_a_page_too_far_is_the_last(manager_client):
    tag = make_tag(base_score=0)
    for points in range(1, 27):
        publish(tag, base_score=points)
    assert len(trail(manager_client, tag=tag.pk, page=2)) == 2
    assert len(trail(manager_client, tag=tag.pk, page=99)) == 2
    assert len(rows_of(manager_client.get("/tags/changes/export/", {"tag": tag.pk, "field": "base_score"}))) == 26


def test_a_tag_that_a_refused_import_took_back_is_in_the_trail(manager_client):
    tag = create_unreviewed_tag(name="Typo", by=None)
    Tag.objects.filter(pk=tag.pk).delete()
    texts = trail(manager_client)
    assert any("Taken back" in text and "Typo" in text for text in texts)


def test_the_history_in_admin_says_the_same_and_names_the_change(staff_client, manager):
    tag = make_tag(name="Haunted", expiration_days=30)
    change = publish(tag, by=manager, reason="too loud", expiration_days=60)
    RuleChange.objects.filter(pk=change.pk).update(retroactive_tag_ids=[tag.pk], affected=1200, expired=7, revived=35)
    page = staff_client.get(f"/admin/tags/tag/{tag.pk}/history/").content.decode()
    for part in (f'<a href="/tags/changes/{change.pk}/">Version {change.pk}</a>', "too loud", "1,200", ">35<", ">7<"):
        assert part in page
    assert "being applied" in page
    assert staff_client.get(f"/admin/tags/taggroup/{TagGroup.objects.all()[0].pk}/history/").status_code == 200
    overview = staff_client.get("/admin/tags/rulechange/", {"q": "loud"}).content.decode()
    assert "too loud" in overview


def test_a_revert_in_admin_is_published_like_any_change(staff_client):
    tag = make_tag(name="Haunted", base_score=700)
    publish(tag, base_score=450)
    first = Tag.history.filter(id=tag.pk).earliest("history_id")
    values = {"name": "Haunted", "color": tag.color, "base_score": 700, "expired_percent": 0, "reassertion": "keep"}
    staff_client.post(f"/admin/tags/tag/{tag.pk}/history/{first.pk}/", values)
    tag.refresh_from_db()
    assert tag.base_score == 700
    assert RuleChange.objects.latest("pk").tag_ids == [tag.pk]


# Undo of one change ---------------------------------------------------------------------------------------------------


def posted_by(client, url):
    """What the publish form of the preview on a page posts, and where to."""
    page = client.get(url).content.decode()
    address = re.search(r'hx-get="(/scoring/what-if/[^"]+)"', page)[1].replace("&amp;", "&")
    panel = client.get(address, headers=HTMX)
    assert panel.status_code == 200, panel.content
    text = panel.content.decode()
    form = text.split('<form class="publish"')[1]
    values = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    values.pop("csrfmiddlewaretoken")
    values["reason"] = re.search(r'name="reason" [^>]*value="([^"]*)"', form)[1]
    return re.search(r'action="([^"]+)"', form)[1], values, text


def test_publishing_offers_undo_and_undo_brings_back_that_change_alone(manager_client):
    tag, other = make_tag(name="Haunted", base_score=700), make_tag(name="Flooded", base_score=1)
    page = manager_client.post(f"/tags/{tag.pk}/", typed(tag, base_score=800), follow=True).content.decode()
    change = RuleChange.objects.get()
    assert f'<a href="/tags/changes/{change.pk}/undo/">Undo</a>' in page
    publish(other, base_score=2)
    url, values, _ = posted_by(manager_client, f"/tags/changes/{change.pk}/undo/")
    assert url == f"/tags/changes/{change.pk}/undo/"
    done = manager_client.post(url, values)
    newest = RuleChange.objects.latest("pk")
    assert done.url == f"/tags/changes/{newest.pk}/"
    assert newest.reason == f"undo version {change.pk}"
    assert newest.tag_ids == [tag.pk]
    tag.refresh_from_db()
    other.refresh_from_db()
    assert (tag.base_score, other.base_score) == (700, 2)
    again = manager_client.post(url, values)
    assert again.status_code == 409


def test_undo_is_refused_when_the_rule_was_published_since(manager_client):
    tag = make_tag(name="Haunted", base_score=700)
    change = publish(tag, base_score=800)
    publish(tag, base_score=900)
    page = manager_client.get(f"/tags/changes/{change.pk}/undo/").content.decode()
    assert "Haunted was published again since" in page
    assert "/scoring/what-if/" not in page
    seen = RuleChange.objects.latest("pk").pk
    refused = manager_client.post(f"/tags/changes/{change.pk}/undo/", {"seen": seen})
    assert refused.status_code == 409
    assert manager_client.get("/scoring/what-if/", {"rule": "undo", "id": change.pk}).status_code == 422
    tag.refresh_from_db()
    assert tag.base_score == 900


def test_undo_of_something_new_archives_a_tag_and_says_what_to_do_with_a_group(manager_client):
    manager_client.post("/tags/new/", typed(Tag(name="Haunted", base_score=300)))
    made = RuleChange.objects.get()
    (tag,) = rules_before(made)
    assert tag.is_archived
    manager_client.post("/tags/groups/new/", {"name": "Ghosts", "cap": 500})
    with pytest.raises(UndoRefused, match="is a new group"):
        rules_before(RuleChange.objects.latest("pk"))


def test_undo_of_a_retroactive_change_is_retroactive_too(manager_client):
    tag = make_tag(name="Haunted", expiration_days=30)
    rule = Tag.objects.get(pk=tag.pk)
    rule.expiration_days = 60
    change = publish_rule_change(save=[rule], by=None, at=timezone.now(), retroactive=[tag.pk])
    page = manager_client.get(f"/tags/changes/{change.pk}/undo/").content.decode()
    assert "It was retroactive" in page
    url, values, _ = posted_by(manager_client, f"/tags/changes/{change.pk}/undo/")
    manager_client.post(url, values)
    assert RuleChange.objects.latest("pk").retroactive_tag_ids == [tag.pk]


# Archive --------------------------------------------------------------------------------------------------------------


def test_archiving_shows_the_leads_first_loses_no_assignment_and_can_be_undone(
    manager_client, django_capture_on_commit_callbacks
):
    tag = make_tag(name="Haunted", base_score=700, decay_steps=[[5000, 50]], expiration_days=9000)
    lead = make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=1))
    assign(make_lead(), tag, is_expired=True)
    assert f'href="/tags/{tag.pk}/archive/"' in manager_client.get(f"/tags/{tag.pk}/").content.decode()

    def press(url, **state):
        with django_capture_on_commit_callbacks(execute=True):
            address, values, panel = posted_by(manager_client, url)
            page = manager_client.post(address, values, follow=True).content.decode()
        for job in Job.objects.live():
            run_job(job_id=job.pk)
        tag.refresh_from_db()
        lead.refresh_from_db()
        return page, panel, values

    confirm = manager_client.get(f"/tags/{tag.pk}/archive/").content.decode()
    assert re.search(r"Leads that carry it</span><strong>2<", confirm)
    before = list(LeadTag.objects.order_by("pk").values())
    page, panel, values = press(f"/tags/{tag.pk}/archive/")
    assert 'data-announce="1 of 2 leads change' in panel or "Leads it touches" in panel
    assert values["reason"] == "archived"
    assert (tag.is_archived, lead.score) == (True, 0)
    assert (tag.decay_steps, tag.expiration_days) == ([[5000, 50]], 9000)
    assert [row | {"is_expired": 0} for row in LeadTag.objects.order_by("pk").values()] == [
        row | {"is_expired": 0} for row in before
    ]
    undo = re.search(r'href="(/tags/changes/\d+/undo/)"', page)[1]
    press(undo)
    assert (tag.is_archived, lead.score) == (False, 700)
    press(f"/tags/{tag.pk}/archive/")
    _, _, values = press(f"/tags/{tag.pk}/archive/")
    assert values["reason"] == "taken out of the archive"
    assert (tag.is_archived, lead.score) == (False, 700)


# The list -------------------------------------------------------------------------------------------------------------


def test_the_list_counts_sorts_and_narrows(viewer_client, django_assert_max_num_queries):
    group = TagGroup.objects.create(name="Ghosts")
    tag = make_tag(name="Haunted", base_score=50_000, group=group, description="Screams", decay_steps=[[90, 50]])
    make_tag(name="Old ghost", is_archived=True)
    make_tag(name="Zebra", base_score=-5, needs_review=True)
    for number in range(5):
        assign(make_lead(), tag, is_expired=number > 2, removed_at=timezone.now() if number == 4 else None)
    with django_assert_max_num_queries(12):
        page = viewer_client.get("/tags/", {"sort": "-points"}).content.decode()
    row = page.split(">Haunted</a>")[1].split("</tr>")[0]
    assert re.findall(r'data-label="(\w+)">(?:<[^>]+>)?(\d+)', row) == [
        ("active", "3"),
        ("expired", "1"),
        ("leads", "4"),
    ]
    assert 'class="spark"' in row
    assert "50% from day 90" in row
    assert page.index(">Haunted<") < page.index(">Zebra<") < page.index(">Old ghost<")
    assert 'aria-sort="descending"' in page

    def names_of(**query):
        return re.findall(
            r'class="r-name"><a class="chip" [^>]+>([^<]+)',
            viewer_client.get("/tags/", query, headers=HTMX).content.decode(),
        )

    assert names_of(q="haunt ed!") == ["Haunted"]
    assert names_of(q="scream") == ["Haunted"]
    assert names_of(group=group.pk) == ["Haunted"]
    assert names_of(group="review") == ["Zebra"]
    assert "Haunted" not in names_of(group="none")
    assert names_of(sort="-active")[0] == "Haunted"
    assert names_of(sort="points")[0] == "Zebra"
    assert len(names_of(sort="pets", group="999999")) == Tag.objects.count()
    narrowed = viewer_client.get("/tags/", {"q": "old ghost"}, headers=HTMX)
    assert narrowed["HX-Push-Url"] == "/tags/?q=old+ghost"
    assert b'class="behind archived" open' in narrowed.content
