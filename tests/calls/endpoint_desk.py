"""An HTTP client of the endpoint that hides nothing."""

import http.client
import json

CHAT = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}


class Answered:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.raw = response.read()

    @property
    def body(self):
        return json.loads(self.raw)

    @property
    def error(self):
        return self.body["error"]

    @property
    def events(self):
        return [part.removeprefix("data: ") for part in self.raw.decode().split("\n\n") if part]


def connect(served):
    host, port = served.info.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=20)


def ask(served, path="/v1/chat/completions", body=None, method=None, **headers):
    connection = connect(served)
    sent = {"Authorization": f"Bearer {served.info.token}"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    if not isinstance(body, bytes | None):
        body = json.dumps(body).encode()
    try:
        connection.request(method or ("POST" if body is not None else "GET"), path, body, sent)
        return Answered(connection.getresponse())
    finally:
        connection.close()
