"""What docs/contractor-api.md tells a programmer to type works as it stands there, against a real server."""

import datetime as dt
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.api import KeyInUse, KeyNotUsable
from accounts.models import ApiToken
from territories.contractor_api.api import NotAllowedNow, TooManyRequests
from territories.models import Contractor, Referral, WebhookMessage
from tests.factories import make_scored_lead, make_tag
from tests.territories.contractors import contractor_routes, make_login
from tests.territories.factories import make_referral, make_territory

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
        make_referral(status="assigned", lead=lead, score=lead.score, contractor=contractor, at=timezone.now())
    told = run([sys.executable, "-"], block("python"), live_server.url, contractor, is_sandbox=False)
    assert {line.split("  ")[-1].split(",")[0] for line in told.splitlines()} == owners
    assert "2015550123" in told
    assert Referral.objects.filter(status="delivered", accepted_at__isnull=False).count() == 3
    assert run([sys.executable, "-"], block("python"), live_server.url, contractor, is_sandbox=False) == ""


def test_the_python_program_takes_up_what_it_was_stopped_at_and_passes_what_it_cannot_read(live_server) -> None:
    contractor = make_login()
    at = timezone.now()
    held = make_territory(contractor=contractor, from_at=at - dt.timedelta(days=9), to_at=at)
    for number, (status, fields) in enumerate(
        [("delivered", {}), ("delivered", {"accepted_at": at}), ("assigned", {"territory": held}), ("assigned", {})]
    ):
        lead = make_scored_lead(tags=[make_tag(base_score=900)], owner_name=f"OWNER {number}")
        referral = make_referral(status=status, lead=lead, contractor=contractor, at=at, **fields)
        if status == "delivered":
            receipt = {"lead": {"owner_name": lead.owner_name, "address": "", "city": "", "phone": ""}}
            Referral.objects.filter(pk=referral.pk).update(receipt=receipt)
    told = run([sys.executable, "-"], block("python"), live_server.url, contractor, is_sandbox=False)
    assert sorted(re.findall("OWNER [0-9]", told)) == ["OWNER 0", "OWNER 3"]
    assert Referral.objects.filter(accepted_at__isnull=True).get().territory == held


def test_the_python_program_asks_again_where_the_line_broke() -> None:
    asked: list[str] = []

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) > 1:  # the first is closed without an answer
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"next": null, "results": []}')

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert run([sys.executable, "-"], block("python"), url, make_login(), is_sandbox=False) == ""
        server.shutdown()
    assert len(asked) == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_curl_commands_take_an_invented_lead_from_new_to_converted(live_server) -> None:
    contractor = make_login()
    told = run(["bash", "-eu", "-o", "pipefail"], block("sh"), live_server.url, contractor, is_sandbox=True)
    assert '"is_sandbox":true' in told
    assert '"status":"converted"' in told
    assert '"value":"18500.00"' in told
    assert '{"referrals":12}' in told


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_description_can_be_fetched_as_the_page_says(live_server) -> None:
    command = re.search(r"^    (curl .*/api/schema).* -o leadscore.yaml$", PAGE, re.MULTILINE)
    assert command is not None
    told = run(["bash", "-eu"], f'{command[1]}"', live_server.url, make_login(), is_sandbox=True)
    assert "openapi: 3.1" in told
    assert "referral.assigned:" in told


def test_the_page_names_every_code_of_a_refusal_and_every_kind_of_message() -> None:
    codes = {NotAllowedNow.default_code, TooManyRequests.default_code, KeyInUse.default_code, KeyNotUsable.default_code}
    for name in codes | {"already_returned", "window_closed", "quota_reached"} | set(WebhookMessage.Kind.values):
        assert f"`{name}`" in PAGE, name


def test_the_page_names_every_route() -> None:
    named = set(re.findall(r"^    (?:GET|POST) +(/api/\S+)", PAGE, re.MULTILINE))
    assert named == {route.replace("{pk}", "{id}") for route, _ in contractor_routes()}
