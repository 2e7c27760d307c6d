"""Routes: typed handlers, whose annotations bind the request and describe the API."""

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from server.core.addresses import address_key
from server.core.answers import JsonResponse
from server.core.auth import Gate, Identity, StaleToken
from server.core.bodies import read_body
from server.core.database import public_request
from server.core.errors import Problem, forbidden, not_found, validation_problem
from server.core.limits import Release, RequestLimits
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
"""A write costs the server as much as so many reads."""
ROWS = 10
"""So many entries of a list cost as much as one request."""
CUSTOMER = ("customer",)
EMPLOYEE = ("employee",)
SUPPORT = ("support",)
"""Chats and announcements: employees too, where they share them (`Identity.shares_support`)."""
CUSTOMER_OR_EMPLOYEE = CUSTOMER + EMPLOYEE
CUSTOMER_OR_SUPPORT = CUSTOMER + SUPPORT
ANY_ROLE = CUSTOMER + EMPLOYEE + SUPPORT
PUBLIC = ()
_MEMBERS = {"customer": "customers", "employee": "employees", "support": "support staff"}

IDENTITY = web.RequestKey("identity", Identity)
OPERATION: web.RequestKey["Operation"] = web.RequestKey("operation", object)  # type: ignore[arg-type]
HELD = web.RequestKey("held", bool)
"""True where the answer is delayed on purpose, for news or as a throttled 429: the time until it is
sent says nothing about the server's speed."""
END_WAIT: web.RequestKey[Callable[[], None]] = web.RequestKey("end_wait", object)  # type: ignore[arg-type]
"""Ends the wait for news where the client may have gone."""
_RELEASES = web.RequestKey("releases", list[Release])
"""Functions that end the request's turn, and its count among those in flight."""


@dataclass(frozen=True, slots=True)
class Header:
    """Marks a parameter as the request header of that name."""

    name: str


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Encoded(Generic[BodyT]):
    """A body that is JSON already, as the model would be encoded."""

    text: str


@dataclass(slots=True)
class Answer(Generic[BodyT]):
    """A body with its own status or headers; a handler that needs neither returns the body."""

    body: BodyT | Encoded[BodyT] | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def identity_of(request: web.Request) -> Identity:
    """The caller; only where the route is not public."""
    return request[IDENTITY]


def mark_held(request: web.Request, end_wait: Callable[[], None] | None = None) -> None:
    """The answer waits for news from now on: it counts as a stream, and no longer as in flight.

    `end_wait` is called where the client has closed its side and may have gone.
    """
    request[HELD] = True
    if end_wait is not None:
        request[END_WAIT] = end_wait
        if getattr(request.protocol, "half_closed", False):
            end_wait()
    for release in request.pop(_RELEASES, ()):
        release()
    request.protocol.keep_alive(True)  # cancels the timer for idle connections, which takes memory


def count_anonymous(request: web.Request) -> None:
    """Count a request without a valid token by its address. Raises Problem 429."""
    service(request, RequestLimits).anonymous.consume(address_key(request))


def _count_refused(request: web.Request, problem: Problem) -> None:
    """Count a request without a valid token. Raises Problem 429.

    A token that this server has signed is counted by its session, any other by the address, so
    that an app with an expired token is told so, whatever else comes from its address.
    """
    if isinstance(problem, StaleToken):
        service(request, RequestLimits).anonymous.consume(problem.session_id)
    else:
        count_anonymous(request)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=False)


