#!/usr/bin/env python3
"""One semantic chunker as a process that measures on demand, so that programs can take turns.

It loads the model, chunks a beginning of the document to warm up and says {}. Then each line on
stdin asks for the whole document to be chunked, and its chunks embedded, once; the answer is one
line of JSON. Both libraries run with their defaults over one sentence-transformers model on torch.

    chunker_peer.py --chunker chonkie --model MODEL --document target/peers/document.md
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

WARM_UP_CODE_POINTS = 20_000

# Text to the texts of its chunks.
Chunker = Callable[[str], list[str]]


class Encoder:
    """The model, which counts the tokens that it is fed: special tokens yes, padding no."""

    def __init__(self, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self.tokens = 0
        self.model[0].register_forward_pre_hook(self.count)

    def count(self, _module: torch.nn.Module, inputs: tuple[dict[str, torch.Tensor]]) -> None:
        self.tokens += int(inputs[0]["attention_mask"].sum())

    def embed(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, normalize_embeddings=True)

    def lengths(self, texts: list[str]) -> list[int]:
        """Tokens of whole texts, which the model may cut."""
        return [len(ids) for ids in self.model.tokenizer(texts, verbose=False)["input_ids"]]


def chonkie(encoder: Encoder) -> Chunker:
    from chonkie import SemanticChunker
    from chonkie.embeddings import SentenceTransformerEmbeddings

    chunker = SemanticChunker(embedding_model=SentenceTransformerEmbeddings(encoder.model))
    return lambda text: [chunk.text for chunk in chunker.chunk(text)]


def langchain(encoder: Encoder) -> Chunker:
    from langchain_core.embeddings import Embeddings
    from langchain_experimental.text_splitter import SemanticChunker

    class OverTheSameModel(Embeddings):
        """As HuggingFaceEmbeddings of langchain-huggingface does."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return encoder.model.encode(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    return SemanticChunker(OverTheSameModel()).split_text


CHUNKERS = {"chonkie": chonkie, "langchain": langchain}


def measure(encoder: Encoder, chunker: Chunker, text: str) -> dict:
    """Chunks and embeds the text once."""
    encoder.tokens = 0
    used, started = time.process_time(), time.perf_counter()
    chunks = chunker(text)
    chunked, chunking_tokens = time.perf_counter(), encoder.tokens
    encoder.embed(chunks)
    ended, cpu = time.perf_counter(), time.process_time() - used
    return {
        "seconds": ended - started,
        "chunking_seconds": chunked - started,
        "cpu_seconds": cpu,
        "chunking_tokens": chunking_tokens,
        "tokens": encoder.tokens,
        "chunk_tokens": encoder.lengths(chunks),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunker", required=True, choices=CHUNKERS)
    parser.add_argument("--model", type=Path, required=True, help="folder in the hub's layout")
    parser.add_argument("--document", type=Path, required=True, help="text to chunk")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    text = args.document.read_text(encoding="utf-8")
    encoder = Encoder(args.model, args.threads)
    chunker = CHUNKERS[args.chunker](encoder)
    measure(encoder, chunker, text[:WARM_UP_CODE_POINTS])
    print("{}", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(encoder, chunker, text)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
