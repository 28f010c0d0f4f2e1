"""A forward proxy for plain HTTP, as it stands between a company and the world: requests come with a whole URL and are passed on."""

from __future__ import annotations

import base64
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

NOT_PASSED_ON = {"host", "proxy-authorization", "proxy-connection", "connection", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """A context manager; `requests` has what passed through it."""

    daemon_threads = True

    def __init__(self, hosts: dict[str, str], login: str | None = None) -> None:
        """Know some hosts by name, with the URL to really go to; ask for a login (``user:password``) when there is one."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hosts, self.requests = hosts, []
        self.credentials = None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"

    @property
    def url(self) -> str:
        """What ``HTTP_PROXY`` must be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Proxy:  # noqa: PYI034 - typing.Self came with Python 3.11
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_GET(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        asked = urlsplit(self.path)
        if self.server.credentials not in (None, self.headers.get("Proxy-Authorization")):
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.requests.append(f"{self.command} {self.path}")
        connection = http.client.HTTPConnection(urlsplit(self.server.hosts.get(asked.hostname, f"//{asked.netloc}")).netloc, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        connection.request(self.command, asked.path + (f"?{asked.query}" if asked.query else ""), headers=headers)
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
