"""Sessions that ended do not pile up."""

import datetime as dt

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session

from accounts.operations import clear_sessions
from leadscore.celery import app


@pytest.mark.django_db
def test_ended_sessions_are_cleared_and_running_ones_stay(now) -> None:
    for key, hours in (("ended", -1), ("running", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=now + dt.timedelta(hours=hours))
    assert clear_sessions(at=now) == 1
    assert Session.objects.get().session_key == "running"


def test_every_task_of_the_clock_exists() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)
