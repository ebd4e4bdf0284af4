"""From nothing to two merchants one can log in to: the steps of `manage.py demo_prepare`. Each leaves alone what it finds done.

The web process, the workers and the scheduler are running: the first sync is theirs, this only waits for it.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password

from accounts.models import ApiToken, Role, RoleGrant, User
from contacts.models import Dealer, Department, Member, MemberAccount, Region, Store, StorePlacement
from demo import simulated
from demo.living import prepare_living
from demo.scenarios import SCENARIOS
from demo.scenarios.model import Scenario, UserData
from scrm.lib import clock
from scrm.lib.crypto import random_token, token_digest
from scrm.lib.env import env_str
from tenants.audit import SYSTEM
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant, TenantState, new_schema_name
from tenants.provision.steps import provision
from tenants.services.clock import set_offset
from wecom_bridge.models import Corp, SyncRun
from wecom_bridge.services import corps

Say = Callable[[str], None]
SYNC_SECONDS = 420
HISTORY = timedelta(days=430)
PLATFORM_USER = "platform"


class NotReady(RuntimeError):
    """A step did not come to its end; the message says which and why."""


def prepare(
    known: dict[str, Any], *, say: Say, with_history: bool = True, slugs: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Make (or find) every merchant and return what info.json holds. `known`: the info.json of an earlier run, or {}."""
    worlds = simulated.corps()
    start_clock()
    facts: dict[str, Any] = {
        "public_url": _url(settings.PUBLIC_HOST),
        "simulator_url": simulated.base_url(),
        "connect": f"127.0.0.1:{settings.SITE_PORT}",
        "platform": _platform_operator(known),
        "tenants": [],
    }
    before = {row["slug"]: row for row in known.get("tenants", [])}
    for scenario in SCENARIOS:
        if slugs and scenario.slug not in slugs:
            continue
        merchant = Merchant(scenario, worlds[scenario.world], before.get(scenario.slug), say)
        facts["tenants"].append(merchant.prepare(with_history=with_history))
    return facts


def start_clock() -> None:
    """The simulator's domain clock at the world's start, on the first run; later runs find it where it went on."""
    now = simulated.call("GET", "/control/clock")["now"]
    start = datetime.fromisoformat(env_str("SIMULATOR_START"))
    if not Tenant.objects.exclude(schema_name="public").exists() and abs(now - start.timestamp()) > 1:
        simulated.call("POST", "/control/clock", {"set": start.isoformat()})


def _url(host: str) -> str:
    usual = 443 if settings.SITE_SCHEME == "https" else 80
    port = "" if usual == settings.SITE_PORT else f":{settings.SITE_PORT}"
    return f"{settings.SITE_SCHEME}://{host}{port}"


def _platform_operator(known: dict[str, Any]) -> dict[str, str]:
    """The platform's own log-in, on the public host."""
    with public_scope():
        user = User.objects.filter(username=PLATFORM_USER).first()
        if user is not None and "platform" in known:
            return known["platform"]
        password = random_token(12)
        user = user or User(username=PLATFORM_USER, display_name="平台运营", created_at=clock.wall())
        user.password = make_password(password)
        user.save()
        return {"username": PLATFORM_USER, "password": password}


