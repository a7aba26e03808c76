from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin

from tags.models import RuleChange, Tag, TagAlias, TagGroup
from tags.operations import publish_rule_change


class RuleAdmin(SimpleHistoryAdmin):
    """Saving publishes: history, rule change and rescoring in one go. Rules are archived, never deleted."""

    change_form_template = "admin/tags/rule_form.html"

    def save_model(self, request: HttpRequest, obj: Tag | TagGroup, form: ModelForm, change: bool) -> None:
        publish_rule_change(save=[obj], by=request.user, at=timezone.now(), reason="edited in admin")  # type: ignore[arg-type]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Tag)
class TagAdmin(RuleAdmin):
    list_display = ("chip", "base_score", "expiration_days", "group", "needs_review", "is_archived")
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
    list_display = ("id", "at", "by", "reason", "applied_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
