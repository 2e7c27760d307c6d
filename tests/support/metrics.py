"""What a server's `/metrics` tell."""

from support.rest import Rest


async def figure(rest: Rest, name: str) -> float:
    """The gauge `tiffin_<name>` as it stands."""
    answer = (await rest.get("//metrics")).must(200)
    for line in answer.body.decode().splitlines():
        if line.startswith(f"tiffin_{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no tiffin_{name} in /metrics")
