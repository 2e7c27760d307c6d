"""The lab's runs: their source, their limits, and the same events over every pattern."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from server.app import DEMO_FEATURES, OPERATIONS, operations_of
from server.core.clock import now
from server.core.database import Database
from server.features.lab.schemas import NewRun, Run, RunState, Shape
from server.features.lab.service import RUN, LabService
from server.features.lab.source import due_times
from server.realtime.hub import Hub
from support.event_stream import event_stream
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.socketio_client import socketio_client
from support.waiting import PATIENCE, wait_until

LAB = [one for one in operations_of(DEMO_FEATURES) if one not in OPERATIONS]


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    settings = settings_for(
        tmp_path_factory.mktemp("lab"),
        demo=True,
        lab_seconds=60,
        lab_events_per_second=200,
        lab_event_kb=2,
    )
    async with running_server(settings) as server:
        yield server


@pytest.fixture
async def rest(lab: LiveServer) -> AsyncIterator[Rest]:
    async with Rest(lab.url) as client:
        grant = (await client.post("/auth/demo", {"role": "customer"})).must(200).json
        client.token = grant["access_token"]
        yield client


async def start(rest: Rest, **source: object) -> dict[str, Any]:
    found: dict[str, Any] = (await rest.post("/lab/runs", source)).must(201).json
    return found


async def ended(rest: Rest, run: dict[str, Any]) -> dict[str, Any]:
    async def ask() -> dict[str, Any] | None:
        found: dict[str, Any] = (await rest.get(f"/lab/runs/{run['id']}")).must(200).json
        return found if found["state"] == "ended" else None

    found = await wait_until(ask)
    assert found is not None
    return found


async def run_to_its_end(rest: Rest, **source: object) -> dict[str, Any]:
    return await ended(rest, await start(rest, **source))


async def test_every_pattern_brings_the_events_of_a_run(rest: Rest, lab: LiveServer) -> None:
    run = await run_to_its_end(rest, rate=100, shape="burst", seconds=0.3, size=1000)
    path, count = f"/lab/runs/{run['id']}", run["seq"]
    assert count == 30
    page = (await rest.get(f"{path}/events", params={"after": run["cursor"]})).must(200).json
    events = [one["data"] for one in page["events"]]
    assert [one["seq"] for one in events] == list(range(1, count + 1))
    assert all(len(one["padding"]) == 1000 for one in events)
    times = [one["monotonic"] for one in events]
    assert times == sorted(times)
    assert run["clock"]["monotonic"] > times[-1]

    latest = (await rest.get(f"{path}/latest")).must(200)
    assert latest.json == {"state": "ended", "newest": events[-1]}
    assert "Retry-After" not in latest.headers
    async with event_stream(rest, f"{path}/stream", run["cursor"]) as stream:
        assert [(await stream.next()).data for _ in events] == events
    url = rest.url(f"{path}/ws?after={run['cursor']}")
    async with rest.http.ws_connect(url, headers=rest.headers) as socket:
        frames = [await socket.receive_json(timeout=PATIENCE) for _ in events]
        await socket.send_str("{}")
        refused = await socket.receive_json(timeout=PATIENCE)
    async with socketio_client(rest) as client:
        told = await client.call("lab", run=run["id"], after=run["cursor"])
        told_frames = [await client.next("lab.event") for _ in events]
        # From a later cursor, in place of the first.
        await client.call("lab", run=run["id"], after=frames[-2]["cursor"])
        assert (await client.next("lab.event"))["seq"] == count
        unknown = await client.call("lab", run="none")
        invalid = await client.call("lab", run=7)
    assert frames == told_frames
    assert frames == [
        {"type": "lab.event", "cursor": frame["cursor"], **event}
        for frame, event in zip(frames, events, strict=True)
    ]
    assert told == {"run": run["id"]}
    codes = [one["code"] for one in (refused, unknown, invalid)]
    assert codes == ["unknown_type", "not_found", "invalid"]

    costs = (await rest.get(f"{path}/costs")).must(200).json
    assert costs["cpu_seconds"] > 0


async def test_one_run_at_a_time_within_the_limits(rest: Rest, lab: LiveServer) -> None:
    refusals = {
        "seconds": (61, "60 seconds"),
        "rate": (201, "200 events a second"),
        "size": (2049, "2 KiB"),
        "shape": ("round", "steady"),
    }
    for field, (value, words) in refusals.items():
        refused = (await rest.post("/lab/runs", {field: value})).must(422).json
        assert field in refused["detail"], field
        assert words in refused["detail"], field
    run = await start(rest, rate=200, seconds=60)
    path = f"/lab/runs/{run['id']}"
    second = (await rest.post("/lab/runs", {})).must(409).json
    assert second["run"] == run["id"]
    running = (await rest.get(f"{path}/latest")).must(200)
    assert running.headers["Retry-After"] == "1"
    service = lab.services[LabService]
    async with event_stream(rest, f"{path}/stream", run["cursor"]) as stream:
        await stream.next()
    (await rest.delete(path)).must(204)
    await wait_until(lambda: not service._own)
    stopped = (await rest.get(path)).must(200).json
    assert stopped["state"] == "stopped"
    other = await run_to_its_end(rest, rate=100, seconds=0.05)
    for name in ("", "/latest", "/events", "/stream", "/costs"):
        (await rest.get(f"{path}{name}")).must(404)
    assert other["id"] != run["id"]


async def test_a_held_run_waits_until_it_is_begun(rest: Rest, lab: LiveServer) -> None:
    run = await start(rest, rate=200, shape="steady", seconds=0.05, held=True)
    path = f"/lab/runs/{run['id']}"
    assert (run["state"], run["begun"]) == ("waiting", None)
    (await rest.post("/lab/runs", {})).must(409)
    (await rest.post("/lab/runs/none/begin", {})).must(404)
    async with event_stream(rest, f"{path}/stream", run["cursor"]) as stream:
        begun = (await rest.post(f"{path}/begin", {})).must(200).json
        assert (await stream.next()).data["monotonic"] >= begun["begun"]["monotonic"]
    (await rest.post(f"{path}/begin", {})).must(409)
    await ended(rest, run)
    held = await start(rest, held=True)
    (await rest.delete(f"/lab/runs/{held['id']}")).must(204)
    await wait_until(lambda: not lab.services[LabService]._own)


async def test_an_event_that_is_asked_for_comes_beside_those_of_the_schedule(rest: Rest) -> None:
    by_hand = await start(rest, rate=200, shape="hand", seconds=60)
    path = f"/lab/runs/{by_hand['id']}"
    async with event_stream(rest, f"{path}/stream", by_hand["cursor"]) as stream:
        for seq in (1, 2):
            asked = (await rest.post(f"{path}/events", {})).must(201).json
            assert asked["seq"] == seq
            assert (await stream.next()).data == asked
    (await rest.delete(path)).must(204)
    refused = (await rest.post(f"{path}/events", {})).must(409).json
    assert "stopped" in refused["detail"]

    run = await start(rest, rate=100, shape="steady", seconds=0.3)
    (await rest.post(f"{path}/events", {})).must(404)
    asked = (await rest.post(f"/lab/runs/{run['id']}/events", {})).must(201).json
    page = await rest.get(
        f"/lab/runs/{(await ended(rest, run))['id']}/events", params={"after": run["cursor"]}
    )
    events = [one["data"] for one in page.must(200).json["events"]]
    assert [one["seq"] for one in events] == list(range(1, 32))
    assert events[asked["seq"] - 1] == asked


async def test_a_run_whose_process_ended_does_not_block_the_next(
    rest: Rest, lab: LiveServer
) -> None:
    run = Run.model_validate(await run_to_its_end(rest, seconds=0.05))
    left = run.model_copy(
        update={"state": RunState.RUNNING, "started_at": now() - timedelta(minutes=5)}
    )
    states = lab.services[Hub].states
    await lab.services[Database].write(
        lambda tx: states.put(tx, RUN, "lab.run", left.model_dump_json())
    )
    assert (await rest.get(f"/lab/runs/{run.id}")).must(200).json["state"] == "failed"
    await run_to_its_end(rest, seconds=0.05)


async def test_only_a_demo_has_a_lab(rest: Rest, live_server: LiveServer) -> None:
    document = (await rest.get("/openapi.json")).must(200).json
    OPENAPI_31_VALIDATOR.validate(document)
    assert "/api/v1/lab/runs/{id}/stream" in document["paths"]
    async with Rest(live_server.url) as other:
        assert "/lab" not in (await other.get("/openapi.json")).must(200).body.decode()
        async with other.http.post(other.url("/lab/runs"), json={}) as answer:
            assert answer.status == 404
    rest.token = None
    for operation in LAB:
        path = operation.path.removeprefix("/api/v1").replace("{id}", "none")
        async with rest.http.request(operation.method, rest.url(path), json={}) as answer:
            assert answer.status == 401, path


@pytest.mark.parametrize("shape", [shape for shape in Shape if shape is not Shape.HAND])
def test_a_seed_gives_the_same_schedule(shape: Shape) -> None:
    source = NewRun(rate=50, seconds=20, shape=shape, seed=7)
    times = list(due_times(source))
    assert times == list(due_times(source))
    assert times == sorted(times)
    assert times[-1] <= 20
    # Five standard deviations of a Poisson source's count.
    assert abs(len(times) - 1000) < 5 * 1000**0.5
    others = list(due_times(source.model_copy(update={"seed": 8})))
    assert (others == times) is (shape is not Shape.POISSON)
