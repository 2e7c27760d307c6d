"""The metrics of several processes of one master, told by any of them."""

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.core import metrics as metrics_module
from server.core.metrics import Metrics
from server.core.metrics_folder import MetricsFolder
from support.waiting import wait_until


async def worker(folder: Path, master: int = 7, requests: int = 0) -> Metrics:
    metrics = Metrics()
    metrics.share(MetricsFolder(folder, master))
    metrics.gauge("held_connections", "Streams and held polls.", lambda: 3)
    for _ in range(requests):
        metrics.count_request("GET", "/things/{id}", 200, 0.01, held=False)
    await metrics.open()
    return metrics


async def figures(metrics: Metrics, name: str) -> dict[str, float]:
    """A metric's value by process."""
    families = list(text_string_to_metric_families(await metrics.text()))
    assert len({family.name for family in families}) == len(families), "each family once"
    return {
        sample.labels["process"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"tiffin_{name}"
    }


async def test_any_process_tells_of_all_of_its_master(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "WRITE_SECONDS", 0.02)
    first, second = await worker(tmp_path, requests=2), await worker(tmp_path, requests=5)
    other = await worker(tmp_path, master=8, requests=100)

    async def all_told() -> bool:
        expected = {"0": 2.0, "1": 5.0}
        each = [await figures(metrics, "requests_total") for metrics in (first, second)]
        return each == [expected, expected]

    await wait_until(all_told, what="both tell of both")
    assert await figures(first, "held_connections") == {"0": 3.0, "1": 3.0}
    assert await figures(first, "request_seconds_count") == {"0": 2.0, "1": 5.0}
    assert await figures(other, "requests_total") == {"0": 100.0}
    # One that ends gives its number to the next.
    await first.close()
    assert await figures(second, "requests_total") == {"1": 5.0}
    again = await worker(tmp_path)
    assert (await figures(again, "held_connections"))["0"] == 3.0
    for metrics in (second, other, again):
        await metrics.close()
    # What a killed process has left tells nothing, and goes with its master's folder.
    (tmp_path / "7" / "4.metrics").write_text("# HELP x\n# TYPE x gauge\nx 1.0\n")
    (tmp_path / "7" / "4.lock").touch()
    os.utime(tmp_path / "7", (1, 1))
    os.utime(tmp_path / "8", (1, 1))
    last = await worker(tmp_path, master=7)
    assert await figures(last, "held_connections") == {"0": 3.0}
    assert not (tmp_path / "8").exists()
    await last.close()
