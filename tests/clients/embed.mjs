// What users of openai's Node client do. One line a check, starting with ok or FAILED.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import OpenAI from "openai";

const DIMENSIONS = 384;
const TOLERANCE = 2e-6;

/** Texts that a client may send, and their vectors; the service refuses empty strings. */
function golden() {
  const folder = process.env.GOLDEN;
  const texts = JSON.parse(readFileSync(join(folder, "texts.json"), "utf8"));
  const raw = readFileSync(join(folder, "vectors.npy"));
  const start = 10 + raw.readUInt16LE(8);
  const row = (index) =>
    Array.from({ length: DIMENSIONS }, (_, column) => raw.readFloatLE(start + 4 * (index * DIMENSIONS + column)));
  return texts.map((text, index) => ({ text, vector: row(index) })).filter(({ text }) => text);
}

function check(name, passed) {
  console.log(passed ? "ok" : "FAILED", "node:", name);
}

function near(actual, expected) {
  return actual.length === expected.length && actual.every((x, i) => Math.abs(x - expected[i]) <= TOLERANCE);
}

const client = new OpenAI({ maxRetries: 0 });
const cases = golden();
const model = (await client.models.list()).data[0].id;
check("models.list names the model", model === "all-MiniLM-L6-v2");
const one = await client.embeddings.create({ model, input: cases[5].text });
check("a string has its vector", near(one.data[0].embedding, cases[5].vector));
const many = await client.embeddings.create({ model, input: cases.map(({ text }) => text) });
check("a list has its vectors", many.data.every(({ embedding }, i) => near(embedding, cases[i].vector)));
const plain = await client.embeddings.create({ model, input: cases[5].text, encoding_format: "float" });
check("float is the same as base64", near(plain.data[0].embedding, cases[5].vector));
const short = await client.embeddings.create({ model, input: cases[5].text, dimensions: 64 });
const norm = Math.hypot(...cases[5].vector.slice(0, 64));
check("dimensions cut, then normalise", near(short.data[0].embedding, cases[5].vector.slice(0, 64).map((x) => x / norm)));
const error = await client.embeddings.create({ model: "nope", input: "a" }).catch((error) => error);
check("an unknown model is NotFoundError", error instanceof OpenAI.NotFoundError);
