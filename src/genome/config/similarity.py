"""How an ensemble compares answers that can be worded in several ways: texts, translations, programs."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from genome.validation.section import Count, Section, Text, by_value


class Chrf(Section):
    """chrF: character n-grams, without a model."""

    metric: Literal["chrf"] = Field("chrf", description="Character n-grams; needs no model.")


class BertScore(Section):
    """BERTScore: embeddings of an encoder."""

    metric: Literal["bertscore"] = Field(description="Embeddings of an encoder.")
    model: Text = Field(description="Hub id or local folder of the encoder.")
    layer: Count = Field(description="The layer whose embeddings are compared.")


Similarity = Annotated[
    Annotated[Chrf, Tag("<metric chrf>")] | Annotated[BertScore, Tag("<metric bertscore>")],
    by_value("metric", "chrf", "bertscore"),
]
