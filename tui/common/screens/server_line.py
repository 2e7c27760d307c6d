"""Which server it is, and whether something answers there."""

import asyncio
from urllib.parse import urlsplit

from textual.content import Content
from textual.widgets import Static

from tui.common.text import plain

PROBE_SECONDS = 2.0
LEFT_OUT = "\nWithout the user and password of the address: log in below."


class ServerLine(Static):
    """Looks for the server's port until it answers: no aiohttp needed for that."""

    DEFAULT_CSS = """
    ServerLine { height: auto; color: $wire-ink; }
    """

    def __init__(self, server: str, *, user_left_out: bool = False) -> None:
        """`server` is its base URL; `user_left_out`: there was a user or a password in it."""
        super().__init__("", markup=False)
        self._server = server
        self._note = LEFT_OUT if user_left_out else ""

    def on_mount(self) -> None:
        """Begin to look."""
        self._say("looking for the server", "◌", "$wire-ink")
        self.run_worker(self._probe(), group="probe", exit_on_error=False)

    async def _probe(self) -> None:
        try:
            parts = urlsplit(self._server)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            self._refuse()
            return
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            self._refuse()
            return
        while True:
            try:
                async with asyncio.timeout(PROBE_SECONDS * 2):
                    _, writer = await asyncio.open_connection(parts.hostname, port)
                writer.close()
            except UnicodeError:  # a part of the name is empty, or too long
                self._refuse()
                return
            except (OSError, TimeoutError):
                self._say("no answer, looking again", "◌", "$warning")
                await asyncio.sleep(PROBE_SECONDS)
            else:
                self._say("there", "●", "$success")
                return

    def _refuse(self) -> None:
        self._say("is no http address: start with --server http://host:port", "✕", "$error")

    def _say(self, words: str, glyph: str, ink: str) -> None:
        self.update(
            Content.assemble(
                (f"{glyph} ", ink),
                (plain(self._server), "$title"),
                (f"  {words}", "$wire-ink"),
                (self._note, "$warning"),
            )
        )
