from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin

from tags.models import RuleChange, Tag, TagAlias, TagGroup
from tags.operations import publish_rule_change


class RuleAdmin(SimpleHistoryAdmin):
    """Saving publishes: history, rule change and rescoring in one go. Rules are archived, never deleted."""

    change_form_template = "admin/tags/rule_form.html"
    # What the trail on the pages says; the reason stands in every history row itself.
    history_list_display = ("version", "retroactive", "affected", "expired", "revived", "applied")

    def get_history_queryset(
        self, request: HttpRequest, history_manager: Any, pk_name: str, object_id: Any
    ) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_history_queryset(request, history_manager, pk_name, object_id)
        return rows.select_related("rule_change__by")

    @admin.display(description="Version")
    def version(self, row: Any) -> str:
        """The rule change that published the row, with the page on which it can be undone."""
        if row.rule_change is None:
            return "without"
        page = reverse("tags:change", args=[row.rule_change_id])
        return format_html('<a href="{}">Version {}</a>', page, row.rule_change_id)

    @admin.display(description="Retroactive")
    def retroactive(self, row: Any) -> str:
        change = row.rule_change
        is_tag = self.model is Tag
        return "yes" if change and is_tag and row.id in change.retroactive_tag_ids else "no"

    @admin.display(description="Affected")
    def affected(self, row: Any) -> str:
        return _count(row, "affected")

    @admin.display(description="Expired")
    def expired(self, row: Any) -> str:
        return _count(row, "expired")

    @admin.display(description="Revived")
    def revived(self, row: Any) -> str:
        return _count(row, "revived")

    @admin.display(description="Applied")
    def applied(self, row: Any) -> str:
        if row.rule_change is None:
            return ""
        at = row.rule_change.applied_at
        return date_format(timezone.localtime(at), "DATETIME_FORMAT") if at else "being applied"

    def save_model(self, request: HttpRequest, obj: Tag | TagGroup, form: ModelForm, change: bool) -> None:
        publish_rule_change(save=[obj], by=request.user, at=timezone.now(), reason="edited in admin")  # type: ignore[arg-type]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _count(row: Any, name: str) -> str:
    value = getattr(row.rule_change, name, None)
    return "" if value is None else f"{value:,}"


@admin.register(Tag)
class TagAdmin(RuleAdmin):
    list_display = ("chip", "base_score", "expiration_days", "group", "needs_review", "is_archived", "merged_into")
    list_filter = ("needs_review", "is_archived", "group")
    search_fields = ("name",)

    @admin.display(description="Tag", ordering="name")
    def chip(self, tag: Tag) -> str:
        return format_html('<span style="color:{}">&#9679;</span> {}', tag.color, tag.name)


@admin.register(TagGroup)
class TagGroupAdmin(RuleAdmin):
    list_display = ("name", "cap")


@admin.register(TagAlias)
class TagAliasAdmin(admin.ModelAdmin):
    list_display = ("name_key", "tag")
    search_fields = ("name_key",)


@admin.register(RuleChange)
class RuleChangeAdmin(admin.ModelAdmin):
    list_display = ("id", "at", "by", "reason", "is_retroactive", "affected", "expired", "revived", "applied_at")
    list_filter = ("at", "by")
    search_fields = ("reason",)

    @admin.display(description="Retroactive", boolean=True)
    def is_retroactive(self, change: RuleChange) -> bool:
        return bool(change.retroactive_tag_ids)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
