"""The page on which many tags get other days at once: choose, preview, publish; refusals keep what was typed."""

import datetime as dt
import re

import pytest
from django.http import QueryDict
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring.operations import drain_due
from tags.expiration_forms import MOST, ExpirationsForm
from tags.models import LeadTag, RuleChange, Tag
from tags.operations import publish_rule_change
from tags.queries import version_of
from tests.factories import make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
PAGE = "/tags/expirations/"


def typed(*rows, **more):
    """What the page sends for ticked rows: (tag, days) or (tag, days, True) with retroactive effect."""
    values = {"tag": [row[0].pk for row in rows], "threshold": "1000", "reason": ""}
    for tag, days, *is_retroactive in rows:
        values |= {f"days-{tag.pk}": days, f"seen-{tag.pk}": version_of(tag)}
        if any(is_retroactive):
            values[f"all-{tag.pk}"] = "1"
    return values | more


def lead_of_age(days, *tags):
    at = timezone.now() - dt.timedelta(days=days)
    lead = make_scored_lead(tags=list(tags), at=at)
    drain_due(at=timezone.now())
    return lead


def publish(tag, by=None, **fields):
    tag = Tag.objects.get(pk=tag.pk)
    for name, value in fields.items():
        setattr(tag, name, value)
    return publish_rule_change(save=[tag], by=by, at=timezone.now())


def preview_of(page):
    return re.search(r'hx-get="(/scoring/what-if/[^"]+)"', page)[1].replace("&amp;", "&")


def posted_by(panel):
    query = QueryDict(mutable=True)
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', panel):
        if name != "csrfmiddlewaretoken":
            query.appendlist(name, value)
    return {name: query.getlist(name) for name in query}


def row_of(page, tag):
    return page.split(f'id="tag-{tag.pk}"')[1].split("</tr>")[0]


# Choose and type ------------------------------------------------------------------------------------------------------


def test_the_page_lists_tags_with_todays_days_and_nothing_ticked(manager_client, django_assert_max_num_queries):
    tag = make_tag(name="Haunted", expiration_days=77)
    make_tag(name="Long gone", is_archived=True)
    with django_assert_max_num_queries(16):
        page = manager_client.get(PAGE).content.decode()
    assert f'name="days-{tag.pk}" id="days-{tag.pk}" value="77"' in page
    assert f'name="seen-{tag.pk}" value="{version_of(tag)}"' in page
    assert "Long gone" not in page
    assert "No tag is ticked" in page
    assert not re.search(r'name="tag" [^>]*checked', page)
    assert b"<script>" not in manager_client.get(PAGE).content


def test_what_is_ticked_and_typed_stands_in_the_address(manager_client):
    first, second = make_tag(expiration_days=90), make_tag(expiration_days=60)
    page = manager_client.get(PAGE, typed((first, "30", True), (second, ""))).content.decode()
    assert 'value="30"' in row_of(page, first)
    assert re.search(rf'id="all-{first.pk}"[^>]* checked', page)
    assert 'value=""' in row_of(page, second)
    assert not re.search(rf'id="all-{second.pk}"[^>]* checked', page)
    # Days that the address does not name are today's, not never.
    assert 'value="60"' in row_of(manager_client.get(PAGE, {"tag": second.pk}).content.decode(), second)


def test_the_same_days_are_set_for_all_ticked_rows(manager_client):
    first, second, third = (make_tag(expiration_days=90) for _ in range(3))
    values = typed((first, "30"), (second, "60"), all_days="45", all_retroactive="1", fill="1")
    answer = manager_client.get(PAGE, values, headers=HTMX)
    page = answer.content.decode()
    for tag, days in ((first, "45"), (second, "45"), (third, "90")):
        assert f'value="{days}"' in row_of(page, tag)
    assert re.search(rf'id="all-{second.pk}"[^>]* checked', page)
    assert not re.search(rf'id="all-{third.pk}"[^>]* checked', page)
    # Its address is that of what came out, and the plain form is sent there.
    address = answer["HX-Push-Url"]
    assert "fill" not in address
    assert f"days-{first.pk}=45" in address
    assert manager_client.get(PAGE, values).url == address
    assert 'value="45"' in row_of(manager_client.get(address).content.decode(), second)


def test_all_are_ticked_and_none(manager_client):
    tags = Tag.objects.active().count()
    page = manager_client.get(PAGE, {"choose": "all"}, headers=HTMX).content.decode()
    assert len(re.findall(r'name="tag" [^>]*checked', page)) == tags
    none = manager_client.get(PAGE, typed((make_tag(), "3"), choose="none"))
    assert none.url == f"{PAGE}?threshold=1000"


@pytest.mark.parametrize(("days", "said"), [("x", "not a whole number"), ("0", "outside 1 to 36,500")])
def test_days_for_all_that_cannot_be_taken_are_said(manager_client, days, said):
    answer = manager_client.get(PAGE, typed((make_tag(), "3"), all_days=days, fill="1"), headers=HTMX)
    assert answer.status_code == 422
    assert "For all ticked: " in answer.content.decode()
    assert said in answer.content.decode()
    assert b"Tick the tags" in manager_client.get(PAGE, {"all_days": "3", "fill": "1"}).content