@dataclass(eq=False)
class Operation:
    """One method on one path: who may call it, its parameters and its answers."""

    tag: str
    handler: Handler
    method: str
    path: str
    """Given without PREFIX, and stored with it."""
    _: KW_ONLY
    roles: tuple[str, ...]
    """Who may call it; PUBLIC: anyone."""
    status: int = 0
    """The status of success; by default 200, or 204 where the handler returns nothing."""
    problems: tuple[int, ...] = ()
    """Errors of its own rules; those of authentication and binding are added."""
    media: tuple[str, ...] = ()
    """Content types of the answer other than JSON."""
    empty: tuple[int, ...] = ()
    """Other statuses without a body."""
    also: tuple[int, ...] = ()
    """Other statuses with the same body."""
    counted: bool = True
    """Whether a write counts against the account's writes. If not, the feature counts it itself,
    and it counts as `cost` reads, as a GET does. A PUBLIC operation counts against the address; one
    that is not `counted` only when it is refused."""
    cost: int = 1
    """How many reads it counts as."""
    refuse: Refuse | None = None
    """Answers a problem where the client cannot read a problem document."""
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
        self._has = {kind: bool(fields) for kind, fields in parameters.items()}
        self._page = parameters["query"].get("limit", (int, 0))[1]
        """How many entries a list has unless another number is requested; 0 where it is no list."""
        self.path_model, self.query_model, self.header_model = (
            create_model(f"{kind}_of_{self.handler.__name__}", __base__=_Parameters, **fields)  # type: ignore[call-overload]
            for kind, fields in parameters.items()
        )

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Authenticate, bind, run and serialize; `refuse` answers a problem if there is one."""
        request[OPERATION] = self
        request[HELD] = False
        releases: list[Release] = []
        request[_RELEASES] = releases
        limits = service(request, RequestLimits)
        address = address_key(request)
        turn = None
        try:
            if self.method == "GET" and (turn := await limits.turns.acquire(address)):
                releases.append(turn)
            return await self._handle(request, limits, address)
        except Problem as problem:
            if self.refuse is None:
                raise
            if turn is not None:
                turn()
            if problem.status == 429:
                await asyncio.sleep(THROTTLE_SECONDS)
            return await self.refuse(request, problem)
        finally:
            if turn is not None:
                turn()
            if request[HELD]:
                request.pop(END_WAIT, None)  # it refers to the request: a cycle

    async def _handle(
        self, request: web.Request, limits: RequestLimits, address: str
    ) -> web.StreamResponse:
        public_request.set(not self.roles)
        if self.roles:
            await self._admit(request, limits, address)
        elif self.counted:
            limits.anonymous.consume(address)
        else:
            limits.addresses.consume(address, WRITE_COST)
        try:
            bound = self._bind(request)
            if self.body is not None:
                bound[self._body_name] = await read_body(request, self.body)
            result = await self.handler(request, **bound)
        except Problem as problem:
            if (
                not self.roles
                and not self.counted
                and problem.status < 500
                and problem.status != 429
            ):
                count_anonymous(request)
            raise
        if type(result) is Answer:
            status, headers, body = result.status or self.status, result.headers, result.body
        elif isinstance(result, Encoded | BaseModel):
            status, headers, body = self.status, {}, result
        elif result is None:
            status, headers, body = self.status, {}, None
        else:
            return cast(web.StreamResponse, result)
        return JsonResponse(status, None if body is None else _encoded(body), headers)

    async def _admit(self, request: web.Request, limits: RequestLimits, address: str) -> None:
        """Authenticate the request and count it.

        It is counted by address before the database is asked: a client that disconnects at once
        would be cancelled there and never counted. It is counted by account only once its session
        is known to be valid: a stolen token that was revoked must not use up its owner's limits.
        """
        writes = self.counted and self.method != "GET"
        cost = WRITE_COST if writes else self.cost + self._rows(request) // ROWS
        gate = service(request, Gate)
        try:
            claims = gate.read(request.headers.get("Authorization"))
            limits.addresses.consume(address, cost)
            identity = gate.recall(claims) or await gate.check(claims)
        except Problem as problem:
            if problem.status == 401:
                _count_refused(request, problem)
            raise
        request[IDENTITY] = identity
        if writes:
            limits.writes.consume(identity.limit_key)
        else:
            limits.reads.consume(identity.limit_key, cost)
        if release := limits.in_flight.enter(identity.limit_key):
            request[_RELEASES].append(release)
            task = asyncio.current_task()  # one a request, which also writes the answer
            assert task is not None
            task.add_done_callback(release)
        if not identity.acts_as(self.roles):
            who = " and ".join(_MEMBERS[role] for role in self.roles)
            raise forbidden(f"This is for {who} only.")

    def _rows(self, request: web.Request) -> int:
        """How many entries are requested at most; 0 where it is no list."""
        if not self._page:
            return 0
        asked = request.query.get("limit", "")
        return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else self._page

    def _bind(self, request: web.Request) -> dict[str, Any]:
        """The parameters in the path, the query and the headers."""
        bound: dict[str, Any] = {}
        if self._has["path"]:
            try:
                bound |= vars(self.path_model.model_validate(request.match_info))
            except ValidationError:
                raise not_found("resource") from None
        try:
            if self._has["query"]:
                bound |= vars(self.query_model.model_validate(dict(request.query)))
            if self._has["header"]:
                headers = {name.lower(): value for name, value in request.headers.items()}
                bound |= vars(self.header_model.model_validate(headers))
        except ValidationError as error:
            raise validation_problem(error) from None
        return bound


def _encoded(body: BaseModel | Encoded[Any]) -> bytes:
    text = body.text if isinstance(body, Encoded) else body.model_dump_json(by_alias=True)
    return text.encode()


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
        resources = {one.canonical: one for one in app.router.resources()}
        for operation in self.operations:
            # One for a path: aiohttp tries them in turn, and makes another for each new method.
            resource = resources.get(operation.path)
            if resource is None:
                resource = resources[operation.path] = app.router.add_resource(operation.path)
            assert isinstance(resource, web.Resource)
            resource.add_route(operation.method, operation.__call__)
            if operation.method == "GET" and operation.status != 101:
                resource.add_route("HEAD", operation.__call__)


IdempotencyKey = Annotated[
    Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None,
    Header("Idempotency-Key"),
]
Limit = Annotated[int, Field(ge=1, le=200)]
Before = Annotated[str, Field(min_length=1, max_length=200)] | None
