"""What gives the class away without understanding: probes that see only length, only marks, or only a bag of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.corpus.row import Row
from export.corpus.words import MARKS, SHAPES, surface, words

FOLDS = 4
MIN_ROWS = 5
"""Words in fewer rows are not looked at."""

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]
Probe = Callable[[Sequence[Row], Sequence[Row]], Scores]
"""Fitted on the first rows, it scores the second."""


@dataclass(frozen=True)
class Told:
    """How well a probe told attacks from harmless rows that it was not fitted on.

    Attributes
    ----------
    auc : float
        ROC AUC; where there are folds, their mean.
    twins : float
        Share of pairs in which the attack scored above its twin, a tie counting half; NaN without pairs.
    """

    auc: float
    twins: float


@dataclass(frozen=True)
class Word:
    """A word, its weight in the bag of words, and per cent of the benign and the attack rows that hold it."""

    text: str
    weight: float
    share: tuple[float, float]


def length_only(_: Sequence[Row], rows: Sequence[Row]) -> Scores:
    """The length in characters; nothing is fitted."""
    return np.array([len(row.text) for row in rows], dtype=np.float64)


def marks_only(fitted: Sequence[Row], rows: Sequence[Row]) -> Scores:
    """Boosted trees on length, shape and punctuation: trees, since a class may well be of middling length."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=0)
    model.fit([surface(row.text) for row in fitted], _labels(fitted))
    return np.asarray(model.predict_proba([surface(row.text) for row in rows])[:, 1])


def words_only(fitted: Sequence[Row], rows: Sequence[Row]) -> Scores:
    """Logistic regression on the words that occur."""
    vectorizer, model = _bag(fitted)
    return np.asarray(model.decision_function(vectorizer.transform([row.text for row in rows])))


PROBES: dict[str, Probe] = {"length": length_only, "marks": marks_only, "words": words_only}
"""Every probe by name, from the blindest."""


def told(probe: Probe, fitted: Sequence[Row], rows: Sequence[Row]) -> Told:
    """How well the probe, fitted on some rows, tells others apart.

    Parameters
    ----------
    probe : callable
    fitted, rows : sequence of Row
        Both with attacks and harmless rows.

    Returns
    -------
    Told
    """
    from sklearn.metrics import roc_auc_score

    scores = probe(fitted, rows)
    return Told(float(roc_auc_score(_labels(rows), scores)), _twins(rows, scores))


def told_by_group(probe: Probe, rows: Sequence[Row], groups: Sequence[str], seed: int) -> Told:
    """How well the probe tells rows of groups apart that it was not fitted on: the mean over folds that keep groups whole.

    Parameters
    ----------
    probe : callable
    rows : sequence of Row
    groups : sequence of str
        One for each row.
    seed : int

    Returns
    -------
    Told
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(rows, _labels(rows), groups)
    results = [told(probe, [rows[i] for i in fit], [rows[i] for i in left]) for fit, left in folds]
    return Told(float(np.mean([r.auc for r in results])), float(np.mean([r.twins for r in results])))


def families(rows: Sequence[Row]) -> list[str]:
    """The group of each row when families are left out; a harmless twin goes with its attack's family."""
    attacks = {row.pair: row.family for row in rows if row.label and row.pair is not None}
    return [attacks.get(row.pair, row.family) if row.pair is not None else row.family for row in rows]


def told_by_language(fitted: Sequence[Row], rows: Sequence[Row]) -> dict[str, Told]:
    """How well one bag of words tells the rows of each language apart; languages without both labels are left out."""
    from sklearn.metrics import roc_auc_score

    scores, labels = words_only(fitted, rows), _labels(rows)
    result = {}
    for language in sorted({row.language for row in rows}):
        chosen = [i for i, row in enumerate(rows) if row.language == language]
        if len(set(labels[chosen].tolist())) == 2:
            result[language] = Told(float(roc_auc_score(labels[chosen], scores[chosen])), _twins([rows[i] for i in chosen], scores[chosen]))
    return result


def top_words(rows: Sequence[Row], n: int) -> tuple[list[Word], list[Word]]:
    """The words of most weight for harmless rows, and for attacks.

    Parameters
    ----------
    rows : sequence of Row
    n : int
        How many of each.

    Returns
    -------
    benign : list of Word
    attack : list of Word
    """
    vectorizer, model = _bag(rows)
    labels, matrix = _labels(rows), vectorizer.transform([row.text for row in rows])
    shares = [100 * np.asarray(matrix[labels == label].mean(axis=0)).ravel() for label in (0, 1)]
    names, weights = vectorizer.get_feature_names_out(), model.coef_[0]
    order = np.argsort(weights, kind="stable")
    word = [Word(str(names[i]), float(weights[i]), (float(shares[0][i]), float(shares[1][i]))) for i in (*order[:n], *order[::-1][:n])]
    return word[:n], word[n:]


def top_marks(rows: Sequence[Row], n: int) -> list[tuple[str, float]]:
    """The marks and shapes that alone tell most, each with the ROC AUC of having much of it (below one half: it is harmless)."""
    from sklearn.metrics import roc_auc_score

    table, labels = np.array([surface(row.text) for row in rows]), _labels(rows)
    aucs = [(name, float(roc_auc_score(labels, table[:, i]))) for i, name in enumerate((*SHAPES, *MARKS))]
    return sorted(aucs, key=lambda pair: -abs(pair[1] - 0.5))[:n]


def _bag(rows: Sequence[Row]) -> tuple[Any, Any]:
    """A vectorizer of the words that occur, and a model fitted on it."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = CountVectorizer(analyzer=partial(words), binary=True, min_df=MIN_ROWS)
    matrix = vectorizer.fit_transform([row.text for row in rows])
    # C=0.1 keeps weights of rare words small, so that what is listed matters to many rows.
    return vectorizer, LogisticRegression(C=0.1, solver="liblinear", random_state=0).fit(matrix, _labels(rows))


def _labels(rows: Sequence[Row]) -> Labels:
    return np.array([row.label for row in rows], dtype=np.int64)


def _twins(rows: Sequence[Row], scores: Scores) -> float:
    """Share of pairs in which the attack scored above its twin."""
    of_pair: dict[tuple[int, int], float] = {(row.pair, row.label): s for row, s in zip(rows, scores, strict=True) if row.pair is not None}
    gaps = [np.sign(s - of_pair[pair, 0]) for (pair, label), s in of_pair.items() if label and (pair, 0) in of_pair]
    return float(np.mean(gaps) / 2 + 0.5) if gaps else float("nan")
