from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounts.models import ApiToken, User


@admin.register(User)
class PersonAdmin(UserAdmin):
    list_display = ("username", "email", "is_staff", "is_active", "last_login")
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Pages and mail", {"fields": ("time_zone", "wants_digest")}))


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Make and revoke tokens; the token itself is shown once, when it is made."""

    list_display = ("name", "user", "token_key", "created", "expiry", "last_used_at")
    fields = ("user", "name", "expiry")
    search_fields = ("name", "user__username")

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: forms.ModelForm, change: Any) -> None:
        made, token = ApiToken.objects.create(user=obj.user, name=obj.name, expiry=None)
        if obj.expiry:
            ApiToken.objects.filter(pk=made.pk).update(expiry=obj.expiry)
        obj.pk, obj.token_key, obj.created = made.pk, made.token_key, made.created
        messages.success(request, f"The token for {obj.user}, shown only now: {token}")
