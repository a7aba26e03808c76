"""manage.py benchmark NAME: figures against floors of the same run, on a scratch database."""

import inspect
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from leadscore.benchmarks import api, generation, importing, retroactive, scoring
from leadscore.benchmarks.bench import Report

BENCHMARKS = {
    "scoring": scoring,
    "import": importing,
    "retroactive": retroactive,
    "generation": generation,
    "api": api,
}


class Command(BaseCommand):
    help = "Measure a part of the program; prints figures, and ratios to floors measured in the same run."

    def add_arguments(self, parser: CommandParser) -> None:
        names = parser.add_subparsers(dest="benchmark", metavar="NAME", required=True)
        for name, benchmark in BENCHMARKS.items():
            options = names.add_parser(name, help=(benchmark.__doc__ or "").partition(":")[2].strip())
            benchmark.add_options(options)
            options.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        benchmark = BENCHMARKS[options["benchmark"]]
        given = inspect.signature(benchmark.run).parameters
        report: Report = benchmark.run(**{name: options[name] for name in given})
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json()))
        else:
            self._table(report)

    def _table(self, report: Report) -> None:
        settings = ", ".join(f"{name}={value}" for name, value in report.settings.items())
        self.stdout.write(f"{report.name}: {settings}")
        for name, value in [*report.figures.items(), *report.ratios.items()]:
            shown = "-" if value is None else f"{value:,}"
            self.stdout.write(f"  {name:36}{shown:>16}{self._bar(report, name, value)}")

    def _bar(self, report: Report, name: str, value: float | None) -> str:
        if name not in report.bars or value is None:
            return ""
        kind, bar = report.bars[name]
        is_met = value >= bar if kind == "least" else value <= bar
        return f"   at {kind} {bar:,}: {'met' if is_met else 'MISSED'}"
