from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import ModelAdmin, TabularInline
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from territories.contractors.operations import tidy_company
from territories.contractors.trail import Kind, agreement_of, note_changes, note_event
from territories.models import Contractor, ContractorContact, ReferralReturn


class ContractorAdminForm(forms.ModelForm):
    auto_return_reasons = forms.MultipleChoiceField(
        choices=ReferralReturn.Reason.choices, required=False, widget=forms.CheckboxSelectMultiple
    )

    def clean_company(self) -> str:
        return tidy_company(self.cleaned_data["company"])


class ContactInline(TabularInline):
    """Contacts are part of a contractor: who may change it may change them."""

    model = ContractorContact
    extra = 1

    def _may_change(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("territories.change_contractor")

    has_view_permission = has_add_permission = has_change_permission = has_delete_permission = _may_change


@admin.register(Contractor)
class ContractorAdmin(ModelAdmin):
    """Configuration. The state changes on the pages, which also do what belongs to it; nothing is deleted."""

    form = ContractorAdminForm
    list_display = ("company", "trade", "status", "user", "daily_cap", "monthly_cap", "total_cap", "price")
    list_filter = ("status", "trade")
    search_fields = ("company", "trade")
    readonly_fields = ("status", "sandbox_of", "created_at")
    raw_id_fields = ("user",)
    filter_horizontal = ("wanted_tags", "unwanted_tags")
    inlines = [ContactInline]

    def has_delete_permission(self, request: HttpRequest, obj: Contractor | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Contractor, form: ModelForm, change: Any) -> None:
        # Wishes and contacts are written after it, so what changed is noted when they are.
        if change:
            form.before = agreement_of(Contractor.objects.select_for_update(no_key=True).get(pk=obj.pk))  # type: ignore[attr-defined]
        else:
            obj.created_at = timezone.now()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        super().save_related(request, form, formsets, change)
        contractor = Contractor.objects.get(pk=form.instance.pk)
        who: Any = {"contractor": contractor, "at": timezone.now(), "by": request.user}
        if change:
            note_changes(before=form.before, **who)
        else:
            note_event(kind=Kind.MADE, **who)
