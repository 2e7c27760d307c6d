"""Nodes on one database file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hub_node import Node, OpenNode

from server.realtime.broker import Broker


@pytest.fixture
async def open_node(tmp_path: Path) -> AsyncIterator[OpenNode]:
    """Opens nodes, as several processes would; all on one file unless given another name."""
    nodes: list[Node] = []

    async def open_one(
        broker: Broker | None = None, *, name: str = "tiffin", sweep_seconds: float = 0.05
    ) -> Node:
        node = Node(tmp_path / f"{name}.sqlite3", broker, sweep_seconds)
        nodes.append(node)
        return await node.open()

    yield open_one
    for node in nodes:
        await node.close()


@pytest.fixture
async def node(open_node: OpenNode) -> Node:
    return await open_node()
