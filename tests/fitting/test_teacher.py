"""A teacher's scores: of all that a run reads, computed once, and what a run learns from them."""

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer

from lrat_hub.errors import LratError
from lrat_hub.fitting import Teacher, fit_retriever
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.fitting.teacher import needed_scores, teacher_scores

from .small import DOCUMENTS, pair, rows_of, tiny_bert, tiny_reranker

PAIRS = [pair("one a", "a", "bcdef"), pair("two d", "d", "ab"), pair("one f", "f", "")]


class Broken:
    """A model that may not be asked."""

    def predict(self, *args, **options):
        raise AssertionError("asked again")


class Wrong:
    def predict(self, texts, **options):
        return np.full(len(texts), np.nan)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    return CrossEncoder(str(tiny_reranker(tmp_path_factory.mktemp("reranker"))), device="cpu")


def test_everything_is_scored_that_epochs_read_and_no_more():
    rows = rows_of(*PAIRS, question_share=0.5)
    needed = needed_scores(rows, 2.5)
    read = set()
    for rows.epoch in range(3):
        for row in rows.view():
            read.update((row["anchor"], docid) for docid in row["document_ids"] if docid)
    assert set(needed) == read
    assert len(needed) == len(read)


def test_scores_are_the_rerankers_logits_and_are_computed_once(reranker, tmp_path):
    rows = rows_of(*PAIRS)
    needed = needed_scores(rows, 1)
    scores = teacher_scores(Teacher(reranker, "me/r@1"), rows, needed, tmp_path)
    (query, docid) = needed[0]
    features = reranker.preprocess([(query, DOCUMENTS[docid].content)])
    assert scores[query, docid] == pytest.approx(reranker(features)["scores"].item(), abs=1e-6)
    assert teacher_scores(Teacher(Broken(), "me/r@1"), rows, needed, tmp_path) == scores
    # What a full disk has cut off is computed again.
    (kept,) = tmp_path.glob("*.npy")
    for length in (0, 60, len(kept.read_bytes()) - 4):
        kept.write_bytes(kept.read_bytes()[:length])
        with pytest.raises(AssertionError, match="asked again"):
            teacher_scores(Teacher(Broken(), "me/r@1"), rows, needed, tmp_path)
    assert teacher_scores(Teacher(reranker, "me/r@1"), rows, needed, tmp_path) == scores
    # Another teacher's are others.
    with pytest.raises(AssertionError, match="asked again"):
        teacher_scores(Teacher(Broken(), "me/r@2"), rows, needed, tmp_path)


def test_teachers_that_do_not_fit_are_refused(reranker, tmp_path):
    rows = rows_of(*PAIRS)
    with pytest.raises(LratError, match="in the style of the training, plain, found history"):
        teacher_scores(Teacher(reranker, "me/r", "history"), rows, needed_scores(rows, 1), tmp_path)
    with pytest.raises(LratError, match="expected finite scores"):
        teacher_scores(Teacher(Wrong(), "me/r"), rows, needed_scores(rows, 1), tmp_path)
    student = SentenceTransformer(str(tiny_bert(tmp_path)), device="cpu")
    with pytest.raises(LratError, match="Teacher me/bi: expected a CrossEncoder, found SentenceTransformer"):
        Teacher(student, "me/bi")
    with pytest.raises(LratError, match=r"expected a Teacher, as Teacher\(model, name\), found CrossEncoder"):
        fit_retriever(student, rows_of(*PAIRS, loss="kl"), rows_of(*PAIRS, loss="kl").settings, teacher=reranker)
    for name in ("mini_batch_size", "gather_across_devices"):
        with pytest.raises(LratError, match="has neither gradient caching"):
            FitSettings(loss="kl", **{name: 1})


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["kl", "margin_mse"])
def test_a_student_comes_nearer_to_its_teacher(reranker, tmp_path, loss):
    student = SentenceTransformer(str(tiny_bert(tmp_path)), device="cpu")
    rows = rows_of(*PAIRS, loss=loss, num_negatives=5, max_steps=40, learning_rate=1e-2, temperature=0.1, batch_size=3)
    fitted = fit_retriever(student, rows, rows.settings, teacher=Teacher(reranker, "me/r"), work_dir=tmp_path / "work")
    losses = [row["loss"] for row in fitted.log]
    assert losses[-1] < losses[0] / 2
    assert list((tmp_path / "work" / "teacher").glob("*.npy"))
    for rows_too, teacher in ((rows, None), (rows_of(*PAIRS), Teacher(reranker, "me/r"))):
        with pytest.raises(LratError, match="expected a teacher with the losses kl and margin_mse alone"):
            fit_retriever(student, rows_too, rows_too.settings, teacher=teacher)
    lonely = rows_of(PAIRS[2], loss=loss)
    with pytest.raises(LratError, match="expected negatives for a teacher"):
        fit_retriever(student, lonely, lonely.settings, teacher=Teacher(reranker, "me/r"))
    with pytest.raises(LratError, match="teaches retrievers, found a reranker"):
        fit_retriever(reranker, rows, rows.settings)


@pytest.mark.slow
def test_published_weights_can_lie_between_the_base_and_the_trained(tmp_path):
    folder = tiny_bert(tmp_path)

    def weights(**settings):
        model = SentenceTransformer(str(folder), device="cpu")
        rows = rows_of(*PAIRS, max_steps=3, learning_rate=1e-2, batch_size=3, **settings)
        fitted = fit_retriever(model, rows, rows.settings)
        return {name: value.detach().numpy() for name, value in fitted.model.named_parameters()}, fitted.movement

    base = {
        name: value.detach().numpy()
        for name, value in SentenceTransformer(str(folder), device="cpu").named_parameters()
    }
    (trained, moved), (between, less) = weights(), weights(interpolate=0.25)
    for name, before in base.items():
        np.testing.assert_allclose(between[name], 0.75 * before + 0.25 * trained[name], atol=1e-6)
    assert 0 < less.turned < moved.turned
    for share in (0, 1.5):
        with pytest.raises(LratError, match="interpolate above 0, and 1 at most"):
            FitSettings(interpolate=share)
