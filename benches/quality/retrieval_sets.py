#!/usr/bin/env python3
"""Write retrieval sets of long documents whose relevant excerpts are known, in Chroma's layout.

    CHUNKFLOW_DATA=data retrieval_sets.py --out target/retrieval

Each set is a folder with `corpora/NAME.md` and `questions_df.csv`: the question; references, a JSON
list of {"content", "start_index", "end_index"} in code points, the end exclusive; corpus_id, NAME.

* qmsum-val, qmsum-test: a document is a meeting, its turns joined by a newline. The questions are
  the meeting's specific queries, the references the turns that answer them.
* scifact-dev, scifact-test: a document is 20 abstracts ("# title", blank line, text) of 600.
  The questions are SciFact's test claims with one relevant abstract, by even and odd id; the
  reference is that abstract. The other abstracts are drawn at random; neither set asks for them.

The same data always make the same files.
"""

import argparse
import csv
import json
import os
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEED = 20261124
QMSUM_SPLITS = ("val", "test")
# By the remainder of a claim's id.
SCIFACT_HALVES = {"dev": 0, "test": 1}
ABSTRACTS, ABSTRACTS_A_DOCUMENT = 600, 20
BETWEEN_ABSTRACTS = "\n\n"

# Code points, the end exclusive.
Range = tuple[int, int]


@dataclass(frozen=True)
class Question:
    """A question and the ranges of its document that answer it."""

    text: str
    document: str
    ranges: list[Range]


@dataclass
class RetrievalSet:
    """Documents by name, and questions about them."""

    name: str
    documents: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def write(self, out: Path) -> None:
        folder = out / self.name
        (folder / "corpora").mkdir(parents=True, exist_ok=True)
        for name, text in self.documents.items():
            path = folder / "corpora" / f"{name}.md"
            path.write_text(text, encoding="utf-8", newline="\n")
        with (folder / "questions_df.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["question", "references", "corpus_id"])
            rows.writerows(self.row(question) for question in self.questions)
        print(f"{self.name}: {len(self.documents)} documents of "
              f"{sum(map(len, self.documents.values()))} code points, "
              f"{len(self.questions)} questions", file=sys.stderr)

    def row(self, question: Question) -> tuple[str, str, str]:
        text = self.documents[question.document]
        references = [
            {"content": text[start:end], "start_index": start, "end_index": end}
            for start, end in question.ranges
        ]
        return question.text, json.dumps(references, ensure_ascii=False), question.document


def read_jsonl(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def join(pieces: list[str], separator: str) -> tuple[str, list[Range]]:
    """The text and where each piece lies in it."""
    ranges: list[Range] = []
    start = 0
    for piece in pieces:
        ranges.append((start, start + len(piece)))
        start += len(piece) + len(separator)
    return separator.join(pieces), ranges


def merged(ranges: Iterable[Range], gap: int) -> list[Range]:
    """In order, those that overlap or lie at most `gap` apart as one."""
    result: list[Range] = []
    for start, end in sorted(ranges):
        if result and start <= result[-1][1] + gap:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def qmsum(data: Path) -> Iterator[RetrievalSet]:
    for split in QMSUM_SPLITS:
        made = RetrievalSet(f"qmsum-{split}")
        for path in sorted(data.glob(f"*.{split}.jsonl")):
            for meeting in read_jsonl(path):
                add_meeting(made, meeting)
        yield made


def add_meeting(made: RetrievalSet, meeting: dict) -> None:
    text, turns = join(meeting["turns"], "\n")
    made.documents[meeting["id"]] = text
    for query in meeting["queries"]:
        spans = [(int(first), int(last)) for first, last in query["spans"]]
        ranges = merged(((turns[first][0], turns[last][1]) for first, last in spans), len("\n"))
        made.questions.append(Question(query["query"], meeting["id"], ranges))


def scifact(data: Path) -> Iterator[RetrievalSet]:
    corpus = read_jsonl(data / "corpus.jsonl")
    abstracts = {d["_id"]: f'# {d["title"]}\n\n{d["text"]}' for d in corpus}
    relevant = single_judgements(data / "qrels.test.tsv")
    claims = [q for q in read_jsonl(data / "queries.test.jsonl") if q["_id"] in relevant]
    order = random.Random(SEED)
    others = sorted(abstracts.keys() - relevant.values())
    order.shuffle(others)
    for half, remainder in SCIFACT_HALVES.items():
        chosen = [claim for claim in claims if int(claim["_id"]) % len(SCIFACT_HALVES) == remainder]
        needed = sorted({relevant[claim["_id"]] for claim in chosen})
        missing = ABSTRACTS - len(needed)
        pool, others = needed + others[:missing], others[missing:]
        order.shuffle(pool)
        made = RetrievalSet(f"scifact-{half}")
        places = add_abstracts(made, {identifier: abstracts[identifier] for identifier in pool})
        for claim in chosen:
            document, place = places[relevant[claim["_id"]]]
            made.questions.append(Question(claim["text"], document, [place]))
        yield made


def single_judgements(path: Path) -> dict[str, str]:
    """The relevant document of each claim that has exactly one."""
    judged: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as rows:
        for query, document, _ in list(csv.reader(rows, delimiter="\t"))[1:]:
            judged.setdefault(query, []).append(document)
    return {query: documents[0] for query, documents in judged.items() if len(documents) == 1}


def add_abstracts(made: RetrievalSet, abstracts: dict[str, str]) -> dict[str, tuple[str, Range]]:
    """Makes the documents, in the order of the abstracts; returns where each abstract is."""
    places = {}
    names = list(abstracts)
    for first in range(0, len(names), ABSTRACTS_A_DOCUMENT):
        group = names[first : first + ABSTRACTS_A_DOCUMENT]
        document = f"abstracts-{first // ABSTRACTS_A_DOCUMENT:02}"
        text, ranges = join([abstracts[name] for name in group], BETWEEN_ABSTRACTS)
        made.documents[document] = text
        places |= {name: (document, place) for name, place in zip(group, ranges, strict=True)}
    return places


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("CHUNKFLOW_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None,
                        help="folder of qmsum/ and scifact/ [default: $CHUNKFLOW_DATA]")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets")
    args = parser.parse_args()
    if args.data is None:
        parser.error("give --data or set CHUNKFLOW_DATA")
    try:
        for made in (*qmsum(args.data / "qmsum"), *scifact(args.data / "scifact")):
            made.write(args.out)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
