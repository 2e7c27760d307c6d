"""Routes: typed handlers whose annotations bind the request and write the document."""

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from server.core.addresses import address_key
from server.core.auth import Gate, Identity, StaleToken
from server.core.bodies import read_body
from server.core.database import public_request
from server.core.errors import Problem, forbidden, not_found, unfit
from server.core.limits import RequestLimits
from server.core.services import service

BodyT = TypeVar("BodyT")
OptionsP = ParamSpec("OptionsP")
Handler = Callable[..., Awaitable[Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)
Refuse = Callable[[web.Request, Problem], Awaitable[web.StreamResponse]]

PREFIX = "/api/v1"
THROTTLE_SECONDS = 0.25
"""How long a 429 is delayed: a client that retries at once so takes little time from others."""
WRITE_COST = 5
"""A write takes as much of the server as so many reads."""
ROWS = 10
"""So many entries of a list cost as much as another request."""
CUSTOMER = ("customer",)
EMPLOYEE = ("employee",)
ANY_ROLE = ("customer", "employee")
PUBLIC = ()

IDENTITY = web.RequestKey("identity", Identity)
OPERATION: web.RequestKey["Operation"] = web.RequestKey("operation", object)  # type: ignore[arg-type]
HELD = web.RequestKey("held", bool)
"""Set where the answer waits, for news or because it refuses: such a request says nothing about the
server's speed."""
LET_GO: web.RequestKey[Callable[[], None]] = web.RequestKey("let_go", object)  # type: ignore[arg-type]
"""Ends the wait for news, as the client may have gone."""
_LEAVE = web.RequestKey("leave", list[Callable[[], None]])
"""Gives back what the request has of its account's places."""


@dataclass(frozen=True, slots=True)
class Header:
    """Marks a parameter as the request header of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[BodyT]):
    """A body with a status or headers of its own; a handler that needs neither returns the body."""

    body: BodyT | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def identity_of(request: web.Request) -> Identity:
    """Who asks; only where the route is not public."""
    return request[IDENTITY]


def mark_held(request: web.Request, let_go: Callable[[], None] | None = None) -> None:
    """From here on the answer waits for news: it is counted as a stream, no more as in flight.

    `let_go` ends the wait where the client sends nothing more and may have gone.
    """
    request[HELD] = True
    if let_go is not None:
        request[LET_GO] = let_go
        if getattr(request.protocol, "half_closed", False):
            let_go()
    for leave in request.get(_LEAVE, ()):
        leave()


def count_anonymous(request: web.Request) -> None:
    """Count it against the client's address. Raises Problem 429."""
    service(request, RequestLimits).anonymous.take(address_key(request))


def _count_refused(request: web.Request, problem: Problem) -> None:
    """Count a request that had no token that holds. Raises Problem 429.

    A token that this server has signed is counted by its session, any other by the address:
    whatever else comes from there, an app whose token has run out is told so.
    """
    if isinstance(problem, StaleToken):
        service(request, RequestLimits).anonymous.take(problem.session_id)
    else:
        count_anonymous(request)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=False)


