"""Receivers of webhooks: real HTTP servers in threads of the test, on this machine."""

import contextlib
import dataclasses
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from territories.webhooks.transport import Policy

TLS = Path(__file__).parent / "tls"  # a key that protects nothing, and its certificate for hooks.example.com
HERE = Policy(allow_http=True, ports=None, allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),))


@dataclasses.dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """Notes what comes and lets the test answer."""

    server: "Receiver"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, body)
        with self.server.lock:
            self.server.received.append(received)
        with contextlib.suppress(OSError):  # the sender may have had enough
            self.server.answer(self, len(self.server.received))

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """A receiver; `answer(handler, number of the request)` says what it does."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[Handler, int], None], *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.lock = threading.Lock()
        self.received: list[Received] = []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a sender that gives up is what many tests are about

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?from=leadscore"


@contextlib.contextmanager
def receiver(answer: Callable[[Handler, int], None] | int = 204, *, tls: bool = False) -> Iterator[Receiver]:
    """A receiver that runs as long as the test needs it; a number is the status it always answers."""
    status = answer
    does = answer if callable(answer) else lambda handler, number: handler.say(status)
    server = Receiver(does, tls=tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def drip(handler: Handler, text: bytes, *, seconds: float) -> None:
    """Send a letter at a time, each in time for a timeout that counts from the last one."""
    for letter in text:
        handler.wfile.write(bytes([letter]))
        time.sleep(seconds)
