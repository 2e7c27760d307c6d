"""The terminal of an app whose screen is a page: packets on standard input and output."""

import os
from codecs import getincrementaldecoder
from functools import partial

from textual import events, messages
from textual._xterm_parser import XTermParser
from textual.drivers._byte_stream import ByteStream
from textual.drivers.web_driver import WebDriver

from tui.common.sanitize import anchored
from tui.common.terminal import PasteFilter


class BrowserDriver(WebDriver):
    """Textual's web driver, which also ends the app when the host has ended."""

    def start_application_mode(self) -> None:
        """Start, in focus: the page tells only of changes."""
        super().start_application_mode()
        self._app.call_later(self._app.post_message, events.AppFocus())

    def write(self, data: str) -> None:
        """Draw."""
        super().write(anchored(data))

    def _write(self, data: bytes) -> None:  # type: ignore[override]
        while data:
            data = data[os.write(self.fileno, data) :]

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Nothing: an app opens no pages."""

    def run_input_thread(self) -> None:
        """Like Textual's, but invalid UTF-8 is no error, and the end of the input quits the app."""
        parser = XTermParser(self._debug)
        shorten = PasteFilter()
        decode = getincrementaldecoder("utf-8")("replace").decode
        packets = ByteStream()
        try:
            for data in self._input_reader:
                for kind, payload in packets.feed(data) if data else ():
                    if kind != "D":
                        self._on_meta(kind, payload)
                    elif text := shorten(decode(payload)):
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
        finally:
            self._input_reader.close()
            self._loop.call_soon_threadsafe(partial(self._app.post_message, messages.ExitApp()))
