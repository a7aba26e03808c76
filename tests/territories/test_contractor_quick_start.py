"""What docs/contractor-api.md tells a programmer to type works as it stands there, against a real server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import ApiToken
from territories.models import Contractor, Referral
from tests.factories import make_scored_lead, make_tag
from tests.territories.contractors import contractor_routes, make_login
from tests.territories.factories import make_referral

pytestmark = pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS)
PAGE = (Path(settings.BASE_DIR) / "docs" / "contractor-api.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(command: list[str], text: str, server: str, contractor: Contractor, *, is_sandbox: bool) -> str:
    made, token = ApiToken.objects.create(user=contractor.user, name="quick start", expiry=None)
    ApiToken.objects.filter(pk=made.pk).update(is_sandbox=is_sandbox)
    environment = {"PATH": os.environ["PATH"], "LEADSCORE_URL": server, "LEADSCORE_TOKEN": token}
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_program_fetches_and_accepts_every_new_lead(live_server) -> None:
    contractor = make_login()
    owners = {"IDA QUILL", "AMOS BIRDSALL", "CORA LINDQUIST"}
    for owner in owners:
        lead = make_scored_lead(tags=[make_tag(base_score=900)], owner_name=owner, phone="2015550123")
        make_referral(status="assigned", lead=lead, score=lead.score, contractor=contractor)
    told = run([sys.executable, "-"], block("python"), live_server.url, contractor, is_sandbox=False)
    assert {line.split("  ")[-1].split(",")[0] for line in told.splitlines()} == owners
    assert "2015550123" in told
    assert Referral.objects.filter(status="delivered", accepted_at__isnull=False).count() == 3
    assert run([sys.executable, "-"], block("python"), live_server.url, contractor, is_sandbox=False) == ""


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_curl_commands_take_an_invented_lead_from_new_to_converted(live_server) -> None:
    contractor = make_login()
    told = run(["bash", "-eu", "-o", "pipefail"], block("sh"), live_server.url, contractor, is_sandbox=True)
    assert '"is_sandbox":true' in told
    assert '"status":"converted"' in told
    assert '"value":"18500.00"' in told
    assert '{"referrals":12}' in told


def test_the_page_names_every_route() -> None:
    named = set(re.findall(r"^    (?:GET|POST) +(/api/\S+)", PAGE, re.MULTILINE))
    assert named == {route.replace("{pk}", "{id}") for route, _ in contractor_routes()}
