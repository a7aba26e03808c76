"""One settings file, driven by the environment; odd values are refused at start, in words."""

import ipaddress
import os
import re
import secrets
import zoneinfo
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

ENVIRONMENT = env.str("LEADSCORE_ENV", default="local")
if ENVIRONMENT not in {"local", "production"}:
    raise ImproperlyConfigured(f"LEADSCORE_ENV is {ENVIRONMENT!r}; it may be local or production.")
IS_PRODUCTION = ENVIRONMENT == "production"


def _whole(name: str, default: int, least: int, most: int) -> int:
    """A whole number from the environment; unset and empty mean the default."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise ImproperlyConfigured(f"{name} is {text!r}; it may be a whole number from {least:,} to {most:,}.")
    return int(text)


def _yes(name: str, default: bool) -> bool:
    """A switch from the environment; unset and empty mean the default."""
    text = os.environ.get(name, "").strip().lower()
    if text and text not in {"1", "true", "yes", "on", "y", "0", "false", "no", "off", "n"}:
        raise ImproperlyConfigured(f"{name} is {text!r}; it may be true or false.")
    return text in {"1", "true", "yes", "on", "y"} if text else default


def _text(name: str, default: str) -> str:
    """Text from the environment; unset and empty mean the default."""
    return os.environ.get(name, "").strip() or default


DATA_DIR = Path(env.str("LEADSCORE_DATA_DIR", default=str(BASE_DIR / ".data"))).expanduser().absolute()
UPLOAD_DIR = DATA_DIR / "uploads"


def _secret_key() -> str:
    """SECRET_KEY, else one made on the first start and kept in the data directory."""
    if key := str(env.str("SECRET_KEY", default="")):
        return key
    if IS_PRODUCTION:
        raise ImproperlyConfigured("SECRET_KEY is not set; production needs one of 50 characters or more.")
    path = DATA_DIR / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    fresh = secrets.token_urlsafe(60)
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        # Several processes may start at once on a new directory: the first to link its file wins.
        draft = path.with_name(f"secret_key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(fresh)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()
    except OSError:
        return fresh  # an unwritable directory: commands that need no data still run


SECRET_KEY = _secret_key()
DEBUG = _yes("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if IS_PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
if not IS_PRODUCTION and os.environ.get("HOST"):
    ALLOWED_HOSTS.append("*" if os.environ["HOST"] == "0.0.0.0" else os.environ["HOST"])  # noqa: S104
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    # Rooms, top to bottom; a room imports only from rooms below it (see ARCHITECTURE.md).
    "leadscore",
    "territories",
    "imports",
    "scoring",
    "tags",
    "leads",
    "jobs",
    "accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_filters",
    "django_htmx",
    "template_partials",
    "simple_history",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "leadscore.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "leadscore.middleware.HealthForAnybody",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "leadscore.middleware.PersonsTimeZone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "leadscore.urls"
WSGI_APPLICATION = "leadscore.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "leadscore.context.frame",
            ],
            "builtins": ["template_partials.templatetags.partials"],
        },
    }
]

# manage.py and `make run` set both URLs to the embedded servers when they are not given.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://localhost:1/leadscore")}
DATABASES["default"] |= {
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {"application_name": "leadscore", "connect_timeout": 10},
}
if "postgresql" not in DATABASES["default"]["ENGINE"]:
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// address: PostgreSQL is the only database.")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://localhost:1/0")
CACHES = {
    "default": {
        "BACKEND": "leadscore.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "leadscore",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 1},
    }
}

# Connections that one job may use at once: PostgreSQL does its ranges side by side.
JOB_CONNECTIONS = _whole("LEADSCORE_JOB_CONNECTIONS", min(os.cpu_count() or 1, 4), 1, 32)
# Leads that one transaction of a full run scores: its rows are locked while it writes.
SCORE_RANGE_LEADS = _whole("LEADSCORE_RANGE_LEADS", 100_000, 1, 10_000_000)
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
    "visibility_timeout": 3600,
    "retry_policy": {"timeout": 2.0},
}
CELERY_TASK_PUBLISH_RETRY = False  # a job that cannot be announced stays queued; the sweep sends it later
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "sweep-jobs": {"task": "jobs.sweep", "schedule": 15.0},
    "sweep-due-scores": {"task": "scoring.sweep", "schedule": 60.0},
    # Asked each minute whether the night's slot has its job: beat's own clock is in UTC, and may be down at the hour.
    "nightly-scores": {"task": "scoring.nightly", "schedule": 60.0},
    "expiry-notices": {"task": "tags.notices", "schedule": 60.0},
    "clear-selections": {"task": "leads.clear_selections", "schedule": 3600.0},
    "clear-former-values": {"task": "tags.clear_former", "schedule": 3600.0},
    "expire-referrals": {"task": "territories.expire", "schedule": 60.0},
    "log-alarms": {"task": "scoring.alarms", "schedule": 60.0},
    "generate-leads": {"task": "territories.generate-nightly", "schedule": 60.0},
    "take-up-waiting": {"task": "territories.sweep-waiting", "schedule": 60.0},
    "clear-idempotency-keys": {"task": "accounts.clear-keys", "schedule": 3600.0},
    "clear-sessions": {"task": "accounts.clear-sessions", "schedule": 3600.0},
    "sweep-territories": {"task": "territories.sweep", "schedule": 60.0},
    "push-webhooks": {"task": "territories.push-webhooks", "schedule": 15.0},
    "clear-webhooks": {"task": "territories.clear-webhooks", "schedule": 3600.0},
}

AUTH_USER_MODEL = "accounts.User"
MIGRATION_MODULES = {"knox": None}  # its own token table is swapped for ours
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105
REST_KNOX = {"TOKEN_MODEL": "accounts.ApiToken", "AUTH_HEADER_PREFIX": "Token"}
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = _text("LEADSCORE_TIME_ZONE", "America/New_York")
if TIME_ZONE not in zoneinfo.available_timezones():
    raise ImproperlyConfigured(f"LEADSCORE_TIME_ZONE is {TIME_ZONE!r}; write a zone such as America/Chicago.")
NIGHTLY_HOUR = _whole("LEADSCORE_NIGHTLY_HOUR", 4, 0, 23)  # in TIME_ZONE; away from 1 to 3, where clocks change
# Days before its expiration from which a tag counts as expiring soon, where the tag itself says nothing else.
EXPIRY_NOTICE_DAYS = _whole("LEADSCORE_EXPIRY_NOTICE_DAYS", 30, 1, 36_500)
NOTICE_HOUR = _whole("LEADSCORE_NOTICE_HOUR", 7, 0, 23)  # in TIME_ZONE; when what expires soon is looked for
# Days that an offered lead waits for somebody to hold its ZIP, and that an assigned one waits for its delivery.
REFERRAL_HOLD_DAYS = _whole("LEADSCORE_REFERRAL_HOLD_DAYS", 14, 1, 3_650)
REFERRAL_ASSIGNED_DAYS = _whole("LEADSCORE_REFERRAL_ASSIGNED_DAYS", 7, 1, 3_650)
HISTORY_MONTHS = _whole("LEADSCORE_HISTORY_MONTHS", 13, 1, 1_200)
USE_I18N = False
USE_TZ = True

# Who hears how the nightly run ended. Without EMAIL_URL the mail is printed.
NOTIFY = [address.strip() for address in env.list("LEADSCORE_NOTIFY", default=[]) if address.strip()]
if odd := [address for address in NOTIFY if not re.fullmatch(r"[^@\s]+@[^@\s]+", address)]:
    raise ImproperlyConfigured(f"LEADSCORE_NOTIFY holds {odd[0]!r}; write addresses with commas between them.")
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _text("LEADSCORE_MAIL_FROM", "leadscore@localhost")

# Where webhooks may go: https to public addresses, unless whoever runs this installation says otherwise.
WEBHOOK_ALLOW_HTTP = _yes("LEADSCORE_WEBHOOK_ALLOW_HTTP", False)
if WEBHOOK_ALLOW_HTTP and IS_PRODUCTION:
    raise ImproperlyConfigured("LEADSCORE_WEBHOOK_ALLOW_HTTP is for development: over http everybody reads the leads.")
_ports = _text("LEADSCORE_WEBHOOK_PORTS", "443,8443").replace(" ", "")
if _ports != "any" and not re.fullmatch(r"\d{1,5}(,\d{1,5})*", _ports):
    raise ImproperlyConfigured(f"LEADSCORE_WEBHOOK_PORTS is {_ports!r}; write ports such as 443,8443, or any.")
WEBHOOK_PORTS = None if _ports == "any" else frozenset(map(int, _ports.split(",")))
try:
    WEBHOOK_ALLOWED_NETWORKS = [
        ipaddress.ip_network(network.strip())
        for network in env.list("LEADSCORE_WEBHOOK_ALLOWED_NETWORKS", default=[])
        if network.strip()
    ]
except ValueError as error:
    raise ImproperlyConfigured(
        f"LEADSCORE_WEBHOOK_ALLOWED_NETWORKS: {error}; write networks such as 10.20.0.0/16 with commas between them."
    ) from None

# Where people find the pages, for links in mail.
_OWN_URL = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
if IS_PRODUCTION and ALLOWED_HOSTS:
    _OWN_URL = f"https://{ALLOWED_HOSTS[0].lstrip('*.')}"
BASE_URL = (env.str("LEADSCORE_BASE_URL", default="") or _OWN_URL).rstrip("/")
if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", BASE_URL):
    raise ImproperlyConfigured(f"LEADSCORE_BASE_URL is {BASE_URL!r}; write it such as https://leads.example.com.")

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no build step: files are served from where they lie

# Requests a minute of one contractor over its API: what changes something, and what reads.
CONTRACTOR_WRITES = _whole("LEADSCORE_CONTRACTOR_WRITES_PER_MINUTE", 120, 1, 1_000_000)
CONTRACTOR_READS = _whole("LEADSCORE_CONTRACTOR_READS_PER_MINUTE", 600, 1, 1_000_000)

# An import streams, so its size is bounded only by what a person means to wait for.
IMPORT_MAX_BYTES = _whole("LEADSCORE_IMPORT_MAX_MB", 500, 1, 1_000_000) * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasRoutePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "leadscore.problems.problem_details",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "LeadScore",
    "DESCRIPTION": "Leads, their reasons and their scores; imports and their jobs; contractors and referrals.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api",
    "COMPONENT_SPLIT_REQUEST": True,
    "WEBHOOKS": [
        f"territories.webhooks.description.{name}" for name in ("ASSIGNED", "CANCELLED", "EXPIRED", "DECIDED", "TEST")
    ],
    # Several things have a status; each gets a name that says whose.
    "ENUM_NAME_OVERRIDES": {
        "JobStatus": "jobs.models.Job.Status",
        "ReferralStatus": "territories.models.Referral.Status",
        "ReturnStatus": "territories.models.ReferralReturn.Status",
        "ReturnReason": "territories.models.ReferralReturn.Reason",
    },
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
if IS_PRODUCTION:
    SECURE_SSL_REDIRECT = _yes("SECURE_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOG_LEVEL = _text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"LOG_LEVEL is {LOG_LEVEL!r}; it may be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"outages": {"()": "leadscore.outages.OutageInOneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["outages"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        name: {"level": LOG_LEVEL}
        for name in ("leadscore", "territories", "imports", "scoring", "tags", "leads", "jobs", "accounts")
    },
}
