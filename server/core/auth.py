"""Access tokens, and the authentication of requests."""

import contextlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass

import jwt

from server.core.clock import ahead, seconds
from server.core.errors import Problem, unauthorized

ALGORITHM = "HS256"
ISSUER = "tiffin"
AUDIENCE = "tiffin-api"
REMEMBERED_TOKENS = 10_000
"""How many verified tokens are remembered, half a kilobyte each."""
REMEMBERED_SECONDS = 1.0
"""How long it is remembered that a session is valid: less than the two seconds within which the end
of a session holds in every process, also where this one does not hear of it."""
_CLAIMS = ["sub", "sid", "exp", "iss", "aud"]
_SIGNATURES = jwt.PyJWS()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The content of a token: an account and a session, nothing that may change while it is valid.

    `expires` is in seconds since the epoch.
    """

    account_id: str
    session_id: str
    expires: float
    shared: bool = False
    """Whether many people share the account, as in a demo."""

    @property
    def limit_key(self) -> str:
        """The key by which limits count: the account, or the session of a shared account."""
        return self.session_id if self.shared else self.account_id

    @property
    def seconds_left(self) -> float:
        """How long the token is still valid."""
        return self.expires - seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Claims):
    """The caller, with the account's present name, role and restaurant."""

    name: str
    role: str
    restaurant_id: str | None
    shares_support: bool = False
    """Whether an employee may also do what is for support: support chats, and announcements."""

    def acts_as(self, roles: Container[str]) -> bool:
        """Whether the caller may do what is for these roles."""
        return self.role in roles or (self.shares_support and "support" in roles)


class StaleToken(Problem):
    """401 for a token that this server has signed and that is no longer valid."""

    def __init__(self, detail: str, kind: str, session_id: str) -> None:
        super().__init__(401, detail, kind=kind, headers={"WWW-Authenticate": "Bearer"})
        self.session_id = session_id


class AccessTokens:
    """Signs JWTs with `secret`, and verifies those signed with it or with a `previous` one.

    `lifetime` is in seconds. The `kid` in a token's head says which secret it is; tokens of older
    versions have none.
    """

    def __init__(self, secret: str, lifetime: int, *previous: str) -> None:
        self._secrets = {_key_id(one): one for one in (secret, *previous)}
        self._secret, self._head = secret, {"kid": _key_id(secret)}
        self.lifetime = lifetime
        self._verified: OrderedDict[str, Claims] = OrderedDict()
        """What was found valid, without the expiry: an app sends the same token many times."""

    def issue(
        self, account_id: str, session_id: str, shared: bool = False, lifetime: int | None = None
    ) -> str:
        """A token for this session, see `Claims`; `lifetime` overrides the usual one."""
        issued = int(seconds())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account_id,
            "sid": session_id,
            "iat": issued,
            "exp": issued + (self.lifetime if lifetime is None else lifetime),
        }
        if shared:
            claims["shared"] = True
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers=self._head)

    def verify(self, token: str) -> Claims:
        """The content of a valid token. Raises Problem 401."""
        known = self._verified.get(token)
        if known is not None and seconds() < known.expires:
            return known
        claims = self._decode(token)
        self._verified[token] = claims
        if len(self._verified) > REMEMBERED_TOKENS:
            self._verified.popitem(last=False)
        return claims

    def _decode(self, token: str) -> Claims:
        try:
            claims = jwt.decode(
                token,
                self._secret_of(token),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=-ahead(),
                # Clocks of several machines differ, so a token may be issued a second ahead.
                options={"require": _CLAIMS, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            claims = jwt.decode(token, options={"verify_signature": False})  # it was verified
            raise StaleToken(
                "The access token has expired. Refresh it.", "token-expired", str(claims["sid"])
            ) from None
        except (jwt.InvalidTokenError, UnicodeError):
            raise unauthorized("The access token is not valid. Log in again.") from None
        return Claims(
            account_id=claims["sub"],
            session_id=claims["sid"],
            expires=float(claims["exp"]),
            shared=claims.get("shared", False),
        )

    def _secret_of(self, token: str) -> str:
        """The secret that the token is signed with, if it is valid. Raises InvalidTokenError."""
        kid = jwt.get_unverified_header(token).get("kid")
        if kid in self._secrets:
            return self._secrets[kid]
        if kid is not None:
            raise jwt.InvalidTokenError("an unknown kid")
        for secret in self._secrets.values():
            with contextlib.suppress(jwt.InvalidSignatureError):
                _SIGNATURES.decode(token, secret, [ALGORITHM])
                return secret
        raise jwt.InvalidSignatureError


def _key_id(secret: str) -> str:
    """Names a secret, and reveals nothing of it: it is a keyed hash."""
    return hmac.digest(secret.encode(), b"tiffin access token kid", "sha256")[:6].hex()


class Gate:
    """Authenticates requests: the token is valid and its session has not been ended.

    `look_up` reads the identity from the database, None where the session has ended; the accounts
    feature sets it.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self.tokens = tokens
        self.look_up: Callable[[Claims], Awaitable[Identity | None]] | None = None
        self._valid: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        """The identities of valid sessions, and when they were looked up, the latest last. After
        `forget` it is another dictionary, which a look-up that began before does not write to."""

    def read(self, authorization: str | None) -> Claims:
        """The content of the token in that `Authorization` header, whose session is not checked.

        Raises Problem 401.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("Send an access token: `Authorization: Bearer <token>`.")
        return self.tokens.verify(token.strip())

    def recall(self, claims: Claims) -> Identity | None:
        """The identity, if it was looked up within REMEMBERED_SECONDS; else `check` the claims."""
        known = self._valid.get(claims.session_id)
        if known is None or time.monotonic() - known[1] >= REMEMBERED_SECONDS:
            return None
        identity = known[0]
        same = (identity.account_id, identity.expires) == (claims.account_id, claims.expires)
        return identity if same else None  # it is of an earlier token

    async def check(self, claims: Claims) -> Identity:
        """The identity, if the session has not ended until now. Raises Problem 401."""
        assert self.look_up is not None
        at, valid = time.monotonic(), self._valid
        identity = await self.look_up(claims)
        if identity is None:
            raise StaleToken(
                "The session was ended. Log in again.", "session-ended", claims.session_id
            )
        valid.pop(identity.session_id, None)
        valid[identity.session_id] = identity, at
        while at - next(iter(valid.values()))[1] >= REMEMBERED_SECONDS:
            valid.popitem(last=False)
        return identity

    def forget(self) -> None:
        """Look every session up again: one has ended, or an account has changed."""
        self._valid = OrderedDict()
