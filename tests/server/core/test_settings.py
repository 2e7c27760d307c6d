import os
import re
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from server.__main__ import _overrides, _parser
from server.app import create_app, create_runner
from server.settings import (
    Settings,
    SettingsError,
    load_settings,
    make_folder,
    restrict_permissions,
    stored_secret,
)
from server.urls import url_of
from support.preloaded import fork
from support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIFFIN_") or name == "PORT":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TIFFIN_PORT", "http", "TIFFIN_PORT"),
        ("PORT", "70000", "PORT"),
        ("TIFFIN_MAX_CONNECTIONS", "0", "TIFFIN_MAX_CONNECTIONS"),
        ("TIFFIN_RATE_PER_MINUTE", "-1", "TIFFIN_RATE_PER_MINUTE"),
        ("TIFFIN_LONG_POLL_SECONDS", "61", "TIFFIN_LONG_POLL_SECONDS"),
        ("TIFFIN_DATABASE_URL", "mysql://x", "TIFFIN_DATABASE_URL: only sqlite"),
        ("TIFFIN_REDIS_URL", "localhost:6379", "TIFFIN_REDIS_URL: must start with redis://"),
        ("TIFFIN_JWT_SECRET_PREVIOUS", "short", "TIFFIN_JWT_SECRET_PREVIOUS: must be at least"),
        ("TIFFIN_JWT_SECRET", "short", "TIFFIN_JWT_SECRET: must be at least 32 bytes"),
        ("TIFFIN_LOG_LEVEL", "loud", "TIFFIN_LOG_LEVEL: must be DEBUG"),
        ("TIFFIN_MAP", "/no/such.geojson", "TIFFIN_MAP: there is no file /no/such.geojson"),
        ("TIFFIN_MAP", "/tmp", "TIFFIN_MAP: there is no file /tmp"),
        ("TIFFIN_DRIVER_INTERVAL_SECONDS", "0", "TIFFIN_DRIVER_INTERVAL_SECONDS"),
        # rembg's own default: a gigabyte, under a paid licence.
        ("TIFFIN_REMBG_MODEL", "bria-rmbg", "TIFFIN_REMBG_MODEL: Input should be 'u2netp'"),
        ("TIFFIN_REMBG_MODEL", "../u2netp", "TIFFIN_REMBG_MODEL"),
        ("TIFFIN_BLOB_CONTAINER", "Not/A Container", "TIFFIN_BLOB_CONTAINER"),
        ("TIFFIN_ORIGINAL_DAYS", "0", "TIFFIN_ORIGINAL_DAYS"),
        ("TIFFIN_EVENT_DAYS", "1000000", "TIFFIN_EVENT_DAYS: must be at most 36500"),
        ("TIFFIN_PHOTO_WAIT_HOURS", "1e9", "TIFFIN_PHOTO_WAIT_HOURS: must be at most"),
        ("TIFFIN_LAB_EVENT_KB", "inf", "TIFFIN_LAB_EVENT_KB: Input should be a finite number"),
        ("TIFFIN_REFRESH_TOKEN_SECONDS", "9" * 12, "TIFFIN_REFRESH_TOKEN_SECONDS: must be"),
        ("TIFFIN_DATABASE_URL", "sqlite:///:memory:", "TIFFIN_DATABASE_URL: name a file"),
    ],
)
def test_errors_name_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert words in str(error.value)
    assert "TIFFIN_TIFFIN" not in str(error.value)
    assert "pydantic" not in str(error.value)


def test_an_empty_setting_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = load_settings()
    for name in Settings.model_fields:
        for nothing in ("", "  "):
            monkeypatch.setenv(f"TIFFIN_{name.upper()}", nothing)
            assert load_settings() == unset, name
    assert load_settings(host="").host == "127.0.0.1"
    assert _overrides(_parser().parse_args(["--host", " "])) == {}
    assert load_settings(demo=True).data_dir == unset.data_dir / "demo"
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("TIFFIN_PORT", "")
    assert load_settings().port == 9001


