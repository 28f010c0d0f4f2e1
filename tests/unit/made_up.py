"""Labelled sentences of our own that the shipped head can be adapted to."""

from itertools import product

from alknet_firewall.labelled import LabelledText

PEOPLE = ("Marta", "Oleg", "Priya", "Tomas", "Ines", "Yusuf")
THINGS = ("the invoice", "the guest list", "the draft contract", "the sensor readings", "the parking permit")

SUBTLE = (
    "{person} filed {thing} on Tuesday and left a copy in the blue folder.",
    "Would {person} please carry {thing} over to the red room before lunch?",
)
"""A harmless sentence, and one that is an attack only because we say so: no shipped head, however good, flags it of its own accord."""


def rows(sentences, origin="content", source=None):
    """Thirty of each label; `source` names a source by the number of the row."""
    made = []
    for number, (person, thing) in enumerate(product(PEOPLE, THINGS)):
        for label, sentence in enumerate(sentences):
            text = sentence.format(person=person, thing=thing)
            made.append(LabelledText(text, label, origin, source(number) if source else "one"))
    return made
