from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.models import Job
from jobs.operations import cancel_job
from jobs.queries import count_live_jobs, recent_jobs, result_lines
from jobs.registry import steps_for

STOP_POLLING = 286  # htmx takes the answer and asks no more


@require_safe
@needs("jobs.view_job")
def job_list(request: HtmxHttpRequest) -> HttpResponse:
    jobs = list(recent_jobs())
    return show(request, "jobs/list.html", {"jobs": jobs, "any_live": any(job.is_live for job in jobs)}, part="rows")


@require_safe
@needs("jobs.view_job")
def job_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job.objects.select_related("created_by"), pk=pk)
    return _answer(request, job)


def _answer(request: HtmxHttpRequest, job: Job) -> HttpResponse:
    person = person_of(request)
    steps = [step for step in steps_for(job, timezone.now()) if not step.right or person.has_perm(step.right)]
    context = {
        "job": job,
        "may_cancel": may_cancel(request, job),
        "result_lines": result_lines(job),
        "steps": steps,
    }
    over = wants_part(request) and not job.is_live
    return show(request, "jobs/detail.html", context, part="state", status=STOP_POLLING if over else 200)


def may_cancel(request: HtmxHttpRequest, job: Job) -> bool:
    """A person may stop what that person started; `jobs.change_job` allows any."""
    person = person_of(request)
    return job.is_live and (job.created_by_id == person.pk or person.has_perm("jobs.change_job"))


@require_POST
@needs("jobs.view_job")
def job_cancel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job, pk=pk)
    if job.is_live and not may_cancel(request, job):
        raise PermissionDenied
    cancel_job(job_id=job.pk)
    return redirect(_back(request, job))


def _back(request: HtmxHttpRequest, job: Job) -> str:
    back = request.POST.get("next", "")
    return back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else job.get_absolute_url()


@require_safe
@needs("jobs.view_job")
def running(request: HtmxHttpRequest) -> HttpResponse:
    """The mark in the top bar."""
    if not wants_part(request):
        return redirect("jobs:list")
    return show(request, "jobs/_running.html", {"running_jobs": count_live_jobs()})
