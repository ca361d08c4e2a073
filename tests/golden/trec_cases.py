"""Makes rankings of judged documents with the figures that pytrec_eval gives them, by the rules of BEIR.

    python -B tests/golden/trec_cases.py --out tests/golden/trec.json

`documents` are ids of a corpus, some of them numbers or a query's own. A case is a query with

* `judged`: gains by document, from -1 to 3, of documents that the corpus may lack; none may be relevant;
* `scores`: of the documents in the order of `documents`, in 1/64 so that many are equal, null where a document is not found;
* `ndcg`, `recall`, `mrr`: `ndcg_cut_10`, `recall_100`, and `recip_rank` of the list's first 10.

The query's own id is taken out of what was found, and not out of what is judged, as `EvaluateRetrieval.evaluate` of beir 2.2 does.
pytrec_eval-terrier 0.5.11 is the package that beir depends on; its module is pytrec_eval. The same seed writes the same bytes.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

import pytrec_eval

SEED = 17
CASES = 200
DOCUMENTS = 130
GAINS = {-1: 1, 0: 6, 1: 6, 2: 2, 3: 1}
MEASURES = {"ndcg_cut.10", "recall.100", "recip_rank"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes rankings with pytrec_eval's figures.")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    args = parser.parse_args()
    draw = random.Random(SEED)
    queries = [f"q{number}" if number % 3 else str(1000 + number) for number in range(CASES)]
    names = [f"d{number}" if number % 2 else str(number) for number in range(DOCUMENTS - 20)]
    documents = draw.sample(names + draw.sample(queries, 20), DOCUMENTS)
    cases = [case(draw, query, documents) for query in queries]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps(documents, separators=(",", ":"))
    args.out.write_text(f'{{"documents":{head},"cases":[\n{lines}\n]}}\n')


def case(draw: random.Random, query: str, documents: list[str]) -> dict[str, Any]:
    pool = documents + [f"lost{number}" for number in range(8)]
    judged = set(draw.sample(pool, draw.choice([2, 8, 30, 90])))
    found = set(draw.sample(documents, draw.choice([3, 12, 40, DOCUMENTS])))
    found |= {name for name in documents if name in judged and draw.random() < 0.6}
    if query in documents:
        found.add(query)
        judged |= {query} if draw.random() < 0.5 else set()
    steps = draw.choice([3, 20, 64])
    run = {name: (draw.randint(-steps, steps) + steps * (name in judged)) / 64 for name in documents if name in found}
    qrels = {name: draw.choices(list(GAINS), list(GAINS.values()))[0] for name in pool + [query] if name in judged}
    scores = [score(run.get(name)) for name in documents]
    return {"query": query, "judged": qrels, "scores": scores, **figures(query, qrels, run)}


def score(value: float | None) -> int | None:
    return None if value is None else round(64 * value)


def figures(query: str, qrels: dict[str, int], run: dict[str, float]) -> dict[str, float]:
    run = {document: score for document, score in run.items() if document != query}
    # trec_eval's order: of equal scores the greater id first.
    order = sorted(run, key=lambda document: (run[document], document), reverse=True)
    first = {document: run[document] for document in order[:10]}
    return {
        "ndcg": evaluate(qrels, run)["ndcg_cut_10"],
        "recall": evaluate(qrels, run)["recall_100"],
        "mrr": evaluate(qrels, first)["recip_rank"],
    }


def evaluate(qrels: dict[str, int], run: dict[str, float]) -> dict[str, float]:
    return pytrec_eval.RelevanceEvaluator({"q": qrels}, MEASURES).evaluate({"q": run})["q"]


if __name__ == "__main__":
    main()
