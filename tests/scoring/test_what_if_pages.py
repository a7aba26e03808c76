"""The panel that says what proposed rules would do, and carries the button that publishes them."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from leads.models import Lead
from scoring.rule_views import histogram
from scoring.what_if import Bin, WhatIf
from tags.models import RuleChange, TagGroup
from tests.factories import make_scored_lead, make_tag
from tests.tags.test_rule_pages import publish, typed

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def yesterday():
    return timezone.now() - dt.timedelta(days=1)


def ask(client, rule, **values):
    kind = "group" if isinstance(rule, TagGroup) else "tag"
    query = typed(rule) | values | {"rule": kind, "id": rule.pk or ""}
    return client.get("/scoring/what-if/", query, headers=HTMX)


def counts(page):
    """The figures of the panel by their names."""
    found = re.findall(r"<span(?: class=\"[a-z ]+\")?>([^<]+)</span><strong>([\d,]+)</strong>", page)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_the_panel_counts_leads_crossings_and_names_the_biggest_movers(manager_client):
    tag, other = make_tag(base_score=700), make_tag(base_score=400)
    low, high = make_scored_lead(tags=[tag], at=yesterday()), make_scored_lead(tags=[tag, other], at=yesterday())
    make_scored_lead(tags=[other], at=yesterday())
    page = ask(manager_client, tag, base_score=500, threshold=1000).content.decode()
    assert counts(page) == {
        "Leads it touches": 2, "Rising": 0, "Falling": 2, "Reach 1,000": 0, "Fall below 1,000": 1,
    }  # fmt: skip
    assert f'href="{low.get_absolute_url()}"' in page
    assert f'href="{high.get_absolute_url()}"' in page
    assert "-200" in page
    assert "<svg" in page
    assert "The same as a table" in page
    assert ">700<" in page
    assert "<strong>500<" in page
    # Nothing is written.
    assert sorted(Lead.objects.values_list("score", flat=True)) == [400, 700, 1100]
    assert not RuleChange.objects.exists()


def test_a_cap_and_archiving_are_foreseen(manager_client):
    group = TagGroup.objects.create(name="Ghosts")
    tags = [make_tag(base_score=700, group=group), make_tag(base_score=600, group=group)]
    make_scored_lead(tags=tags, at=yesterday())
    assert counts(ask(manager_client, group, cap=900).content.decode())["Falling"] == 1
    assert counts(ask(manager_client, tags[0], is_archived="on").content.decode())["Falling"] == 1


def test_the_publish_form_carries_just_what_was_previewed(manager_client):
    tag = make_tag(base_score=700)
    page = ask(manager_client, tag, base_score=800, description='Say "boo" & <b>').content.decode()
    assert f'action="/tags/{tag.pk}/"' in page
    assert 'name="base_score" value="800"' in page
    assert 'name="description" value="Say &quot;boo&quot; &amp; &lt;b&gt;"' in page
    assert 'name="days-1"' not in page
    assert 'type="hidden" name="rule"' not in page


def test_a_new_tag_touches_nobody_and_may_be_published(manager_client):
    page = ask(manager_client, make_tag().__class__(name="Haunted"), base_score=5).content.decode()
    assert "No lead carries it yet" in page
    assert 'action="/tags/new/"' in page


def test_without_a_difference_there_is_no_publish_button(manager_client):
    page = ask(manager_client, make_tag()).content.decode()
    assert "nothing to publish" in page
    assert "<form" not in page


def test_a_change_that_moves_no_score_says_so(manager_client):
    tag = make_tag()
    make_scored_lead(tags=[tag], at=yesterday())
    assert "No score changes now" in ask(manager_client, tag, expired_percent=50).content.decode()


def test_without_htmx_the_panel_is_a_page_that_leads_back_with_the_values(manager_client):
    tag = make_tag()
    page = manager_client.get("/scoring/what-if/", typed(tag, base_score=3) | {"rule": "tag", "id": tag.pk})
    assert b"<html" in page.content
    back = re.search(r'href="(/tags/\d+/\?[^"]+)"', page.content.decode())[1].replace("&amp;", "&")
    assert b'value="3"' in manager_client.get(back).content


def test_rolling_back_is_foreseen(manager_client):
    tag = make_tag(base_score=700)
    first, second = publish(tag, base_score=600), publish(tag, base_score=450)
    query = {"rule": "rollback", "id": first.pk, "seen": second.pk}
    page = manager_client.get("/scoring/what-if/", query, headers=HTMX).content.decode()
    assert f'action="/tags/changes/{first.pk}/"' in page
    assert f'name="seen" value="{second.pk}"' in page
    assert f'value="roll back to version {first.pk}"' in page


def test_only_who_may_change_a_rule_previews_it(analyst_client, viewer_client):
    tag, group = make_tag(), TagGroup.objects.create(name="Ghosts")
    change = publish(tag, base_score=1)
    for client in (analyst_client, viewer_client):
        assert ask(client, tag, base_score=2).status_code == 403
        assert ask(client, group, cap=2).status_code == 403
        assert client.get("/scoring/what-if/", {"rule": "rollback", "id": change.pk}).status_code == 403


def test_what_makes_no_sense_is_refused(manager_client):
    tag = make_tag()
    assert b"cannot be taken" in ask(manager_client, tag, base_score="many").content
    for query in ({}, {"rule": "x"}, {"rule": "tag", "id": "x"}, {"rule": "tag", "id": 999_999}, {"rule": "rollback"}):
        assert manager_client.get("/scoring/what-if/", query).status_code == 404
    wrong = manager_client.get("/scoring/what-if/", {"rule": "rollback", "id": publish(tag).pk, "threshold": "x"})
    assert wrong.status_code == 422


def test_bars_stand_over_one_scale_and_gaps_stay_gaps(now):
    bins = [Bin(low=-100, high=0, before=1, after=0), Bin(low=300, high=400, before=2, after=4)]
    effect = WhatIf(
        at=now, leads=4, rising=1, falling=0, threshold=350, crossing_up=1, crossing_down=0, risers=[], fallers=[],
        bins=bins,
    )  # fmt: skip
    drawn = histogram(effect)
    assert drawn is not None
    first, last = drawn.columns
    assert float(last.after) == 2 * float(last.before) > 0
    assert float(first.after) == 0
    assert float(last.x) - float(first.x) > 500  # five slots of 704 units, the last beginning at the fourth
    assert float(last.x) < float(drawn.threshold_x) < 712
