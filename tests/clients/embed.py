"""What users of openai's Python client do. One line a check, starting with ok or FAILED."""

import array
import json
import os
from pathlib import Path

import openai

GOLDEN = Path(os.environ["GOLDEN"])
DIMENSIONS = 384
TOLERANCE = 2e-6


def golden() -> tuple[list[str], list[list[float]]]:
    """Texts that a client may send, and their vectors; the service refuses empty strings."""
    texts = json.loads((GOLDEN / "texts.json").read_text())
    raw = (GOLDEN / "vectors.npy").read_bytes()
    values = array.array("f", raw[10 + int.from_bytes(raw[8:10], "little") :])
    rows = [values[i : i + DIMENSIONS].tolist() for i in range(0, len(values), DIMENSIONS)]
    kept = [(text, row) for text, row in zip(texts, rows) if text]
    return [text for text, _ in kept], [row for _, row in kept]


def check(name: str, passed: bool) -> None:
    print("ok" if passed else "FAILED", "python:", name)


def near(actual: list[float], expected: list[float]) -> bool:
    return len(actual) == len(expected) and max(abs(x - y) for x, y in zip(actual, expected)) <= TOLERANCE


def main() -> None:
    client = openai.OpenAI(max_retries=0)
    texts, vectors = golden()
    model = client.models.list().data[0].id
    check("models.list names the model", model == "all-MiniLM-L6-v2")
    check("models.retrieve finds it", client.models.retrieve(model).id == model)
    one = client.embeddings.create(model=model, input=texts[5])
    check("a string has its vector", near(one.data[0].embedding, vectors[5]))
    check("usage counts tokens", one.usage.prompt_tokens == one.usage.total_tokens >= 2)
    many = client.embeddings.create(model=model, input=texts)
    in_order = [item.index for item in many.data] == list(range(len(texts)))
    check("a list keeps its order", in_order)
    check("a list has its vectors", all(near(item.embedding, row) for item, row in zip(many.data, vectors)))
    plain = client.embeddings.create(model=model, input=texts[5], encoding_format="float")
    check("float is the same as base64", near(plain.data[0].embedding, one.data[0].embedding))
    short = client.embeddings.create(model=model, input=texts[5], dimensions=64).data[0].embedding
    norm = sum(x * x for x in vectors[5][:64]) ** 0.5
    check("dimensions cut, then normalise", near(short, [x / norm for x in vectors[5][:64]]))
    for name, kind, request in [
        ("an unknown model is NotFoundError", openai.NotFoundError, {"model": "nope", "input": "a"}),
        ("an empty string is BadRequestError", openai.BadRequestError, {"model": model, "input": ""}),
        ("token ids are BadRequestError", openai.BadRequestError, {"model": model, "input": [1, 2]}),
    ]:
        try:
            client.embeddings.create(**request)
            check(name, False)
        except kind:
            check(name, True)


if __name__ == "__main__":
    main()
