"""The scan, from text to verdict (floor 3): wiring, no maths."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from alknet_firewall.arriving import Arriving
from alknet_firewall.artifact import DETECTOR_FILE, TOKENIZER_FILE, Artifact
from alknet_firewall.context import Context, Contexts
from alknet_firewall.detector import Detector
from alknet_firewall.encoder import DEFAULT_PROVIDER
from alknet_firewall.errors import ArtifactCorruptError
from alknet_firewall.hub import open_artifact
from alknet_firewall.judging import Judge, judge_texts, threshold_for
from alknet_firewall.reader import BATCH_SIZE, Reader
from alknet_firewall.tensors import load_tensors
from alknet_firewall.text import check_origin, check_origins, check_texts
from alknet_firewall.threads import resolve_threads
from alknet_firewall.thresholds import load_thresholds
from alknet_firewall.verdict import ORIGINS, Origin, Verdict

BATCH_TOLERANCE = 1e-2
"""Most that a score may differ between batches, orders and paddings. Sums in another order round differently in the
last bit, and now and then that moves an activation to the next of its 255 levels; the scales themselves never depend
on the batch. Measured on 1,246 short texts: 99 % within 3e-7, the largest 0.003, in texts of one or two tokens."""


class Firewall(Arriving):
    """Judges texts. Load it once and share it: scanning is safe from many threads and after a fork."""

    def __init__(
        self, artifact: Artifact, *, threads: int | None = None, provider: str = DEFAULT_PROVIDER, thresholds: str | Path | None = None
    ) -> None:
        """Wire the parts of a verified artifact.

        Parameters
        ----------
        artifact : Artifact
            From :func:`alknet_firewall.artifact.load_artifact`.
        threads : int, optional
            See :func:`alknet_firewall.threads.resolve_threads`.
        provider : str
            Execution provider of ONNX Runtime.
        thresholds : str or Path, optional
            See :meth:`from_pretrained`.

        Raises
        ------
        ArtifactCorruptError
            If the files do not fit together, or are no longer those that were verified.
        InvalidInputError
            If the threads, the provider or the thresholds cannot be used.
        """
        self.artifact = artifact
        self.thresholds = {} if thresholds is None else load_thresholds(thresholds, artifact.id)
        self.threads = resolve_threads(threads)
        tensors = load_tensors(artifact.path(DETECTOR_FILE))
        where = str(artifact.path(DETECTOR_FILE))
        self.detectors = {origin: Detector.from_tensors(tensors, origin, where) for origin in ORIGINS}
        self.reader = Reader(artifact, tensors, self.threads, provider)
        artifact.check_unchanged(DETECTOR_FILE, TOKENIZER_FILE)  # the reader looks after the graph
        self._contexts = Contexts(self.reader)
        n_features = self.detectors[ORIGINS[0]].n_features
        if n_features != self.reader.n_features:
            raise ArtifactCorruptError(
                f"{where}: the head takes {n_features} features, the pooling gives {self.reader.n_features}. "
                "Fetch or build the artifact again."
            )

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path | None = None,
        *,
        revision: str | None = None,
        sha256: str | None = None,
        offline: bool = False,
        threads: int | None = None,
        provider: str = DEFAULT_PROVIDER,
        thresholds: str | Path | None = None,
    ) -> Firewall:
        """Load an artifact: the embedded one, a folder, an installed one, or one from the Hub.

        Every file is verified before a session is made, and no variable of the environment changes which artifact this is.

        Parameters
        ----------
        source : str or Path, optional
            None for the embedded artifact, a folder, the name of an installed artifact, or a Hub id ``org/name`` or
            ``org/name@revision``.
        revision : str, optional
            Commit, tag or branch; a Hub id needs one. Verdicts report the commit.
        sha256 : str, optional
            Hash that the artifact's ``manifest.json`` must have, as 64 hex digits.
        offline : bool
            Use the Hub's cache only.
        threads : int, optional
            Threads of the session: this, then ``ALKNET_FIREWALL_THREADS``, then the cores that affinity and cgroup quota give.
        provider : str
            Execution provider of ONNX Runtime.
        thresholds : str or Path, optional
            File that ``alknet-firewall calibrate`` wrote for this artifact: its thresholds are the default for the origins it has.

        Returns
        -------
        Firewall

        Raises
        ------
        ArtifactError
            If the artifact cannot be found, fetched or trusted.
        InvalidInputError
            If an option cannot be used.

        Examples
        --------
        >>> firewall = Firewall.from_pretrained()
        >>> firewall.scan("What is the capital of France?").flagged
        False
        """
        artifact = open_artifact(source, revision, sha256=sha256, offline=offline)
        return cls(artifact, threads=threads, provider=provider, thresholds=thresholds)

    def threshold(self, origin: Origin, fpr: float | None = None) -> float:
        """Threshold that scores of an origin are compared with.

        Parameters
        ----------
        origin : {"prompt", "content"}
        fpr : float, optional
            False-positive rate of the artifact's operating point; by default the user's threshold where one was given, else the
            artifact's own choice.

        Returns
        -------
        float

        Raises
        ------
        InvalidInputError
            If the artifact has no such operating point; the message lists those it has.
        """
        return threshold_for(self.artifact.config, self.thresholds, check_origin(origin), fpr=fpr)

    def context(self, text: str) -> Context:
        """Read a trusted text, such as a system prompt or a user's request, once for all scans that are given it.

        Parameters
        ----------
        text : str
            At most :data:`alknet_firewall.context.MOST_TOKENS` tokens.

        Returns
        -------
        Context

        Raises
        ------
        InvalidInputError
            If the text cannot be used.
        """
        return Context(text, self.reader)

    def scan(
        self,
        text: str,
        origin: Origin = "prompt",
        *,
        threshold: float | None = None,
        fpr: float | None = None,
        with_views: bool = True,
        context: Context | str | None = None,
    ) -> Verdict:
        """Judge one text of any length.

        Parameters
        ----------
        text : str
            Not empty; without NUL or lone surrogates; at most :data:`alknet_firewall.text.MAX_CHARACTERS` characters.
        origin : {"prompt", "content"}
            What a user typed, or what the application retrieved: a document, page, e-mail, tool result.
        threshold : float, optional
            In [0, 1]; instead of an operating point.
        fpr : float, optional
            Operating point of the artifact to use; see :meth:`threshold`.
        with_views : bool
            Read the text also as an attacker may have hidden it (:mod:`alknet_firewall.views`). The thresholds are set with views.
        context : Context or str, optional
            A trusted text that the model reads before this one; it is not judged. From :meth:`context`, or a str, the last few of which are
            remembered. The thresholds were set without one, so set your own on texts in their contexts.

        Returns
        -------
        Verdict

        Raises
        ------
        InvalidInputError
            If the text or an option cannot be used. It is never a verdict.
        """
        return self.scan_batch([text], [origin], threshold=threshold, fpr=fpr, with_views=with_views, context=context)[0]

    def scan_batch(
        self,
        texts: Iterable[str],
        origin: Origin | Sequence[Origin] = "prompt",
        *,
        threshold: float | None = None,
        fpr: float | None = None,
        batch_size: int = BATCH_SIZE,
        with_views: bool = True,
        context: Context | str | None = None,
        stop: threading.Event | None = None,
    ) -> list[Verdict]:
        """Judge many texts.

        Parameters
        ----------
        texts : iterable of str
        origin : {"prompt", "content"} or sequence of them
            One for all, or one a text.
        threshold, fpr, with_views, context
            As for :meth:`scan`.
        batch_size : int
            Most windows that go through the graph together, at least 1.
        stop : threading.Event, optional
            Once another thread sets it, nothing more is read or computed and the call ends with a CancelledError.

        Returns
        -------
        list of Verdict
            In the order of the texts. Neither the batch, the order nor padding changes a score, up to float rounding
            (:data:`BATCH_TOLERANCE`).

        Raises
        ------
        InvalidInputError
            If a text or an option cannot be used; the message names the text's position.
        """
        texts = check_texts(texts)
        judges = [self._judge(o, threshold, fpr) for o in check_origins(origin, len(texts))]
        pasts = self._contexts.pasts(context, (judge.origin for judge in judges))
        return judge_texts(texts, judges, self.reader, self.detectors, stop, batch_size=batch_size, with_views=with_views, pasts=pasts)

    def _judge(self, origin: Origin, threshold: float | None, fpr: float | None) -> Judge:
        """What texts of an origin are held against."""
        limit = threshold_for(self.artifact.config, self.thresholds, origin, threshold, fpr)
        return Judge(origin, limit, self.artifact.config.calibration[origin], self.artifact.id, self.artifact.source.revision)
