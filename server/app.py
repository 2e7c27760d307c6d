"""The application: the only module that knows every feature and service."""

import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import cache, partial
from importlib.metadata import version
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from server.core import idempotency
from server.core.addresses import client_address
from server.core.auth import AccessTokens, Gate
from server.core.bodies import BodyDeadlines
from server.core.clock import to_text
from server.core.database import Database
from server.core.databases import database_at, migrate
from server.core.errors import Problem, forbidden
from server.core.health import AdminListener, Readiness, add_health
from server.core.leases import Lease
from server.core.limits import RequestLimits
from server.core.logging import configure_logging, dropped_lines
from server.core.memory import MemoryTrim, use_one_heap
from server.core.metrics import Metrics
from server.core.metrics_folder import MetricsFolder
from server.core.middleware import access_middleware, add_headers
from server.core.openapi import add_document, document
from server.core.retention import Retention
from server.core.routing import Operation, Router
from server.core.services import SERVICES, Services
from server.core.serving import Runner
from server.demo import DemoRefusal, add_photos, build_town
from server.features.accounts import setup as accounts
from server.features.announcements import setup as announcements
from server.features.chat import setup as chat
from server.features.drivers import setup as drivers
from server.features.kitchen import setup as kitchen
from server.features.lab import setup as lab
from server.features.orders import setup as orders
from server.features.restaurants import setup as restaurants
from server.features.shared.schemas import ProblemDetails
from server.features.uploads import setup as uploads
from server.features.uploads.service import UploadService
from server.realtime.broker import Broker, MemoryBroker
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.log_topic import RingMemory
from server.realtime.shared_limits import SharedLimits
from server.realtime.topic_reader import RewriteReader
from server.settings import (
    Settings,
    SettingsError,
    load_settings,
    make_folder,
    restrict_permissions,
)
from server.transports.connections import Connections, Revocations
from server.transports.frame_limits import FrameLimits
from server.transports.heartbeat import Heartbeat
from server.transports.socketio import SocketIo
from server.urls import is_loopback
from server.web_pages import web_host

logger = logging.getLogger(__name__)

BODY_BYTES = 128 * 1024
WORKER_BOOT_ERROR = 3
"""The exit status of a worker after which gunicorn starts no other one."""
SWITCH_SECONDS = 0.0002
"""How long a thread keeps the interpreter while another one wants it."""


class Feature(Protocol):
    """A feature's `setup` module."""

    @property
    def routers(self) -> Sequence[Router]:
        """Its operations."""
        ...

    def setup(self, services: Services) -> None:
        """Add its services to those of the features before it."""
        ...


FEATURES: Sequence[Feature] = (
    accounts,
    restaurants,
    orders,
    drivers,
    kitchen,
    chat,
    announcements,
    uploads,
)
DEMO_FEATURES: Sequence[Feature] = (*FEATURES, lab)
"""Those of a demo."""


def operations_of(features: Sequence[Feature]) -> list[Operation]:
    """All of their operations."""
    routers = [router for feature in features for router in feature.routers]
    return [operation for router in routers for operation in router.operations]


OPERATIONS = operations_of(FEATURES)


@cache
def openapi_document(demo: bool) -> bytes:
    """The OpenAPI document."""
    operations = operations_of(DEMO_FEATURES) if demo else OPERATIONS
    return json.dumps(document(operations, ProblemDetails, version("tiffin"))).encode()


