"""Pages of lead generation: profiles, who would get what, and the run."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show
from jobs.models import Job
from territories.generation.criteria import UnknownCriterion, criteria_of, zips_of
from territories.generation.dealing import preview_generation
from territories.generation.forms import ProfileForm, version_of
from territories.generation.previews import tell
from territories.generation.profiles import NameTaken, ProfileStale, archive_profile, restore_profile, save_profile
from territories.generation.queries import in_words, last_runs, profiles_in_use, runs_of
from territories.generation.runs import GENERATE, ProfileArchived, start_generation
from territories.generation.undo import RunAtWork, RunStanding, standing_of_run, take_back_run
from territories.models import GenerationProfile
from territories.referrals.forms import ReasonForm

READ_OR_POST = ["GET", "HEAD", "POST"]
VIEW, ADD, CHANGE, RUN = (
    "territories.view_generationprofile",
    "territories.add_generationprofile",
    "territories.change_generationprofile",
    "territories.generate_leads",
)


@require_safe
@needs(VIEW)
def profile_list(request: HtmxHttpRequest) -> HttpResponse:
    """The profiles in use, each with its last run; archived ones at the end."""
    profiles = list(profiles_in_use().order_by("name"))
    runs = last_runs(profiles)
    context = {
        "rows": [(profile, in_words(profile), runs.get(profile.pk)) for profile in profiles],
        "archived": GenerationProfile.objects.exclude(archived_at=None).order_by("name", "pk"),
    }
    return show(request, "territories/generation.html", context)


@require_http_methods(READ_OR_POST)
@needs(VIEW, ADD)
def profile_new(request: HtmxHttpRequest) -> HttpResponse:
    return _profile_page(request, GenerationProfile())


@require_http_methods(READ_OR_POST)
@needs(VIEW)
def profile_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A profile; the form for who may change it. POST saves."""
    return _profile_page(request, get_object_or_404(GenerationProfile, pk=pk))


def _profile_page(request: HtmxHttpRequest, profile: GenerationProfile) -> HttpResponse:
    may_edit = person_of(request).has_perm(CHANGE if profile.pk else ADD)
    if request.method != "POST":
        return _show_profile(request, profile, ProfileForm(instance=profile), may_edit=may_edit)
    if not may_edit:
        raise PermissionDenied
    name = profile.name
    form = ProfileForm(request.POST, instance=profile)
    if not form.is_valid():
        return _show_profile(request, profile, form, may_edit=True, title=name, status=422)
    try:
        saved = save_profile(form=form, at=timezone.now())
    except NameTaken as refusal:
        form.add_error("name", str(refusal))
        return _show_profile(request, profile, form, may_edit=True, title=name, status=409)
    except ProfileStale as refusal:
        # What stands now is shown beside what was typed: who saves from here on has seen it.
        form.data = request.POST.copy()
        form.data["version"] = version_of(refusal.now)
        return _show_profile(request, refusal.now, form, may_edit=True, stale=refusal, status=409)
    messages.success(request, f"{saved.name} is saved.")
    if "preview" in request.POST:
        return redirect("territories:profile-preview", saved.pk)
    return redirect(saved)


def _show_profile(
    request: HtmxHttpRequest,
    profile: GenerationProfile,
    form: ProfileForm,
    *,
    may_edit: bool,
    title: str = "",
    stale: ProfileStale | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "profile": profile,
        "stale": stale,
        "differs": form.differs_from(stale.now) if stale else [],
        "title": title or profile.name,
        "form": form,
        "may_edit": may_edit,
        "words": in_words(profile) if profile.pk and not form.is_bound else [],
        "runs": runs_of(profile) if profile.pk else [],
    }
    return show(request, "territories/generation_profile.html", context, status=status)


@require_safe
@needs(VIEW, "leads.view_lead", "territories.view_contractor")
def profile_preview(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Who would get what now; nothing is written."""
    profile = get_object_or_404(GenerationProfile, pk=pk)
    context: dict[str, Any] = {"profile": profile, "words": in_words(profile), "at": timezone.now()}
    try:
        criteria = criteria_of(profile)
    except UnknownCriterion as refusal:
        return show(request, "territories/generation_preview.html", context | {"problem": str(refusal)}, status=409)
    context["told"] = tell(preview_generation(criteria=criteria, at=context["at"]))
    context["has_no_zip"] = zips_of(profile) == ()
    return show(request, "territories/generation_preview.html", context)


@require_POST
@needs(VIEW, RUN)
def profile_run(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Begin a run; while one of the profile is at work, show that one."""
    profile = get_object_or_404(GenerationProfile, pk=pk)
    try:
        job = start_generation(profile=profile, at=timezone.now(), by=person_of(request))
    except (ProfileArchived, UnknownCriterion) as refusal:
        messages.error(request, str(refusal))
        return redirect(profile)
    return redirect(job)


@require_POST
@needs(VIEW, CHANGE)
def profile_archive(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Archive a profile, or take it out of the archive."""
    profile = get_object_or_404(GenerationProfile, pk=pk)
    if profile.archived_at is None:
        archive_profile(profile=profile, at=timezone.now())
        messages.success(request, f"{profile.name} is archived: it runs no more. What it made stays.")
        return redirect("territories:generation")
    try:
        restore_profile(profile=profile, at=timezone.now())
        messages.success(request, f"{profile.name} is in use again.")
    except NameTaken as refusal:
        messages.error(request, str(refusal))
    return redirect(profile)


@require_http_methods(READ_OR_POST)
@needs("jobs.view_job", "territories.view_referral", "territories.change_referral")
def take_back(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What of a run is not delivered, and what stays; POST takes it back."""
    job = get_object_or_404(Job, pk=pk, kind=GENERATE)
    form, problem, status = ReasonForm(request.POST or None), "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                done = take_back_run(job=job, at=timezone.now(), by=person_of(request), **form.cleaned_data)
            except RunAtWork as refusal:
                problem, status = str(refusal), 409
                job.refresh_from_db()
            else:
                messages.success(request, _taken_back(done))
                return redirect(job)
    context = {"job": job, "form": form, "standing": standing_of_run(job=job), "problem": problem}
    return show(request, "territories/generation_take_back.html", context, status=status)


def _taken_back(done: RunStanding) -> str:
    taken = "Nothing was left to take back."
    if done.undelivered:
        waited = f"{done.generated:,} that waited for their ZIP"
        taken = f"Taken back: {done.assigned:,} assigned and {waited}; their leads are free."
    return (
        f"{taken} {done.delivered:,} delivered, {done.converted:,} converted and {done.ended:,} that had ended stay as "
        "they are."
    )
