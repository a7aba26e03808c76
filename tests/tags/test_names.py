"""Names of tags: former ones stay, and compare as names do."""

import pytest
from django.core.exceptions import ValidationError

from tags.models import Tag, TagAlias
from tags.operations import find_tag_ids, publish_rule_change
from tests.conftest import NOW
from tests.factories import import_rows, make_tag

pytestmark = pytest.mark.django_db


def rename(tag: Tag, name: str) -> None:
    tag.name = name
    publish_rule_change(save=[tag], by=None, at=NOW, reason="r" * 150)


def test_a_list_that_uses_a_former_name_finds_the_tag() -> None:
    tag = make_tag(name="Sheriff Sale")
    rename(tag, "Sheriff's Auction")
    import_rows("Address,ZIP,Tags\n1 OAK ST,07030,SHERIFF-SALE\n")
    assert [row.tag for row in tag.lead_tags.all()] == [tag]
    rename(tag, "sheriff sale")
    assert find_tag_ids(["Sheriff's Auction", "Sheriff Sale"]) == {"sheriffsauction": tag.pk, "sheriffsale": tag.pk}
    assert set(tag.aliases.values_list("name_key", flat=True)) == {"sheriffsauction"}


def test_a_former_name_is_folded_and_never_a_name_of_today(admin_client) -> None:
    tag = make_tag(name="Sheriff Sale")
    admin_client.post("/admin/tags/tagalias/add/", {"name_key": "Sheriff's  AUCTION!", "tag": tag.pk})
    assert find_tag_ids(["sheriffs auction"]) == {"sheriffsauction": tag.pk}
    for name in ("SHERIFF SALE", "!!!"):
        with pytest.raises(ValidationError):
            TagAlias(name_key=name, tag=tag).clean()


def test_the_admin_answers_in_words_and_takes_an_emptied_box(admin_client) -> None:
    tag = make_tag(name="Sheriff Sale", decay_steps=[[10, 50]])
    other = make_tag(name="Other")
    values = {"name": "SHERIFF sale", "color": "#667382", "base_score": 5, "expired_percent": 0, "reassertion": "keep"}
    response = admin_client.post(f"/admin/tags/tag/{other.pk}/change/", values | {"decay_steps": ""})
    assert "Another tag has this name" in response.content.decode()
    response = admin_client.post(f"/admin/tags/tag/{tag.pk}/change/", values | {"decay_steps": ""})
    assert response.status_code == 302
    tag.refresh_from_db()
    assert (tag.decay_steps, tag.base_score) == ([], 5)
