"""What torch takes for the same texts in f16: torch_models.py MODEL TEXTS prints one JSON object.

Texts are sorted by length and run in batches of 256, as sentence-transformers does it, with
FlashAttention-2 where it is installed and torch's own attention elsewhere. Tokenising counts, as it
does in `chunkflow bench`. Status 77 where torch, transformers or a device is missing.
"""

import json
import statistics
import sys
import time
from pathlib import Path

BATCH = 256
SKIPPED = 77


def skip(reason):
    print(reason)
    sys.exit(SKIPPED)


try:
    import tokenizers
    import torch
    import transformers
except ImportError as error:
    skip(f"no {error.name} for {sys.executable}")


class Embedder:
    """A model on device 0 with its tokenizer, and vectors of texts from it."""

    def __init__(self, folder, attention):
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.tokenizer.enable_truncation(limit)
        self.tokenizer.enable_padding()
        pooling = json.loads((folder / "1_Pooling/config.json").read_text())
        self.takes_last = pooling.get("pooling_mode_lasttoken", False)
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float16, attn_implementation=attention)
        self.model = model.to("cuda:0").eval()

    @torch.inference_mode()
    def batch(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        ids = torch.tensor([one.ids for one in encoded]).to("cuda:0", non_blocking=True)
        mask = torch.tensor([one.attention_mask for one in encoded]).to("cuda:0", non_blocking=True)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.takes_last:
            rows = states[torch.arange(len(texts), device=states.device), mask.sum(1) - 1]
        else:
            rows = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(rows.float(), dim=1), sum(sum(one.attention_mask) for one in encoded)

    def embed(self, texts):
        """The number of tokens; vectors are on the host when it returns."""
        texts = sorted(texts, key=len, reverse=True)
        parts = [self.batch(texts[start:start + BATCH]) for start in range(0, len(texts), BATCH)]
        torch.cat([rows for rows, _ in parts]).cpu()
        return sum(tokens for _, tokens in parts)


def load(folder):
    """With the fastest attention that runs."""
    try:
        import flash_attn  # noqa: F401

        embedder = Embedder(folder, "flash_attention_2")
        embedder.embed(["a text"])
        return embedder, "torch, FlashAttention-2"
    except Exception:  # Whatever is missing for it, torch's own remains.
        return Embedder(folder, "sdpa"), "torch, SDPA"


def main():
    if not torch.cuda.is_available():
        skip("torch sees no device")
    folder, texts = Path(sys.argv[1]), Path(sys.argv[2]).read_text().splitlines()
    embedder, name = load(folder)
    embedder.embed(texts[:2 * BATCH])
    begin = time.perf_counter()
    tokens = embedder.embed(texts)
    seconds = time.perf_counter() - begin
    single = []
    for text in texts[:100]:
        begin = time.perf_counter()
        embedder.embed([text])
        single.append(1e3 * (time.perf_counter() - begin))
    print(json.dumps({
        "by": name,
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "texts": len(texts),
        "tokens": tokens,
        "texts_per_second": len(texts) / seconds,
        "tokens_per_second": tokens / seconds,
        "p50_ms": statistics.median(single),
        "p99_ms": sorted(single)[-1],
    }))


main()
