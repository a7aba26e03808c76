"""manage.py recalculate_scores: every score anew, in this process; or --verify: check them without writing."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from jobs.commands import run_in_this_process
from jobs.models import Job
from scoring.operations import start_recalculation
from scoring.queries import verify_scores


class Command(BaseCommand):
    help = "Recalculate the score of every lead, or check that the stored scores are right."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="recompute and report differences; writes nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["verify"]:
            report: dict[str, Any] = dict(verify_scores(at=now))
        else:
            job = run_in_this_process(start_recalculation(at=now, by=None, announce=False))
            if job.status != Job.Status.SUCCEEDED:
                message = f"The recalculation is {job.status}: {job.error or 'it was stopped.'}"
                self.stdout.write(json.dumps({"error": message})) if options["json"] else self.stderr.write(message)
                sys.exit(1)
            report = {**(job.result or {}), "job": job.pk}
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            for name, value in report.items():
                self.stdout.write(f"{name:>12}  {value:,}")
        if report.get("differences"):
            sys.exit(1)
