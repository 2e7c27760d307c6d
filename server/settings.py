"""The server's settings, from the environment (prefix `TIFFIN_`)."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticUseDefault
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from server.data_dir import default_data_dir
from server.urls import REDIS_URL_FORM, is_redis_url

Networks = tuple[IPv4Network | IPv6Network, ...]

DATA_DIR, DEMO_DIR = default_data_dir(demo=False), default_data_dir(demo=True)
DEMO_MAP = Path(__file__).with_name("demo") / "map.geojson"
KEPT = (
    *("blobs", "arriving", "metrics", "jwt-secret", "demo-password", "demo-accounts.json"),
    *("server.log", "autopilot.log", "beside.log"),
)
"""Files and folders in the data folder beside the database."""
SECRET_BYTES = 32
CENTURY = {"days": 36_500, "hours": 36_500 * 24, "seconds": 36_500 * 86_400}
"""The highest setting of each unit of time: beyond, times leave the calendar."""
_MAKE_ONE = 'make one with `python -c "import secrets; print(secrets.token_urlsafe(48))"`'


class SettingsError(Exception):
    """Invalid settings, with a message for the operator."""


def _data_dir(validated: Mapping[str, Any]) -> Path:
    return DEMO_DIR if validated.get("demo") else DATA_DIR


class Settings(BaseSettings):
    """Typed settings; seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="TIFFIN_",
        env_ignore_empty=True,
        allow_inf_nan=False,
        validate_default=False,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    demo: bool = False
    demo_public: bool = False
    web: bool = False
    web_without_demo: bool = False
    web_windows: Annotated[int, Field(ge=0)] = 20
    web_windows_per_address: Annotated[int, Field(ge=0)] = 6
    web_windows_per_minute: Annotated[int, Field(ge=0)] = 60
    web_idle_seconds: Annotated[float, Field(ge=0)] = 900
    web_memory_mb: Annotated[int, Field(ge=0)] = 512
    web_town: Literal["shared", "own"] = "shared"
    web_towns: Annotated[int, Field(ge=0)] = 10
    data_dir: Path = Field(default_factory=_data_dir)
    database_url: str = ""
    database_connections: Annotated[int, Field(ge=2)] = 8
    database_seconds: Annotated[float, Field(gt=0, le=86_400)] = 10
    redis_url: SecretStr = SecretStr("")
    jwt_secret: SecretStr = SecretStr("")
    jwt_secret_previous: SecretStr = SecretStr("")
    shared_support: bool = True
    audit_days: Annotated[float, Field(ge=0)] = 90
    audit_refused_per_minute: Annotated[int, Field(ge=0)] = 60
    exports_per_hour: Annotated[int, Field(ge=0)] = 20

    host: str = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, validation_alias=AliasChoices("TIFFIN_PORT", "PORT", "port"))
    ] = 8080
    admin_port: Annotated[int | None, Field(ge=0, le=65535)] = None

    trusted_proxies: Annotated[Networks, NoDecode] = ()

    access_token_seconds: Annotated[int, Field(ge=5, le=86_400)] = 900
    refresh_token_seconds: Annotated[int, Field(ge=60)] = 30 * 86_400
    session_days: Annotated[float, Field(ge=0, le=36_500)] = 90
    event_days: Annotated[float, Field(gt=0)] = 7
    long_poll_seconds: Annotated[int, Field(ge=1, le=60)] = 60
    map: Path | None = None
    driver_interval_seconds: Annotated[float, Field(gt=0)] = 45
    max_streams_per_account: Annotated[int, Field(ge=1)] = 32
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    rate_per_minute: Annotated[int, Field(ge=0)] = 120
    reads_per_minute: Annotated[int, Field(ge=0)] = 1200
    address_per_minute: Annotated[int, Field(ge=0)] = 6000
    anonymous_per_minute: Annotated[int, Field(ge=0)] = 600
    limits_shared_seconds: Annotated[float, Field(ge=0, le=10)] = 0.2
    login_per_minute: Annotated[int, Field(ge=0)] = 120
    login_failures: Annotated[int, Field(ge=0)] = 10
    login_failures_per_account: Annotated[int, Field(ge=0)] = 100
    registrations_per_hour: Annotated[int, Field(ge=0)] = 100
    registrations_refused_per_hour: Annotated[int, Field(ge=0)] = 40
    heartbeat_seconds: Annotated[float, Field(gt=0, le=15)] = 10
    stalled_reader_seconds: Annotated[float, Field(gt=0)] = 90
    presence_seconds: Annotated[float, Field(gt=0)] = 30
    lab_seconds: Annotated[float, Field(ge=0)] = 120
    lab_events_per_second: Annotated[float, Field(ge=0)] = 500
    lab_event_kb: Annotated[float, Field(ge=0)] = 64
    chat_bytes_per_minute: Annotated[int, Field(ge=0)] = 128 * 1024
    max_orders_per_day: Annotated[int, Field(ge=0)] = 1000
    max_sessions_per_account: Annotated[int, Field(ge=0)] = 100
    max_open_chats: Annotated[int, Field(ge=0)] = 50
    max_chats_per_day: Annotated[int, Field(ge=0)] = 200
    frames_per_second: Annotated[float, Field(ge=0)] = 20
    sockets_at_full_pace: Annotated[float, Field(ge=0)] = 3
    topic_memory_kb: Annotated[int, Field(ge=0)] = 1024
    topics_memory_mb: Annotated[int, Field(ge=0)] = 64
    control_frames_per_second: Annotated[float, Field(ge=0)] = 50
    pong_seconds: Annotated[float, Field(ge=0)] = 1
    max_unidentified: Annotated[int, Field(ge=0)] = 1_000
    max_unidentified_per_address: Annotated[int, Field(ge=0)] = 100
    identify_seconds: Annotated[float, Field(ge=0)] = 10
    upkeep_lease_seconds: Annotated[float, Field(gt=0)] = 15
    sweep_seconds: Annotated[float, Field(gt=0)] = 0.5
    commit_interval_ms: Annotated[int, Field(ge=0, le=1000)] = 10
    head_seconds: Annotated[float, Field(ge=0)] = 15
    head_kb: Annotated[int, Field(ge=0)] = 32
    idle_seconds: Annotated[float, Field(ge=0)] = 75
    write_seconds: Annotated[float, Field(ge=0)] = 30
    unread_mb: Annotated[int, Field(ge=0)] = 64
    max_sockets: Annotated[int, Field(ge=0)] = 12_000
    connections_per_minute: Annotated[int, Field(ge=0)] = 6000
    max_sockets_per_address: Annotated[int, Field(ge=0)] = 500
    requests_per_account: Annotated[int, Field(ge=0)] = 64
    reads_at_once: Annotated[int, Field(ge=0)] = 2
    public_reads_at_once: Annotated[int, Field(ge=0)] = 2
    shutdown_seconds: Annotated[float, Field(ge=0, le=7)] = 7
    log_level: str = "INFO"
    log_queue_lines: Annotated[int, Field(ge=0)] = 5_000

    azure_storage_connection_string: SecretStr = SecretStr("")
    blob_dir: Path | None = None
    blob_container: Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")] = "tiffin"
    original_days: Annotated[float, Field(gt=0)] = 30
    failed_photo_hours: Annotated[float, Field(ge=0)] = 1
    photo_mb_per_account: Annotated[int, Field(ge=0)] = 500
    photos_arriving: Annotated[int, Field(ge=0)] = 100
    photos_arriving_per_account: Annotated[int, Field(ge=0)] = 4
    photo_bytes_per_second: Annotated[int, Field(ge=0)] = 8192
    disk_reserve_mb: Annotated[int, Field(ge=0)] = 512
    rembg_model: Literal["u2netp", "u2net", "silueta", "isnet-general-use"] = "u2netp"
    photo_workers: Annotated[int, Field(ge=0, le=64)] = 2
    photo_seconds: Annotated[float, Field(gt=0)] = 20
    photo_memory_mb: Annotated[int, Field(ge=1)] = 512
    photo_jobs: Annotated[int, Field(ge=1)] = 200
    photo_lease_seconds: Annotated[float, Field(gt=0)] = 15
    photo_wait_hours: Annotated[float, Field(ge=0)] = 24

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments and the environment: no file is read."""
        return init_settings, env_settings

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url.startswith(("postgresql://", "postgres://")):
            return url
        if url and not url.startswith("sqlite:///"):
            raise ValueError(
                "only sqlite:///<path> and postgresql://<user>@<host>/<name> are supported"
            )
        if url in ("sqlite:///", "sqlite:///:memory:"):
            raise ValueError("name a file after sqlite:///, as several connections share it")
        if url.startswith("sqlite:///~"):
            return f"sqlite:///{cls._at_home(Path(url.removeprefix('sqlite:///')))}"
        return url

    @field_validator("redis_url")
    @classmethod
    def _known_broker(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not text.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        if text and not is_redis_url(text):
            raise ValueError(REDIS_URL_FORM)
        return url

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        networks = tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("this would trust everybody; name the networks of your proxies")
        return networks

    @field_validator("*", mode="before")
    @classmethod
    def _set(cls, value: object) -> object:
        """Strip a value; an empty one counts as not set."""
        if not isinstance(value, str):
            return value
        if not value.strip():
            raise PydanticUseDefault
        return value.strip()

    @field_validator("*")
    @classmethod
    def _within_a_century(cls, value: object, info: ValidationInfo) -> object:
        most = CENTURY.get(str(info.field_name).rpartition("_")[2], inf)
        if isinstance(value, int | float) and value > most:
            raise ValueError(f"must be at most {most}")
        return value

    @field_validator("data_dir", "blob_dir", "map")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        try:
            return path.expanduser() if path is not None else None
        except RuntimeError:
            raise ValueError(f"{path}: there is no such user's home") from None

    @field_validator("map")
    @classmethod
    def _there(cls, path: Path | None) -> Path | None:
        if path is not None and not os.path.isfile(path):
            raise ValueError(f"there is no file {path}; it must be a GeoJSON file")
        return path

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @field_validator("jwt_secret", "jwt_secret_previous")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if secret and len(secret.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(f"must be at least {SECRET_BYTES} bytes; {_MAKE_ONE}")
        return secret

    @property
    def database(self) -> Path | str:
        """The SQLite file, or PostgreSQL's URL."""
        return self.database_url if "postgres" in self.database_url[:8] else self.database_path

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        if self.database_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data_dir / "tiffin.sqlite3"

    @property
    def map_path(self) -> Path | None:
        """The map to serve: the one that was set, else in demo mode that of the demo's town."""
        if self.map is not None or not self.demo:
            return self.map
        return DEMO_MAP if DEMO_MAP.exists() else None

    @property
    def model_dir(self) -> Path:
        """The folder of the photos' model, which demo and real servers share."""
        return DATA_DIR if self.data_dir == DEMO_DIR else self.data_dir

    @property
    def token_secrets(self) -> tuple[str, ...]:
        """`token_secret`, and the previous one where it is still accepted."""
        previous = self.jwt_secret_previous.get_secret_value()
        return (self.token_secret, previous) if previous else (self.token_secret,)

    @property
    def token_secret(self) -> str:
        """The secret that access tokens are signed with; a demo makes it once and stores it."""
        if self.jwt_secret:
            return self.jwt_secret.get_secret_value()
        if not self.demo:
            raise SettingsError(f"TIFFIN_JWT_SECRET is required outside demo mode; {_MAKE_ONE}")
        return stored_secret(self.data_dir / "jwt-secret")


