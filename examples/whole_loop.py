"""The whole loop in Python: logs of a search agent become pairs, and pairs train a retriever, which is then evaluated.

    python examples/whole_loop.py LOGS CORPUS QUERIES QRELS MODEL OUTPUT

LOGS is anything that `lrat import` reads. CORPUS, QUERIES and QRELS are files or Hub references; evaluate on questions
that the logs are not about. MODEL is a SentenceTransformer, and OUTPUT is the folder for the trained one.
"""

import sys

from sentence_transformers import SentenceTransformer

import lrat_hub as lrat


def main(logs: str, corpus: str, queries: str, qrels: str, base: str, output: str) -> None:
    documents, questions = lrat.load_corpus(corpus), lrat.load_queries(queries)
    relevant = lrat.load_qrels(qrels)
    mined = lrat.mine_pairs(lrat.load_trajectories(logs))
    print(*mined.ledger.values(), sep="\n")
    model = SentenceTransformer(base)
    before = lrat.evaluate_retrieval(lrat.DenseRetriever(model, documents.in_order()), questions, relevant)
    settings = lrat.FitSettings(num_negatives=4, document_anchor=3.0, question_share=0.5)
    rows = lrat.TrainingRows(lrat.pair_table(mined.pairs), documents, settings)
    lrat.fit_retriever(model, rows, settings)
    after = lrat.evaluate_retrieval(lrat.DenseRetriever(model, documents.in_order()), questions, relevant)
    for metric in ("recall@10", "ndcg@10"):
        print(f"{metric}: {before.mean(metric):.3f} before, {after.mean(metric):.3f} after training")
    model.save_pretrained(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
