"""Messages between the helper and its clients: a JSON header, then raw bytes. Never pickle.

    send(connection, {"op": "ping"}, [b"..."]); header, blobs = receive(connection, limit)

On the wire: `PRL1`, the header's length (4 bytes, big endian), the header, then the blobs, whose
sizes the header lists under "blobs".
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from lab.errors import LabError

MAGIC = b"PRL1"
HEADER_BYTES = 4 * 2**20
REQUEST_BYTES = 64 * 2**20
REPLY_BYTES = 512 * 2**20


class Closed(Exception):
    """The other side has gone away."""


def send(connection: socket.socket, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send one message."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    connection.sendall(MAGIC + struct.pack(">I", len(text)) + text)
    for blob in blobs:
        connection.sendall(blob)


def receive(
    connection: socket.socket, limit: int, deadline: float | None = None
) -> tuple[dict[str, Any], list[bytes]]:
    """One message, its blobs together at most `limit` bytes.

    Raises Closed, LabError for what is too large or no message, TimeoutError after the deadline
    (monotonic seconds), which bounds the whole message and not each piece of it.
    """
    start = _exactly(connection, 8, deadline)
    size = struct.unpack(">I", start[4:])[0]
    if start[:4] != MAGIC or size > HEADER_BYTES:
        raise LabError("This is no message of the lab's helper.", "Restart the lab.")
    header = json.loads(_exactly(connection, size, deadline))
    sizes = header.pop("blobs")
    if sum(sizes) > limit or any(size < 0 for size in sizes):
        raise LabError(
            f"{sum(sizes) / 2**20:.0f} MB at once are more than the helper takes.",
            f"Send at most {limit // 2**20} MB: fewer or smaller pictures.",
        )
    return header, [_exactly(connection, size, deadline) for size in sizes]


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    buffer = bytearray(size)
    view, got = memoryview(buffer), 0
    while got < size:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        count = connection.recv_into(view[got:])
        if count == 0:
            raise Closed
        got += count
    return bytes(buffer)