@dataclass(eq=False)
class Operation:
    """One method on one path: who may call it, what it takes, what it answers."""

    tag: str
    handler: Handler
    method: str
    path: str
    """Below PREFIX, as it is given; with it from then on."""
    _: KW_ONLY
    roles: tuple[str, ...]
    """Who may call it; PUBLIC: anyone."""
    status: int = 0
    """That of success: 200, or 204 where the handler returns nothing, unless it is given."""
    problems: tuple[int, ...] = ()
    """The errors of its own rules; those of guards and binding are added."""
    media: tuple[str, ...] = ()
    """Content types of the answer, where it is not JSON."""
    empty: tuple[int, ...] = ()
    """Other statuses without a body."""
    also: tuple[int, ...] = ()
    """Other statuses with the same body."""
    counted: bool = True
    """Whether a write counts as one of the account's writes. Where the feature counts it in its own
    way, it counts as `cost` of the account's reads, as a GET does. A PUBLIC operation counts
    against the address; one that is not `counted` only where it is refused."""
    cost: int = 1
    """In reads."""
    refuse: Refuse | None = None
    """Answers a problem where the client could not read a problem document."""
    form: type[BaseModel] | None = None
    """The fields beside the `file` of a form that the handler reads itself (`core.forms`)."""
    body: type[BaseModel] | None = field(init=False, default=None)
    returns: Any = field(init=False)

    def __post_init__(self) -> None:
        self.path = PREFIX + self.path
        hints = typing.get_type_hints(self.handler, include_extras=True)
        self.returns = hints.pop("return", None)
        if not self.status:
            self.status = 204 if self.returns in (None, type(None)) else 200
        parameters: dict[str, dict[str, tuple[Any, Any]]] = {"path": {}, "query": {}, "header": {}}
        for name, parameter in list(inspect.signature(self.handler).parameters.items())[1:]:
            hint = hints[name]
            if inspect.isclass(hint) and issubclass(hint, BaseModel):
                self.body, self._body_name = hint, name
                continue
            default = ... if parameter.default is parameter.empty else parameter.default
            header = next((m for m in getattr(hint, "__metadata__", ()) if type(m) is Header), None)
            if header is not None:
                alias = header.name.lower()
                parameters["header"][name] = (hint, Field(default, alias=alias))
            elif f"{{{name}}}" in self.path:
                parameters["path"][name] = (hint, default)
            else:
                parameters["query"][name] = (hint, default)
        self.path_model, self.query_model, self.header_model = (
            create_model(f"{kind}_of_{self.handler.__name__}", __base__=_Parameters, **fields)  # type: ignore[call-overload]
            for kind, fields in parameters.items()
        )

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Guard, bind, run, serialize; a problem is told in the route's own way if it has one."""
        request[OPERATION] = self
        try:
            return await self._answer(request)
        except Problem as problem:
            if self.refuse is None:
                raise
            if problem.status == 429:
                await asyncio.sleep(THROTTLE_SECONDS)
            return await self.refuse(request, problem)
        finally:
            request.pop(LET_GO, None)  # it knows the request: together they would stay for long

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.method != "GET":
            return await self._handle(request)
        done = await service(request, RequestLimits).turns.take(address_key(request))
        request[_LEAVE] = [done]
        try:
            return await self._handle(request)
        finally:
            done()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        public_request.set(not self.roles)
        if self.roles:
            await self._admit(request)
        elif self.counted:
            count_anonymous(request)
        else:
            service(request, RequestLimits).addresses.take(address_key(request), WRITE_COST)
        try:
            result = await self.handler(request, **await self._bind(request))
        except Problem as problem:
            if (
                not self.roles
                and not self.counted
                and problem.status < 500
                and problem.status != 429
            ):
                count_anonymous(request)
            raise
        if isinstance(result, web.StreamResponse):
            return result
        answer = result if isinstance(result, Answer) else Answer(result)
        status = answer.status or self.status
        if answer.body is None:
            return web.Response(status=status, headers=answer.headers)
        return web.Response(
            status=status,
            headers=answer.headers,
            body=answer.body.model_dump_json(by_alias=True).encode(),
            content_type="application/json",
            charset="utf-8",
        )

    async def _admit(self, request: web.Request) -> None:
        """Whose request it is.

        It is counted by address before the database is asked: a client that leaves at once would
        be cancelled there, and never counted. By account only once its session holds: a token that
        was stolen and revoked must not use up what its owner may do.
        """
        writes = self.counted and self.method != "GET"
        cost = WRITE_COST if writes else self.cost + self._rows(request) // ROWS
        gate = service(request, Gate)
        try:
            claims = gate.read(request.headers.get("Authorization"))
            service(request, RequestLimits).addresses.take(address_key(request), cost)
            identity = await gate.check(claims)
        except Problem as problem:
            if problem.status == 401:
                _count_refused(request, problem)
            raise
        request[IDENTITY] = identity
        if writes:
            service(request, RequestLimits).writes.take(identity.limit_key)
        else:
            service(request, RequestLimits).reads.take(identity.limit_key, cost)
        _enter(request, identity)
        if identity.role not in self.roles:
            raise forbidden(f"This is for {' and '.join(self.roles)}s only.")

    def _rows(self, request: web.Request) -> int:
        """How many entries of a list are asked for at most; 0 where it is none."""
        field = self.query_model.model_fields.get("limit")
        if field is None:
            return 0
        asked = request.query.get("limit", "")
        return (
            int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else field.default
        )

    async def _bind(self, request: web.Request) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        try:
            bound |= dict(self.path_model.model_validate(dict(request.match_info)))
        except ValidationError:
            raise not_found("resource") from None
        try:
            bound |= dict(self.query_model.model_validate(dict(request.query)))
            headers = {name.lower(): value for name, value in request.headers.items()}
            bound |= dict(self.header_model.model_validate(headers))
        except ValidationError as error:
            raise unfit(error) from None
        if self.body is not None:
            bound[self._body_name] = await read_body(request, self.body)
        return bound


def _enter(request: web.Request, identity: Identity) -> None:
    """Count the request until its answer has been read. Raises Problem 429."""
    leave = service(request, RequestLimits).in_flight.enter(identity.limit_key)
    request.setdefault(_LEAVE, []).append(leave)
    task = asyncio.current_task()  # aiohttp makes one a request, which also writes the answer
    assert task is not None
    task.add_done_callback(lambda _: leave())


class Router:
    """The operations of one feature, registered with `@router.route(method, path, roles=...)`.

    `route` takes what `Operation` does, apart from tag and handler.
    """

    def __init__(self, tag: str) -> None:
        self.operations: list[Operation] = []
        self.tag = tag
        self.route = self._decorator(Operation)

    def _decorator(
        self, make: Callable[Concatenate[str, Handler, OptionsP], Operation]
    ) -> Callable[OptionsP, Callable[[HandlerT], HandlerT]]:
        def route(
            *args: OptionsP.args, **options: OptionsP.kwargs
        ) -> Callable[[HandlerT], HandlerT]:
            def register(handler: HandlerT) -> HandlerT:
                self.operations.append(make(self.tag, handler, *args, **options))
                return handler

            return register

        return route

    def add_to(self, app: web.Application) -> None:
        """Put the operations into the application's route table."""
        for operation in self.operations:
            app.router.add_route(operation.method, operation.path, operation.__call__)
            if operation.method == "GET" and operation.status != 101:
                app.router.add_route("HEAD", operation.path, operation.__call__)


IdempotencyKey = Annotated[
    Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None,
    Header("Idempotency-Key"),
]
Limit = Annotated[int, Field(ge=1, le=200)]
Before = Annotated[str, Field(min_length=1, max_length=200)] | None