def test_counts_follow_what_is_typed_and_an_older_preview_is_taken_away(manager_client):
    tag = make_tag(expiration_days=90)
    for days in (5, 50, 100):
        lead_of_age(days, tag)
    values = typed((tag, "30", True))
    part = manager_client.get(f"{PAGE}effect/", values, headers=HTMX).content.decode()
    assert "<strong>3</strong> of 3 assignments change" in part
    assert "<strong>1</strong> expires" in part
    assert 'id="preview"' not in part
    outdated = manager_client.get(f"{PAGE}effect/", typed((tag, "x"), previewed="1"), headers=HTMX).content.decode()
    assert 'hx-swap-oob="innerHTML"' in outdated
    assert "cannot be taken" in outdated
    assert manager_client.get(f"{PAGE}effect/", values).url.startswith(f"{PAGE}?tag=")


# Preview, then publish ------------------------------------------------------------------------------------------------


def test_one_preview_then_one_change_with_one_job(manager_client, manager, django_capture_on_commit_callbacks):
    first, second = make_tag(base_score=700, expiration_days=90), make_tag(base_score=50, expiration_days=30)
    for days in (5, 50, 100):
        lead_of_age(days, first, second)
    values = typed((first, "30", True), (second, "", True), threshold="600", preview="1")
    page = manager_client.get(PAGE, values).content.decode()
    panel = manager_client.get(preview_of(page), headers=HTMX).content.decode()
    table = panel.split("by-tag")[1].split("</table>")[0]
    counts = re.findall(r'data-label="[^"]+">(\d+)<', table)
    assert counts == ["3", "1", "0", "3", "0", "2"]
    assert "Fall below 600</span><strong>1<" in panel
    assert '<span class="key rising">Rising</span><strong>1<' in panel
    assert "<svg" in panel
    assert not RuleChange.objects.exists()

    with django_capture_on_commit_callbacks(execute=True):
        done = manager_client.post(PAGE, posted_by(panel) | {"reason": "courts are fast"})
    assert done.url == PAGE
    change, job = RuleChange.objects.get(), Job.objects.get()
    assert (change.by, change.reason) == (manager, "courts are fast")
    assert change.tag_ids == change.retroactive_tag_ids == [first.pk, second.pk]
    page = manager_client.get(PAGE).content.decode()
    assert "2 tags with other days" in page
    assert "<strong>being applied</strong>" in page
    assert job.get_absolute_url() in page
    asking = HTMX | {"HX-Target": "rule-applying"}
    assert manager_client.get(PAGE, headers=asking).status_code == 200
    run_job(job_id=job.pk)
    assert list(Lead.objects.order_by("pk").values_list("score", flat=True)) == [750, 50, 50]
    assert not LeadTag.objects.filter(tag=second, is_expired=True).exists()
    after = manager_client.get(PAGE, headers=asking)
    assert after.status_code == 286
    assert b"Applied" in after.content
    assert b"<html" not in after.content


def test_without_htmx_the_preview_is_a_page_that_leads_back_with_the_values(manager_client):
    tag = make_tag(expiration_days=90)
    page = manager_client.get(PAGE, typed((tag, "30", True), preview="1")).content.decode()
    panel = manager_client.get(preview_of(page)).content.decode()
    back = re.search(r'href="(/tags/expirations/\?[^"]+)"', panel)[1].replace("&amp;", "&")
    assert 'value="30"' in row_of(manager_client.get(back).content.decode(), tag)


