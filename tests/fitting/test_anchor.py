"""An anchored run stays near the base model; one that is not leaves it."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.fitting import TrainingRows, fit_retriever
from lrat_hub.fitting.anchor import encode_base
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.mining.tables import pair_table

from .small import DOCUMENTS, pair


def test_base_vectors_are_those_of_encode_document_and_nothing_has_zeros(model, tmp_path):
    vectors = encode_base(model, DOCUMENTS, sorted(DOCUMENTS), tmp_path)
    expected = model.encode_document([DOCUMENTS["c"].content], normalize_embeddings=True)[0]
    np.testing.assert_allclose(vectors["c"], expected, atol=1e-3)
    assert not vectors[""].any()
    assert len(vectors) == len(DOCUMENTS)


# facebookresearch/faiss#3244, #5286: what does not fit into float16 becomes infinite without a word.
def test_base_vectors_that_do_not_fit_into_float16_are_refused(model, tmp_path):
    model.similarity_fn_name = "dot"
    model[0].embedding.weight.data *= 1e6
    with pytest.raises(LratError, match="fit into float16, found"):
        encode_base(model, DOCUMENTS, sorted(DOCUMENTS), tmp_path)


@pytest.mark.slow
def test_the_anchor_keeps_documents_where_they_were(model):
    texts = [document.content for document in DOCUMENTS.values()]
    before = model.encode_document(texts, normalize_embeddings=True)
    initial = model[0].embedding.weight.detach().clone()

    def drift(anchor):
        model[0].embedding.weight.data.copy_(initial)
        settings = FitSettings(
            max_steps=60, batch_size=2, num_negatives=2, learning_rate=0.02, document_anchor=anchor,
        )  # fmt: skip
        rows = TrainingRows(pair_table([pair("one", "a", "bc"), pair("two", "d", "ef")]), DOCUMENTS, settings)
        fit_retriever(model, rows, settings)
        after = model.encode_document(texts, normalize_embeddings=True)
        return float(1 - (before * after).sum(axis=1).mean())

    free, anchored = drift(0.0), drift(100.0)
    assert free > 0.05
    assert anchored < free / 3
