"""The firewall as a scikit-learn classifier (floor 3). This module imports scikit-learn, so it is itself imported only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from alknet_firewall.adapt import change_by, changed, choose_penalty, folds, read_bags
from alknet_firewall.detector import Detector
from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError, ShapeError
from alknet_firewall.estimating import AUTO, check_labels, check_penalty, check_texts, check_weights
from alknet_firewall.firewall import Firewall
from alknet_firewall.kept import Kept, read_kept, write_kept
from alknet_firewall.labelled import LabelledText
from alknet_firewall.offset import Bags
from alknet_firewall.text import check_origin, check_threshold
from alknet_firewall.verdict import Origin, Verdict


class FirewallClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Texts in, classes out: the shipped head, adapted in memory to the texts it is fitted on.

    Works in ``Pipeline``, ``GridSearchCV`` and ``cross_val_score``, and can be cloned and pickled, or kept without pickle (:meth:`save`).
    `X` is a list, array or series of str wherever it occurs.

    Parameters
    ----------
    artifact : str or Path, optional
        None for the embedded artifact, a folder, the name of an installed artifact, or a Hub id ``org/name@revision``.
    origin : {"prompt", "content"}
        What all texts are read as: what a user typed, or what was retrieved.
    penalty : float, "auto" or None
        How strongly the change of the head is held back; above 0. "auto" chooses it by cross-validation over the texts,
        no change included, and needs a few of each class. None keeps the shipped head, whatever the texts are.
    threshold : float, optional
        In [0, 1]; by default the artifact's own for the origin.
    threads : int, optional
        See :func:`alknet_firewall.threads.resolve_threads`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels that occurred, in order.
    attack_ : object
        Which of them is an attack: "attack", or the greater of two numbers.
    penalty_ : float or None
        What was used; None is no change.
    detector_ : Detector
        The adapted head.
    origin_ : {"prompt", "content"}
        What it is the head of; texts are read as this until it is fitted again.
    artifact_ : str
        Id of the artifact that was adapted.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(FirewallClassifier(), texts, labels, scoring="roc_auc")  # doctest: +SKIP
    """

    def __init__(
        self,
        artifact: str | Path | None = None,
        origin: Origin = "prompt",
        penalty: float | str | None = AUTO,
        threshold: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.artifact = artifact
        self.origin = origin
        self.penalty = penalty
        self.threshold = threshold
        self.threads = threads

    def fit(self, X: Iterable[str], y: Sequence[Any], sample_weight: Sequence[float] | None = None) -> FirewallClassifier:  # noqa: N803
        """Adapt the head.

        Parameters
        ----------
        X : iterable of str
        y : sequence of shape (n_texts,)
            0 and 1, False and True, "benign" and "attack", or two other whole numbers of which the greater is the attack.
        sample_weight : sequence of float of shape (n_texts,), optional
            How much each text counts; not negative, and not 0 for all of a class.

        Returns
        -------
        FirewallClassifier
            Itself.

        Raises
        ------
        InvalidInputError
            If a text, the labels, the weights or a parameter cannot be used. What was fitted before stays as it was.
        """
        if y is None:
            raise InvalidInputError("FirewallClassifier requires y to be passed, but the target y is None.")
        check_classification_targets(y)
        classes, attack, labels = check_labels(y)
        texts = check_texts(X)
        if len(texts) != len(labels):
            raise InvalidInputError(f"There are {len(texts)} texts but {len(labels)} labels. Give one label for each text.")
        weights = check_weights(sample_weight, labels)
        origin, penalty = check_origin(self.origin), check_penalty(self.penalty)
        if self.threshold is not None:
            check_threshold(self.threshold)
        firewall = self._load()
        detector, used = firewall.detectors[origin], None
        if penalty is not None:
            rows = [LabelledText(text, int(label), origin, "") for text, label in zip(texts, labels, strict=True)]
            read = read_bags(firewall, rows)
            bags = Bags(read.projected, read.logits, read.texts, read.labels, weights)
            used = _chosen(bags, rows) if penalty == AUTO else float(penalty)
            detector = changed(detector, change_by(bags, used))
        self.penalty_, self.detector_, self.origin_ = used, detector, origin
        self.classes_, self.attack_, self.artifact_ = classes, attack, firewall.artifact.id
        return self

    def predict(self, X: Iterable[str]) -> npt.NDArray[Any]:  # noqa: N803
        """Class of each text: the attack where the score is at or above the threshold.

        Parameters
        ----------
        X : iterable of str

        Returns
        -------
        ndarray of shape (n_texts,)
            Of :attr:`classes_`.
        """
        scores = self._scores(X)
        return np.asarray(self.classes_[np.where(scores >= self._limit(), self._column(), 1 - self._column())])

    def predict_proba(self, X: Iterable[str]) -> npt.NDArray[np.float64]:  # noqa: N803
        """Probability of each class, were both as common. :meth:`predict` compares scores with the threshold, not this with 0.5.

        Parameters
        ----------
        X : iterable of str

        Returns
        -------
        ndarray of shape (n_texts, 2), float64
            In [0, 1], one column for each of :attr:`classes_`; rows sum to 1.
        """
        attack = np.array([verdict.probability for verdict in self._verdicts(X)], np.float64)
        columns = [1.0 - attack, attack] if self._column() == 1 else [attack, 1.0 - attack]
        return np.stack(columns, axis=1)

    def decision_function(self, X: Iterable[str]) -> npt.NDArray[np.float64]:  # noqa: N803
        """Score less threshold; negated when ``classes_[1]`` is not the attack, for scikit-learn expects that class above 0.

        Parameters
        ----------
        X : iterable of str

        Returns
        -------
        ndarray of shape (n_texts,), float64
        """
        distance = self._scores(X) - self._limit()
        return np.asarray(distance if self._column() == 1 else -distance, np.float64)

    def save(self, path: str | Path) -> None:
        """Keep what was fitted, without pickle: a safetensors file of a few kilobytes, for all else is the artifact's.

        Parameters
        ----------
        path : str or Path
            File to write; one that is there is replaced.

        Raises
        ------
        NotFittedError
            If nothing was fitted.
        InvalidInputError
            If it cannot be written.
        """
        check_is_fitted(self)
        artifact = None if self.artifact is None else str(self.artifact)
        threshold = None if self.threshold is None else float(self.threshold)
        parameters = {"artifact": artifact, "origin": self.origin, "penalty": check_penalty(self.penalty), "threshold": threshold}
        head = self.detector_
        write_kept(Path(path), Kept(self.artifact_, self.origin_, self.penalty_, self.classes_, head.weights, head.bias, parameters))

    @classmethod
    def load(cls, path: str | Path, artifact: str | Path | None = None, threads: int | None = None) -> FirewallClassifier:
        """The classifier that :meth:`save` kept, ready to judge.

        Parameters
        ----------
        path : str or Path
        artifact : str or Path, optional
            Where the artifact that it adapts is found now; by default where it was then.
        threads : int, optional
            Not kept: a matter of the machine.

        Returns
        -------
        FirewallClassifier

        Raises
        ------
        ArtifactError
            If there is no such file, it is something else, or there is no such artifact.
        InvalidInputError
            If it was fitted on another artifact.
        """
        kept = read_kept(Path(path))
        classifier = cls(**{**kept.parameters, **({} if artifact is None else {"artifact": artifact})}, threads=threads)
        classifier.classes_, classifier.attack_, _ = check_labels(kept.classes)
        classifier.penalty_, classifier.origin_, classifier.artifact_ = kept.penalty, kept.origin, kept.fitted_on
        shipped = classifier._checked().detectors[kept.origin]
        try:
            classifier.detector_ = replace(shipped, weights=kept.weights, bias=kept.bias)
        except ShapeError as err:
            raise ArtifactCorruptError(f"{path}: {err} Save the classifier again.") from err
        return classifier

    def __sklearn_tags__(self) -> Any:
        """Texts in one dimension, two classes (scikit-learn 1.6 and later)."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_class = False
        return tags

    def _more_tags(self) -> dict[str, Any]:
        """The same for earlier versions."""
        return {"X_types": ["string"], "binary_only": True}

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_firewall", None)  # a session cannot be pickled; it is loaded again by the artifact's name
        return state

    def _load(self) -> Firewall:
        """The artifact, loaded once; other parameters load it anew."""
        asked = (self.artifact, self.threads)
        kept: tuple[Any, Firewall] | None = getattr(self, "_firewall", None)
        if kept is None or kept[0] != asked:
            kept = self._firewall = asked, Firewall.from_pretrained(self.artifact, threads=self.threads)
        return kept[1]

    def _checked(self) -> Firewall:
        """The artifact, if it is the one that was fitted on."""
        firewall = self._load()
        if firewall.artifact.id != self.artifact_:
            raise InvalidInputError(
                f"This classifier was fitted on {self.artifact_}, but {self.artifact or 'the embedded artifact'} is now "
                f"{firewall.artifact.id}. Fit it again, or give it the artifact it was fitted on."
            )
        return firewall

    def _adapted(self) -> Firewall:
        """The firewall with the adapted head."""
        check_is_fitted(self)
        firewall = copy(self._checked())
        detector: Detector = self.detector_
        firewall.detectors = {**firewall.detectors, self.origin_: detector}
        return firewall

    def _scores(self, X: Iterable[str]) -> npt.NDArray[np.float64]:  # noqa: N803
        """Score of each text, higher = more suspicious."""
        return np.array([verdict.score for verdict in self._verdicts(X)], np.float64)

    def _verdicts(self, X: Iterable[str]) -> list[Verdict]:  # noqa: N803
        """Judgement of each text by the adapted head; nothing looks at its threshold."""
        check_is_fitted(self)
        return self._adapted().scan_batch(check_texts(X), self.origin_, threshold=1.0)

    def _limit(self) -> float:
        """What scores are compared with."""
        return self._load().threshold(self.origin_) if self.threshold is None else check_threshold(self.threshold)

    def _column(self) -> int:
        """Which of the classes is the attack."""
        return int(np.flatnonzero(self.classes_ == self.attack_)[0])


def _chosen(bags: Bags, rows: list[LabelledText]) -> float | None:
    """The penalty that cross-validation chooses; None when no change pays, or there are too few texts to tell."""
    fold, _ = folds(rows)
    used = bags.weights > 0
    counts = [len(set(fold[(bags.labels == label) & used].tolist())) for label in (0, 1)]
    if min(counts) < 2:
        raise InvalidInputError(
            "There are too few texts to choose the penalty: each class must occur in several different ones. Give more texts, or a penalty."
        )
    return choose_penalty(bags, fold)
