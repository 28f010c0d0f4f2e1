"""Token ids to hidden states (floor 2).

One session serves all threads of a process. A process that forked away from the one which made the session makes its own at first
use, because the threads of a session do not survive a fork.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alknet_firewall.errors import ShapeError
from alknet_firewall.sessions import DEFAULT_PROVIDER, check_provider, make_session
from alknet_firewall.tensors import FloatArray, IntArray

__all__ = ["DEFAULT_PROVIDER", "Encoder", "Past", "check_provider"]

OUTPUT = "last_hidden_state"
MASK = "attention_mask"
"""Input of traced graphs. Ours need none: padding stands on the right, where a decoder never looks."""


class Before(Protocol):
    """What a sequence continues: keys and values in whatever form."""

    @property
    def n_tokens(self) -> int:
        """How many tokens it stands for."""

    def inputs(self, n_rows: int) -> dict[str, FloatArray]:
        """The graph's past inputs for a batch of `n_rows` rows."""


@dataclass(frozen=True)
class Past:
    """Keys and values of tokens that come before a text, computed once.

    Attributes
    ----------
    keys, values : ndarray of shape (n_layers, n_key_value_heads, n_tokens, head_size), float32
    """

    keys: FloatArray
    values: FloatArray

    def __post_init__(self) -> None:
        if self.keys.ndim != 4 or self.keys.shape != self.values.shape:
            raise ShapeError(f"Past keys {self.keys.shape} and values {self.values.shape} must be two equal arrays of four dimensions.")
        if not (np.isfinite(self.keys).all() and np.isfinite(self.values).all()):
            raise ShapeError("Past keys and values must be finite.")

    @property
    def n_tokens(self) -> int:
        """How many tokens it stands for."""
        return int(self.keys.shape[2])

    def inputs(self, n_rows: int) -> dict[str, FloatArray]:
        """The graph's past inputs for a batch of `n_rows` rows."""
        feeds = {}
        for layer, (key, value) in enumerate(zip(self.keys, self.values, strict=True)):
            feeds[f"past_key_values.{layer}.key"] = np.ascontiguousarray(np.broadcast_to(key, (n_rows, *key.shape)))
            feeds[f"past_key_values.{layer}.value"] = np.ascontiguousarray(np.broadcast_to(value, (n_rows, *value.shape)))
        return feeds


class Encoder:
    """The truncated language model as an ONNX Runtime session."""

    def __init__(self, path: Path, threads: int, provider: str = DEFAULT_PROVIDER, check: Callable[[], None] = lambda: None) -> None:
        """Load the graph.

        Parameters
        ----------
        path : Path
            ``model.onnx``.
        threads : int
            Size of the thread pool, at least 1.
        provider : str
            Execution provider of ONNX Runtime.
        check : callable
            Called each time the graph has been loaded, also in a process that forked away; raises if the file is not the one meant.

        Raises
        ------
        ArtifactNotFoundError
            If there is no such file.
        ArtifactCorruptError
            If ONNX Runtime cannot read the graph.
        InvalidInputError
            If this build of ONNX Runtime has no such provider.
        """
        check_provider(provider)
        self.path, self.threads, self.provider = path, threads, provider
        self._check = check
        self._process = os.getpid()
        self._session = self._load()
        self._takes_mask = any(node.name == MASK for node in self._session.get_inputs())
        _encoders.add(self)

    def hidden_states(self, ids: IntArray, mask: IntArray, past: Past) -> FloatArray:
        """Hidden states of the layer that the graph is cut at.

        Parameters
        ----------
        ids : ndarray of shape (n_windows, n_tokens), int64
            Token ids, padded on the right.
        mask : ndarray of shape (n_windows, n_tokens), int64
            1 for a real token, 0 for padding.
        past : Past
            What comes before every window.

        Returns
        -------
        ndarray of shape (n_windows, n_tokens, hidden_size), float32
            Rows of padding are meaningless.

        Raises
        ------
        ShapeError
            If ids and mask differ in shape, or the past does not fit the graph.
        """
        if ids.ndim != 2 or ids.shape != mask.shape or not ids.size:
            raise ShapeError(f"ids {ids.shape} and mask {mask.shape} must be two equal, non-empty arrays of two dimensions.")
        (states,) = self.run([OUTPUT], ids, mask, past)
        return states

    def past_of(self, ids: IntArray, empty: Past) -> Past:
        """Keys and values of a sequence, to put before others.

        Parameters
        ----------
        ids : ndarray of shape (n_tokens,), int64
            The sequence.
        empty : Past
            A past of no tokens, which gives the number of layers, heads and their size.

        Returns
        -------
        Past
        """
        names = [f"present.{layer}.{part}" for part in ("key", "value") for layer in range(len(empty.keys))]
        states = self.run(names, ids[None], np.ones_like(ids[None]), empty)
        n_layers = len(empty.keys)
        return Past(np.concatenate(states[:n_layers]), np.concatenate(states[n_layers:]))

    def run(self, outputs: list[str], ids: IntArray, mask: IntArray, past: Before) -> list[FloatArray]:
        """Run the graph and return the named outputs."""
        session = self._current_session()
        positions = np.arange(past.n_tokens, past.n_tokens + ids.shape[1], dtype=np.int64)
        feeds: dict[str, Any] = {
            "input_ids": ids,
            "position_ids": np.broadcast_to(positions, ids.shape),
            **past.inputs(len(ids)),
        }
        if self._takes_mask:
            feeds[MASK] = np.concatenate([np.ones((len(ids), past.n_tokens), np.int64), mask], axis=1)
        try:
            return list(session.run(outputs, feeds))
        except Exception as err:  # onnxruntime's own exceptions derive from Exception in a private module
            raise ShapeError(
                f"The graph {self.path} cannot take ids of shape {ids.shape} with {past.n_tokens} past tokens. "
                "The files of the artifact do not fit together: fetch or build it again."
            ) from err

    def metadata(self) -> Mapping[str, str]:
        """The graph's own metadata."""
        return dict(self._current_session().get_modelmeta().custom_metadata_map)

    def _current_session(self) -> Any:
        """The session of this process: after a fork, a new one."""
        if self._process != os.getpid():
            self._renew()
        return self._session

    def _renew(self) -> None:
        """Make a session of this process's own."""
        with _fork_lock:
            if self._process != os.getpid():
                self._session = self._load()
                self._process = os.getpid()

    def _load(self) -> Any:
        """A session of the graph that was meant: what has been loaded is only used if the file still is the one."""
        session = make_session(self.path, self.threads, self.provider)
        self._check()
        return session


_fork_lock = threading.Lock()
_encoders: weakref.WeakSet[Encoder] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """A forked child starts with a free lock, whoever held it in the parent, and never destroys the sessions it inherited.

    Destroying a session joins its threads. They do not exist in the child, which would wait for them without end.
    """
    global _fork_lock  # noqa: PLW0603 - a lock cannot be un-held in a child, only replaced
    _fork_lock = threading.Lock()
    for encoder in list(_encoders):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(encoder._session))  # noqa: SLF001 - a reference that is never given back


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
