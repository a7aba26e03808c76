from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin

from accounts.pages import person_of
from tags.expirations import ExpirationChange, preview_expirations
from tags.forms import RETROACTIVE
from tags.models import RuleChange, Tag, TagAlias, TagGroup
from tags.operations import NothingToPublish, StillApplying, publish_edited_rule, refuse_while_applying
from tags.queries import changed_since, version_of


class RuleForm(forms.ModelForm):
    """A rule as somebody saw it at `version`; other versions of it are refused, as on the pages."""

    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["version"] = version_of(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk:
            self._refuse_stale(cleaned)
        return cleaned

    def _refuse_stale(self, cleaned: dict[str, Any]) -> None:
        model = type(self.instance)
        # The view is one transaction: nobody publishes between this and the save.
        today = model.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        version = cleaned.get("version") or version_of(today)
        if version == version_of(today):
            return
        changed = changed_since(today, version)
        what = "; ".join(f"{one.label} was {one.old} and is {one.new}" for one in changed)
        self.add_error(
            None,
            "Somebody published this meanwhile; nothing of yours was saved. "
            f"{what + '. ' if what else ''}Open it anew and make your changes there.",
        )


class TagForm(RuleForm):
    """A tag; with retroactive effect, saving shows first what it does to assignments, and is done when repeated."""

    is_retroactive = forms.BooleanField(
        label=RETROACTIVE, required=False, help_text="Shows the counts before it saves."
    )
    confirmed_days = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("is_retroactive") and not self.errors:
            self._confirm(cleaned["expiration_days"], cleaned["confirmed_days"])
        return cleaned

    def _confirm(self, days: int | None, confirmed: str) -> None:
        """Refuse once, with the counts, and take the same days the next time."""
        wanted = str(days or "never")
        if confirmed == wanted:
            return
        change = ExpirationChange(self.instance.pk, days, True)
        (effect,) = preview_expirations(changes=[change], at=timezone.now())
        typed: QueryDict = self.data.copy()  # type: ignore[attr-defined]
        typed["confirmed_days"] = wanted
        self.data = typed
        self.add_error(
            "is_retroactive",
            f"Not saved yet. {effect.affected:,} of {effect.assignments:,} assignments end otherwise then: "
            f"{effect.expired:,} expire, {effect.revived:,} revive. Save once more to apply that.",
        )

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # only now the instance has what was typed
        if self.instance.pk and not self.errors and not self.cleaned_data.get("is_retroactive"):
            try:
                refuse_while_applying(tags=[self.instance])
            except StillApplying as refusal:
                self.add_error("expiration_days", str(refusal))


class RuleAdmin(SimpleHistoryAdmin):
    """Saving publishes: history, rule change and rescoring in one go. Rules are archived, never deleted."""

    change_form_template = "admin/tags/rule_form.html"
    form = RuleForm
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
        try:
            publish_edited_rule(
                rule=obj,
                version=form.cleaned_data.get("version") or version_of(obj),
                by=person_of(request),
                at=timezone.now(),
                reason="edited in admin",
                is_retroactive=form.cleaned_data.get("is_retroactive", False),
            )
        except NothingToPublish:
            messages.info(request, "Nothing differs from what holds today, so nothing was published.")

    def history_form_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Saving an older version is one transaction, as saving today's is."""
        with transaction.atomic():
            response: HttpResponse = super().history_form_view(request, *args, **kwargs)
        return response

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

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The toggle stands beside the days that it is about."""
        fields = [name for name in super().get_fields(request, obj) if name != "is_retroactive"]
        if obj:
            fields.insert(fields.index("expiration_days") + 1, "is_retroactive")
        return fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A new tag has no assignments yet."""
        return super().get_form(request, obj, change, **({"form": TagForm if obj else RuleForm} | kwargs))

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
