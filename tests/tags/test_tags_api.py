"""GET /api/tags and /api/tags/{id}."""

import pytest
from django.test import Client

from tags.models import Tag, TagGroup
from tags.queries import version_of
from tests.api import api_client, problem
from tests.factories import make_tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def test_a_tag_tells_its_rules(api) -> None:
    group = TagGroup.objects.create(name="Court papers", cap=2000)
    tag = make_tag(
        name="Lis pendens",
        base_score=900,
        description="Filed",
        color="#d63939",
        expiration_days=365,
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
        "decay_steps": [[90, 80], [180, 50]],
        "expired_percent": 10,
        "reassertion": "restart",
        "group": {"id": group.pk, "name": "Court papers", "cap": 2000},
        "is_archived": True,
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
