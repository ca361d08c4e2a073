"""The peers: each loads a model, as its library reads it, and turns texts into vectors.

An engine is made of (model folder, prepared folder, threads). `embed(texts, size)` gives f32
[texts, dim], normalised, in the order of the texts, computed in batches of `size`. Imports of
libraries sit in the constructors, so that a process holds only what its peer needs.
"""

import os
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

MAX_TOKENS = 256


class Batched:
    """Tokenises, sorts by length and pads; `forward(ids, mask)` of int64 arrays is the engine's."""

    def __init__(self, model: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()

    def forward(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def batch(self, encodings: list[Encoding]) -> np.ndarray:
        ids = np.zeros((len(encodings), max(map(len, encodings))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = 1
        return self.forward(ids, mask)

    def embed(self, texts: list[str], size: int) -> np.ndarray:
        encodings = self.tokenizer.encode_batch_fast(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i]))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        parts = np.concatenate([self.batch([encodings[i] for i in batch]) for batch in batches])
        vectors = np.empty_like(parts)
        vectors[order] = parts
        return vectors


class OnnxRuntime(Batched):
    """ONNX Runtime on one of the prepared graphs."""

    def __init__(self, model: Path, prepared: Path, threads: int, graph: str) -> None:
        import onnxruntime

        super().__init__(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            prepared / graph, options, providers=["CPUExecutionProvider"]
        )

    def forward(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self.session.run(None, feeds)[0]


class OpenVino(Batched):
    """OpenVINO on one of the prepared graphs; `precision` is of what is not int8."""

    def __init__(
        self, model: Path, prepared: Path, threads: int, graph: str, precision: str
    ) -> None:
        import openvino

        super().__init__(model)
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        }
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(prepared / graph), "CPU", settings)
        self.request = compiled.create_infer_request()

    def forward(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.request.infer([ids, mask, np.zeros_like(ids)], share_inputs=True)[0]


class CTranslate2(Batched):
    """CTranslate2's encoder, which drops padding itself; pooling is numpy's."""

    def __init__(
        self, model: Path, prepared: Path, threads: int, compute_type: str, mkl: str | None = None
    ) -> None:
        if mkl:
            os.environ["CT2_USE_MKL"] = mkl
        import ctranslate2

        super().__init__(model)
        self.storage = ctranslate2.StorageView
        self.encoder = ctranslate2.Encoder(
            str(prepared / "ct2"), device="cpu", compute_type=compute_type,
            inter_threads=1, intra_threads=threads,
        )

    def forward(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        lengths = self.storage.from_array(mask.sum(1).astype(np.int32))
        tokens = self.storage.from_array(ids.astype(np.int32))
        hidden = np.asarray(self.encoder.forward_batch(tokens, lengths).last_hidden_state)
        # The mean's divisor goes with the norm.
        sums = np.matmul(mask.astype(np.float32)[:, None, :], hidden)[:, 0]
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


class SentenceTransformers:
    """sentence-transformers on torch, which tokenises, sorts and pads by its own means."""

    def __init__(self, model: Path, _prepared: Path, threads: int, dtype: str) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.model = SentenceTransformer(
            str(model), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}
        )

    def embed(self, texts: list[str], size: int) -> np.ndarray:
        return self.model.encode(
            texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False
        )


def make(peer: str, model: Path, prepared: Path, threads: int) -> Batched | SentenceTransformers:
    """The engine of a peer, ready to run."""
    engine, *how = ENGINES[peer]
    return engine(model, prepared, threads, *how)


# Named library-dtype or library-dtype-variant. See run.py for those that it measures by default.
ENGINES = {
    "torch-f32": (SentenceTransformers, "float32"),
    "torch-bf16": (SentenceTransformers, "bfloat16"),
    "ort-f32": (OnnxRuntime, "f32.onnx"),
    "ort-f32-fused": (OnnxRuntime, "fused.onnx"),
    "ort-int8": (OnnxRuntime, "int8.onnx"),
    "ort-int8-fused": (OnnxRuntime, "int8-fused.onnx"),
    "openvino-f32": (OpenVino, "f32.onnx", "f32"),
    "openvino-bf16": (OpenVino, "f32.onnx", "bf16"),
    "openvino-int8": (OpenVino, "ov-int8.xml", "f32"),
    "openvino-int8-bf16": (OpenVino, "ov-int8.xml", "bf16"),
    "ct2-f32": (CTranslate2, "float32"),
    "ct2-int8": (CTranslate2, "int8"),
    "ct2-int8-onednn": (CTranslate2, "int8", "0"),
}
