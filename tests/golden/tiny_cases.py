"""What becomes of the tiny model's output under each setting of pooling, prompt, Dense, Normalize and truncation.

A case is a copy of the folder `tiny/` with these changes, and no others:

* `modules.json`: without the entry whose `path` is "2_Dense" unless `dense`; without the entry whose `path` is "3_Normalize"
  unless `normalize`. The entries that stay keep their `idx` and `name`.
* `1_Pooling/config.json`: key `pooling_mode` is set to `pooling`, key `include_prompt` to `include_prompt`.

`checkpoint_dtype` is the dtype of the weights in the folder; "f32" is the folder's own, so no weight file changes.

`prompt_name` and `truncate_dim` are no files' business: they are arguments of the call. `prompt_name` names an entry of
`prompts` in `config_sentence_transformers.json`, null applies none; `texts` stand without the prompt, `ids` with it. With
`include_prompt` false, pooling leaves out as many leading tokens as the prompt alone has, counted with its [CLS] and
without its [SEP].

With `truncate_dim` d, a vector is the output after pooling and Dense, cut to its first d values, and THEN divided by its L2
norm if `normalize`. That is `encode(truncate_dim=d, normalize_embeddings=True)`: sentence-transformers runs all modules,
Normalize included, then cuts, then normalises once more if so asked. (The first normalisation only scales the vector, so
the second undoes it. Without `normalize_embeddings`, the cut vectors of a model with Normalize are NOT of unit length.)

`vectors` are float64, written with 9 significant digits.
"""

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from json_files import write_json
from reference import encode, load_reference, token_ids

TEXTS = [
    "",
    "a",
    "The cat sat on the mat.",
    "search for: the cat",
    "PRICE: $3.14 (30% off!) for A1-b2_c3, Caf\u00e9 na\u00efve",
    "line one\nline two\ttab \u4e2d\u6587 \U0001f600 end",
    "[CLS] literal [SEP] tokens [MASK]",
    "the cat " * 23,
    "When the sun was low over the old city, people would walk home from work, read a good book by the fire, and sleep "
    "without a word until the first bird of the new day; but one woman could not sleep, and she sat at the long black "
    "table with three red fish and a small green star that no one else had ever seen.",
]


@dataclass(frozen=True)
class Case:
    """One setting, in the order in which its fields are written."""

    name: str
    pooling: str = "mean"
    include_prompt: bool = True
    prompt_name: str | None = None
    dense: bool = False
    normalize: bool = False
    truncate_dim: int | None = None
    checkpoint_dtype: str = "f32"


CASES = [
    *(
        Case(f"{pooling}{'_dense' * dense}{'_normalize' * normalize}", pooling, dense=dense, normalize=normalize)
        for pooling in ("mean", "cls", "lasttoken")
        for dense in (False, True)
        for normalize in (False, True)
    ),
    *(
        Case(f"{pooling}_query_{'with' if include else 'without'}_prompt", pooling, include, "query")
        for pooling in ("mean", "cls", "lasttoken")
        for include in (True, False)
    ),
    Case("mean_without_prompt_but_no_prompt_given", include_prompt=False),
    Case("mean_dense_normalize_query_without_prompt", "mean", False, "query", dense=True, normalize=True),
    Case("mean_truncated", truncate_dim=16),
    Case("mean_normalize_truncated", normalize=True, truncate_dim=16),
    Case("mean_dense_truncated", dense=True, truncate_dim=16),
    Case("mean_dense_normalize_truncated", dense=True, normalize=True, truncate_dim=16),
    Case("cls_dense_normalize_query_without_prompt_truncated", "cls", False, "query", True, True, 16),
]


def run_cases(tiny):
    """All cases as JSON values, computed by sentence-transformers on rewritten copies of the folder `tiny`."""
    return [_run_case(case, tiny) for case in CASES]


def _run_case(case, tiny):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(tiny, folder)
        _rewrite(folder, case)
        model = load_reference(folder)
    prompt = model.prompts[case.prompt_name] if case.prompt_name else None
    vectors = encode(
        model, TEXTS, prompt=prompt, truncate_dim=case.truncate_dim, normalize_embeddings=case.normalize
    )
    rounded = [[float(f"{value:.9g}") for value in row] for row in vectors.tolist()]
    return asdict(case) | {"texts": TEXTS, "ids": token_ids(model, TEXTS, prompt), "vectors": rounded}


def _rewrite(folder, case):
    unwanted = {"2_Dense": not case.dense, "3_Normalize": not case.normalize}
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", [module for module in modules if not unwanted.get(module["path"])])
    pooling_file = folder / "1_Pooling" / "config.json"
    pooling = json.loads(pooling_file.read_text(encoding="utf-8"))
    pooling |= {"pooling_mode": case.pooling, "include_prompt": case.include_prompt}
    write_json(pooling_file, pooling)
