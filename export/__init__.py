"""The offline world: pinned weights and a corpus become an artifact. Never part of the wheel."""
