"""The page of runs, and the metrics."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from rest_framework.request import Request

from accounts.api import ApiView
from accounts.pages import HtmxHttpRequest, needs, show
from jobs.models import Job
from jobs.operations import retry_job
from leads.models import Lead
from scoring.alarms import Metrics, measure
from scoring.nightly import NIGHTLY, next_slot
from scoring.operations import RECALCULATE
from scoring.queries import recent_runs

HELP = {
    "due_leads": "Leads whose score is due to be written.",
    "oldest_due_seconds": "Age of the oldest due lead.",
    "nightly_last_success_timestamp_seconds": "When a nightly run last succeeded.",
    "nightly_overdue": "1 when the last due nightly run has not succeeded two hours after its time.",
    "jobs_live": "Jobs queued or running.",
    "jobs_failed_24h": "Jobs that failed in the last 24 hours.",
    "history_stray_rows": "Rows of score history outside of every month.",
    "alarms": "What the banner of the pages says is wrong.",
}


@require_safe
@needs("jobs.view_job")
def run_list(request: HtmxHttpRequest) -> HttpResponse:
    runs = recent_runs()
    context = {
        "runs": runs,
        "any_live": any(run.is_live for run in runs),
        "is_recalculating": any(run.is_live and run.kind == RECALCULATE for run in runs),
        "leads": Lead.objects.count,
        "next_at": next_slot(timezone.now()).due_at,
        "business_zone": settings.TIME_ZONE,
        "nightly": NIGHTLY,
    }
    return show(request, "scoring/runs.html", context, part="rows")


@require_POST
@needs("scoring.recalculate_scores")
def run_again(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Queue a nightly run that failed or was stopped again, as itself."""
    job = get_object_or_404(Job, pk=pk, kind=NIGHTLY)
    if retry_job(job_id=job.pk):
        messages.success(request, f"{job.title} is queued again.")
    else:
        messages.error(request, f"{job.title} was left as it is: it has not failed, or another night's run is at work.")
    return redirect("runs:list")


class MetricsView(ApiView):
    """The text format of Prometheus, for whoever may read metrics."""

    permissions = {"GET": "jobs.view_metrics"}
    schema = None  # not for programs that work with leads

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(
            exposition(measure(at=timezone.now())), content_type="text/plain; version=0.0.4; charset=utf-8"
        )


def exposition(metrics: Metrics) -> str:
    """The metrics as lines: help, type, value. One that has no value yet is left out."""
    values: dict[str, float | None] = {
        "due_leads": metrics.due_leads,
        "oldest_due_seconds": metrics.oldest_due_seconds,
        "nightly_last_success_timestamp_seconds": metrics.nightly_last_success,
        "nightly_overdue": int(metrics.is_nightly_overdue),
        "jobs_live": metrics.live_jobs,
        "jobs_failed_24h": metrics.failed_jobs,
        "history_stray_rows": metrics.history_strays,
        "alarms": metrics.alarms,
    }
    return "".join(
        f"# HELP leadscore_{name} {HELP[name]}\n# TYPE leadscore_{name} gauge\nleadscore_{name} {value}\n"
        for name, value in values.items()
        if value is not None
    )
