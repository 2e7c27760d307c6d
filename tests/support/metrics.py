"""Reads a server's `/metrics`."""

from support.rest import Rest


async def figure(rest: Rest, name: str) -> float:
    """The present value of the gauge `tiffin_<name>`."""
    answer = (await rest.get("//metrics")).must(200)
    for line in answer.body.decode().splitlines():
        if line.startswith(f"tiffin_{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no tiffin_{name} in /metrics")