def test_values_are_stripped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIFFIN_HOST", " ::1 ")
    monkeypatch.setenv("TIFFIN_DATA_DIR", f"{tmp_path} ")
    monkeypatch.setenv("TIFFIN_LOG_LEVEL", " debug")
    monkeypatch.setenv("TIFFIN_REDIS_URL", " redis://localhost\n")
    monkeypatch.setenv("TIFFIN_REMBG_MODEL", "u2net ")
    found = load_settings()
    assert (found.host, found.data_dir, found.log_level) == ("::1", tmp_path, "DEBUG")
    assert found.redis_url.get_secret_value() == "redis://localhost"
    assert found.rembg_model == "u2net"


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "town.geojson").touch()
    monkeypatch.setenv("TIFFIN_DATA_DIR", "~/data")
    monkeypatch.setenv("TIFFIN_MAP", "~/town.geojson")
    monkeypatch.setenv("TIFFIN_DATABASE_URL", "sqlite:///~/town.db")
    found = load_settings()
    assert (found.data_dir, found.map) == (tmp_path / "data", tmp_path / "town.geojson")
    assert found.database_path == tmp_path / "town.db"
    monkeypatch.setenv("TIFFIN_DATA_DIR", "~nobody-of-that-name/data")
    with pytest.raises(SettingsError, match=r"TIFFIN_DATA_DIR: .*no such user"):
        load_settings()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_an_unusable_folder_is_reported_in_one_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / place
    for use in (lambda: make_folder(folder), lambda: stored_secret(folder / "jwt-secret")):
        with pytest.raises(SettingsError) as error:
            use()
        assert str(error.value).startswith(str(folder))
        assert "TIFFIN_DATA_DIR" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:80"),
    ],
)
def test_an_ipv6_address_is_in_brackets_in_its_url(host: str, url: str) -> None:
    assert url_of(host, 80) == url


@pytest.mark.parametrize("mode", [["--demo"], []])
def test_the_command_reports_an_unusable_folder_in_one_line(
    mode: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    log = tmp_path / "log"
    log.touch()
    settings = {"TIFFIN_DATA_DIR": str(tmp_path / "file"), "TIFFIN_JWT_SECRET": "x" * 40}
    process = fork([*mode, "--port", "0"], dict(os.environ) | settings, log)
    assert process.wait(PATIENCE) == 2
    [line] = log.read_text().splitlines()
    assert line.startswith(f"tiffin: {tmp_path / 'file'}: ")


def test_a_secret_never_appears_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIFFIN_JWT_SECRET", "hunter2")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@localhost:http",
        "redis://:hunter2@localhost:70000",
        "redis://:hunter2@localhost:0",
        "redis://:hunt/er2@localhost:6379/0",
        "redis://:hunt#er2@localhost:6379/0",
        "redis://:hunt?er2@localhost:6379/0",
        "redis://hunt/er2@localhost",
        "redis://hunt#er2@localhost",
        "redis://hunt?er2@localhost",
        "redis://:hunt[er2@localhost",
        "redis://:hunt\u2100er2@localhost",
        "redis://:hunt er2@localhost",
        "redis://:hunt\ter2@localhost",
        "redis://:hunter2@localhost/cache",
        "redis://:hunter2@localhost/0/1",
        "unix://hunter2/run/redis.sock",
        "unix://:hunter2@",
        "hunter2@localhost",
    ],
)
def test_an_ambiguous_redis_url_is_refused_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """As redis-py reads it, the beginning of a password would be a host or a port."""
    monkeypatch.setenv("TIFFIN_REDIS_URL", url)
    with pytest.raises(SettingsError, match=r"^TIFFIN_REDIS_URL: .+\Z") as error:
        load_settings()
    assert "hunt" not in str(error.value)
    assert "redis://user:password@host:port" in str(error.value) or "start with" in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/",
        "rediss://user:pa%2Fss%23@redis.example.com:6380/15?ssl_cert_reqs=none",
        "redis://:p@ss:word@[::1]:6379/0",
        "redis:///1",
        "unix:///run/redis.sock?db=1",
        "unix://:hunter2@/run/redis.sock",
    ],
)
@pytest.mark.parametrize("blank", ["", " ", "\n", "\t "])
def test_a_redis_url_is_stripped(monkeypatch: pytest.MonkeyPatch, url: str, blank: str) -> None:
    monkeypatch.setenv("TIFFIN_REDIS_URL", blank + url + blank)
    assert load_settings().redis_url.get_secret_value() == url


