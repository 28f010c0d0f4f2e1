"""One contender of an interleaved comparison, in a process of its own. Started by the benchmarks, not by hand.

worker.py scan|graph ARTIFACT|-      ours: text to verdict, or the graph alone
worker.py onnx FILE                  a graph of a peer, or of nothing but integer products
worker.py torch fp32|bf16 ARTIFACT   transformers on torch, in our encoder's shape

Each line of stdin is an order such as {"tokens": 128, "batch": 1}; each answer is the median time of a few runs after an uncounted one.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = 3

Task = Callable[[], Any]


def main() -> None:
    """Load, say what was loaded, obey."""
    kind, *arguments = sys.argv[1:]
    threads = int(os.environ["ALKNET_FIREWALL_THREADS"])
    makers: dict[str, Callable[..., tuple[Callable[[int, int], Task], dict[str, str]]]] = {
        "scan": ours_scan,
        "graph": ours_graph,
        "onnx": peer_onnx,
        "torch": peer_torch,
    }
    task, versions = makers[kind](threads, *arguments)
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps({"seconds": seconds(task(order["tokens"], order.get("batch", 1)))}), flush=True)


def seconds(task: Task) -> float:
    """Median of a few runs."""
    task()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        task()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def ours_scan(threads: int, artifact: str) -> tuple[Callable[[int, int], Task], dict[str, str]]:
    """Whole texts to verdicts."""
    from alknet_firewall import Firewall

    firewall = Firewall.from_pretrained(None if artifact == "-" else artifact, threads=threads)

    def task(tokens: int, batch: int) -> Task:
        texts = [text_of(firewall, tokens, number) for number in range(batch)]
        return lambda: firewall.scan_batch(texts, "content")

    return task, {"artifact": firewall.artifact.id}


def ours_graph(threads: int, artifact: str) -> tuple[Callable[[int, int], Task], dict[str, str]]:
    """Token ids to hidden states, the prefix before them."""
    import numpy as np

    from alknet_firewall import Firewall

    firewall = Firewall.from_pretrained(None if artifact == "-" else artifact, threads=threads)

    def task(tokens: int, batch: int) -> Task:
        ids = np.random.default_rng(0).integers(100, 40_000, (batch, tokens))
        return lambda: firewall.reader.encoder.hidden_states(ids, np.ones_like(ids), firewall.reader.pasts["content"])

    return task, {"artifact": firewall.artifact.id}


def peer_onnx(threads: int, path: str) -> tuple[Callable[[int, int], Task], dict[str, str]]:
    """A graph in ONNX Runtime with its defaults, but for the number of threads."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {node.name: node.shape for node in session.get_inputs()}

    def task(tokens: int, batch: int) -> Task:
        random = np.random.default_rng(0)
        if "input_ids" in inputs:
            ids = random.integers(100, 40_000, (batch, tokens))
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        else:
            feeds = {name: random.integers(0, 256, (tokens * batch, shape[1])).astype(np.uint8) for name, shape in inputs.items()}
        return lambda: session.run(None, feeds)

    return task, {"onnxruntime": onnxruntime.__version__}


def peer_torch(threads: int, precision: str, artifact: str) -> tuple[Callable[[int, int], Task], dict[str, str]]:
    """A classifier of our encoder's shape in transformers."""
    import torch
    import transformers

    sys.path[:0] = [str(ROOT)]
    from benchmarks.peer_transformers import random_classifier

    torch.set_num_threads(threads)
    model = random_classifier(Path(artifact)).to(torch.bfloat16 if precision == "bf16" else torch.float32).eval()

    def task(tokens: int, batch: int) -> Task:
        ids = torch.randint(100, 40_000, (batch, tokens), generator=torch.Generator().manual_seed(0))

        def run() -> Any:
            with torch.inference_mode():
                return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits

        return run

    return task, {"torch": torch.__version__, "transformers": transformers.__version__}


def text_of(firewall: Any, tokens: int, number: int) -> str:
    """Prose of exactly so many tokens, another for another number."""
    prose = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "adr").glob("*.md")))
    prose *= 1 + 8 * (tokens + 97 * number) // len(prose)
    encoded = firewall.reader.tokenizer.encode(prose)
    start = int(encoded.offsets[97 * number, 0])
    for extra in range(20):  # a cut can change the last tokens
        text = prose[start : int(encoded.offsets[97 * number + tokens - 1 + extra, 1])]
        if len(firewall.reader.tokenizer.encode(text).ids) == tokens:
            return text
    raise RuntimeError(f"No text of exactly {tokens} tokens was found.")


if __name__ == "__main__":
    main()
