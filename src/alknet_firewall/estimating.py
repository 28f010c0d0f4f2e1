"""What scikit-learn hands over, checked (floor 2): texts, labels, weights and parameters of the classifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.text import UNORDERED, check_text

AUTO = "auto"
"""Let cross-validation choose the penalty."""

ATTACK, BENIGN = "attack", "benign"


def check_texts(X: Iterable[str]) -> list[str]:  # noqa: N803
    """The texts as a list of str."""
    if isinstance(X, (str, bytes, *UNORDERED)) or not isinstance(X, Iterable):
        raise InvalidInputError(f"X must be several texts, for example a list of str, not {type(X).__name__}.")
    if getattr(X, "ndim", 1) != 1:
        raise InvalidInputError("X must be texts in one dimension. Choose one column, or reshape it.")
    texts = [str(text) if isinstance(text, np.str_) else text for text in X]
    if not texts:
        raise InvalidInputError("X has 0 samples (texts), but at least 1 is needed.")
    for index, text in enumerate(texts):
        try:
            check_text(text)
        except InvalidInputError as err:
            raise InvalidInputError(f"Text {index} of {len(texts)}: {err}") from None
    return texts


def check_labels(y: Sequence[Any] | npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Any, npt.NDArray[np.int64]]:
    """Both classes, which of them is the attack, and labels 0 and 1."""
    values = np.asarray(y)
    if values.ndim != 1:
        raise InvalidInputError(f"y should be a 1d array, one label for each text; its shape is {values.shape}.")
    classes = np.unique(values)
    if len(classes) > 2:
        raise InvalidInputError(f"Only binary classification is supported: attacks and harmless texts. y has {len(classes)} classes.")
    if len(classes) < 2:
        raise InvalidInputError(f"Fitting needs texts of two classes, attacks and harmless ones. y has {len(classes)} class.")
    numbers = values.dtype.kind in "biuf"
    if not numbers and set(classes.tolist()) != {ATTACK, BENIGN}:
        raise InvalidInputError(f"Labels that are not numbers must be {ATTACK!r} and {BENIGN!r}: nothing else says which is which.")
    attack = classes[1] if numbers else ATTACK
    return classes, attack, (values == attack).astype(np.int64)


def check_weights(weights: Sequence[float] | None, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A weight for each text."""
    values = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if values.shape != labels.shape or not (np.isfinite(values) & (values >= 0.0)).all():
        raise InvalidInputError(f"sample_weight must be {len(labels)} numbers that are finite and not negative.")
    if not all(values[labels == label].sum() > 0.0 for label in (0, 1)):
        raise InvalidInputError("sample_weight must not be zero for all texts of a class: less than two classes are left with any weight.")
    return values


def check_penalty(penalty: object) -> float | str | None:
    """The penalty when it is one."""
    if penalty is None or (isinstance(penalty, str) and penalty == AUTO):
        return penalty
    if isinstance(penalty, bool) or not isinstance(penalty, (int, float, np.floating, np.integer)) or not 0.0 < float(penalty) < np.inf:
        raise InvalidInputError("The penalty must be a number above 0, 'auto', or None to keep the shipped head.")
    return float(penalty)
