"""How a message leaves the house: to public addresses only, and never longer than it may take.

The address is resolved once, all of what comes back is checked, and the connection goes to what was checked, so that a
name that answers differently the next time gains nothing. No models and no Django here.
"""

import contextlib
import functools
import http.client
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import certifi

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MOST_BYTES = 16 * 1024  # of an answer; more is not read
MOST_ADDRESSES = 4  # of a name are tried, one after the other
AGENT = "LeadScore-Webhooks/1"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]


class DestinationRefused(Exception):
    """Nothing is sent there; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Where messages may go. `ports`: None takes any; `allowed_networks`: inside ones that are reached all the same."""

    allow_http: bool = False
    ports: frozenset[int] | None = frozenset({443, 8443})
    allowed_networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """An address of the web, taken apart. `target`: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"https": 443, "http": 80}[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it. `status` is None where no answer came; `error` is empty for 2xx and says why otherwise."""

    status: int | None = None
    error: str = ""
    duration_ms: int = 0
    retry_after: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Transport(Protocol):
    """Sends one request and tells what came of it; raises nothing."""

    def send(self, request: Request) -> Result: ...


# Where messages may go ------------------------------------------------------------------------------------------------

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PRIVATE, _LOOPBACK, _RESERVED = "a private address", "this machine itself", "a reserved address"
_LINK_LOCAL, _METADATA = "a link-local address", "a cloud's own service"
_NEVER = {
    ipaddress.ip_address(address): _METADATA
    for address in ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
}
_REFUSED: dict[Network, str] = {
    ipaddress.ip_network(network): what
    for network, what in (
        ("0.0.0.0/8", "no address"),
        ("10.0.0.0/8", _PRIVATE),
        ("100.64.0.0/10", "an address inside a provider's network"),
        ("127.0.0.0/8", _LOOPBACK),
        ("169.254.0.0/16", _LINK_LOCAL),
        ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.0/24", _RESERVED),
        ("192.0.2.0/24", _RESERVED),
        ("192.88.99.0/24", _RESERVED),
        ("192.168.0.0/16", _PRIVATE),
        ("198.18.0.0/15", _RESERVED),
        ("198.51.100.0/24", _RESERVED),
        ("203.0.113.0/24", _RESERVED),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", _RESERVED),
        ("::1/128", _LOOPBACK),
        ("::/128", "no address"),
        ("fc00::/7", _PRIVATE),
        ("fe80::/10", _LINK_LOCAL),
        ("fec0::/10", _PRIVATE),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", _RESERVED),  # Teredo among others: it hides an IPv4 address
        ("2001:db8::/32", _RESERVED),
        ("3fff::/20", _RESERVED),
    )
}
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def read_url(url: str, policy: Policy) -> Destination:
    """Take an address apart. Raises DestinationRefused for one that is refused whatever it resolves to."""
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise DestinationRefused("Write the address in ASCII without blanks: a name as xn--..., a path as %C3%A4.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise DestinationRefused(f"This is not an address of the web: {error}.") from None
    scheme = parts.scheme.lower()
    if scheme not in ("https", "http"):
        raise DestinationRefused("Write the whole address, beginning with https://.")
    if scheme == "http" and not policy.allow_http:
        raise DestinationRefused("Only https:// is taken: messages hold people's data, and http shows it to others.")
    if "@" in parts.netloc:
        raise DestinationRefused("Leave the name and password out of the address; messages are signed instead.")
    if parts.fragment or url.endswith("#"):
        raise DestinationRefused("Leave out what stands after #; it is never sent.")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise DestinationRefused("The address has no host, such as hooks.example.com.")
    _check_host(host, bracketed="[" in parts.netloc)
    port = port if port is not None else {"https": 443, "http": 80}[scheme]
    ports = policy.ports
    if ports is not None and port not in ports and not (scheme == "http" and port == 80):
        allowed = " or ".join(map(str, sorted(ports)))
        raise DestinationRefused(
            f"Port {port} is not taken, only {allowed}. Whoever runs LeadScore can allow more with "
            "LEADSCORE_WEBHOOK_PORTS."
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(scheme=scheme, host=host, port=port, target=target)


def _check_host(host: str, *, bracketed: bool) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return
    # 127.1 and 0x7f000001 are addresses to a resolver, and a trap for whoever reads them.
    if bracketed or not _NAME.fullmatch(host) or re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2]):
        raise DestinationRefused(f"{host} is no name of a host.")


