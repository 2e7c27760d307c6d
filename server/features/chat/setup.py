"""Puts support chat into the application."""

from functools import partial

from server.core.database import Database
from server.core.limits import RequestLimits
from server.core.services import Services
from server.features.accounts.service import AccountService
from server.features.chat import long_polling, privacy, routes, socketio, sse, websocket
from server.features.chat.messages import MessageService
from server.features.chat.names import CurrentNames
from server.features.chat.presence import Presence
from server.features.chat.rooms import Rooms
from server.features.chat.service import ChatService
from server.features.orders.service import OrderService
from server.realtime.hub import Hub
from server.realtime.shared_limits import SharedLimits
from server.settings import Settings
from server.transports.socketio import SocketIo

routers = (sse.router, long_polling.router, routes.router, websocket.router)


def setup(services: Services) -> None:
    """The services; deleted accounts are scrubbed from chats and their events."""
    settings, database, hub = services[Settings], services[Database], services[Hub]
    log, states = hub.log, hub.states
    chats = services.add(
        ChatService(
            database,
            log,
            services[AccountService],
            services[OrderService],
            most_open=settings.max_open_chats,
            most_a_day=settings.max_chats_per_day,
        )
    )
    messages = services.add(
        MessageService(database, log, states, chats, settings.chat_bytes_per_minute)
    )
    services[SharedLimits].add({"chat bytes": messages.sent})
    names = services.add(CurrentNames(hub))
    presence = services.add(Presence(database, states, names, settings.presence_seconds))
    writes = services[RequestLimits].writes
    rooms = services.add(Rooms(hub, chats, messages, presence, names, writes))
    socketio.SocketIoChat(services[SocketIo], rooms)
    accounts = services[AccountService]
    accounts.on_delete.append(partial(privacy.scrub, chats, log, states))
    accounts.on_role_change.append(chats.release)
    accounts.exports |= {"chats": chats.export, "messages": messages.export}