def create_app(settings: Settings) -> web.Application:
    """The application with every feature; nothing is opened before it starts."""
    app = web.Application(middlewares=[access_middleware], client_max_size=BODY_BYTES)
    app.on_response_prepare.append(add_headers)
    if settings.demo and settings.demo_public:
        logger.warning(
            "this demo is open to every address that reaches it: anybody may act as an employee"
        )
    elif settings.demo:
        app.middlewares.append(_loopback_only)
    services = app[SERVICES] = services_of(settings)
    for feature in _features(settings):
        for router in feature.routers:
            router.add_to(app)
    services[SocketIo].add_to(app)
    services.add(AdminListener(settings.admin_port, services[Readiness], services[Metrics]))
    describe = partial(openapi_document, settings.demo)
    add_document(app, describe)
    add_health(app)
    if settings.web:
        web_host(settings).add_to(app)

    async def run(app: web.Application) -> AsyncIterator[None]:
        for name in await migrate(settings.database):
            logger.info("migrated: %s", name)
        async with services.opened():
            if settings.demo:
                await _build_demo(settings, services)
            # In a thread and before anybody asks: it takes 0.1 s, which others would wait for.
            made = asyncio.get_running_loop().run_in_executor(None, describe)
            yield
            await made

    async def drain(app: web.Application) -> None:
        services[Connections].drain()
        services.begin_close()
        await services[SocketIo].close()

    app.cleanup_ctx.append(run)
    app.on_shutdown.append(drain)
    return app


def services_of(settings: Settings) -> Services:
    """Every service, in the order in which they are opened; none is open yet."""
    services = _services(settings)
    for feature in _features(settings):
        feature.setup(services)
    return services


def _features(settings: Settings) -> Sequence[Feature]:
    return DEMO_FEATURES if settings.demo else FEATURES


def _services(settings: Settings) -> Services:
    """The services below the features."""
    database = database_at(
        settings.database,
        settings.public_reads_at_once,
        settings.database_connections,
        settings.database_seconds,
        settings.commit_interval_ms / 1000,
    )
    log = EventLog(database)
    broker = _broker(settings)
    rings = RingMemory(settings.topic_memory_kb * 1024, settings.topics_memory_mb * 1024 * 1024)
    hub = Hub(database, log, broker, settings.sweep_seconds, rings)
    upkeep = Lease(database, "upkeep", settings.upkeep_lease_seconds)
    retention = Retention(database, upkeep)
    events_kept = timedelta(days=settings.event_days)
    retention.jobs += [
        lambda at: log.trim(to_text(at - events_kept)),
        lambda at: database.write(lambda tx: idempotency.drop_expired(tx, at)),
    ]
    connections = Connections(
        settings.max_connections, settings.max_streams_per_account, settings.shutdown_seconds
    )
    secret, *previous = settings.token_secrets
    gate = Gate(AccessTokens(secret, settings.access_token_seconds, *previous))
    frame_limits = FrameLimits(settings)
    limits = RequestLimits(settings)
    shared = SharedLimits(hub, settings.limits_shared_seconds if settings.redis_url else 0)
    shared.add(limits.shared)
    services = Services(settings)
    services.add(database, Database)
    if not settings.demo:
        services.add(DemoRefusal(settings, database))
    for service in (
        upkeep,
        retention,
        log,
        hub,
        hub.states,
        Heartbeat(settings.heartbeat_seconds),
        RewriteReader(hub),
        Revocations(hub, connections, gate),
        connections,
        gate,
        limits,
        shared,
        BodyDeadlines(),
        MemoryTrim(),
        frame_limits,
        SocketIo(settings, gate, connections, frame_limits),
        Readiness(),
        Metrics(),
    ):
        services.add(service)
    _add_checks(services, broker)
    _add_gauges(services, broker)
    return services


async def create_runner() -> web.AppRunner:
    """The entry point for gunicorn, called in each worker after the fork.

    Invalid settings are logged in one line, and end gunicorn.
    """
    try:
        return _runner(load_settings())
    except SettingsError as error:
        logging.getLogger("gunicorn.error").error("%s", error)
        raise SystemExit(WORKER_BOOT_ERROR) from None