def why_refused(address: Address, policy: Policy) -> str:
    """What is wrong with an address in a few words; "" for one that may be reached."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address in _NEVER:
        return _NEVER[address]
    if any(address in network for network in policy.allowed_networks):
        return ""
    for network, what in _REFUSED.items():
        if address in network:
            return what
    if isinstance(address, ipaddress.IPv4Address):
        return ""
    hidden = address.sixtofour
    if hidden is None and address in _NAT64:
        hidden = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if hidden is not None:
        return why_refused(hidden, policy)
    return "" if address in _GLOBAL_V6 else _RESERVED


def system_resolver(host: str, port: int) -> list[str]:
    """Every address of a name, as the system's resolver gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def find_addresses(destination: Destination, policy: Policy, *, resolve: Resolve, seconds: float) -> list[Address]:
    """The addresses to connect to, resolved once. Raises DestinationRefused if any of them may not be reached."""
    answers: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(destination.host, destination.port))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    # A resolver has no deadline of its own, so it is left behind when it takes too long.
    threading.Thread(target=ask, daemon=True, name="webhook-resolver").start()
    try:
        found = answers.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise DestinationRefused(f"The name {destination.host} did not resolve within {seconds:.0f} s.") from None
    if isinstance(found, OSError) or not found:
        raise DestinationRefused(f"The name {destination.host} does not resolve; see whether it is spelt right.")
    addresses: list[Address] = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    for address in addresses:
        if what := why_refused(address, policy):
            is_name = str(address) != destination.host
            where = f"{destination.host} resolves to {address}, {what}" if is_name else f"{address} is {what}"
            raise DestinationRefused(
                f"{where}. Messages go to public addresses only; whoever runs LeadScore can allow a network of their "
                "own with LEADSCORE_WEBHOOK_ALLOWED_NETWORKS."
            )
    return addresses


def check_url(url: str, policy: Policy, *, resolve: Resolve = system_resolver) -> None:
    """Refuse at once what a message would be refused for later. Raises DestinationRefused."""
    find_addresses(read_url(url, policy), policy, resolve=resolve, seconds=CONNECT_SECONDS)


# Sending --------------------------------------------------------------------------------------------------------------