def test_where_nothing_differs_nothing_is_published(manager_client):
    tag = make_tag(expiration_days=90)
    page = manager_client.get(PAGE, typed((tag, "90", True), preview="1")).content.decode()
    assert b"nothing to publish" in manager_client.get(preview_of(page), headers=HTMX).content
    response = manager_client.post(PAGE, typed((tag, "90", True)))
    assert response.status_code == 422
    assert b"nothing to publish" in response.content
    assert not RuleChange.objects.exists()


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("0", "0 days is outside 1 to 36,500."),
        ("-3", "-3 days is outside 1 to 36,500."),
        ("36501", "36501 days is outside 1 to 36,500."),
        ("9" * 40, "999999999999 days is outside 1 to 36,500."),
        ("1.5", "“1.5” is not a whole number of days."),
        ("soon", "“soon” is not a whole number of days."),
        ("٣", "“٣” is not a whole number of days."),
    ],
)
def test_wrong_days_are_said_at_their_row_and_nothing_is_applied(manager_client, days, said):
    wrong, fine = make_tag(expiration_days=90), make_tag(expiration_days=90)
    values = typed((wrong, days, True), (fine, "30"), reason="kept")
    for response in (manager_client.get(PAGE, values | {"preview": "1"}), manager_client.post(PAGE, values)):
        page = response.content.decode()
        assert response.status_code == 422
        assert said in row_of(page, wrong)
        assert f'value="{days}"' in row_of(page, wrong)
        assert 'value="30"' in row_of(page, fine)
        assert "aria-invalid" not in row_of(page, fine)
        assert "/scoring/what-if/" not in page
    panel = manager_client.get("/scoring/what-if/", values | {"rule": "expirations"}, headers=HTMX)
    assert panel.status_code == 422
    assert said in panel.content.decode()
    assert not RuleChange.objects.exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Tick at least one tag"),
        ({"tag": ["999999"]}, "There is no tag 999999"),
        ({"tag": ["x", "9" * 40]}, "There is no tag x, 9999"),
        ({"threshold": "high"}, "Enter a whole number"),
        ({"reason": "x" * 101}, "at most 100"),
    ],
)
def test_what_cannot_be_meant_is_said(manager_client, values, said):
    tag = make_tag(expiration_days=90)
    if "tag" in values:
        values = {**values, f"days-{tag.pk}": "30", "tag": [*values["tag"], tag.pk]}
    elif values:
        values = typed((tag, "30")) | values
    for response in (manager_client.get(PAGE, values | {"preview": "1"}), manager_client.post(PAGE, values)):
        assert response.status_code == 422
        assert said in response.content.decode()
    assert not RuleChange.objects.exists()


def test_more_tags_than_an_address_holds_are_refused(manager_client):
    made = [Tag(name=f"Many {n}", name_key=f"many{n}") for n in range(MOST + 1)]
    tags = Tag.objects.bulk_create(made)
    response = manager_client.post(PAGE, {"tag": [tag.pk for tag in tags]})
    assert response.status_code == 422
    assert "101 tags are ticked" in response.content.decode()
    form = ExpirationsForm(QueryDict("&".join(f"tag={tag.pk}&days-{tag.pk}=36500&all-{tag.pk}=1" for tag in tags[1:])))
    assert form.is_valid()
    assert sum(len(f"{name}={value}&") for name, value in form.values()) < 7_000  # servers take lines of 8,190


# Somebody was faster --------------------------------------------------------------------------------------------------


def test_a_stale_row_refuses_all_and_says_what_differs_per_tag(manager_client, analyst):
    first, second = make_tag(name="Haunted", expiration_days=90), make_tag(name="Flooded", expiration_days=60)
    for tag in (first, second):
        publish(tag, base_score=1)
    mine = typed((first, "30", True), (second, "30"))
    publish(first, by=analyst, expiration_days=45, base_score=7)
    response = manager_client.post(PAGE, mine)
    page = response.content.decode()
    assert response.status_code == 409
    stale = page.split('id="stale"')[1].split("<form")[0]
    assert "Haunted" in stale
    assert "Flooded" not in stale
    assert "90 days" in stale
    assert "<strong>45 days<" in stale
    assert 'value="30"' in row_of(page, first)
    assert re.search(rf'id="all-{first.pk}"[^>]* checked', page)
    assert Tag.objects.get(pk=second.pk).expiration_days == 60
    # The preview says it too, and carries today's versions.
    page = manager_client.get(PAGE, mine | {"preview": "1"}).content.decode()
    assert 'id="stale"' in page
    panel = manager_client.get(preview_of(page), headers=HTMX).content.decode()
    assert manager_client.post(PAGE, posted_by(panel)).url == PAGE
    assert set(Tag.objects.filter(pk__in=[first.pk, second.pk]).values_list("expiration_days", flat=True)) == {30}


def test_later_days_wait_while_a_retroactive_change_is_being_applied(manager_client):
    tag, other = make_tag(expiration_days=90), make_tag(expiration_days=90)
    lead_of_age(5, tag)
    assert manager_client.post(PAGE, typed((tag, "30", True))).status_code == 302
    mine = typed((tag, "60"), (other, "60"))
    response = manager_client.post(PAGE, mine)
    assert response.status_code == 409
    assert b"still being applied" in response.content
    panel = manager_client.get("/scoring/what-if/", mine | {"rule": "expirations"}, headers=HTMX)
    assert panel.status_code == 422
    assert Tag.objects.get(pk=other.pk).expiration_days == 90


# Who may what ---------------------------------------------------------------------------------------------------------


def test_only_managers_find_open_and_publish_it(viewer_client, analyst_client, manager_client):
    tag = make_tag(expiration_days=90)
    values = typed((tag, "30"))
    for client in (viewer_client, analyst_client):
        assert PAGE.encode() not in client.get("/tags/").content
        assert client.get(PAGE).status_code == 403
        assert client.post(PAGE, values).status_code == 403
        assert client.get(f"{PAGE}effect/", values, headers=HTMX).status_code == 403
        assert client.get("/scoring/what-if/", values | {"rule": "expirations"}).status_code == 403
    assert PAGE.encode() in manager_client.get("/tags/").content
    assert not RuleChange.objects.exists()
