"""Reads: profiles by name, and what a profile looks for in words."""

from collections.abc import Sequence

from django.db.models import Max, Q, QuerySet

from jobs.models import Job
from territories.generation import registry
from territories.generation.runs import GENERATE
from territories.models import GenerationProfile

SHOWN_RUNS = 10


def find_profile(text: str) -> GenerationProfile:
    """The profile with this name, one in use before archived ones, or with this id. Raises DoesNotExist, in words."""
    wanted = Q(name__iexact=text.strip())
    if text.isascii() and text.isdigit() and len(text) < 18:
        wanted |= Q(pk=int(text))
    found = sorted(GenerationProfile.objects.filter(wanted), key=lambda one: (one.archived_at is not None, one.pk))
    if not found:
        names = ", ".join(
            f"“{name}”"
            for name in GenerationProfile.objects.filter(archived_at=None).values_list("name", flat=True)[:20]
        )
        raise GenerationProfile.DoesNotExist(
            f"There is no profile “{text}”. " + (f"The profiles are {names}." if names else "There are none yet.")
        )
    return found[0]


def profiles_in_use() -> QuerySet[GenerationProfile]:
    return GenerationProfile.objects.filter(archived_at=None).prefetch_related("required_tags", "excluded_tags")


def last_runs(profiles: Sequence[GenerationProfile]) -> dict[int, Job]:
    """The newest run of each profile. Index: job_by_kind."""
    newest = (
        Job.objects.filter(kind=GENERATE, key__in=[f"profile-{profile.pk}" for profile in profiles])
        .values("key")
        .annotate(newest=Max("pk"))
        .values("newest")
    )
    return {int(job.params["profile_id"]): job for job in Job.objects.filter(pk__in=newest)}


def runs_of(profile: GenerationProfile) -> list[Job]:
    """The last runs of a profile, the newest first. Index: job_by_kind."""
    return list(Job.objects.filter(kind=GENERATE, key=f"profile-{profile.pk}").order_by("-pk")[:SHOWN_RUNS])


def in_words(profile: GenerationProfile) -> list[str]:
    """What leads a profile takes, one statement a line."""
    lines = [f"score {profile.min_score:,} or more"]
    if required := [tag.name for tag in profile.required_tags.all()]:
        lines.append(f"with {' and '.join(required)}")
    if excluded := [tag.name for tag in profile.excluded_tags.all()]:
        lines.append(f"without {' and '.join(excluded)}")
    places = [f"{len(profile.zips):,} ZIP{'s' * (len(profile.zips) != 1)}"] if profile.zips else []
    if profile.counties:
        places.append(f"{len(profile.counties):,} count{'ies' if len(profile.counties) != 1 else 'y'}")
    if places:
        lines.append(f"in {' and '.join(places)}")
    if profile.max_reason_age_days is not None:
        lines.append(
            f"newest reason at most {profile.max_reason_age_days:,} day{'s' * (profile.max_reason_age_days != 1)} old"
        )
    if profile.not_referred_days:
        lines.append(f"not referred within {profile.not_referred_days:,} day{'s' * (profile.not_referred_days != 1)}")
    return [*lines, *registry.in_words(profile.criteria)]