class Merchant:
    """One merchant on her way to being ready."""

    def __init__(self, scenario: Scenario, world: dict[str, Any], known: dict[str, Any] | None, say: Say) -> None:
        self.scenario, self.world, self.known = scenario, world, known
        self._say = say

    def say(self, text: str) -> None:
        self._say(f"{self.scenario.name}: {text}")

    def prepare(self, *, with_history: bool) -> dict[str, Any]:
        """All steps, in order; the merchant's part of info.json."""
        tenant = self._tenant()
        with tenant_scope(tenant):
            connection = self._connect()
            self._organisation(connection.corp)
        self._save_callback(connection)
        with tenant_scope(tenant):
            self._sync(connection.corp)
            facts = {
                "slug": tenant.slug,
                "name": tenant.name,
                "host": f"{tenant.slug}.{settings.BASE_DOMAIN}",
                "base_url": _url(f"{tenant.slug}.{settings.BASE_DOMAIN}"),
                "api_token": self._api_token(),
                "corps": [self._corp_facts(connection)],
                "users": self._users(),
            }
            if with_history:
                from demo.history import write

                write.write_history(self.scenario, self.say)
                prepare_living(self.scenario, self.say)
        return facts

    def _tenant(self) -> Tenant:
        """The merchant's row and schema, its clock at the simulator's."""
        with public_scope():
            tenant = Tenant.objects.filter(slug=self.scenario.slug).first()
            if tenant is None:
                tenant = Tenant.objects.create(
                    slug=self.scenario.slug,
                    name=self.scenario.name,
                    schema_name=new_schema_name(),
                    is_sandbox=True,
                    policy=self.scenario.policy,
                    created_at=clock.wall(),
                )
            if tenant.state == TenantState.PROVISIONING:
                tenant = provision(tenant.pk)
                self.say("schema made")
            offset = simulated.call("GET", "/control/clock")["offset"]
            return set_offset(tenant, timedelta(seconds=offset))

    def _connect(self) -> corps.Connection:
        world = self.world
        return corps.connect_corp(
            corp_id=world["corp_id"],
            name=self.scenario.name,
            agent_id=str(world["agent_id"]),
            secret=world["secret"],
            token=world["token"],
            encoding_aes_key=world["encoding_aes_key"],
            open_account=f"open-{self.scenario.slug}",
            by=SYSTEM,
        )

    def _save_callback(self, connection: corps.Connection) -> None:
        """Enter the callback address in the simulated console, which verifies it as WeCom does."""
        body = {
            "url": connection.callback_url,
            "token": connection.token,
            "encoding_aes_key": connection.encoding_aes_key,
            "connect": f"127.0.0.1:{settings.SITE_PORT}",
        }
        simulated.call("POST", f"/control/corps/{self.world['corp_id']}/callback", body)
        self.say("callback address verified")

    def _organisation(self, corp: Corp) -> None:
        """Regions, dealers, stores, and which department stands for which store; before the people come."""
        since = clock.now() - HISTORY
        regions = {
            name: Region.objects.get_or_create(name=name, defaults={"order": i})[0]
            for i, name in enumerate(self.scenario.regions)
        }
        dealers = {name: Dealer.objects.get_or_create(name=name)[0] for name in self.scenario.dealers}
        for data in self.scenario.stores:
            place = {"region": regions.get(data.region), "dealer": dealers.get(data.dealer)}
            store, is_new = Store.objects.get_or_create(
                code=data.code,
                defaults={"name": data.name, "city": data.city, "phone": data.phone, "address": data.address, **place},
            )
            if is_new:
                StorePlacement.objects.create(store=store, placed_from=since, **place)
            Department.objects.get_or_create(
                corp=corp, department_id=data.department, defaults={"name": data.name, "store": store}
            )

    def _sync(self, corp: Corp) -> None:
        """The first sync, done by the workers; progress is said as it comes."""
        from wecom_bridge.services.sync.runs import start_sync

        if corp.sync_runs.filter(state=SyncRun.State.DONE).exists():
            return
        run = start_sync(corp, by=SYSTEM)
        until, last = time.monotonic() + SYNC_SECONDS, ""
        while time.monotonic() < until:
            run = SyncRun.objects.get(pk=run.pk)
            if run.state == SyncRun.State.DONE:
                self.say(f"first sync done: {run.counts}")
                return
            if run.state in (SyncRun.State.FAILED, SyncRun.State.NEEDS_CONFIRM):
                raise NotReady(f"the first sync of {corp.name} is {run.state}: {run.last_error}")
            if run.step != last:
                last = run.step
                self.say(f"sync: {last}")
            time.sleep(0.5)
        raise NotReady(f"the first sync of {corp.name} did not end in {SYNC_SECONDS} s (step {run.step})")

    def _users(self) -> dict[str, dict[str, str]]:
        found = {}
        for data in self.scenario.users:
            password = self._user(data)
            if data.key:
                found[data.key] = {"username": data.username, "password": password, "userid": data.userid}
        return found

    def _user(self, data: UserData) -> str:
        """A log-in with its roles; the password of an earlier run is kept."""
        known = ((self.known or {}).get("users") or {}).get(data.key, {})
        password = known.get("password") or random_token(9)
        user, is_new = User.objects.get_or_create(
            username=data.username,
            defaults={"display_name": data.name, "password": make_password(password), "created_at": clock.wall()},
        )
        if not is_new and not known:
            user.password = make_password(password)
            user.save(update_fields=["password"])
        for role, scope, name in ((data.role, data.scope, data.scope_name), *data.extra_roles):
            RoleGrant.objects.get_or_create(
                user=user, role=Role.objects.get(key=role), scope_kind=scope, scope_id=_scope_id(scope, name)
            )
        member = Member.objects.filter(userid=data.userid).first() if data.userid else None
        if member is not None:
            MemberAccount.objects.get_or_create(member=member, defaults={"user": user})
        return password

    def _api_token(self) -> str:
        """A token for outside drivers, with every scope."""
        if self.known and ApiToken.objects.filter(name="demo").exists():
            return str(self.known["api_token"])
        prefix, secret = random_token(6).replace("-", "x").replace("_", "y")[:8], random_token(24)
        ApiToken.objects.update_or_create(
            name="demo",
            defaults={
                "prefix": prefix,
                "token_digest": token_digest(secret),
                "scopes": ["*"],
                "created_at": clock.wall(),
            },
        )
        return f"{prefix}.{secret}"

    def _corp_facts(self, connection: corps.Connection) -> dict[str, str]:
        return {
            "corp_id": self.world["corp_id"],
            "agent_id": str(self.world["agent_id"]),
            "secret": self.world["secret"],
            "token": connection.token,
            "encoding_aes_key": connection.encoding_aes_key,
            "callback_url": connection.callback_url,
        }


def _scope_id(kind: str, name: str) -> int:
    """The row a role is limited to; 0 for all and self."""
    models: dict[str, Any] = {"region": Region, "dealer": Dealer, "store": Store}
    return models[kind].objects.get(name=name).pk if kind in models else 0
