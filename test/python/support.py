"""What the tests share: goldens, wishes, and a master that is played."""
import json
import os
import re
import socket
import threading

import titan


def golden():
    """What the TypeScript side wrote (test/sdk.python.test.ts)."""
    with open(os.environ["TITAN_GOLDEN"], encoding="utf-8") as file:
        return json.load(file)


WISHING = threading.Lock()


def wish(words):
    """The test in TypeScript does something to the cluster: "restart", "kill worker"."""
    with WISHING:
        print(words, flush=True)
        assert input() == "done"


def snake(name):
    return re.sub("(?=[A-Z])", "_", name).lower()


def as_python(value):
    """A message of TypeScript's JSON as Python has it: other names, and bytes."""
    if isinstance(value, list):
        return [as_python(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "Buffer":
        return bytes(value["data"])
    return {key if key == "env" else snake(key): each if key == "env" else as_python(each)
            for key, each in value.items()}


def without_none(value, nothing=(None,)):
    """As JSON leaves out what is undefined."""
    if isinstance(value, list):
        return [without_none(each, nothing) for each in value]
    if isinstance(value, dict):
        return {key: without_none(each, nothing) for key, each in value.items()
                if each not in nothing}
    return value


class Peer:
    """A server at a free port. `behave(connection, number)` plays its part on each connection."""

    def __init__(self, behave):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.master = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.behave, self.dials = behave, 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.dials += 1
            with connection:
                try:
                    self.behave(connection, self.dials)
                except OSError:
                    pass  # the client has gone, as it may

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def requests(connection):
    """The frames of a client, one after the other."""
    frames = titan.Frames()
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            return
        yield from frames.feed(chunk)


def reply(connection, frame, body=b"", flags=titan.REPLY):
    connection.sendall(titan.encode_frame(0, flags, frame.request_id, body))


def refuse(connection, frame, code, words="no"):
    body = bytes((titan.CODES.index(code) + 1,)) + words.encode()
    reply(connection, frame, body, titan.REPLY | titan.ERROR)


WELCOME = titan.wire.Welcome.encode({"protocol": 2, "version": "test"})
