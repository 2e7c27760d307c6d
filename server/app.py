"""The application: the only place where things meet."""

import asyncio
import contextlib
import gc
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from server.core import idempotency
from server.core.addresses import TRUSTED_PROXIES, client_address
from server.core.arrivals import ARRIVALS, Arrivals
from server.core.auth import AccessTokens, Gate
from server.core.clock import to_text
from server.core.database import Database
from server.core.errors import Problem, forbidden
from server.core.health import CHECKS, add_health
from server.core.limits import InFlight, RateLimit, Turns
from server.core.logging import configure_logging, dropped_lines, log_failure
from server.core.metrics import Metrics
from server.core.middleware import METRICS, around, mark
from server.core.migrate import migrate
from server.core.openapi import DOCUMENT, document, serve_document
from server.core.retention import Retention
from server.core.routing import (
    ADDRESSES,
    ANONYMOUS,
    GATE,
    IN_FLIGHT,
    OPERATIONS,
    PREFIX,
    READS,
    SERVICES,
    TURNS,
    WRITES,
)
from server.core.serving import Runner
from server.core.supervised import SupervisedTask, states_of
from server.demo import add_photos, build_town, refuse_demo_database
from server.features.accounts import setup as accounts
from server.features.accounts.service import drop_expired
from server.features.announcements import setup as announcements
from server.features.announcements.service import AnnouncementService
from server.features.chat import setup as chat
from server.features.drivers import setup as drivers
from server.features.kitchen import setup as kitchen
from server.features.orders import setup as orders
from server.features.restaurants import setup as restaurants
from server.features.shared.schemas import ProblemDetails
from server.features.uploads import setup as uploads
from server.features.uploads.blobs import Blobs
from server.realtime.broker import Broker
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.log_topic import Rings
from server.realtime.memory_broker import MemoryBroker
from server.realtime.rewrites import Rewrites
from server.realtime.states import States
from server.settings import (
    Settings,
    SettingsError,
    is_loopback,
    keep_private,
    load_settings,
    make_folder,
)
from server.transports.connections import CONNECTIONS, Connections, Revocations
from server.transports.duplex import ACCOUNT_PACES, AccountPaces
from server.transports.heartbeat import HEARTBEAT, Heartbeat
from server.transports.socketio import SocketIo

logger = logging.getLogger(__name__)

AT_ONCE = 0.25
"""Of a minute's reads, what may come at once: dear ones in a heap would hold up everybody."""
BODY_BYTES = 128 * 1024
UPKEEP_SECONDS = 600.0
WORKER_BOOT_ERROR = 3
"""The exit status of a worker after which gunicorn starts no other one."""
SWITCH_SECONDS = 0.0002
"""After which one thread hands the interpreter to another that wants it."""
DEMO_MAP = Path(__file__).with_name("demo") / "map.geojson"


