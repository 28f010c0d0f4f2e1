"""A gate on speed: the graph beside a fixed product of integers, measured in the same moments. It fails at half as much time again."""

import time

import numpy as np
import pytest

from alknet_firewall import sessions

ROUNDS = 30
TOKENS = 128
LIMIT = 99.0
"""Most that the graph may take, in products of (128, 576) by (576, 1536); docs/performance.md has what it takes."""


def seconds(task):
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


@pytest.mark.skipif(not sessions.integers_are_exact(), reason="the limit was measured with the kernels of VNNI")
def test_the_graph_takes_no_longer_than_so_many_integer_products(embedded):
    random = np.random.default_rng(0)
    options = sessions.session_options(embedded.threads, exact=True)
    product = sessions._onnxruntime().InferenceSession(sessions._PRODUCT, options, providers=[sessions.DEFAULT_PROVIDER])
    factors = {"a": random.integers(0, 256, (TOKENS, 576)).astype(np.uint8), "b": random.integers(-127, 128, (576, 1536)).astype(np.int8)}
    ids = random.integers(100, 40_000, (1, TOKENS))
    reader = embedded.reader
    yardstick, own = [], []
    for _ in range(ROUNDS):
        yardstick.append(seconds(lambda: product.run(None, factors)))
        own.append(seconds(lambda: reader.encoder.hidden_states(ids, np.ones_like(ids), reader.pasts["content"])))
    ratio = min(own) / min(yardstick)  # the least of many is what the machine can do; what disturbs it only adds
    assert ratio < LIMIT, f"The graph takes {ratio:.1f} integer products."
