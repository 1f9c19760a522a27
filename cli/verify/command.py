"""`./maas verify`: read what the stack says, gather what is at hand, run the scenarios, tell what came of them."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import typer

from cli.bill.command import find_api
from cli.bill.statement import source_of
from cli.console import Console
from cli.deploy.target import ambient_kubeconfig
from cli.doctor.command import examine, program
from cli.doctor.findings import Finding
from cli.exits import Exit, MaasError
from cli.program.recorder import Object
from cli.service.addresses import address, trusting
from cli.service.calls import Service, given_key
from cli.stacks.stackfile import SANDBOX
from cli.verify.causes import Examine, Explain, explain
from cli.verify.client import Caller, Client, Spent
from cli.verify.facts import Facts
from cli.verify.limiter import ClusterLimiter
from cli.verify.meter import PageMeter, PrometheusMeter
from cli.verify.report import Report, listing
from cli.verify.runner import Budget, Runner, chosen
from cli.verify.scenario import Bench, BlockedError, Case, Cost, Means, Meter, Need, Result, Scenario
from cli.verify.scenarios import SCENARIOS
from cli.verify.scenarios.isolation import DIRECT
from cli.verify.users import ClusterKeys
from config.settings import Settings
from sandbox.gateway import process as gateway
from sandbox.gateway.admin import LIMITADOR
from sandbox.instance import Sandbox
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import KubeconfigError

_RETRY = Retry(attempts=3, seconds=15)
_CLEANING_MINUTES = 3
"""How much longer than a run its keys are good."""
_USUALLY_SECONDS = 75
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    stack: str = SANDBOX
    sandbox: str = "sandbox"
    url: str = ""
    """Address of the gateway in place of the stack's own."""
    only: Sequence[str] = ()
    make_users: bool | None = None
    """None: on a sandbox."""
    allow_disruption: bool = False
    direct: Sequence[str] = ()
    """Addresses of models behind the gateway."""
    prometheus: str | None = None
    ca: Path | None = None
    budget: Budget = field(default_factory=Budget)
    request_seconds: float = 30.0
    slow_seconds: float = 2.0
    strict: bool = False
    as_json: bool = False
    junit: Path | None = None
    list_only: bool = False

    @property
    def makes_users(self) -> bool:
        """Whether verify may make users."""
        return self.stack == SANDBOX if self.make_users is None else self.make_users


def run(options: Options, console: Console) -> Exit:
    """Verify a stack's service, and tell what came of it.

    Raises:
        MaasError: There is no such stack, or it has no service; or what the options ask for cannot be.
    """
    scenarios, unknown = chosen(SCENARIOS, options.only)
    if unknown:
        known = ", ".join(dict.fromkeys(name for each in SCENARIOS for name in (each.group, each.name)))
        raise MaasError(f"--only {', '.join(unknown)}: no such scenario or group. There are: {known}.", code=Exit.USAGE)
    if options.list_only:
        console.out.print(listing(scenarios))
        return Exit.OK
    _check(options)
    report = asyncio.run(Run(options, console, scenarios).report())
    if options.junit is not None:
        report.write_junit(options.junit)
    if options.as_json:
        typer.echo(report.as_json())
    else:
        report.show(console.out)
    return report.code


def _check(options: Options) -> None:
    """All that can be said to be wrong before the first request."""
    if options.url:
        address("--url", options.url)
    if options.prometheus:
        address("--prometheus", options.prometheus)
    if options.ca:
        trusting("--ca", options.ca)
    for url in options.direct:
        if address("--direct", url).hostname not in _LOOPBACK and options.stack == SANDBOX:
            raise MaasError(
                f"--direct {url}: the sandbox's addresses are nobody's; only loopback is connected to.", code=Exit.USAGE
            )
    if (junit := options.junit) is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        if junit.is_dir() or not os.access(junit if junit.exists() else junit.parent, os.W_OK):
            raise MaasError(f"--junit {junit}: no file can be written there", code=Exit.USAGE)


