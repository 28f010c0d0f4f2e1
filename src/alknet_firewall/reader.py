"""Text to features (floor 3): tokenizer, windows, encoder and pooling, wired for one artifact."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from alknet_firewall.artifact import DETECTOR_FILE, MODEL_FILE, TOKENIZER_FILE, Artifact
from alknet_firewall.encoder import DEFAULT_PROVIDER, Encoder, Past
from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError, ShapeError
from alknet_firewall.pooling import POOLING, segment_ends, segment_features
from alknet_firewall.tensors import FloatArray, IntArray, float_tensor
from alknet_firewall.threads import check_going_on
from alknet_firewall.tokenizer import Tokenizer
from alknet_firewall.verdict import ORIGINS, PLAIN, Origin
from alknet_firewall.views import View, shown, views
from alknet_firewall.windows import batches, window_starts
from alknet_firewall.wording import Wording

BATCH_SIZE = 8
"""Windows that go through the graph together by default."""

GROUP = 1024
"""Windows that are cut before any is computed: many enough that batches hold windows of like length, and a few megabytes at most."""


@dataclass(frozen=True)
class Segment:
    """A short stretch of a text, as the model sees it.

    Attributes
    ----------
    start, end : int
        Half-open range of characters in the text.
    features : ndarray of shape (n_features,), float32
        What its hidden states say, then what its words say (:mod:`alknet_firewall.pooling`, :mod:`alknet_firewall.wording`).
    text : str
        Its own characters, as they stand in the view.
    view : str
        Which view of the text it was read in; ``plain`` is the text itself.
    """

    start: int
    end: int
    features: FloatArray
    text: str
    view: str = PLAIN


@dataclass(frozen=True)
class Window:
    """A window of one of the texts of a call.

    Attributes
    ----------
    text : int
        Which text.
    ids : ndarray of shape (n_tokens,), int64
    offsets : ndarray of shape (n_tokens, 2), int64
        Character range of each token in the text.
    view : str
        Which view of the text it was cut from.
    """

    text: int
    ids: IntArray
    offsets: IntArray
    view: str = PLAIN


class Reader:
    """Reads texts the way an artifact was made to. Safe to share between threads, and usable after a fork."""

    def __init__(self, artifact: Artifact, tensors: Mapping[str, FloatArray], threads: int, provider: str = DEFAULT_PROVIDER) -> None:
        """Load tokenizer, graph and prefixes.

        Parameters
        ----------
        artifact : Artifact
            A verified artifact.
        tensors : mapping of str to ndarray
            Content of its ``detector.safetensors``.
        threads : int
            Size of the session's pool.
        provider : str
            Execution provider of ONNX Runtime.

        Raises
        ------
        ArtifactCorruptError
            If the files do not fit together.
        InvalidInputError
            If ONNX Runtime has no such provider.
        """
        self.config = artifact.config
        where = str(artifact.path(DETECTOR_FILE))
        self.pasts = {origin: _load_past(tensors, origin, where) for origin in ORIGINS}
        _check_fit(artifact, self.pasts)
        self.wordings = {origin: Wording.from_tensors(tensors, origin, where) for origin in ORIGINS}
        self.tokenizer = Tokenizer.load(artifact.path(TOKENIZER_FILE))
        self.encoder = Encoder(artifact.path(MODEL_FILE), threads, provider, partial(artifact.check_unchanged, MODEL_FILE))

    @property
    def n_features(self) -> int:
        """Length of a segment's features."""
        return 2 * self.config.encoder.hidden_size + 1

    def segments(
        self,
        texts: Sequence[str],
        origins: Sequence[Origin],
        *,
        batch_size: int = BATCH_SIZE,
        with_views: bool = False,
        pasts: Mapping[Origin, Past] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Features of every segment of every window of texts, as the head sees them.

        Parameters
        ----------
        texts : sequence of str
        origins : sequence of {"prompt", "content"}
            One a text.
        batch_size : int
            Most windows that go through the graph together.
        with_views : bool
            Read the views of each text as well (:mod:`alknet_firewall.views`).
        pasts : mapping of origin to Past, optional
            What stands before the texts of each origin, instead of its prefix.
        stop : threading.Event, optional
            Once it is set, nothing further is read or computed.

        Yields
        ------
        index : int
            Which text.
        segments : list of Segment
            The segments of one of its windows, in order. Windows come in any order.

        Raises
        ------
        CancelledError
            If it was told to stop.
        """
        _check_batch_size(batch_size)
        waiting: list[Window] = []
        for index, text in enumerate(texts):
            check_going_on(stop)
            waiting += self.windows(index, text, stop)
            if with_views:
                check_going_on(stop)
                waiting += [window for view in views(text) for window in self.view_windows(index, view, stop)]
            if len(waiting) >= GROUP or index == len(texts) - 1:
                yield from self._computed(waiting, origins, batch_size, pasts, stop)
                waiting = []

    def _computed(
        self,
        windows: Sequence[Window],
        origins: Sequence[Origin],
        batch_size: int,
        pasts: Mapping[Origin, Past] | None,
        stop: threading.Event | None,
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Segments of windows of texts of either origin."""
        check_going_on(stop)
        for origin in self.pasts:
            chosen = [window for window in windows if origins[window.text] == origin]
            past = pasts[origin] if pasts and chosen else None
            for window, states in self.hidden_states(chosen, origin, batch_size=batch_size, past=past):
                check_going_on(stop)
                yield window.text, self.describe(window, states, origin)

    def windows(self, index: int, text: str, stop: threading.Event | None = None) -> Iterator[Window]:
        """The windows of one text, in order; every token is in at least one. `index` says which text it is."""
        tokens = self.tokenizer.encode(text, stop)
        config = self.config.window
        for start in window_starts(len(tokens.ids), config.size, config.stride):
            chosen = slice(start, start + config.size)
            yield Window(index, tokens.ids[chosen], tokens.offsets[chosen])

    def n_shown(self, text: str, n_segments: int) -> int:
        """Segments that a text of `n_segments` would have without characters that show nothing: what its length is for its views."""
        visible = shown(text)
        if visible == text:
            return n_segments
        cut = sum(len(segment_ends(len(window.ids), self.config.segment)) for window in self.windows(0, visible))
        return max(1, min(cut, n_segments))

    def view_windows(self, index: int, view: View, stop: threading.Event | None = None) -> Iterator[Window]:
        """The windows of one view; their offsets are those of the text that it is a view of."""
        starts, ends = np.asarray(view.starts, np.int64), np.asarray(view.ends, np.int64)
        for window in self.windows(index, view.text, stop):
            first, last = window.offsets[:, 0], np.maximum(window.offsets[:, 1] - 1, window.offsets[:, 0])
            first, last = np.minimum(first, len(starts) - 1), np.minimum(last, len(starts) - 1)
            offsets = np.stack([np.minimum(starts[first], starts[last]), np.maximum(ends[first], ends[last])], axis=1)
            yield Window(index, window.ids, offsets, view.name)

    def hidden_states(
        self, windows: Sequence[Window], origin: Origin, *, batch_size: int = BATCH_SIZE, past: Past | None = None
    ) -> Iterator[tuple[Window, FloatArray]]:
        """Hidden states of windows, batched by length.

        Parameters
        ----------
        windows : sequence of Window
        origin : {"prompt", "content"}
            Whose prefix stands before them.
        batch_size : int
            Most windows that go through the graph together.
        past : Past, optional
            What stands before them instead.

        Yields
        ------
        window : Window
            In any order.
        states : ndarray of shape (n_tokens, hidden_size), float32
            Without padding.
        """
        _check_batch_size(batch_size)
        for batch in batches([window.ids for window in windows], batch_size):
            states = self.encoder.hidden_states(batch.ids, batch.mask, past or self.pasts[origin])
            for row, index in zip(states, batch.indices, strict=True):
                yield windows[index], row[: len(windows[index].ids)]

    def describe(self, window: Window, states: FloatArray, origin: Origin) -> list[Segment]:
        """The segments of one window of a text of an origin, from its hidden states of shape (n_tokens, hidden_size)."""
        cut = self.cut(window)
        features = self._features(states, [text for _, _, text in cut], origin)
        return [Segment(start, end, row, text, window.view) for (start, end, text), row in zip(cut, features, strict=True)]

    def cut(self, window: Window) -> list[tuple[int, int, str]]:
        """Of each segment of one window, start and end in the text, and its own characters as they stand in the view."""
        ends = segment_ends(len(window.ids), self.config.segment)
        return [
            (int(window.offsets[a:b, 0].min()), int(window.offsets[a:b, 1].max()), text)
            for a, b, text in zip([0, *ends[:-1]], ends, self.tokenizer.pieces(window.ids, ends), strict=True)
        ]

    def features(self, ids: IntArray, states: FloatArray, origin: Origin) -> FloatArray:
        """Features of the segments of one window.

        Parameters
        ----------
        ids : ndarray of shape (n_tokens,), int64
        states : ndarray of shape (n_tokens, hidden_size), float32
            Hidden states of these tokens, from wherever.
        origin : {"prompt", "content"}
            Whose words they are held against.

        Returns
        -------
        ndarray of shape (n_segments, n_features), float32
        """
        return self._features(states, self.tokenizer.pieces(ids, segment_ends(len(ids), self.config.segment)), origin)

    def _features(self, states: FloatArray, pieces: Sequence[str], origin: Origin) -> FloatArray:
        """What the hidden states of each segment of a window say, then what its words say."""
        words = self.wordings[origin].logits(pieces)
        return np.concatenate([segment_features(states, self.config.segment), words[:, None]], axis=1)


def _check_batch_size(batch_size: int) -> None:
    """Refuse what is not a number of windows."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidInputError("batch_size must be a whole number of at least 1.")


def _load_past(tensors: Mapping[str, FloatArray], origin: Origin, where: str) -> Past:
    """Keys and values of an origin's prefix."""
    try:
        return Past(*(float_tensor(tensors, f"prefix.{origin}.{part}", where) for part in ("keys", "values")))
    except ShapeError as err:
        raise ArtifactCorruptError(f"{where}: {err} Fetch or build the artifact again.") from err


def _check_fit(artifact: Artifact, pasts: Mapping[Origin, Past]) -> None:
    """The config and the prefixes must speak of the same model."""
    config = artifact.config
    encoder = config.encoder
    shape = (encoder.layer, encoder.key_value_heads, encoder.head_size)
    found = {(past.keys.shape[0], past.keys.shape[1], past.keys.shape[3]) for past in pasts.values()}
    problem = None
    if config.pooling != POOLING:
        problem = f"pooling {config.pooling!r} is not known to this version ({POOLING})"
    elif found != {shape}:
        problem = f"the prefixes have (layers, heads, head size) {sorted(found)}, the config says {shape}"
    elif any(past.n_tokens != len(config.prefixes[origin].ids) for origin, past in pasts.items()):
        problem = "the prefixes have another number of tokens than the config says"
    if problem:
        raise ArtifactCorruptError(f"{artifact.folder}: {problem}. Fetch or build the artifact again, or update alknet-firewall.")
