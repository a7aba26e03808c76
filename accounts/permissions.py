"""One way to say which right a route needs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class HasRoutePermission(BasePermission):
    """The view names the right per method: `permissions = {"GET": "leads.view_lead"}`.

    A method that names none is refused: forgetting must not open a door.
    """

    message = "You are logged in, but your role does not include this right."

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        needed: Mapping[str, str] = getattr(view, "permissions", {})
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method)
        return method in needed and user.has_perm(needed[method])


class RoutePermissions:
    """Mixin that types the table above."""

    permissions: ClassVar[Mapping[str, Any]] = {}
