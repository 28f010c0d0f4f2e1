"""Sessions of ONNX Runtime (floor 1): the only import of onnxruntime.

Our graphs are written with fused operators (``export/fused.py``), so a session runs them as they are: ONNX Runtime's own optimisers
find nothing and take time at every start. Only on processors whose kernels for 8-bit integers saturate are they needed.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.errors import ArtifactCorruptError, ArtifactNotFoundError, InvalidInputError

DEFAULT_PROVIDER = "CPUExecutionProvider"

_PRODUCT = (
    b'\x08\t:>\n\x18\n\x01a\n\x01b\x12\x01c"\rMatMulInteger\x12\x01gZ\t\n\x01a\x12\x04\n\x02\x08\x02Z\t\n\x01b\x12\x04\n\x02\x08\x03'
    b"b\t\n\x01c\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\x12"
)
"""An ONNX model of one node: ``c``, the product of ``a``, unsigned, and ``b``, signed. ``tests/export`` makes it again."""


def check_provider(provider: str) -> None:
    """Refuse an execution provider that this build of ONNX Runtime lacks; it would only warn and use another.

    Parameters
    ----------
    provider : str
        Such as ``"CPUExecutionProvider"``.

    Raises
    ------
    InvalidInputError
        Naming the providers there are.
    """
    available = _onnxruntime().get_available_providers()
    if provider not in available:
        raise InvalidInputError(f"ONNX Runtime has no execution provider {provider!r} here. Use one of: {', '.join(available)}.")


def make_session(path: Path, threads: int, provider: str = DEFAULT_PROVIDER) -> Any:
    """A session with our policy: explicit threads that rest between runs, no memory kept for past shapes.

    Parameters
    ----------
    path : Path
        An ONNX model.
    threads : int
        Size of the thread pool, at least 1.
    provider : str
        Execution provider of ONNX Runtime.

    Returns
    -------
    InferenceSession

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If ONNX Runtime cannot read the graph.
    """
    onnxruntime = _onnxruntime()
    if not path.is_file():
        raise ArtifactNotFoundError(f"{path} does not exist. Fetch or build the artifact again.")
    options = session_options(threads, exact=integers_are_exact())
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as err:  # onnxruntime's own exceptions derive from Exception in a private module
        raise ArtifactCorruptError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {path}. Fetch or build the artifact again, or update onnxruntime."
        ) from err


@cache
def integers_are_exact() -> bool:
    """Whether this processor multiplies 8-bit integers without saturating.

    x86 without VNNI adds two products in 16 bits, and large ones overflow. It is tried, because no portable call tells.
    """
    session = _onnxruntime().InferenceSession(_PRODUCT, session_options(1, exact=True), providers=[DEFAULT_PROVIDER])
    a, b = np.full((4, 64), 255, np.uint8), np.full((64, 32), 127, np.int8)
    (c,) = session.run(None, {"a": a, "b": b})
    return bool((c == 64 * 255 * 127).all())


def session_options(threads: int, *, exact: bool) -> Any:
    """Options of our sessions.

    Parameters
    ----------
    threads : int
        Size of the thread pool, at least 1.
    exact : bool
        Whether this processor's integer kernels are; see :func:`integers_are_exact`.

    Returns
    -------
    SessionOptions
    """
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting for a thread to wake costs more than many a node of the graph, so threads spin, but only while a run lasts.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if exact else level.ORT_ENABLE_EXTENDED
    # The exact kernel. Recent releases take it where VNNI makes it needless, too, and a scan then takes 1.8 times as long.
    options.add_session_config_entry("session.x64quantprecision", "0" if exact else "1")
    options.enable_mem_pattern = False  # windows vary in length; a pattern per shape only grows
    # Planning which result may overwrite which takes time in the square of the nodes: 0.3 s of a start. The arena reuses as much without.
    options.enable_mem_reuse = False
    options.log_severity_level = 3
    return options


def _onnxruntime() -> Any:
    """The library, its telemetry off unless the user's ``ORT_DISABLE_TELEMETRY`` says otherwise.

    From 1.31 its import starts threads that write usage events to the user's cache and upload them: a scan is no one else's business, and
    a forked child that inherits those threads cannot exit.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