@functools.cache
def trusting_context() -> ssl.SSLContext:
    """Trust what the system trusts (SSL_CERT_FILE too) and Mozilla's list, which slim images lack."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Watchdog:
    """Cuts the connection at the deadline: a receiver that drips its answer resets every timeout of a socket."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.has_bitten = False
        self._connection = connection
        self._timer = threading.Timer(max(seconds, 0.001), self._bite)
        self._timer.daemon = True

    def __enter__(self) -> "_Watchdog":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()  # so that it never meets a descriptor that was closed and given away again

    def _bite(self) -> None:
        self.has_bitten = True
        with contextlib.suppress(OSError):  # it may have ended by itself
            # Not SSLSocket's own shutdown: that takes the session away from under the thread that reads.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """Sends over the network. No proxies, no redirects, no cookies, one connection a message."""

    policy: Policy
    resolve: Resolve = system_resolver
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    context: Callable[[], ssl.SSLContext] = trusting_context

    def send(self, request: Request) -> Result:
        started = time.monotonic()
        result = self._send(request, started + self.total_seconds)
        spent = round((time.monotonic() - started) * 1000)
        return Result(
            status=result.status, error=result.error, duration_ms=max(spent, 1), retry_after=result.retry_after
        )

    def _send(self, request: Request, ends: float) -> Result:
        try:
            destination = read_url(request.url, self.policy)
            left = min(self.connect_seconds, ends - time.monotonic())
            addresses = find_addresses(destination, self.policy, resolve=self.resolve, seconds=left)
            connection = self._connect(destination, addresses, ends)
        except DestinationRefused as refusal:
            return Result(error=str(refusal))
        except TimeoutError:
            return Result(error=f"No connection within {self.connect_seconds:g} s.")
        except OSError as error:
            return Result(error=f"No connection: {_sentence(error.strerror or str(error))}")
        with connection, _Watchdog(connection, ends - time.monotonic()) as watchdog:
            try:
                answer = self._exchange(connection, destination, request)
                if not watchdog.has_bitten:  # else the headers end where they were cut
                    return _read(answer)
                return Result(error=f"No answer within {self.total_seconds:g} s.")
            except (OSError, http.client.HTTPException, ValueError) as error:
                if watchdog.has_bitten or isinstance(error, TimeoutError):
                    return Result(error=f"No answer within {self.total_seconds:g} s.")
                return Result(error=_in_words(error))

    def _connect(self, destination: Destination, addresses: Sequence[Address], ends: float) -> socket.socket:
        failure: OSError = TimeoutError()
        for address in addresses[:MOST_ADDRESSES]:
            left = min(self.connect_seconds, ends - time.monotonic())
            if left <= 0:
                break
            try:
                connection = socket.create_connection((str(address), destination.port), timeout=left)
            except OSError as error:
                failure = error
                continue
            connection.settimeout(self.total_seconds)
            if destination.scheme == "http":
                return connection
            try:
                # The handshake waits for the watchdog.
                return self.context().wrap_socket(
                    connection, server_hostname=destination.host, do_handshake_on_connect=False
                )
            except OSError:
                connection.close()
                raise
        raise failure

    def _exchange(
        self, connection: socket.socket, destination: Destination, request: Request
    ) -> http.client.HTTPResponse:
        if isinstance(connection, ssl.SSLSocket):
            connection.do_handshake()
        client = http.client.HTTPConnection(destination.host, destination.port)
        client.sock = connection  # it never looks a name up itself
        own = {
            "Host": destination.host_header,
            "User-Agent": AGENT,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        client.request("POST", destination.target, body=request.body, headers={**own, **request.headers})
        return client.getresponse()


def _read(answer: http.client.HTTPResponse) -> Result:
    body = _beginning(answer)
    if 200 <= answer.status < 300:
        return Result(status=answer.status)
    return Result(
        status=answer.status,
        error=_complaint(answer.status, answer.getheader("Location") or "", body),
        retry_after=(answer.getheader("Retry-After") or "")[:100],
    )


def _beginning(answer: http.client.HTTPResponse) -> bytes:
    """What fits of the body. The status is what counts, so that whatever goes wrong here changes nothing."""
    read = bytearray()
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        while len(read) < MOST_BYTES and (piece := answer.read1(MOST_BYTES - len(read))):
            read += piece
    return bytes(read)


def _complaint(status: int, location: str, body: bytes) -> str:
    if 300 <= status < 400:
        to = f" to {_plain(location)}" if location else ""
        return f"It answered {status}, a redirect{to}. Redirects are not followed; set the address that answers itself."
    said = _plain(body.decode("utf-8", "replace"))
    return f"It answered {status}: {said}" if said else f"It answered {status}."


def _plain(text: str) -> str:
    """One line of foreign text, short and without control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:300]


def _sentence(text: str) -> str:
    """Foreign words as the end of a sentence; some bring its full stop with them."""
    return f"{_plain(text).rstrip('.')}."


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate is not trusted: {_sentence(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"No secure connection: {_sentence(error.reason or str(error))}"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "It closed the connection without an answer."
    return f"What it answered is not HTTP: {_sentence(_plain(str(error)) or type(error).__name__)}"


@dataclass(slots=True, kw_only=True)
class FakeTransport:
    """Checks where a message would go as the real one does, sends nothing, and answers what it was told to.

    `answers`: for each address of the web what comes next; the last one stays. One that is not there answers 204.
    """

    policy: Policy
    resolve: Resolve = lambda host, port: ["198.41.0.4"]
    answers: dict[str, list[Result]] = field(default_factory=dict)
    sent: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Result:
        try:
            destination = read_url(request.url, self.policy)
            find_addresses(destination, self.policy, resolve=self.resolve, seconds=CONNECT_SECONDS)
        except DestinationRefused as refusal:
            return Result(error=str(refusal), duration_ms=1)
        self.sent.append(request)
        answers = self.answers.get(request.url, [Result(status=204, duration_ms=1)])
        return answers.pop(0) if len(answers) > 1 else answers[0]
