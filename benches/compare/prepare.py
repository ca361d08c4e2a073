#!/usr/bin/env python3
"""Convert a model in the hub's layout to what the peers read; done once, then kept.

Writes below --out: f32.onnx (pooling and normalisation inside), fused.onnx (onnxruntime's
transformer optimiser), int8.onnx and int8-fused.onnx (dynamic quantisation, per channel),
ov-int8.xml (NNCF's post-training quantisation, calibrated), ct2/ (CTranslate2).
Runs in the peers' environment; see requirements.txt.

    prepare.py --model MODEL --calibration loads/calibration.jsonl --out target/peers/minilm-prepared
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from folders import build_once

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MAX_TOKENS = 256
OPSET = 17


class Pooled(torch.nn.Module):
    """The encoder, mean pooling over the mask and L2 normalisation."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        return torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=1)


def export(model: Path, onnx: Path) -> None:
    # onnxruntime's optimiser knows the attention of this implementation.
    encoder = AutoModel.from_pretrained(model, attn_implementation="eager", dtype=torch.float32)
    ids = torch.randint(1000, 2000, (2, 9))
    axes = dict.fromkeys(INPUTS, {0: "batch", 1: "length"}) | {"embedding": {0: "batch"}}
    torch.onnx.export(
        Pooled(encoder.eval()), (ids, torch.ones_like(ids), torch.zeros_like(ids)), str(onnx),
        input_names=list(INPUTS), output_names=["embedding"], dynamic_axes=axes,
        opset_version=OPSET, dynamo=False,
    )


def fuse(model: Path, onnx: Path, fused: Path) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    config = json.loads((model / "config.json").read_text())
    optimised = optimize_model(
        str(onnx), model_type="bert", num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
    )
    optimised.save_model_to_file(str(fused))


def quantise(onnx: Path, int8: Path) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(onnx), str(int8), per_channel=True, weight_type=QuantType.QInt8,
        # Shape inference does not know the types behind fused operators.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def calibration_inputs(model: Path, texts: Path) -> list[dict]:
    """Each text as a batch of one, as the exported graph takes it."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    rows = [json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()]
    ids = [torch.tensor([encoding.ids]) for encoding in tokenizer.encode_batch(rows)]
    make = (torch.clone, torch.ones_like, torch.zeros_like)
    return [{name: f(row).numpy() for name, f in zip(INPUTS, make)} for row in ids]


def calibrate(model: Path, texts: Path, onnx: Path, xml: Path) -> None:
    import nncf
    import openvino

    inputs = calibration_inputs(model, texts)
    quantised = nncf.quantize(
        openvino.Core().read_model(onnx), nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER, subset_size=len(inputs),
    )
    openvino.save_model(quantised, xml, compress_to_fp16=False)


def convert_for_ctranslate2(model: Path, folder: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(model)).convert(str(folder), quantization="float32", force=True)


def prepare(model: Path, texts: Path, out: Path) -> None:
    onnx, fused = out / "f32.onnx", out / "fused.onnx"
    export(model, onnx)
    fuse(model, onnx, fused)
    quantise(onnx, out / "int8.onnx")
    quantise(fused, out / "int8-fused.onnx")
    calibrate(model, texts, onnx, out / "ov-int8.xml")
    convert_for_ctranslate2(model, out / "ct2")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder in the hub's layout")
    parser.add_argument("--calibration", type=Path, required=True, help="texts for calibration")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    build_once(args.out, lambda folder: prepare(args.model, args.calibration, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