SECRETS = {
    "TIFFIN_REDIS_URL": (
        "redis://:hunt/er2@localhost",
        "rediss://:hunter2@localhost?ssl=hunter2",
        "redis://:hunter2@localhost:x",
    ),
    "TIFFIN_AZURE_STORAGE_CONNECTION_STRING": (
        "hunter2",
        "AccountName=a;AccountKey=hunter2#;EndpointSuffix=core.windows.net",
        "BlobEndpoint=https://a.example;SharedAccessSignature=sig=hunter2",
        "AccountName=hunter2;;=;AccountKey",
    ),
    "TIFFIN_DATABASE_URL": (
        "postgresql+x://me:hunter2@localhost/x",
        "mysql://me:hunter2@localhost",
    ),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, some in SECRETS.items() for v in some])
async def test_an_unusable_setting_is_named_in_one_line_without_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("TIFFIN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TIFFIN_JWT_SECRET", "x" * 32)
    with pytest.raises(SettingsError, match=f"^{name}: .+\\Z") as error:
        create_app(load_settings())
    shown = "".join(traceback.format_exception(error.value))
    assert "hunt" not in shown


async def test_invalid_settings_end_gunicorn_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TIFFIN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TIFFIN_REDIS_URL", "redis://:hunt/er2@localhost")
    with pytest.raises(SystemExit) as end:
        await create_runner()
    assert end.value.code == 3, "at another one gunicorn would start workers for ever"
    (told,) = caplog.records
    assert (told.levelname, told.exc_info) == ("ERROR", None)
    assert told.getMessage().startswith("TIFFIN_REDIS_URL: ")
    assert "hunt" not in caplog.text


def test_no_secret_is_seen_in_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        jwt_secret="hunter2" * 6,
        redis_url="redis://:hunter2@localhost",
        azure_storage_connection_string="AccountKey=hunter2",
    )
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert settings.token_secret == "hunter2" * 6


def test_stored_files_are_private(tmp_path: Path) -> None:
    """Also files that an earlier version left readable for everybody."""
    data = tmp_path / "data"
    (data / "blobs").mkdir(parents=True)
    for name in ("tiffin.sqlite3", "tiffin.sqlite3-wal", "jwt-secret", "server.log"):
        (data / name).touch()
    run = (
        "import os, pathlib\nfrom server.settings import restrict_permissions, load_settings\n"
        "settings = load_settings()\nrestrict_permissions(settings)\n"
        "(settings.data_dir / 'made').touch()\n(settings.data_dir / 'folder').mkdir()\n"
    )
    environment = os.environ | {"TIFFIN_DATA_DIR": str(data)}
    subprocess.run([sys.executable, "-c", run], cwd=ROOT, env=environment, check=True, timeout=60)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (data, *data.rglob("*"))}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}


def test_what_is_not_the_servers_stays_readable(tmp_path: Path) -> None:
    """A device in place of the database, and a folder with files of others."""
    device, terminal = os.openpty()
    database = Path(os.ttyname(terminal))
    umask = os.umask(0o022)
    try:
        for name in ("jwt-secret", "others"):
            (tmp_path / name).touch()
        database.chmod(0o666)
        tmp_path.chmod(0o755)
        restrict_permissions(Settings(data_dir=tmp_path, database_url=f"sqlite:///{database}"))
        paths = (database, tmp_path, tmp_path / "others", tmp_path / "jwt-secret")
        modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
        assert modes == [0o666, 0o755, 0o644, 0o600]
    finally:
        os.umask(umask)
        os.close(device)
        os.close(terminal)