def create_app(settings: Settings) -> web.Application:
    """The application with every feature; nothing is opened before it starts."""
    app = web.Application(middlewares=[around], client_max_size=BODY_BYTES)
    app.on_response_prepare.append(mark)
    if settings.demo and settings.demo_public:
        logger.warning(
            "this demo is open to every address that reaches it: anybody may act as an employee"
        )
    elif settings.demo:
        app.middlewares.append(_this_machine_alone)
    database = Database(settings.database_path)
    log = EventLog(database)
    broker = _broker(settings)
    rings = Rings(settings.topic_memory_kb * 1024, settings.topics_memory_mb * 1024 * 1024)
    retention = Retention(database)
    hub = Hub(database, log, broker, settings.sweep_seconds, rings)
    connections = Connections(settings.max_connections, settings.max_streams_per_account)
    gate = Gate(AccessTokens(settings.token_secret, settings.access_token_seconds))

    app[GATE] = gate
    app[WRITES] = RateLimit(settings.rate_per_minute, "changes by this account")
    app[IN_FLIGHT] = InFlight(settings.requests_per_account)
    app[TURNS] = Turns(settings.reads_at_once)
    app[ARRIVALS] = Arrivals()
    app[READS] = RateLimit(settings.reads_per_minute, "requests by this account", share=AT_ONCE)
    app[ADDRESSES] = RateLimit(
        settings.address_per_minute, "requests from this address", share=AT_ONCE
    )
    app[ANONYMOUS] = RateLimit(
        settings.anonymous_per_minute,
        "requests from this address without a valid token",
        share=AT_ONCE,
    )
    app[SERVICES] = {
        Settings: settings,
        Hub: hub,
        Database: database,
        EventLog: log,
        States: hub.states,
    }
    app[OPERATIONS] = []
    app[TRUSTED_PROXIES] = settings.trusted_proxies
    app[METRICS] = Metrics()
    app[CONNECTIONS] = connections
    app[ACCOUNT_PACES] = AccountPaces(settings)
    app[HEARTBEAT] = Heartbeat(settings.heartbeat_seconds)
    app[CHECKS] = {}

    account_service = accounts.setup(app, settings, database, log, hub, gate)
    account_service.on_delete.append(idempotency.forget_account)
    restaurant_service = restaurants.setup(app, database)
    order_service = orders.setup(
        app,
        database,
        log,
        hub.states,
        account_service,
        restaurant_service,
        settings.max_orders_per_day,
    )
    driver_service = drivers.setup(
        app, settings, database, hub, order_service, restaurant_service, _map(settings)
    )
    kitchen.setup(app)
    socketio = SocketIo(app, settings)
    presence, names = chat.setup(
        app, settings, database, hub, account_service, order_service, socketio
    )
    announcement_service, marks = announcements.setup(app, database, log, hub, account_service)
    photos = uploads.setup(app, settings, database, account_service, restaurant_service, retention)

    operations = app[OPERATIONS]
    described = document(operations, ProblemDetails, version("tiffin"))
    app[DOCUMENT] = json.dumps(described).encode()
    app.router.add_get(f"{PREFIX}/openapi.json", serve_document)
    add_health(app)
    upkeep = SupervisedTask(
        "upkeep", lambda: _upkeep(settings, database, log, announcement_service, retention)
    )
    tasks = [
        database.writer,
        *broker.tasks,
        hub.sweeper,
        presence.renewing,
        *photos.tasks,
        app[HEARTBEAT].task,
        upkeep,
    ]
    _add_checks(app, database, broker, tasks)
    _add_gauges(app, hub, connections, broker)

    async def run(app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for name in await migrate(settings.database_path):
                logger.info("migrated: %s", name)
            await database.open()
            stack.push_async_callback(database.close)
            if not settings.demo:
                await refuse_demo_database(settings, database)
            await retention.open()
            await log.open()
            await broker.open(log.epoch)
            stack.push_async_callback(broker.close)
            await hub.open()
            stack.push_async_callback(hub.close)
            stack.push_async_callback(driver_service.close)
            await presence.open()
            stack.push_async_callback(presence.close)
            await photos.open()
            stack.push_async_callback(photos.close)
            await app[HEARTBEAT].open()
            stack.push_async_callback(app[HEARTBEAT].close)
            await Rewrites(hub).follow()
            await Revocations(hub, connections).follow()
            await marks.follow()
            await names.follow()
            if settings.demo:
                await _demo(settings, database, photos.blobs)
            upkeep.start()
            stack.push_async_callback(upkeep.stop)
            yield

    async def drain(app: web.Application) -> None:
        connections.drain()
        await socketio.close()

    app.cleanup_ctx.append(run)
    app.on_shutdown.append(drain)
    return app


async def create_runner() -> web.AppRunner:
    """For gunicorn: an AppRunner, made after the fork, that cancels the handler of a client
    that has gone.

    Settings that cannot work are one line in the log, and end gunicorn.
    """
    try:
        return _runner(load_settings())
    except SettingsError as error:
        logging.getLogger("gunicorn.error").error("%s", error)
        raise SystemExit(WORKER_BOOT_ERROR) from None


def _runner(settings: Settings) -> web.AppRunner:
    keep_private(settings)
    make_folder(settings.data_dir)
    configure_logging(settings.log_level, lines=settings.log_queue_lines)
    # What gunicorn says of this worker goes the same way: it would block on its own.
    says = logging.getLogger("gunicorn.error")
    says.handlers.clear()
    says.propagate = True
    runner = Runner(create_app(settings), settings)
    settle()
    return runner


def settle() -> None:
    """Make the process fit for many connections, once what lives as long as it is there.

    What stays is no business of the garbage collector: a thousand polls woken at once take 1.7
    times less for it. The threads of the database need the interpreter for a moment several times
    a query; while a broadcast keeps it busy, they would wait 5 ms each time.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _broker(settings: Settings) -> Broker:
    if not settings.redis_url:
        return MemoryBroker()
    from server.realtime.redis_broker import RedisBroker

    try:
        return RedisBroker(settings.redis_url.get_secret_value(), settings.token_secret)
    except ValueError as error:
        raise SettingsError(f"TIFFIN_REDIS_URL: {error}") from None


def _map(settings: Settings) -> Path | None:
    """The map to serve: the one that was set, else in demo mode that of the demo's town."""
    if settings.map is not None or not settings.demo:
        return settings.map
    return DEMO_MAP if DEMO_MAP.exists() else None


@web.middleware
async def _this_machine_alone(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A demo lets anybody in, and under gunicorn it learns of its address by requests alone."""
    address = client_address(request)
    if address and not is_loopback(address):
        raise forbidden(
            "This demo is for the machine it runs on. Whoever runs it opens it to others with"
            " --demo-public or TIFFIN_DEMO_PUBLIC=1."
        )
    return await handler(request)


async def _demo(settings: Settings, database: Database, blobs: Blobs) -> None:
    try:
        await build_town(settings, database)
        await add_photos(database, blobs)
    except (OSError, Problem) as error:
        # A full disk, say. Under gunicorn one worker that does not boot ends all the others.
        logger.error("the demo's town is not complete until the next start: %s", error)


def _add_checks(
    app: web.Application, database: Database, broker: Broker, tasks: Sequence[SupervisedTask]
) -> None:
    async def broker_state() -> str:
        return broker.state

    async def connections_state() -> str:
        return "draining" if app[CONNECTIONS].draining else "ok"

    async def tasks_state() -> str:
        return states_of(tasks)

    app[CHECKS]["database"] = database.state
    app[CHECKS]["broker"] = broker_state
    app[CHECKS]["connections"] = connections_state
    app[CHECKS]["tasks"] = tasks_state


def _add_gauges(app: web.Application, hub: Hub, connections: Connections, broker: Broker) -> None:
    metrics = app[METRICS]
    metrics.gauge("held_connections", "Streams and held polls.", lambda: connections.held)
    metrics.gauge("held_polls", "Held polls among them.", lambda: connections.polls)
    metrics.gauge("listeners", "Subscriptions and waiters of the hub.", lambda: hub.listeners)
    metrics.gauge("topics", "Topics this process follows.", lambda: hub.topics)
    metrics.gauge(
        "recent_event_bytes",
        "Memory that recent events take, without what is encoded of them.",
        lambda: hub.rings.bytes,
    )
    metrics.gauge(
        "broker_messages_rejected",
        "Messages on the broker that this server's secret has not signed.",
        lambda: broker.rejected,
    )
    metrics.gauge("log_lines_dropped", "Log lines that nobody read in time.", dropped_lines)
    metrics.gauge("gaps", "Gaps the sweep has found.", lambda: hub.gaps)
    # The allocator keeps what a crowd has needed for the next one, so that the process' size says
    # little about what is in use.
    metrics.gauge("memory_blocks", "Blocks of memory in use.", sys.getallocatedblocks)


async def _upkeep(
    settings: Settings,
    database: Database,
    log: EventLog,
    announcements: AnnouncementService,
    retention: Retention,
) -> None:
    while True:
        try:
            await _clean(settings, database, log, announcements, retention.now())
            await retention.keep()
        except Exception as error:
            log_failure(logger, error, "upkeep failed; it will be tried again")
        await asyncio.sleep(UPKEEP_SECONDS)


async def _clean(
    settings: Settings,
    database: Database,
    log: EventLog,
    announcements: AnnouncementService,
    at: datetime,
) -> None:
    """Forget what is old at that time."""
    horizon = at - timedelta(days=settings.event_days)
    await log.trim(to_text(horizon))
    await announcements.drop_gone(horizon)
    await database.write(lambda tx: idempotency.drop_expired(tx, at))
    await database.write(lambda tx: drop_expired(tx, at))
