"""The files of deploy/: what is there works with this server, and names only what it has."""

import argparse
import asyncio
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import yaml

from server.__main__ import _parser
from server.settings import Settings, load_settings
from support.cast import cast_of
from support.live_server import running_server, settings_for
from support.nginx import nginx_to
from support.preloaded import fork
from support.rest import API, Rest
from support.server_process import ROOT
from support.waiting import PATIENCE, wait_until

DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(?:tiffin|process)_[a-z_]+\b")
SECRETS = {"TIFFIN_JWT_SECRET": "s" * 64, "POSTGRES_PASSWORD": "p" * 64, "REDIS_PASSWORD": "r" * 64}


def compose() -> dict[str, Any]:
    """The compose file, as compose reads it: merged, and with the variables of .env."""
    text = (DEPLOY / "compose.yaml").read_text()
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: SECRETS[found[1]], text)
    found: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return found


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments."""
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in kept)]


def metrics_named() -> Iterator[str]:
    """Every metric that an alert or the dashboard reads."""
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield from METRIC.findall(rule["expr"])
    dashboard = json.loads((DEPLOY / "grafana" / "tiffin.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield from METRIC.findall(target["expr"])
    for variable in dashboard["templating"]["list"]:
        yield from METRIC.findall(json.dumps(variable["query"]))


async def test_through_the_nginx_of_deploy(data_dir: Path, tmp_path: Path) -> None:
    """What the feeds of the apps do not show (see test_through_nginx.py), and that every metric
    that is named exists."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    settings = settings_for(data_dir, trusted_proxies="127.0.0.1/32")
    async with running_server(settings) as server, cast_of(server) as cast:
        order = (await cast.order())["id"]
        with nginx_to("deployed", server.url, folder) as url:
            trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
            connector = aiohttp.TCPConnector(ssl=trusted, local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(connector=connector) as http:
                through = Rest(url, http)
                through.token = cast.customer.token
                poll = f"/orders/{order}/status?last_status=placed&timeout="
                (await through.get(f"{poll}1")).must(204)
                held = asyncio.create_task(through.get(f"{poll}60"))

                async def holds() -> bool:
                    text = (await cast.nobody.get("//metrics")).must(200).body.decode()
                    return "\ntiffin_held_polls 1.0" in text

                await wait_until(holds)
                await cast.step(order, "accepted")
                async with asyncio.timeout(PATIENCE):
                    assert (await held).must(200).json["status"] == "accepted"
                handshake = await through.get("//socket.io/?EIO=4&transport=polling")
                assert "websocket" in handshake.must(200).body.decode()
                (await through.get("//metrics")).must(404)
                ready = (await through.get("//readyz")).must(200)
                assert ready.headers["Strict-Transport-Security"]
                # It is the one that called nginx, whatever it says of others before it.
                forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
                body = {"email": "ana@example.com", "password": "correct horse"}
                session = await through.post("/auth/login", body, headers=forged)
                through.token = session.must(200).json["access_token"]
                sessions = (await through.get("/me/sessions")).must(200).json["items"]
                assert {one["address"] for one in sessions} == {"127.0.0.1", "127.0.0.2"}
                large = b"x" * (11 * 1024 * 1024 + 1)
                sent = await http.post(f"{url}{API}/uploads", data=large)
                assert sent.status == 413
                [plain] = re.findall(
                    r"listen (127\.0\.0\.1:\d+);", (folder / "nginx.conf").read_text()
                )
                async with http.get(f"http://{plain}/a", allow_redirects=False) as told:
                    assert (told.status, told.headers["Location"]) == (308, "https://127.0.0.1/a")
        text = (await cast.nobody.get("//metrics")).must(200).body.decode()
    there = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[0] != "#"}
    named = set(metrics_named())
    assert len(named) > 15
    assert named <= there
    log = (folder / "access.log").read_text()
    assert f"{API}/orders/{order}/status" in log
    assert "EIO" not in log
    assert "last_status" not in log


def test_rules_and_dashboard_are_read_by_prometheus(tmp_path: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) == len({*alerts})
    page = (ROOT / "docs" / "operating.md").read_text()
    assert [name for name in alerts if f"`{name}`" not in page] == [], "say what to do about them"
    assert [name for name in re.findall(r"`(Tiffin[A-Z]\w+)`", page) if name not in alerts] == []
    dashboard = json.loads((DEPLOY / "grafana" / "tiffin.json").read_text())
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(places) == len({*places})
    program = shutil.which("promtool")
    if program is None:
        return
    recorded = [
        {"record": f"panel:{number}", "expr": target["expr"].replace("$instance", ".*")}
        for number, target in enumerate(
            target for panel in dashboard["panels"] for target in panel["targets"]
        )
    ]
    other = tmp_path / "panels.yml"
    other.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    for path in (DEPLOY / "prometheus" / "alerts.yml", other):
        subprocess.run([program, "check", "rules", str(path)], check=True, capture_output=True)
    tests = DEPLOY / "prometheus" / "alerts_test.yml"
    subprocess.run([program, "test", "rules", str(tests)], check=True, capture_output=True)


