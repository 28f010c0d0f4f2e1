"""Standard input while it arrives: its bytes, its pauses, its end, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from types import FrameType
from typing import BinaryIO

from alknet_firewall.errors import InvalidInputError

PAUSE_S = 0.3
"""Seconds without a byte that are a pause."""

PIECE_BYTES = 4_096
"""Most bytes that are taken at a time: about a second's work, so that Ctrl-C is soon heard."""


@contextmanager
def interrupted() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets instead of ending the work in its midst. A second Ctrl-C ends the program as ever."""
    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def once(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield stop  # in the background of a shell it is ignored, and elsewhere it is another's business
        return
    signal.signal(signal.SIGINT, once)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def arriving(stream: BinaryIO, stop: threading.Event) -> Iterator[bytes]:
    """Read a stream that may pause.

    Parameters
    ----------
    stream : BinaryIO
        Nothing else may read it.
    stop : threading.Event
        Once it is set, what has arrived is the end.

    Yields
    ------
    bytes
        What has arrived, as soon as there is any; empty whenever nothing has for :data:`PAUSE_S` seconds.

    Raises
    ------
    InvalidInputError
        If it cannot be read.
    """
    arrived: Queue[bytes | OSError] = Queue(maxsize=1)
    unbuffered = getattr(stream, "raw", stream)  # a buffer's lock would be held by a thread that never ends
    threading.Thread(target=_read, args=(unbuffered, arrived, stop), daemon=True).start()
    while True:
        try:
            piece = arrived.get(timeout=PAUSE_S)
        except Empty:
            if stop.is_set():
                return
            piece = None
        if isinstance(piece, OSError):
            raise InvalidInputError(f"Standard input cannot be read: {piece.strerror or type(piece).__name__}. Pipe something in.")
        if piece == b"":
            return
        yield piece or b""


def _read(stream: BinaryIO, arrived: Queue[bytes | OSError], stop: threading.Event) -> None:
    """Hand on what arrives, last an empty piece or the error that ended it."""
    try:
        while not stop.is_set():
            piece = stream.read(PIECE_BYTES)
            if piece is None:  # nothing yet, and whoever shares this stream has it not wait
                time.sleep(PAUSE_S)
                continue
            arrived.put(piece)
            if not piece:
                return
    except OSError as err:
        arrived.put(err)
