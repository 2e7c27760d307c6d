"""One signed-in client: its tokens, and every request it sends."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tui.common.client.address import clean_address
from tui.common.client.auth import TokenManager
from tui.common.client.errors import ApiError, ClientError, ResetStream, SignedOut, Unreachable
from tui.common.client.http import HttpClient
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.request import ANSWER_BYTES, Reply, RequestContext
from tui.common.client.retry import SuspendWatch, short_message
from tui.common.language import _

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Unpack

    from pydantic import BaseModel, Secret

    from server.features.accounts import schemas
    from tui.common.client.http import RequestOptions
    from tui.common.client.token_store import TokenStore
    from tui.common.client.websocket import WebSocket

__all__ = [
    "ApiError",
    "ClientError",
    "Reply",
    "ResetStream",
    "Session",
    "SignedOut",
    "Unreachable",
]

# Shorter than a window waits for the file's lock, which is held meanwhile.
REFRESH_SECONDS = 8.0
LOGOUT_SECONDS = 5.0
_ASKED_AND_ANSWERED = (Pattern.REST, Pattern.SHORT_POLL)


class Session:
    """A client of one server.

    Whatever sends may raise `ApiError` (the server said no), `Unreachable` (no answer) and
    `SignedOut` (nobody is, any more). `on_signed_out` is called once, with words, when the server
    refuses to go on with a session; not for `log_out`.
    """

    def __init__(self, base_url: str, wire: Wire, store: TokenStore | None = None) -> None:
        self.base_url = clean_address(base_url)
        self.wire = wire
        self.suspend_watch = SuspendWatch()
        self._client = HttpClient(self.base_url)
        wire.clock = self._client.clock
        self._tokens = TokenManager(self._send_refresh, store)
        self._unanswered_meters: set[Meter] = set()
        """Of single requests whose last one was not answered."""
        self._unanswered: set[str] = set()
        """E-mail addresses that may be registered or not: the answer was lost."""

    @property
    def account(self) -> schemas.Account | None:
        """Who is logged in."""
        return self._tokens.account

    @account.setter
    def account(self, account: schemas.Account | None) -> None:
        self._tokens.account = account

    @property
    def notice(self) -> str:
        """Words about the remembered session: why there is none, or why it cannot be kept."""
        return self._tokens.notice

    @property
    def epoch(self) -> int:
        """Grows with every log-in and log-out; given to `open_request`, it ties it to it."""
        return self._tokens.epoch

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back, as its answers have shown; 0 before the first."""
        return (self._rest_meter().figures.round_trip_ms or 0.0) / 1000

    @property
    def on_signed_out(self) -> Callable[[str], None] | None:
        """Called with words when the server ends the session."""
        return self._tokens.on_signed_out

    @on_signed_out.setter
    def on_signed_out(self, callback: Callable[[str], None] | None) -> None:
        self._tokens.on_signed_out = callback

    def server_now(self) -> datetime:
        """The time in UTC by the server's clock, as far as its answers have told it.

        What the server stamps is compared with this: our own clock may be minutes off.
        """
        return self._client.clock.now()

    def with_own_connections(self, base_url: str) -> Session:
        """The same log-in over connections of its own, at another address of the same server."""
        other = Session(base_url, Wire())
        other._tokens = self._tokens
        return other

    async def access_token(self, rejected: str | None = None) -> str:
        """A valid token, another than `rejected`, for what sends its own requests."""
        return await self._tokens.access(rejected)

    async def log_in(self, email: str, password: str | Secret[str]) -> schemas.Account:
        """Sign in; `ApiError` 401 where the two don't fit together."""
        from server.features.accounts.schemas import Credentials

        return await self._sign_in("/auth/login", Credentials(email=email, password=password))

    async def demo(self, role: schemas.Role) -> schemas.Account:
        """The one-button log-in; `ApiError` 404 where the server is not in demo mode."""
        from server.features.accounts.schemas import DemoLogin

        return await self._sign_in("/auth/demo", DemoLogin(role=role))

    async def register(self, email: str, password: str | Secret[str], name: str) -> schemas.Account:
        """Make a customer and log in. Raises pydantic's `ValidationError` for unfit fields.

        Where the answer to an earlier attempt was lost, the account may be there already: a 409 is
        then answered by logging in to it.
        """
        from server.features.accounts.schemas import Registration

        form = Registration(email=email, password=password, name=name)
        try:
            return await self._sign_in("/auth/register", form)
        except Unreachable:
            self._unanswered.add(form.email)
            raise
        except ApiError as error:
            if error.status == 409 and form.email in self._unanswered:
                return await self._log_in_instead(email, password, error)
            if error.status >= 500:
                self._unanswered.add(form.email)
            raise

    async def resume(self) -> bool:
        """Sign in with what the store remembers.

        False where there is nothing or it is refused; `notice` then says why, "" if there was
        nothing. `Unreachable` and `ApiError` mean that it may be tried again.
        """
        return await self._tokens.resume()

    async def log_out(self) -> str:
        """Sign out here whatever happens. Returns words if the server could not be told, or ""."""

        async def tell(refresh_token: str) -> None:
            from server.features.accounts.schemas import RefreshGrant

            await self.request(
                "POST",
                "/auth/logout",
                json=RefreshGrant(refresh_token=refresh_token),
                total=LOGOUT_SECONDS,
                renew=False,
            )

        try:
            # First: renewing needs the file's lock, which signing out holds.
            await self._tokens.access()
            await self._tokens.sign_out(tell)
        except SignedOut:
            await self._tokens.sign_out()
        except ClientError as error:
            await self._tokens.sign_out()
            if not (isinstance(error, ApiError) and error.status == 401 and not error.from_proxy):
                return _("Logged out here, but the server was not told: {message}").format(
                    message=error.message
                )
        return ""

    async def forget(self) -> None:
        """Sign out here without telling the server, as after deleting the account."""
        await self._tokens.sign_out()

    async def close(self) -> None:
        """Close every connection. What is remembered stays."""
        self.suspend_watch.close()
        await self._tokens.close()
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        meter: Meter | None = None,
        renew: bool = True,
        max_bytes: int = ANSWER_BYTES,
        **options: Unpack[RequestOptions],
    ) -> Reply:
        """Send one request and read its whole answer; `path` and options are `HttpClient.send`'s.

        An answer of more than `max_bytes` bytes is `Unreachable`.
        """
        meter = meter or self._rest_meter()
        with self._show_state(meter):
            request = await self.open_request(method, path, meter=meter, renew=renew, **options)
            return await request.reply(max_bytes)

    async def download(
        self, path: str, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[bytes, None]:
        """The body of the answer to a GET, in parts. Raises `Unreachable` where it breaks off."""
        meter = self._rest_meter()
        with self._show_state(meter):
            request = await self.open_request("GET", path, meter=meter, **options)
            try:
                while part := await request.chunk():
                    yield part
            finally:
                request.close()

    async def open_request(
        self,
        method: str,
        path: str,
        *,
        meter: Meter,
        epoch: int | None = None,
        renew: bool = True,
        **options: Unpack[RequestOptions],
    ) -> RequestContext:
        """Send one request and return with the answer's head; the caller reads and closes.

        A 401 is answered by renewing the token and asking once more, unless `renew` is False. With
        `epoch`, `SignedOut` is raised once that session is over.
        """
        epoch = self.epoch if epoch is None else epoch
        rejected: str | None = None
        while True:
            token = await self._tokens.access(rejected)
            if epoch != self.epoch:
                raise SignedOut(_("That session has ended."))
            request = await self._client.send(method, path, meter=meter, token=token, **options)
            self._answered()
            if request.response.status < 400:
                return request
            problem = await request.problem()
            if problem.status != 401 or rejected is not None or not renew:
                raise problem
            rejected = token

    async def connect(
        self,
        path: str,
        *,
        meter: Meter,
        params: Mapping[str, str] | None = None,
        silence: float | None = None,
        epoch: int | None = None,
        rejected: str | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> WebSocket:
        """Open a WebSocket; the caller closes it. `epoch` and `on_sent` are as in `open_request`.

        `rejected` is the token of a channel that was closed because of it: another one is used.
        `silence` is how many seconds the channel may be silent for.
        """
        epoch = self.epoch if epoch is None else epoch
        while True:
            token = await self._tokens.access(rejected)
            if epoch != self.epoch:
                raise SignedOut(_("That session has ended."))
            try:
                socket = await self._client.connect(
                    path,
                    meter=meter,
                    token=token,
                    params=params,
                    silence=silence,
                    on_sent=on_sent,
                )
                self._answered()
                return socket
            except ApiError as refusal:
                # A proxy may say it in HTTP; our server closes with 4401.
                if refusal.status != 401 or rejected is not None:
                    raise
                rejected = token

    async def _sign_in(self, path: str, form: BaseModel) -> schemas.Account:
        asked_at = time.monotonic()
        granted = await self._ask(path, json=form)
        await self._tokens.set(granted, asked_at)
        return granted.account

    async def _log_in_instead(
        self, email: str, password: str | Secret[str], taken: ApiError
    ) -> schemas.Account:
        """Log in to an account that we have probably made; raises `taken` if it is not ours."""
        try:
            return await self.log_in(email, password)
        except ApiError as error:
            raise (taken if error.status == 401 else error) from None

    async def _send_refresh(self, refresh_token: str, key: str) -> schemas.Session:
        from server.features.accounts.schemas import RefreshGrant

        form = RefreshGrant(refresh_token=refresh_token)
        headers = {"Idempotency-Key": key}
        return await self._ask("/auth/refresh", json=form, headers=headers, total=REFRESH_SECONDS)

    async def _ask(self, path: str, **options: Unpack[RequestOptions]) -> schemas.Session:
        """A session, from a route that needs no token."""
        from server.features.accounts.schemas import Session as Granted

        meter = self._rest_meter()
        with self._show_state(meter):
            request = await self._client.send("POST", path, meter=meter, **options)
            if request.response.status >= 400:
                raise await request.problem()
            reply = await request.reply()
            try:
                return Granted.model_validate_json(reply.body)
            except ValueError as fault:
                raise Unreachable(
                    _(
                        "What answers at {base_url} is not a Tiffin server, or another version of "
                        "it. Check the address."
                    ).format(base_url=self.base_url),
                    _("answer not understood"),
                ) from fault

    def _rest_meter(self) -> Meter:
        return self.wire.meter("requests", Pattern.REST)

    @contextmanager
    def _show_state(self, meter: Meter) -> Iterator[None]:
        """Show on a meter of single requests whether the one inside has got through.

        The meter of a stream is left alone: its state is the stream's.
        """
        if meter.pattern not in _ASKED_AND_ANSWERED:
            yield
            return
        if meter.state is State.DOWN:
            meter.set_state(State.CONNECTING)
        try:
            yield
        except Unreachable as error:
            meter.set_state(State.DOWN, short_message(error))
            self._unanswered_meters.add(meter)
            raise
        except BaseException as fault:
            if isinstance(fault, ApiError) or not meter.connections:
                meter.set_state(State.IDLE)
            raise
        else:
            meter.set_state(State.IDLE)

    def _answered(self) -> None:
        """The server answers again: meters of unanswered requests stop showing the failure."""
        while self._unanswered_meters:
            meter = self._unanswered_meters.pop()
            if meter.state is State.DOWN:
                meter.set_state(State.IDLE)
