"""One settings file, fed by the environment (documented in .env.example). A bad value stops the start."""

import base64
import hashlib
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from scrm.lib.env import env_bool, env_choice, env_database, env_int, env_list, env_redis, env_str

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Secrets and mode -------------------------------------------------------------------------------------------

DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_str("SECRET_KEY")
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters")

# Keys that encrypt columns of class secret: the first encrypts, all decrypt (rotation). 32 url-safe base64 bytes each.
FIELD_KEYS = env_list("FIELD_KEYS")
if not FIELD_KEYS:
    raise ImproperlyConfigured("FIELD_KEYS is not set. See .env.example for how to make one.")
for _key in FIELD_KEYS:
    try:
        _ok = len(base64.urlsafe_b64decode(_key)) == 32
    except ValueError:
        _ok = False
    if not _ok:
        raise ImproperlyConfigured("FIELD_KEYS holds a key that is not 32 bytes of url-safe base64")

# A sandbox tenant may shift its domain clock; a production site refuses that for every tenant.
ALLOW_SANDBOX = env_bool("ALLOW_SANDBOX", False)

# --- Hosts ------------------------------------------------------------------------------------------------------

BASE_DOMAIN = env_str("BASE_DOMAIN", "scrm.localhost").lower()
PUBLIC_HOST = env_str("PUBLIC_HOST", f"admin.{BASE_DOMAIN}").lower()
SITE_SCHEME = env_choice("SITE_SCHEME", "https", ("http", "https"))
SITE_PORT = env_int("SITE_PORT", 443 if SITE_SCHEME == "https" else 80, minimum=1, maximum=65535)
# Which hosts are served is told by the shared domain table (tenants.middleware), so that a merchant's own host needs no new
# settings. A list here narrows it further.
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "*")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

# --- Apps -------------------------------------------------------------------------------------------------------

# In both lists: log-ins exist on the platform's own host and in every tenant, each in its own schema. Nothing else may be.
DUAL_APPS = [
    "scrm.lib.db.wide.WideContentTypesConfig",
    "scrm.lib.db.wide.WideAuthConfig",
    "django.contrib.sessions",
    "accounts",
]
# Django's own tables with 64-bit ids, from their first migration on.
MIGRATION_MODULES = {"auth": "scrm.lib.db.auth.migrations", "contenttypes": "scrm.lib.db.contenttypes.migrations"}

SHARED_APPS = [
    "console",  # before django_tenants, whose create_tenant knows nothing of our steps
    "django_tenants",
    *DUAL_APPS,
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "template_partials",
    "scrm.ui",
    "tenants",
]
TENANT_APPS = [
    *DUAL_APPS,
    "tenants.ledger",
    "wecom_bridge",
    "conditions",
    "contacts",
    "commerce",
    "tagging",
    "links",
    "campaigns",
    "acquisition",
    "analytics",
    "demo",
]
INSTALLED_APPS = SHARED_APPS + [app for app in TENANT_APPS if app not in SHARED_APPS]

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
PUBLIC_SCHEMA_NAME = "public"
PUBLIC_SCHEMA_URLCONF = "scrm.urls_public"
ROOT_URLCONF = "scrm.urls"
WSGI_APPLICATION = "scrm.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "scrm.middleware.RequestIdMiddleware",
    "scrm.middleware.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "scrm.middleware.HealthMiddleware",
    "tenants.middleware.TenantHostMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "scrm.ui.toasts.ToastMiddleware",
    "scrm.middleware.UserErrorMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "accounts.context.shell",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.static",
                "template_partials.templatetags.partials",
                "scrm.ui.templatetags.ui",
            ],
        },
    }
]

# --- Data -------------------------------------------------------------------------------------------------------

DATABASES = {
    "default": {
        **env_database("DATABASE_URL"),
        "ENGINE": "django_tenants.postgresql_backend",
        "CONN_MAX_AGE": env_int("CONN_MAX_AGE", 60),
        "CONN_HEALTH_CHECKS": True,
        # The schema is session state, so connections are direct or session-pooled, and no transaction spans requests.
        "ATOMIC_REQUESTS": False,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "TEST": {"NAME": env_str("TEST_DATABASE_NAME", "") or None},
    }
}
ORIGINAL_BACKEND = "scrm.lib.db.engine"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter", "tenants.routers.ScopeRouter"]
PG_EXTRA_SEARCH_PATHS: list[str] = []
# One SET search_path per change of tenant instead of one per query; a rollback makes the backend set it again.
TENANT_LIMIT_SET_CALLS = True

