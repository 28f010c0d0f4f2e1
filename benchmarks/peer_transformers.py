"""The peer of the footprint: a text classifier in transformers and torch, run by the Python of an environment that has them.

python peer_transformers.py make ARTIFACT FOLDER   random weights in the shape of an artifact's encoder, with its tokenizer
python peer_transformers.py scan FOLDER TEXT       load them, judge one text, print the score
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

INTERMEDIATE_SIZE = 1536
"""Width of SmolLM2-135M's feed-forward layers (its config.json); an artifact's config does not repeat it."""


def make(artifact: Path, folder: Path) -> None:
    """Save the classifier in fp32 and the tokenizer, as `save_pretrained` does."""
    from transformers import PreTrainedTokenizerFast

    random_classifier(artifact).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_file=str(artifact / "tokenizer.json")).save_pretrained(folder)


def random_classifier(artifact: Path) -> Any:
    """A Llama classifier of the same layers, widths and vocabulary as an artifact's encoder, in fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    shape = json.loads((artifact / "config.json").read_text(encoding="utf-8"))["encoder"]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape["vocabulary_size"],
        hidden_size=shape["hidden_size"],
        intermediate_size=INTERMEDIATE_SIZE,
        num_hidden_layers=shape["layer"],
        num_attention_heads=shape["hidden_size"] // shape["head_size"],
        num_key_value_heads=shape["key_value_heads"],
        num_labels=2,
        pad_token_id=0,
    )
    return LlamaForSequenceClassification(config)


def scan(folder: Path, text: str) -> None:
    """Print the score of a text as one line of JSON."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        probabilities = model(**inputs).logits.softmax(-1)
    print(json.dumps({"score": float(probabilities[0, 1]), "tokens": inputs["input_ids"].shape[1]}), flush=True)


if __name__ == "__main__":
    command, folder, argument = sys.argv[1:]
    if command == "make":
        make(Path(folder), Path(argument))
    else:
        scan(Path(folder), argument)