def _runner(settings: Settings) -> web.AppRunner:
    if settings.web and settings.web_town == "own":
        raise SettingsError(
            "TIFFIN_WEB_TOWN=own needs one process, as both windows of a visitor share a town:"
            " run `python -m server --demo --web` for that, or leave it out"
        )
    restrict_permissions(settings)
    make_folder(settings.data_dir)
    use_one_heap()
    configure_logging(settings.log_level, lines=settings.log_queue_lines)
    # gunicorn's own handler would block: its lines about this worker go to our log.
    gunicorn_log = logging.getLogger("gunicorn.error")
    gunicorn_log.handlers.clear()
    gunicorn_log.propagate = True
    app = create_app(settings)
    app[SERVICES][Metrics].share(MetricsFolder(settings.data_dir / "metrics", os.getppid()))
    runner = Runner(app, settings)
    tune_process()
    return runner


def tune_process() -> None:
    """Tune the interpreter for many connections, once all permanent objects exist.

    The garbage collector ignores permanent objects, which makes waking a thousand polls 1.7 times
    as fast, and looks at few others at a time: 50,000 would take it 80 ms. The database's threads
    need the interpreter several times in each query; with the default interval they would wait
    5 ms each time while a broadcast keeps it busy.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 20)


def _broker(settings: Settings) -> Broker:
    if not settings.redis_url:
        return MemoryBroker()
    from server.realtime.redis_broker import RedisBroker

    try:
        return RedisBroker(settings.redis_url.get_secret_value(), *settings.token_secrets)
    except ValueError as error:
        raise SettingsError(f"TIFFIN_REDIS_URL: {error}") from None


@web.middleware
async def _loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other machines: anybody may log in to a demo. Under gunicorn, only requests tell
    which address it listens on."""
    address = client_address(request)
    if address and not is_loopback(address):
        raise forbidden(
            "This demo is only open to the machine it runs on. Start it with --demo-public or"
            " TIFFIN_DEMO_PUBLIC=1 to open it to others."
        )
    return await handler(request)


async def _build_demo(settings: Settings, services: Services) -> None:
    """Make the demo's town and its photos."""
    database = services[Database]
    try:
        await build_town(settings, database)
        await add_photos(database, services[UploadService].blobs)
    except (OSError, Problem) as error:
        # Such as a full disk. Under gunicorn, one worker that does not start ends all others.
        logger.error("the demo's town is not complete until the next start: %s", error)


def _add_checks(services: Services, broker: Broker) -> None:
    async def broker_state() -> str:
        return broker.state

    async def connections_state() -> str:
        return "draining" if services[Connections].draining else "ok"

    services[Readiness].checks |= {
        "database": services[Database].state,
        "broker": broker_state,
        "connections": connections_state,
        "tasks": services.tasks_state,
    }


def _add_gauges(services: Services, broker: Broker) -> None:
    metrics, hub, connections = services[Metrics], services[Hub], services[Connections]
    ready = services[Readiness].parts
    metrics.states("part_ok", "1 where a part of the process is `ok`.", "part", ready)
    metrics.gauge("held_connections", "Streams and held polls.", lambda: connections.held)
    most = services[Settings].max_connections
    metrics.gauge("max_connections", "The most streams and held polls.", lambda: most)
    metrics.gauge("held_polls", "Held polls among them.", lambda: connections.polls)
    metrics.gauge("listeners", "Subscriptions and waiters of the hub.", lambda: hub.listeners)
    metrics.gauge("topics", "Topics this process follows.", lambda: hub.topics)
    metrics.gauge(
        "recent_event_bytes",
        "Memory that recent events take, without their encoded form.",
        lambda: hub.ring_memory.bytes,
    )
    metrics.gauge(
        "broker_messages_rejected",
        "Messages on the broker not signed with this server's secret.",
        lambda: broker.rejected,
    )
    metrics.gauge("log_lines_dropped", "Log lines that nobody read in time.", dropped_lines)
    metrics.gauge("gaps", "Gaps the sweep has found.", lambda: hub.gaps)
    # The allocator keeps memory that a crowd has needed, so the size of the process says little
    # about what is in use.
    metrics.gauge("memory_blocks", "Blocks of memory in use.", sys.getallocatedblocks)
