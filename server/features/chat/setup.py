"""Puts support chat into the application."""

from functools import partial

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES, WRITES
from server.features.accounts.service import AccountService
from server.features.chat import long_polling, privacy, routes, socketio, sse, websocket
from server.features.chat.messages import MessageService
from server.features.chat.names import Names
from server.features.chat.presence import Presence
from server.features.chat.rooms import Rooms
from server.features.chat.service import ChatService
from server.features.orders.service import OrderService
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports.socketio import SocketIo


def setup(
    app: web.Application,
    settings: Settings,
    database: Database,
    hub: Hub,
    accounts: AccountService,
    orders: OrderService,
    server: SocketIo,
) -> tuple[Presence, Names]:
    """Routes, the live doors; deleted accounts are scrubbed from chats and events.

    Open the first of what is given, and close it before the database; let the second follow.
    """
    log, states = hub.log, hub.states
    chats = ChatService(
        database,
        log,
        orders,
        most_open=settings.max_open_chats,
        most_a_day=settings.max_chats_per_day,
    )
    messages = MessageService(database, log, states, chats, settings.chat_bytes_per_minute)
    names = Names(hub)
    presence = Presence(database, states, names, settings.presence_seconds)
    rooms = Rooms(hub, chats, messages, presence, names, app[WRITES])
    accounts.on_delete.append(partial(privacy.scrub, chats, log, states))
    app[SERVICES] |= {ChatService: chats, MessageService: messages, Rooms: rooms}
    sse.router.add_to(app)
    long_polling.router.add_to(app)
    routes.router.add_to(app)
    websocket.router.add_to(app)
    socketio.Door(server, rooms)
    return presence, names