def test_every_wrong_setting_is_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIFFIN_EVENT_DAYS", "-1")
    monkeypatch.setenv("TIFFIN_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert len(str(error.value).splitlines()) == 2


def test_the_secret_is_required_outside_of_the_demo(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TIFFIN_JWT_SECRET is required"):
        _ = Settings(data_dir=tmp_path).token_secret
    made = Settings(data_dir=tmp_path, demo=True).token_secret
    assert len(made) >= 32
    assert Settings(data_dir=tmp_path, demo=True).token_secret == made
    assert stat.S_IMODE((tmp_path / "jwt-secret").stat().st_mode) == 0o600


def test_a_demo_keeps_its_data_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real, demo = load_settings(), load_settings(demo=True)
    assert demo.data_dir == real.data_dir / "demo"
    assert demo.model_dir == real.model_dir  # photos need one model, not two
    monkeypatch.setenv("TIFFIN_DEMO", "1")
    assert load_settings().data_dir == demo.data_dir
    monkeypatch.setenv("TIFFIN_DATA_DIR", str(tmp_path))
    assert load_settings().data_dir == load_settings().model_dir == tmp_path


def test_port_works_with_and_without_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    assert load_settings().port == 9001
    monkeypatch.setenv("TIFFIN_PORT", "9002")
    assert load_settings().port == 9002
    assert load_settings(port=0).port == 0


def test_an_empty_map_setting_is_no_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings().map is None
    monkeypatch.setenv("TIFFIN_MAP", "")
    assert load_settings().map is None
    path = tmp_path / "town.geojson"
    path.touch()
    monkeypatch.setenv("TIFFIN_MAP", str(path))
    assert load_settings().map == path


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///town.db", "town.db"), ("sqlite:////var/town.db", "/var/town.db")],
)
def test_the_database_path_follows_the_settings(url: str, path: str, tmp_path: Path) -> None:
    assert Settings(database_url=url).database_path == Path(path)
    assert Settings(data_dir=tmp_path).database_path.parent == tmp_path


def test_racing_processes_share_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "data" / "jwt-secret"
    run = (
        "import os, pathlib, sys, time\nfrom server.settings import stored_secret\n"
        "start = time.monotonic() + 0.1\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        while time.monotonic() < start: pass\n"
        "        os.write(1, stored_secret(pathlib.Path(sys.argv[1])).encode() + b'\\n')\n"
        "        os._exit(0)\n"
        "for _ in range(8): os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", run, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [stored_secret(path)] * 8, done.stderr
    assert [file.name for file in path.parent.iterdir()] == ["jwt-secret"]


def test_an_emptied_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwt-secret").write_text("\n")
    with pytest.raises(SettingsError, match="jwt-secret"):
        stored_secret(tmp_path / "jwt-secret")


def test_the_whole_internet_is_no_network_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIFFIN_TRUSTED_PROXIES", "10.0.0.0/8, ::1,")
    assert [str(one) for one in load_settings().trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    for value, words in (("10.0.0.0/8,0.0.0.0/0", "everybody"), ("10.0.0.1/8", "host bits")):
        monkeypatch.setenv("TIFFIN_TRUSTED_PROXIES", value)
        with pytest.raises(SettingsError, match=f"TIFFIN_TRUSTED_PROXIES: .*{words}"):
            load_settings()


def test_the_operators_page_describes_every_setting() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    names = {f"TIFFIN_{name.upper()}" for name in Settings.model_fields}
    for path in (path for top in ("server", "tui", "web") for path in (ROOT / top).rglob("*.py")):
        names |= set(re.findall(r"\bTIFFIN_[A-Z_]*[A-Z]\b", path.read_text()))
    assert not {name for name in names if f"`{name}`" not in page}
    rows = re.findall(r"^\| (`TIFFIN_.*?) \| (.*?) \|", page, re.MULTILINE)
    shown = {
        name.lower(): default.strip("`")
        for names_cell, defaults in rows
        for name, default in zip(
            re.findall(r"`TIFFIN_(\w+)`", names_cell), re.split("[,;] ", defaults), strict=False
        )
    }
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    plain = {name: value for name, value in defaults.items() if isinstance(value, int | float)}
    assert {name: shown[name] for name in plain} == {
        name: str(value).lower() for name, value in plain.items()
    }
