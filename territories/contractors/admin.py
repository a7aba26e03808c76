from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import ModelAdmin, TabularInline
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from territories.models import Contractor, ContractorContact, ReferralReturn


class ContractorAdminForm(forms.ModelForm):
    auto_return_reasons = forms.MultipleChoiceField(
        choices=ReferralReturn.Reason.choices, required=False, widget=forms.CheckboxSelectMultiple
    )


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
        if not change:
            obj.created_at = timezone.now()
        super().save_model(request, obj, form, change)
