"""A comparison: orders tracked by long polling on the standard library's synchronous HTTP server.

`--threads 1` serves one connection at a time, as Flask's development server did before version 1.0;
with `--threads many` each connection has a thread of its own.
"""

import argparse
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Tracking(BaseHTTPRequestHandler):
    """`/status?timeout=SECONDS` is held until the order changes, which it does not; everything else
    is answered at once."""

    def do_GET(self) -> None:
        """Answer the one request of a connection."""
        url = urlsplit(self.path)
        self.send_response(200)
        self.end_headers()
        if url.path == "/status":
            changed = threading.Event()
            changed.wait(float(parse_qs(url.query)["timeout"][0]))
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: it would count as the server's work."""


class OneThread(HTTPServer):
    """Serves one connection at a time."""

    request_queue_size = 1024


class ThreadEach(ThreadingHTTPServer):
    """Serves each connection in a thread."""

    request_queue_size = 1024


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", choices=("1", "many"), required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    server = OneThread if options.threads == "1" else ThreadEach
    server(("127.0.0.1", options.port), Tracking).serve_forever()


if __name__ == "__main__":
    main()