def test_the_compose_file_fits_its_schema_and_this_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = compose()
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    check = jsonschema.Draft7Validator(schema)
    check.validate(found)
    with pytest.raises(jsonschema.ValidationError):
        check.validate(found | {"services": {"one": {"imgae": "x"}}})
    for name, service in found["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["image"] == "tiffin" or re.search(r":\d", service["image"]), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            there = source in found["volumes"] or source == "./tls" or (DEPLOY / source).exists()
            assert there, volume
    published = [name for name, service in found["services"].items() if "ports" in service]
    assert published == ["nginx"]
    for name in ("server1", "server2"):
        own = found["services"][name]["environment"]
        with monkeypatch.context() as patch:
            for variable, value in own.items():
                assert variable.removeprefix("TIFFIN_").lower() in Settings.model_fields
                patch.setenv(variable, str(value))
            settings = load_settings(data_dir=tmp_path)
        proxy = found["services"]["nginx"]["networks"]["inside"]["ipv4_address"]
        assert [str(one) for one in settings.trusted_proxies] == [f"{proxy}/32"]
        address = found["services"][name]["networks"]["inside"]["ipv4_address"]
        assert found["configs"]["upstream"]["content"].count(f"server {address}:8080 ") == 2
    plugin = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if plugin and plugin.returncode == 0:
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in SECRETS.items()))
        command = ["docker", "compose", "--env-file", str(tmp_path / ".env")]
        command += ["-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
        subprocess.run(command, check=True, capture_output=True)


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_special() -> None:
    found = instructions()
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases), bases
    runs = [rest for word, rest in found if word == "RUN"]
    [install] = [run for run in runs if "requirements.lock" in run]
    assert "--require-hashes" in install
    last = len(found) - 1 - [word for word, _ in found][::-1].index("FROM")
    assert ("USER", "10001:10001") in found[last:]
    [(_, check)] = [one for one in found if one[0] == "HEALTHCHECK"]
    command = json.loads(check[check.index("CMD") + 3 :])
    compile(command[2], "health check", "exec")
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for word, rest in found:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source
    [start] = [json.loads(rest) for word, rest in found if word == "CMD"]
    assert start == ["tiffin-server"]


async def test_the_health_check_of_the_image(data_dir: Path) -> None:
    [check] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    program, *arguments = json.loads(check[check.index("CMD") + 3 :])
    assert program == "python"
    async with running_server(settings_for(data_dir, photo_workers=0)) as server:
        for port, status in ((server.port, 0), (1, 1)):
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env={"PORT": str(port)}, stderr=subprocess.DEVNULL
            )
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == status


def test_the_unit_starts_this_server_with_settings_that_exist(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "tiffin.service").read_text()
    command = re.search(r"^ExecStart=(.*?[^\\])$", text, re.M | re.S)
    assert command is not None
    program, *arguments = shlex.split(command[1].replace("\\\n", " "))
    assert program == "/opt/tiffin/bin/gunicorn"
    # gunicorn itself says whether it knows the options.
    log = tmp_path / "gunicorn.log"
    log.touch()
    check = fork(["--check-config", *arguments], dict(os.environ), log, module="gunicorn")
    assert check.wait(PATIENCE) == 0, log.read_text()
    variables = (DEPLOY / "systemd" / "tiffin.env").read_text()
    named = re.findall(r"^#?(TIFFIN_\w+)=", variables, re.M) + re.findall(r"\b(TIFFIN_\w+)=", text)
    assert {name.removeprefix("TIFFIN_").lower() for name in named} <= Settings.model_fields.keys()
    program = shutil.which("systemd-analyze")
    if program is not None:
        unit = tmp_path / "tiffin.service"
        unit.write_text(text.replace("/opt/tiffin/bin/gunicorn", sys.executable))
        done = subprocess.run(
            [program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("document", sorted(path.name for path in DEPLOY.glob("*.md")))
def test_a_page_names_only_settings_that_exist(document: str) -> None:
    named = set(re.findall(r"\bTIFFIN_([A-Z_]+)\b", (DEPLOY / document).read_text()))
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


COMMAND = re.compile(r"(?:tiffin-server|-m server) ([a-z]+(?:-[a-z]+)*)((?:[^\n`|]|\\\n)*)")


def test_the_commands_that_are_named_exist_with_their_options() -> None:
    """In deploy/, the README and the operators' pages; the program itself tells what it knows."""
    [subcommands] = [
        action.choices
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    pages = [*DEPLOY.rglob("*.*"), ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = [
        (page.name, command, set(re.findall(r"(?<=\s)--[a-z-]+", rest)))
        for page in pages
        for command, rest in COMMAND.findall(page.read_text())
    ]
    assert len(named) > 8
    for page, command, options in named:
        assert command in subcommands, (page, command)
        known = subcommands[command]._option_string_actions
        assert options <= known.keys(), (page, command)
