"""Puts the lab into the application of a demo."""

from server.core.database import Database
from server.core.services import Services
from server.features.lab import long_polling, routes, short_polling, socketio, sse, websocket
from server.features.lab.service import LabService
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports.socketio import SocketIo

routers = (
    routes.router,
    short_polling.router,
    long_polling.router,
    sse.router,
    websocket.router,
)


def setup(services: Services) -> None:
    """The service, and the event of Socket.IO."""
    hub = services[Hub]
    lab = services.add(LabService(services[Database], hub, services[Settings]))
    socketio.SocketIoLab(services[SocketIo], lab, hub)