def restrict_permissions(settings: Settings) -> None:
    """Keep other users of this machine from reading the server's files.

    That covers files made from now on, and those that earlier versions left readable. A device,
    and a folder that holds anything else, stay as they are.
    """
    os.umask(0o077)
    database, folder = settings.database_path, settings.data_dir
    paths = [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]
    paths += [folder / name for name in KEPT]
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        if all(name in KEPT or name.startswith(database.name) for name in names):
            paths.append(folder)
    for path in paths:
        with contextlib.suppress(OSError):  # missing, or owned by someone else
            mode = path.lstat().st_mode
            if mode & 0o077 and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                path.chmod(stat.S_IMODE(mode) & ~0o077)


def make_folder(folder: Path) -> None:
    """Create the data folder, or a folder in it, unless it exists.

    Raises SettingsError where it is not writable.
    """
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it cannot be written to")


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{path}: {why}; choose another TIFFIN_DATA_DIR") from None


def stored_secret(path: Path) -> str:
    """The secret in that file, which is created if it is missing. Raises SettingsError.

    It is written under another name and then linked into place, so that of several processes that
    start together one wins, and none reads half a secret.
    """
    with _usable(path):
        secret = _made_once(path)
    if len(secret) < SECRET_BYTES:
        raise SettingsError(f"{path} no longer holds a secret; delete it, and a new one is made")
    return secret


def _made_once(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text().strip()


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment and these overrides. Raises SettingsError."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            prefix = "" if not name or name.startswith(("TIFFIN_", "PORT")) else "TIFFIN_"
            lines.append(f"{prefix}{name}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None