@dataclass
class Run:
    """One run of the command."""

    options: Options
    console: Console
    scenarios: Sequence[Scenario]
    _missing: dict[Need, str] = field(default_factory=dict[Need, str])

    async def report(self) -> Report:
        """Make it.

        Raises:
            MaasError: Nothing can be verified.
        """
        options, began = self.options, time.monotonic()
        service = Service.of(options.stack, options.sandbox)
        settings, wanted = program(options.stack, service.target.work_dir)
        models = tuple(service.model_names())
        if not models:
            raise MaasError(f"Stack {options.stack} has no model: there is nothing to call.")
        facts = Facts(options.stack, settings, models, longest_wait=options.budget.max_seconds / 2)
        budget = options.budget
        spent = Spent(budget.max_requests, budget.max_tokens)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client(service, spent))
            means = await self._means(service, facts, wanted, stack)
            bench = Bench(facts, client, means, prefix=f"maas-verify-{secrets.token_hex(3)}")
            url = bench.way().url
            self.console.note(
                f"Verifying {options.stack} at {url}: at most {budget.max_requests} requests, {budget.max_tokens} "
                f"tokens, {budget.max_seconds:g} s; {'users of its own' if means.keys else 'users of the stack'}."
            )
            results = await self._results(bench)
            await explain(results, self._examine(settings, wanted), _why(service))
        return Report(options.stack, url, results, spent, budget, time.monotonic() - began, options.strict)

    async def _results(self, bench: Bench) -> list[Result]:
        scenarios = [*self.scenarios, *_direct(self.options)]
        with self.console.step(f"Verifying {self.options.stack}", _USUALLY_SECONDS) as step:

            def tell(done: int, total: int, under_way: str) -> None:
                step.update(under_way, done, total)

            return await Runner(bench, self.options.budget, scenarios, tell).run()

    @asynccontextmanager
    async def _client(self, service: Service, spent: Spent) -> AsyncGenerator[Client]:
        tls = trusting("--ca", self.options.ca) if self.options.ca else None
        # The sandbox is on loopback, where a proxy of the machine's has no business.
        trust_env = service.target.sandbox is None
        client = Client(spent, self.options.request_seconds, tls, trust_env=trust_env)
        try:
            yield client
        finally:
            await client.close()

    async def _means(self, service: Service, facts: Facts, wanted: Sequence[Object], stack: AsyncExitStack) -> Means:
        options, settings = self.options, facts.settings
        means = Means(
            ways={model: service.way(model, options.url) for model in facts.models},
            stack_users=_StackUsers(service, settings, self.console).find,
            wanted=wanted,
            missing=self._missing,
            direct=options.direct,
            slow_seconds=options.slow_seconds,
        )
        kube = await self._cluster(settings, stack)
        if kube is not None:
            means = replace(means, cluster=kube, keys=await self._keys(kube, settings, stack))
            if options.allow_disruption:
                means = replace(means, limiter=ClusterLimiter(kube, settings))
        elif options.makes_users:
            raise MaasError(f"--make-users: {self._missing[Need.CLUSTER]}")
        return replace(means, meter=await self._meter(service, settings))

    async def _cluster(self, settings: Settings, stack: AsyncExitStack) -> Kube | None:
        """The stack's cluster, where there is a way to it."""
        try:
            path = self._kubeconfig()
            context = None if self.options.stack == SANDBOX else settings.cluster.context or None
            kube = await stack.enter_async_context(Kube.connect(path, context, retry=_RETRY))
            await kube.version()
        except (MaasError, KubeconfigError) as error:
            self._missing[Need.CLUSTER] = str(error)
        except ApiError as error:
            self._missing[Need.CLUSTER] = f"the cluster does not answer: {error.message}"
        else:
            return kube
        return None

    def _kubeconfig(self) -> Path:
        return Sandbox.open(self.options.sandbox).kubeconfig if self.options.stack == SANDBOX else ambient_kubeconfig()

    async def _keys(self, kube: Kube, settings: Settings, stack: AsyncExitStack) -> ClusterKeys | None:
        """The right to make users, where it is given; what earlier runs left behind is gone then."""
        if not self.options.makes_users:
            return None
        lasts = timedelta(seconds=self.options.budget.max_seconds) + timedelta(minutes=_CLEANING_MINUTES)
        keys = ClusterKeys(kube, settings, self.options.stack, lasts)
        try:
            if swept := await keys.sweep():
                self.console.note(f"Deleted {swept} keys that an earlier run had left.")
        except ApiError as error:
            raise MaasError(f"No users can be made: {error.message}. Without them: --no-make-users") from error

        async def close() -> None:
            for name in await keys.close():
                self.console.error(
                    f"Secret {settings.platform.kuadrant.namespace}/{name} could not be deleted; its key ends by "
                    "itself within minutes, and the next run deletes it."
                )

        stack.push_async_callback(close)
        return keys

    async def _meter(self, service: Service, settings: Settings) -> Meter | None:
        source = source_of(settings)
        try:
            if service.target.sandbox is not None and not self.options.prometheus:
                meter = PageMeter(gateway.admin_url(service.target.sandbox) + LIMITADOR, source)
            else:
                ca = self.options.ca if self.options.prometheus else None
                meter = PrometheusMeter(
                    find_api(settings, self.options.stack, self.options.sandbox, self.options.prometheus, ca), source
                )
            await meter.start()
        except (MaasError, BlockedError) as error:
            self._missing[Need.METRICS] = f"no metrics: {error}"
            return None
        return meter

    def _examine(self, settings: Settings, wanted: tuple[Object, ...]) -> Examine:
        async def findings() -> Sequence[Finding]:
            return (await examine(self.options.stack, settings, wanted, self._kubeconfig()))[1]

        return findings


class _StackUsers:
    """Users of the stack, for what takes none of their own."""

    def __init__(self, service: Service, settings: Settings, console: Console) -> None:
        self._service, self._settings, self._console = service, settings, console
        self._known: dict[str, Caller | None] = {}
        self._turn = asyncio.Lock()

    async def find(self, tier: str, model: str) -> Caller | None:
        """A user of a tier who may call a model, and whose key is at hand."""
        if key := given_key():
            return Caller("MAAS_API_KEY", key)
        async with self._turn:
            for name in self._service.users():
                user = self._settings.users[name]
                if user.tier == tier and (user.models is None or model in user.models):
                    if name not in self._known:
                        self._known[name] = await asyncio.to_thread(self._caller, name)
                    if found := self._known[name]:
                        return found
        return None

    def _caller(self, name: str) -> Caller | None:
        try:
            return Caller(name, self._service.key(name, self._console))
        except MaasError:
            return None


def _direct(options: Options) -> list[Scenario]:
    cases = [Case(url, Cost(1), url) for url in options.direct]

    def each_address(_: Facts) -> list[Case]:
        return cases

    return [replace(DIRECT, cases=each_address)] if cases else []


def _why(service: Service) -> Explain | None:
    async def why(request_id: str) -> object:
        return await asyncio.to_thread(service.admin, f"/decisions/{request_id}")

    return why if service.target.sandbox is not None else None
