"""The page of all scores, its numbers, and what the cache keeps of them."""

import datetime as dt
import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from scoring.distribution import Bin, score_distribution, top_leads
from tags.models import Tag
from tags.operations import remove_tag
from tests.api import api_client, problem
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
MEMORY = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "distribution"}}
DEAD = {
    "default": {
        "BACKEND": "leadscore.cache.ForgivingRedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}


@pytest.fixture(autouse=True)
def memory(settings) -> None:
    """A cache of this test alone."""
    settings.CACHES = MEMORY
    cache.clear()


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def make_scores(*scores: int) -> None:
    for score in scores:
        make_lead(score=score, rescore_at=None)


# Numbers --------------------------------------------------------------------------------------------------------------


def test_numbers_and_bins_add_up_negative_scores_too(now) -> None:
    make_scores(-150, 0, 0, 90, 100, 199, 1000, 2900)
    found = score_distribution(at=now, threshold=100)
    assert (found.leads, found.lowest, found.highest, found.median) == (8, -150, 2900, 95)
    assert found.average == pytest.approx(4139 / 8)
    assert (found.at_or_above, found.share_at_or_above) == (4, 0.5)
    assert found.bin_width == 200
    assert found.bins[:3] == [
        Bin(low=-200, high=0, leads=1),
        Bin(low=0, high=200, leads=5),
        Bin(low=200, high=400, leads=0),
    ]
    assert sum(bin_.leads for bin_ in found.bins) == 8
    assert [bin_.low for bin_ in found.bins] == list(range(-200, 3000, 200))


@pytest.mark.parametrize(
    ("scores", "median"), [((7,), 7), ((7, 8), 7.5), ((1, 7, 7, 9), 7), ((-3, -2), -2.5), ((1, 2, 9), 2)]
)
def test_the_median_is_the_middle_or_the_mean_of_both_middles(now, scores, median) -> None:
    make_scores(*scores)
    assert score_distribution(at=now).median == median


def test_without_leads_there_are_no_numbers(now) -> None:
    found = score_distribution(at=now)
    assert (found.leads, found.average, found.median, found.share_at_or_above) == (0, None, None, None)
    assert found.stacks == []
    assert top_leads(at=now).leads == []


def test_a_tag_chooses_its_live_carriers_on_the_same_bins(now) -> None:
    tag, other = make_tag(base_score=500), make_tag(base_score=3000)
    carrier = make_scored_lead(tags=[tag])
    removed = make_scored_lead(tags=[tag])
    remove_tag(lead_id=removed.pk, tag=tag, at=now)
    ago = now - dt.timedelta(days=20)
    assign(make_lead(), tag, ago, expiration_at=now - dt.timedelta(days=1))
    make_scored_lead(tags=[other])
    found = score_distribution(at=now, tag=tag)
    assert (found.leads, found.median) == (1, 500)
    assert [bin_.low for bin_ in found.bins] == [bin_.low for bin_ in score_distribution(at=now).bins]
    assert [one.pk for one in top_leads(at=now, tag=tag).leads] == [carrier.pk]


def test_stacking_counts_live_tags_that_are_not_archived(now) -> None:
    a, b, archived = make_tag(base_score=100), make_tag(base_score=200), make_tag(is_archived=True)
    make_scored_lead(tags=[])
    make_scored_lead(tags=[a])
    make_scored_lead(tags=[b, archived])
    make_scored_lead(tags=[a, b])
    expired = make_lead()
    assign(expired, a, is_expired=True)
    stacks = score_distribution(at=now).stacks
    assert [(one.tags, one.leads, one.average) for one in stacks] == [(0, 2, 0), (1, 2, 150), (2, 1, 300)]
    of_a = score_distribution(at=now, tag=a).stacks
    assert [(one.tags, one.leads, one.average) for one in of_a] == [(1, 1, 100), (2, 1, 300)]


def test_high_stacks_are_told_together(now) -> None:
    tags = [make_tag(base_score=1) for _ in range(12)]
    make_scored_lead(tags=tags)
    make_scored_lead(tags=tags[:10])
    (stack,) = score_distribution(at=now).stacks
    assert (stack.tags, stack.leads, stack.is_open) == (10, 2, True)


def test_the_best_come_first_with_their_tags_and_ties_by_age(now) -> None:
    heavy, light = make_tag(name="Heavy", base_score=900), make_tag(name="Light", base_score=50)
    second = make_scored_lead(tags=[heavy], address="2 OAK AVE", unit="APT 4")
    third = make_scored_lead(tags=[heavy])
    first = make_scored_lead(tags=[light, heavy])
    best = top_leads(at=now).leads
    assert [one.pk for one in best] == [first.pk, second.pk, third.pk]
    assert [tag.name for tag in best[0].tags] == ["Heavy", "Light"]
    assert (best[1].title, best[1].score) == ("2 OAK AVE APT 4", 900)


# The cache ------------------------------------------------------------------------------------------------------------


def test_what_was_computed_holds_for_half_a_minute_and_says_of_when_it_is(now, django_assert_num_queries) -> None:
    make_scores(100)
    score_distribution(at=now), top_leads(at=now)
    make_scores(200)
    soon, later = now + dt.timedelta(seconds=29), now + dt.timedelta(seconds=30)
    with django_assert_num_queries(0):
        assert (score_distribution(at=soon).leads, score_distribution(at=soon).as_of) == (1, now)
        assert (len(top_leads(at=soon).leads), top_leads(at=soon).as_of) == (1, now)
    assert (score_distribution(at=later).leads, score_distribution(at=later).as_of) == (2, later)
    assert (len(top_leads(at=later).leads), top_leads(at=later).as_of) == (2, later)


def test_a_clock_that_went_back_reads_nothing_from_the_future(now) -> None:
    score_distribution(at=now)
    before = now - dt.timedelta(seconds=1)
    assert score_distribution(at=before).as_of == before


def test_each_tag_and_threshold_is_kept_apart(now) -> None:
    tag = make_tag(base_score=500)
    make_scored_lead(tags=[tag])
    make_scores(0)
    assert score_distribution(at=now).leads == 2
    assert score_distribution(at=now, tag=tag).leads == 1
    assert score_distribution(at=now, threshold=0).at_or_above == 2
    assert score_distribution(at=now, threshold=501).at_or_above == 0


def test_a_dead_redis_only_makes_it_slower(settings, now, viewer_client) -> None:
    settings.CACHES = DEAD
    make_scores(100)
    later = now + dt.timedelta(seconds=1)
    assert score_distribution(at=now).as_of == now
    assert score_distribution(at=later).as_of == later
    assert top_leads(at=later).as_of == later
    assert viewer_client.get("/scores/").status_code == 200


def test_the_cache_keeps_nothing_of_a_persons_rights(manager_client, viewer_client, person) -> None:
    make_scores(100)
    pages = [
        re.sub(r"<header.*?</header>|<nav.*?</nav>", "", client.get("/scores/").content.decode(), flags=re.DOTALL)
        for client in (manager_client, viewer_client)
    ]
    assert pages[0] == pages[1]
    stranger = Client()
    stranger.force_login(person("contractor"))
    assert stranger.get("/scores/").status_code == 403  # although it lies in the cache


# The page -------------------------------------------------------------------------------------------------------------


def page_of(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(f"/scores/{query}", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def test_every_bar_leads_to_as_many_leads_as_it_shows(viewer_client) -> None:
    tag = make_tag(base_score=700)
    make_scored_lead(tags=[tag])
    make_scored_lead(tags=[tag, make_tag(base_score=-900)])
    make_scores(-10, 0, 650, 2100)
    for query, leads in (("", 6), (f"?tag={tag.pk}", 2)):
        page = page_of(viewer_client, query)
        table = page[page.index('aria-label="Leads by score"') : page.index("How reasons stack")]
        links = [(html.unescape(link), int(count)) for link, count in re.findall(r'<a href="([^"]+)">(\d+)<', table)]
        assert sum(count for _, count in links) == leads
        for link, count in links:
            shown = viewer_client.get(link).content.decode()
            assert f"<strong>{count}</strong>" in shown, link
            assert set(parse_qs(urlsplit(link).query)) >= {"score_min", "score_max"}


def test_the_share_above_a_threshold_from_the_address(viewer_client) -> None:
    make_scores(0, 500, 1500, 2500)
    page = page_of(viewer_client, "?threshold=1500")
    assert "<strong>50.0%</strong><span>2 at 1,500 or more</span>" in page
    assert 'href="/leads/?score_min=1500"' in page
    assert 'value="1500"' in page
    assert "25.0%" in page_of(viewer_client, "?threshold=2000")


def test_the_moment_is_shown_in_the_persons_time_zone(viewer, viewer_client) -> None:
    make_scores(0)
    viewer.time_zone = "Asia/Kolkata"
    viewer.save()
    page = page_of(viewer_client)
    found = re.search(r'as of <time datetime="([^"]+)" title="[^"]+ IST">(\d\d:\d\d:\d\d)</time>', page)
    assert found
    assert dt.datetime.fromisoformat(found[1]).strftime("%H:%M:%S") == found[2]


@pytest.mark.parametrize("query", ["?tag=999999", "?tag=x", "?threshold=many", "?threshold=99999999999", "?tag=%00"])
def test_what_cannot_be_right_is_left_out_and_named(viewer_client, query) -> None:
    make_scores(100)
    page = page_of(viewer_client, query)
    assert "This was left out." in page
    assert "<strong>1</strong><span>lead</span>" in page


def test_an_archived_tag_is_no_choice(viewer_client) -> None:
    tag = make_tag(is_archived=True, name="Old reason")
    assert "Old reason" not in page_of(viewer_client)
    make_scores(1)
    assert "This was left out." in page_of(viewer_client, f"?tag={tag.pk}")


def test_htmx_gets_the_results_alone_and_the_address_of_what_was_asked(viewer_client) -> None:
    tag = make_tag(base_score=10)
    make_scored_lead(tags=[tag])
    response = viewer_client.get(f"/scores/?tag={tag.pk}&threshold=", headers=HTMX)
    assert b"<html" not in response.content
    assert response["HX-Push-Url"] == f"/scores/?tag={tag.pk}"
    assert viewer_client.get("/scores/?tag=&threshold=7", headers=HTMX)["HX-Push-Url"] == "/scores/?threshold=7"


def test_empty_pages_say_what_to_do(viewer_client, analyst_client) -> None:
    assert "No leads yet" in page_of(viewer_client)
    assert "Import a list" in page_of(analyst_client)
    tag = make_tag(name="Lonely")
    make_scores(0)
    cache.clear()
    assert "No lead carries Lonely now" in page_of(viewer_client, f"?tag={tag.pk}")


def test_the_page_is_in_the_sidebar_and_has_no_inline_script(viewer_client) -> None:
    make_scores(0, 10)
    page = page_of(viewer_client)
    assert 'href="/scores/" aria-current="page"' in page
    assert "<script>" not in page
    assert Tag.objects.count() > 1  # the seeded tags are offered
    assert page.count("<option") == Tag.objects.count() + 1


def test_the_number_of_queries_does_not_grow_with_the_leads(viewer_client, django_assert_max_num_queries) -> None:
    tag = make_tag()
    for count in (1, 20):
        for _ in range(count):
            make_scored_lead(tags=[tag])
        cache.clear()
        with django_assert_max_num_queries(14):
            viewer_client.get("/scores/")


# The API -------------------------------------------------------------------------------------------------------------


def test_the_distribution_over_the_api_is_that_of_the_page(api) -> None:
    tag = make_tag(base_score=700)
    make_scored_lead(tags=[tag])
    make_scores(-10, 2100)
    body = api.get("/api/scores/distribution?threshold=700").json()
    assert (body["leads"], body["median"], body["lowest"], body["highest"]) == (3, 700, -10, 2100)
    assert (body["threshold"], body["at_or_above"], body["bin_width"]) == (700, 2, 100)
    assert body["bins"][0] == {"low": -100, "high": 0, "leads": 1}
    assert body["stacks"] == [{"tags": 0, "leads": 2, "average": 1045.0}, {"tags": 1, "leads": 1, "average": 700.0}]
    assert api.get(f"/api/scores/distribution?tag={tag.pk}").json()["leads"] == 1
    again = api.get("/api/scores/distribution?threshold=700").json()
    assert again["as_of"] == body["as_of"]


@pytest.mark.parametrize(
    "query", ["tag=999999", "tag=x", "threshold=many", "threshold=99999999999", "tags=1", "tag=%00"]
)
def test_what_cannot_be_right_gets_400_over_the_api(api, query) -> None:
    assert query.split("=")[0] in problem(api.get(f"/api/scores/distribution?{query}"), 400)["errors"]
