"""Who may do what to tags: every page, API route and admin page, each with every method and every role."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from leads.models import Lead
from leads.selections import select_ids
from tags import urls
from tags.bulk import Action, start_bulk_tagging
from tags.merges.operations import merge_tags
from tags.models import RuleChange, TagGroup
from tags.operations import publish_rule_change
from tests.api import api_client
from tests.factories import assign, make_lead, make_tag

pytestmark = pytest.mark.django_db
ROLES = ("viewer", "analyst", "manager", "admin")
SEES, TAGS, RULES, NOBODY = ROLES, ROLES[1:], ROLES[2:], ()

# Name of the page -> who may GET it, who may POST to it. NOBODY: nobody may, for the page has no such method.
PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "list": (SEES, NOBODY),
    "new": (RULES, RULES),
    "detail": (SEES, RULES),
    "archive": (RULES, NOBODY),
    "merge": (RULES, RULES),
    "merged": (SEES, NOBODY),
    "undo-merge": (NOBODY, RULES),
    "new-group": (RULES, RULES),
    "group": (SEES, RULES),
    "changes": (RULES, NOBODY),
    "export-changes": (RULES, NOBODY),
    "change": (RULES, RULES),
    "undo": (RULES, RULES),
    "curve": (SEES, NOBODY),
    "expiration-effect": (RULES, NOBODY),
    "expirations": (RULES, RULES),
    "expirations-effect": (RULES, NOBODY),
    "hide-expiring": (NOBODY, SEES),
    "show-expiring": (NOBODY, SEES),
    "bulk": (TAGS, TAGS),
    "bulk-job": (SEES, NOBODY),
    "bulk-undo": (NOBODY, TAGS),
    "lead-panel": (SEES, NOBODY),
    "assign": (NOBODY, TAGS),
    "remove": (NOBODY, TAGS),
}
API: dict[str, dict[str, tuple[str, ...]]] = {
    "tags": {"get": SEES, "post": RULES},
    "tags/{pk}": {"get": SEES, "patch": RULES},
    "tags/{pk}/update-expiration": {"post": RULES},
    "tags/bulk-update-expiration": {"post": RULES},
}
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def things() -> dict[str, int]:
    """One of each, by what the routes call it."""
    tag, group, lead = make_tag(name="Haunted"), TagGroup.objects.create(name="Ghosts"), make_lead()
    assign(lead, tag)
    change = publish_rule_change(save=[make_tag(name="Flooded")], by=None, at=timezone.now())
    gone, stays = make_tag(), make_tag()
    merge = merge_tags(merged_id=gone.pk, into_id=stays.pk, expected=0, by=None, at=timezone.now())
    RuleChange.objects.update(applied_at=timezone.now())
    bulk = start_bulk_tagging(
        selection=select_ids([make_lead().pk]), action=Action.ADD, tag=stays, confirmed=None, by=None, at=timezone.now()
    )
    made = {"tag": tag, "group": group, "lead": lead, "change": change, "merge": merge, "job": bulk}
    return {name: thing.pk for name, thing in made.items()}


OF = {
    "group": "group",
    "change": "change",
    "undo": "change",
    "merged": "merge",
    "undo-merge": "merge",
    "bulk-job": "job",
    "bulk-undo": "job",
    "lead-panel": "lead",
    "assign": "lead",
    "remove": "lead",
}


def address_of(pattern: URLPattern, things: dict[str, int]) -> str:
    wanted: dict[str, Any] = {}
    for name in pattern.pattern.converters:
        wanted[name] = things["tag"] if name == "tag_id" else things[OF.get(str(pattern.name), "tag")]
    return reverse(f"tags:{pattern.name}", kwargs=wanted)


def test_every_page_is_in_the_table() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_pages(role: str, person: Any, things: dict[str, int]) -> None:
    client = Client()
    client.force_login(person(role))
    wrong = []
    for pattern in urls.urlpatterns:
        gets, posts = PAGES[str(pattern.name)]
        address = address_of(pattern, things)
        for method in METHODS:
            status = getattr(client, method)(address).status_code
            may = role in {"get": gets, "post": posts}.get(method, NOBODY)
            exists = bool({"get": gets, "post": posts}.get(method, NOBODY))
            # A form without values is refused as such (422, 409), after the right was there.
            fits = status in (200, 302, 409, 422) if may else status == 403 if exists else status in (403, 405)
            if not fits:
                wrong.append((role, method, address, status))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_a_refused_post_changes_nothing(role: str, person: Any, things: dict[str, int]) -> None:
    client = Client()
    client.force_login(person(role))
    before = RuleChange.objects.count()
    for pattern in urls.urlpatterns:
        if role not in PAGES[str(pattern.name)][1]:
            client.post(address_of(pattern, things), {"name": "X", "tag": things["tag"], "into": things["tag"]})
    assert RuleChange.objects.count() == before
    assert Lead.objects.get(pk=things["lead"]).lead_tags.filter(removed_at=None).count() == 1


def test_nobody_gets_in_without_login(client: Client, things: dict[str, int]) -> None:
    for pattern in urls.urlpatterns:
        for method in ("get", "post"):
            response = getattr(client, method)(address_of(pattern, things))
            assert response.status_code == 302
            assert response.url.startswith("/login/")


def api_routes() -> set[str]:
    """The routes of the API that speak of tags, as the project composes them."""
    found = set()

    def walk(resolver: URLResolver, prefix: str) -> None:
        for pattern in resolver.url_patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(pattern, path)
            elif path.startswith("api/tags"):
                found.add(path.removeprefix("api/").replace("<int:pk>", "{pk}"))

    walk(get_resolver(), "")
    return found


def test_every_route_of_the_api_is_in_the_table() -> None:
    assert api_routes() == set(API)


@pytest.mark.parametrize("role", ROLES)
def test_api(role: str, person: Any, things: dict[str, int]) -> None:
    client, wrong = api_client(person(role)), []
    for route, rights in API.items():
        address = "/api/" + route.replace("{pk}", str(things["tag"]))
        for method in METHODS:
            status = getattr(client, method)(address).status_code
            if method not in rights:
                fits = status == 405
            else:
                fits = status not in (401, 403, 404, 405) if role in rights[method] else status == 403
            if not fits:
                wrong.append((role, method, address, status))
    assert wrong == []


# What staff of a role may do in the admin. Nobody deletes a rule there: tags are archived.
ADMIN: dict[str, dict[str, tuple[str, ...]]] = {
    "tag": {"list": SEES, "add": RULES, "see": SEES, "change": RULES, "history": SEES, "delete": NOBODY},
    "taggroup": {"list": RULES, "add": RULES, "see": RULES, "change": RULES, "history": RULES, "delete": NOBODY},
    "tagalias": {"list": RULES, "add": NOBODY, "see": RULES, "change": NOBODY, "history": RULES, "delete": NOBODY},
    "rulechange": {"list": RULES, "add": NOBODY, "see": RULES, "change": NOBODY, "history": RULES, "delete": NOBODY},
}


def test_every_model_of_the_admin_is_in_the_table() -> None:
    ours = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "tags"}
    assert ours == set(ADMIN)


@pytest.mark.parametrize("role", ROLES)
def test_admin(role: str, person: Any, things: dict[str, int]) -> None:
    user = person(role)
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    group = TagGroup.objects.get(pk=things["group"])
    alias = make_tag(name="Old name").aliases.create(name_key="older")
    keys = {"tag": things["tag"], "taggroup": group.pk, "tagalias": alias.pk, "rulechange": things["change"]}
    found: dict[str, dict[str, bool]] = {}
    for model, pk in keys.items():
        at = f"/admin/tags/{model}/"
        status = {
            "list": client.get(at).status_code,
            "add": client.get(f"{at}add/").status_code,
            "see": client.get(f"{at}{pk}/change/").status_code,
            # A form without values is refused as such: 200 again.
            "change": client.post(f"{at}{pk}/change/", {}).status_code,
            "history": client.get(f"{at}{pk}/history/").status_code,
            "delete": client.get(f"{at}{pk}/delete/").status_code,
        }
        assert set(status.values()) <= {200, 403}, (model, status)
        found[model] = {act: code == 200 for act, code in status.items()}
    assert found == {model: {act: role in roles for act, roles in acts.items()} for model, acts in ADMIN.items()}
