"""What the frame around every page shows."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from scoring.alarms import Watch, look


@dataclass(frozen=True, slots=True)
class Place:
    """A way in the sidebar."""

    label: str
    icon: str
    url: str
    is_here: bool
    on_phone: bool = True


# Label, icon, name of the page, the right it takes, and whether the bar of a phone has it.
PLACES = (
    ("Home", "home", "home", "", True),
    ("Leads", "users", "leads:list", "leads.view_lead", True),
    ("Scores", "chart-bar", "scores", "leads.view_lead", True),
    ("Imports", "upload", "imports:list", "imports.view_importbatch", True),
    ("Tags", "tag", "tags:list", "tags.view_tag", False),
    ("Territories", "map-pin", "territories:territories", "territories.view_territory", False),
    ("Contractors", "briefcase", "territories:contractors", "territories.view_contractor", False),
    ("Referrals", "send", "territories:referrals", "territories.view_referral", False),
    ("Jobs", "activity", "jobs:list", "jobs.view_job", True),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Ways, running jobs, alarms; computed only where a template asks."""
    return {
        "places": SimpleLazyObject(lambda: _places(request)),
        "watch": SimpleLazyObject(lambda: _watch(request)),
    }


def _places(request: HttpRequest) -> list[Place]:
    places = []
    for label, icon, name, right, on_phone in PLACES:
        if right and not request.user.has_perm(right):
            continue
        if name.startswith("admin:") and not getattr(request.user, "is_staff", False):
            continue
        url = reverse(name)
        is_here = request.path == url or (url != "/" and request.path.startswith(url))
        places.append(Place(label, icon, url, is_here, on_phone))
    return places


def _watch(request: HttpRequest) -> Watch:
    """Running jobs and alarms, for people who may see jobs."""
    if not request.user.has_perm("jobs.view_job"):
        return Watch(live_jobs=0, is_overdue=False, alarms=[])
    return look(at=timezone.now(), may=request.user.has_perm)
