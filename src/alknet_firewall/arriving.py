"""Text that is still arriving, and programs that must not wait (floor 3): what a firewall does beside scanning."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

from alknet_firewall.context import Context, Contexts
from alknet_firewall.detector import Detector
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.judging import Judge
from alknet_firewall.reader import Reader
from alknet_firewall.stream import StreamGuard
from alknet_firewall.stream.chunks import BYTES, Chunk
from alknet_firewall.text import check_origin
from alknet_firewall.verdict import Origin, Verdict


class Arriving(ABC):
    """The part of a firewall that is for streams and event loops."""

    reader: Reader
    detectors: Mapping[Origin, Detector]
    scan_batch: ClassVar[Callable[..., list[Verdict]]]
    _contexts: Contexts

    @abstractmethod
    def _judge(self, origin: Origin, threshold: float | None, fpr: float | None) -> Judge:
        """What texts of an origin are held against."""

    def stream(
        self,
        origin: Origin = "prompt",
        *,
        threshold: float | None = None,
        fpr: float | None = None,
        with_views: bool = True,
        context: Context | str | None = None,
    ) -> StreamGuard:
        """Begin to judge one text that arrives in chunks: a model's answer, a tool's output, a log.

        Parameters
        ----------
        origin, threshold, fpr, with_views, context
            As for :meth:`scan`.

        Returns
        -------
        StreamGuard
            Feed it. Any number may be open at once, also in several threads; each keeps about 4 MB and the text.

        Raises
        ------
        InvalidInputError
            If an option cannot be used, or the artifact's tokenizer needs whole texts.
        """
        judge = self._judge(check_origin(origin), threshold, fpr)
        past = self._contexts.pasts(context, [judge.origin])[judge.origin]
        return StreamGuard(self.reader, self.detectors[judge.origin], judge, past, with_views=with_views)

    async def ascan(self, text: str, origin: Origin = "prompt", **options: Any) -> Verdict:
        """Judge one text, while the event loop goes on.

        Parameters
        ----------
        text, origin, **options
            As for ``scan``.

        Returns
        -------
        Verdict
            The same as that of ``scan``. A cancelled call ends at once, and its work with what is being done: the windows that are computed
            together, a piece of the text, or the search for what is hidden in it.

        Raises
        ------
        InvalidInputError
            As for ``scan``.
        """
        import asyncio  # the caller has it already; a program without an event loop need not wait for it

        stop = threading.Event()
        try:
            return (await asyncio.to_thread(self.scan_batch, [text], [origin], stop=stop, **options))[0]
        finally:
            stop.set()

    async def astream(
        self, chunks: AsyncIterable[Chunk] | Iterable[Chunk], origin: Origin = "prompt", **options: Any
    ) -> AsyncIterator[Verdict]:
        """Judge one text while it arrives, and while the event loop goes on.

        Parameters
        ----------
        chunks : iterable or asynchronous iterable of str or of bytes
            See :meth:`alknet_firewall.StreamGuard.feed`. Whoever made it closes it. One that is not asynchronous is asked in the
            loop's threads.
        origin, **options
            As for ``stream``.

        Yields
        ------
        Verdict
            What is known after each chunk, and last the verdict on the whole text.

        Raises
        ------
        InvalidInputError
            If an option or a chunk cannot be used, or there is no text.
        """
        import asyncio

        if isinstance(chunks, (str, *BYTES)):
            raise InvalidInputError("astream takes the chunks of a text. For a whole one use ascan(text), or put it in a list.")
        guard = await asyncio.to_thread(self.stream, origin, **options)  # a context given as str is read here
        if isinstance(chunks, AsyncIterable):
            async for chunk in chunks:
                yield await asyncio.to_thread(guard.feed, chunk)
        else:
            end: Any = object()
            following: Callable[[], Chunk] = partial(next, iter(chunks), end)
            while (chunk := await asyncio.to_thread(following)) is not end:
                yield await asyncio.to_thread(guard.feed, chunk)
        yield await asyncio.to_thread(guard.close)
