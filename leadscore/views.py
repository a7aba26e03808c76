"""Home, health, and what people see when something is wrong."""

import logging
import sys
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.pages import HtmxHttpRequest, person_of, show, wants_part
from imports.models import ImportBatch
from jobs.queries import recent_jobs
from jobs.views import STOP_POLLING
from leads.models import Lead
from leads.queries import top_leads
from leadscore.celery import app
from leadscore.problems import outage_answer, write_problem
from tags.models import Tag

logger = logging.getLogger(__name__)
TOP = 10
RECENT = 5


@require_safe
def home(request: HtmxHttpRequest) -> HttpResponse:
    """What there is, what came of late, and what to do next."""
    person = person_of(request)
    recent = _recent(person)
    if wants_part(request):
        status = 200 if recent["any_live"] else STOP_POLLING
        return show(request, "leadscore/home.html", recent, part="recent", status=status)
    sees_leads = person.has_perm("leads.view_lead")
    sees_imports = person.has_perm("imports.view_importbatch")
    leads = Lead.objects.count() if sees_leads else 0
    context = {
        "sees_leads": sees_leads,
        "sees_imports": sees_imports,
        "leads": leads,
        "scored": Lead.objects.exclude(score=0).count() if sees_leads else 0,
        "imports": ImportBatch.objects.exclude(status=ImportBatch.Status.DRAFT).count() if sees_imports else 0,
        "drafts": ImportBatch.objects.filter(status=ImportBatch.Status.DRAFT).order_by("-pk")[:3]
        if person.has_perm("imports.import_leads")
        else (),
        "tags_to_review": Tag.objects.active().filter(needs_review=True).count()
        if person.is_staff and person.has_perm("tags.change_tag")
        else 0,
        "rows": top_leads(count=TOP) if sees_leads else (),
        "has_api_only": not sees_leads and person.has_perm("territories.use_contractor_api"),
        "api_url": f"{settings.BASE_URL}/api/contractor",
    }
    return show(request, "leadscore/home.html", context | recent)


def _recent(person: User) -> dict[str, Any]:
    """What came of late, as far as the person may see it, and whether any of it still runs."""
    started = ImportBatch.objects.exclude(status=ImportBatch.Status.DRAFT).select_related("job").order_by("-pk")
    batches = list(started[:RECENT]) if person.has_perm("imports.view_importbatch") else []
    jobs = list(recent_jobs(count=RECENT)) if person.has_perm("jobs.view_job") else []
    running = [*jobs, *(batch.job for batch in batches if batch.job)]
    return {"batches": batches, "jobs": jobs, "any_live": any(job.is_live for job in running)}


@require_safe
@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when database, broker and worker answer, else 503; says which does not."""
    broker = _broker_answers()
    found = {"database": _database_answers(), "broker": broker, "worker": broker and _worker_answers()}
    return JsonResponse(found, status=200 if all(found.values()) else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except Exception as error:
        logger.warning("health: the database does not answer: %s", error)
        connection.close()
        return False


def _broker_answers() -> bool:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as broker:
            return bool(broker.ping())
    except Exception as error:
        logger.warning("health: the broker does not answer: %s", error)
        return False


def _worker_answers() -> bool:
    try:
        return bool(app.control.ping(timeout=1.0, limit=1))
    except Exception as error:
        logger.warning("health: no worker can be asked: %s", error)
        return False


def _problem(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    return render(request, "problem.html", {"status": status, "title": title, "advice": advice}, status=status)


def _is_api(request: HttpRequest) -> bool:
    """Its errors are problems, also those that come before or after its views."""
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        detail = "The request could not be read; look at its address, its Host and its headers."
        return write_problem(400, {"detail": detail, "code": "bad_request"})
    return _problem(
        request,
        400,
        "This request could not be read",
        "Go back and try again. If it happens again, tell the person who runs this installation what you did.",
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(
        request,
        403,
        "Your role does not include this",
        "Ask a manager to do it, or an admin to give you the right.",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(
        request,
        404,
        "There is nothing at this address",
        "What was here may have been discarded, or the address has a slip in it.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Uses no context processor and no database: either may be what failed."""
    if (answer := outage_answer(request, sys.exception())) is not None:
        return answer
    if _is_api(request):
        detail = "Something went wrong here. It is in the log, and nothing half done is kept: send it again later."
        return write_problem(500, {"detail": detail, "code": "server_error"})
    context = {
        "status": 500,
        "title": "Something went wrong here",
        "advice": "It is noted in the log. Nothing half done is kept; going back and trying again is safe.",
    }
    return HttpResponse(render_to_string("problem.html", context), status=500)
