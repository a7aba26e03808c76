"""manage.py generate_leads PROFILE: make the referrals of a profile in this process, or say who would get what."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from jobs.commands import run_in_this_process
from jobs.models import Job
from territories.generation.criteria import UnknownCriterion, criteria_of
from territories.generation.dealing import preview_generation
from territories.generation.previews import summary_of
from territories.generation.queries import find_profile
from territories.generation.runs import ProfileArchived, start_generation
from territories.models import GenerationProfile


class Command(BaseCommand):
    help = "Make referrals from the leads that a profile chooses; --dry-run only says who would get what."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("profile", help="the name or the id of a profile")
        parser.add_argument("--dry-run", action="store_true", help="write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        at = timezone.now()
        try:
            profile = find_profile(options["profile"])
            if options["dry_run"]:
                report = summary_of(preview_generation(criteria=criteria_of(profile), at=at))
            else:
                job = run_in_this_process(start_generation(profile=profile, at=at, by=None, announce=False))
                if job.status != Job.Status.SUCCEEDED:
                    self._fail(f"The run is {job.status}: {job.error or 'it was stopped.'}", options)
                report = {**(job.result or {}), "job": job.pk}
        except (GenerationProfile.DoesNotExist, ProfileArchived, UnknownCriterion) as refusal:
            raise CommandError(str(refusal)) from refusal
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        for name, value in report.items():
            lines = value.items() if isinstance(value, dict) else [("", value)]
            for number, (part, count) in enumerate(lines):
                self.stdout.write(f"{'' if number else name:>14}  {count:>10,}  {part}".rstrip())

    def _fail(self, message: str, options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps({"error": message})) if options["json"] else self.stderr.write(message)
        sys.exit(1)