REDIS_URL = env_redis("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "scrm.lib.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
        "KEY_FUNCTION": "tenants.paths.cache_key",
    }
}
SESSION_ENGINE = "accounts.sessions"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

MEDIA_ROOT = Path(env_str("MEDIA_ROOT", str(BASE_DIR / ".demo" / "media")))
STATIC_URL = "/static/"
STATIC_ROOT = Path(env_str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# --- WeCom ------------------------------------------------------------------------------------------------------

# The address of WeCom's server API; the demo and the tests point it at the simulator.
WECOM_API_BASE = env_str("WECOM_API_BASE", "https://qyapi.weixin.qq.com").rstrip("/")
# WeCom's log-in pages and its JS-SDK live on hosts of their own; the demo and the tests take all of them from the simulator.
WECOM_PAGES_BASE = env_str("WECOM_PAGES_BASE", "").rstrip("/")
# Opens /metrics on the platform's own host to whoever brings it; without one there is no such page.
METRICS_TOKEN = env_str("METRICS_TOKEN", "")
if METRICS_TOKEN and len(METRICS_TOKEN) < 24:
    raise ImproperlyConfigured("METRICS_TOKEN is shorter than 24 characters")
# A name for the address that calls leave from: WeCom also counts per address, over all merchants. Machines that leave by
# different addresses take different names.
WECOM_ADDRESS = env_str("WECOM_ADDRESS", "default")

# --- Work -------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_DEFAULT_QUEUE = "bulk"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "visibility_timeout": 300,
    "socket_timeout": 10,
    "queue_order_strategy": "scrm.lib.queue:WelcomeFirst",
}
CELERY_TASK_CREATE_MISSING_QUEUES = False
# Keys of this deployment in a shared Redis; the tests use their own.
CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] = env_str("QUEUE_PREFIX", "scrm:")

# --- Log-in -----------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"

# --- HTTP safety ------------------------------------------------------------------------------------------------

_SECURE = SITE_SCHEME == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _SECURE
# The __Host- prefix makes the browser refuse a cookie set for a parent domain, so tenants cannot plant one on each other.
SESSION_COOKIE_NAME = "__Host-session" if _SECURE else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if _SECURE else "csrf"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 86400
SECURE_SSL_REDIRECT = _SECURE and env_bool("SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env_int("HSTS_SECONDS", 31536000 if _SECURE else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = _SECURE
SECURE_HSTS_PRELOAD = _SECURE
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
TRUST_PROXY = env_bool("TRUST_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
# How many proxies of ours a request passes: the client is that entry of X-Forwarded-For from the right.
PROXY_HOPS = env_int("PROXY_HOPS", 1, minimum=1, maximum=9) if TRUST_PROXY else 0
X_FRAME_OPTIONS = "DENY"

# --- Language and time ------------------------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("简体中文")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- API --------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api_auth.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api_auth.HasTokenScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["scrm.api_body.JsonBody"],
    "DEFAULT_PAGINATION_CLASS": "scrm.api.CursorPage",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api_auth.TokenThrottle"],
    "DEFAULT_THROTTLE_RATES": {"token": "600/min"},
    "EXCEPTION_HANDLER": "scrm.api.error_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SCRM API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
}

# --- Logs -------------------------------------------------------------------------------------------------------

LOG_FORMAT = env_choice("LOG_FORMAT", "text" if DEBUG else "json", ("json", "text"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "scrm.logs.ContextFilter"}},
    "formatters": {
        "json": {"()": "scrm.logs.JsonFormatter"},
        "text": {
            "()": "scrm.logs.TextFormatter",
            "format": "%(levelname).1s %(name)s [%(tenant)s %(request_id)s%(task_id)s] %(message)s",
        },
    },
    "handlers": {
        "stream": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["context"]},
    },
    "root": {"handlers": ["stream"], "level": env_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        # At DEBUG these write whole addresses, tokens included, whatever LOG_LEVEL says.
        "urllib3": {"level": "WARNING"},
        "requests": {"level": "WARNING"},
        "wechatpy": {"level": "WARNING"},
    },
}

# A digest of the secret that may appear in cache keys and channel names without revealing it.
DEPLOYMENT_ID = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]

# The packaged font of the browser tests, so that a machine without Chinese fonts shows no boxes.
UI_TEST_FONTS = env_bool("UI_TEST_FONTS", False)
