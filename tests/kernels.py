"""Whether scores can be held to a processor's exact integers."""

from importlib.metadata import version

from alknet_firewall import sessions

EXACT_SINCE = (1, 30)
"""First release of ONNX Runtime that takes the exact kernel for our operator when it is asked to (docs/adr/003)."""


def integers_saturate():
    """Whether integers saturate here in spite of the session's settings: x86 without VNNI, and a release before :data:`EXACT_SINCE`."""
    release = tuple(int(number) for number in version("onnxruntime").split(".")[:2])
    return release < EXACT_SINCE and not sessions.integers_are_exact()
