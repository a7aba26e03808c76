"""What tags add to the lead pages: chips, the tag filter and the tags panel."""

from collections.abc import Mapping, Sequence
from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef

from leads import registry
from leads.models import LeadQuerySet
from tags.models import LeadTag, Tag
from tags.notices import banner_for


def live_tags_of(lead_ids: Sequence[int]) -> Mapping[int, list[Tag]]:
    """The live tags of each lead, weightiest first; one query."""
    found: dict[int, list[Tag]] = {}
    live = LeadTag.objects.live().filter(lead_id__in=lead_ids, tag__is_archived=False)
    for lead_tag in live.select_related("tag").order_by("-tag__base_score", "tag__name"):
        found.setdefault(lead_tag.lead_id, []).append(lead_tag.tag)
    return found


def tag_names_of(lead_ids: Sequence[int]) -> Mapping[int, list[dict[str, Any]]]:
    return {
        lead_id: [{"id": tag.pk, "name": tag.name} for tag in tags] for lead_id, tags in live_tags_of(lead_ids).items()
    }


def with_every_tag(leads: LeadQuerySet, name: str, tags: Sequence[Tag]) -> LeadQuerySet:
    """Leads that hold a live assignment of each of these tags."""
    for tag in tags:
        leads = leads.filter(Exists(LeadTag.objects.live().filter(lead=OuterRef("pk"), tag=tag)))
    return leads


def tag_filter() -> django_filters.Filter:
    return django_filters.ModelMultipleChoiceFilter(
        queryset=Tag.objects.active(), method=with_every_tag, label="Tags (each of)"
    )


class ExpiringFilter(django_filters.ModelMultipleChoiceFilter):
    """Leads on which one of these tags is live and expires within its notice, as the banner counts them."""

    def filter(self, qs: LeadQuerySet, value: Sequence[Tag]) -> LeadQuerySet:
        if not value:
            return qs
        expiring = LeadTag.objects.expiring(tags=value, at=self.parent.at)
        return qs.filter(Exists(expiring.filter(lead=OuterRef("pk"))))


def expiring_filter() -> django_filters.Filter:
    return ExpiringFilter(
        queryset=Tag.objects.active(), label="Expiring soon (any of)", widget=forms.MultipleHiddenInput
    )


def tags_to_choose() -> dict[str, list[Tag]]:
    """What the bar of a selection offers: active tags, and archived ones, which can only be removed."""
    tags = list(Tag.objects.all())
    return {
        "active": [tag for tag in tags if not tag.is_archived],
        "archived": [tag for tag in tags if tag.is_archived],
    }


def register() -> None:
    registry.add_column(
        registry.Column(key="tags", label="Tags", fetch=live_tags_of, template="tags/_chips.html", order=50)
    )
    registry.add_filter("tags", tag_filter)
    registry.add_filter("expiring", expiring_filter)
    registry.add_banner(registry.Banner(key="expiring", fetch=banner_for, template="tags/_banner.html"))
    registry.add_api_field("tags", tag_names_of)
    registry.add_panel(registry.Panel(key="tags", title="Tags", url_name="tags:lead-panel", order=20))
    registry.add_bulk_action(
        registry.BulkAction(
            key="tag", right="tags.assign_tag", template="tags/_bulk_action.html", context=tags_to_choose, order=10
        )
    )
