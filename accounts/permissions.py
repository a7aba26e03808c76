"""One way to say which right a route needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

from accounts.sql import has_right

if TYPE_CHECKING:
    # REST framework's views import this module, by way of the settings.
    from collections.abc import Mapping

    from django.contrib.auth.models import AbstractUser
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasRoutePermission(BasePermission):
    """The view names the right per method: `permissions = {"GET": "leads.view_lead"}`.

    A method that names none is refused: forgetting must not open a door. So is a sandbox token, whatever its person may
    do, unless the view says `serves_sandbox`.
    """

    message = "You are logged in, but your role does not include this right."

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        if getattr(request.auth, "is_sandbox", False) and not getattr(view, "serves_sandbox", False):
            self.message = "This is a sandbox token: it opens /api/contractor/ only, with invented referrals."
            return False
        needed: Mapping[str, str] = getattr(view, "permissions", {})
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method)
        return method in needed and _has_right(user, needed[method])


def _has_right(user: AbstractUser, right: str) -> bool:
    """As `has_perm`, by one small statement."""
    return user.is_active and (user.is_superuser or has_right(user_id=user.pk, right=right))
