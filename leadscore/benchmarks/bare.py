"""The floor of `benchmark api`: the same rows by one indexed SELECT in a bare Django view. Served by no installation.

As `leadscore.benchmarks.bare:application` it is a program of its own: these addresses alone, no middleware, no DRF.
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

PAGE = 25

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadscore.settings")
settings.ROOT_URLCONF = __name__
settings.MIDDLEWARE = []
application = get_wsgi_application()

from territories.models import Referral  # noqa: E402  (after the apps are loaded)

FIELDS = (
    *("id", "status", "zip", "score", "assigned_at", "expires_at", "delivered_at", "accepted_at", "contacted_at"),
    *("converted_at", "ended_at", "price", "value", "receipt"),
)


def referrals(request: HttpRequest) -> JsonResponse:
    """The newest rows of a contractor. Index: referral_by_contractor."""
    rows = Referral.objects.filter(contractor_id=int(request.GET["contractor"])).order_by("-assigned_at", "-id")
    response = JsonResponse({"results": list(rows.values(*FIELDS)[:PAGE])})
    response["Content-Length"] = str(len(response.content))  # so that the connection is kept
    return response


urlpatterns = [path("bare", referrals)]
