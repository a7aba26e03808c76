"""Writes: saving and archiving profiles of lead generation."""

import datetime as dt

from django.db import IntegrityError, transaction

from territories.generation.forms import ProfileForm, version_of
from territories.models import GenerationProfile


class NameTaken(Exception):
    """Another profile in use has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Another profile is called “{name}”. Rename one of them first.")


class ProfileStale(Exception):
    """Somebody changed the profile since the form was opened; `now` is the profile as it stands."""

    def __init__(self, now: GenerationProfile) -> None:
        self.now = now
        super().__init__("Somebody changed this profile meanwhile; nothing of yours was saved.")


def save_profile(*, form: ProfileForm, at: dt.datetime) -> GenerationProfile:
    """Keep what a valid form says. Raises NameTaken when somebody took the name meanwhile, and ProfileStale."""
    profile, seen = form.instance, form.cleaned_data["version"]
    if profile.pk is None:
        profile.created_at = at
    profile.updated_at = at
    try:
        with transaction.atomic():
            if profile.pk is not None and seen:
                now = GenerationProfile.objects.select_for_update(no_key=True).get(pk=profile.pk)
                if version_of(now) != seen:
                    raise ProfileStale(now)
            saved: GenerationProfile = form.save()
    except IntegrityError as refusal:
        raise NameTaken(profile.name) from refusal
    return saved


def archive_profile(*, profile: GenerationProfile, at: dt.datetime) -> None:
    """Take a profile out of use; what it made stays, and what waits is checked by its rules as before."""
    GenerationProfile.objects.filter(pk=profile.pk, archived_at=None).update(archived_at=at, updated_at=at)


def restore_profile(*, profile: GenerationProfile, at: dt.datetime) -> None:
    """Take a profile into use again. Raises NameTaken."""
    try:
        with transaction.atomic():
            GenerationProfile.objects.filter(pk=profile.pk).update(archived_at=None, updated_at=at)
    except IntegrityError as refusal:
        raise NameTaken(profile.name) from refusal
