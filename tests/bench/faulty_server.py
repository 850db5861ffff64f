"""A server that corrupts the response of one viewer on purpose, which the load driver must notice."""

import socket
import threading
from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
Events = list[bytes]


class FaultyServer:
    """Takes `events` lines from the publisher and sends them to all `viewers`; `fault` changes the last one's."""

    def __init__(self, viewers: int, events: int, fault: Callable[[Events], Events], piece: int = 700) -> None:
        self._viewers = viewers
        self._events = events
        self._fault = fault
        self._piece = piece
        self._door = socket.create_server(("127.0.0.1", 0))
        self._publish_door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.publish_port: int = self._publish_door.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(10)
        self._door.close()
        self._publish_door.close()

    def _serve(self) -> None:
        publisher, _ = self._publish_door.accept()
        viewers = []
        for _ in range(self._viewers):
            viewer, _ = self._door.accept()
            viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            viewer.recv(4096)
            viewer.sendall(HEAD)
            viewers.append(viewer)
        with publisher, publisher.makefile("rb") as lines:
            data = [next(lines).rstrip().split(b" ", 1)[1] for _ in range(self._events)]
        events = [b"id: 1-%d\ndata: %b\n\n" % (number, one) for number, one in enumerate(data, 1)]
        for viewer in viewers:
            due = b"".join(self._fault(list(events)) if viewer is viewers[-1] else events)
            for at in range(0, len(due), self._piece):
                part = due[at : at + self._piece]
                viewer.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            viewer.sendall(b"0\r\n\r\n")
            viewer.close()
