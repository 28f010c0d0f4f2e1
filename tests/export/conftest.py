"""What the export's tests share: the weights folder that `make weights` fills."""

from pathlib import Path

import pytest

WEIGHTS = Path(__file__).parents[2] / "build" / "weights"


@pytest.fixture(scope="session")
def weights():
    """The pinned weights; `make test-export` makes them first."""
    if not (WEIGHTS / "weights.json").is_file():
        pytest.fail(f"{WEIGHTS} is missing. Run 'make weights' first, or 'make test', which does.")
    return WEIGHTS
