//! Rerankers, sparse models and token vectors are those of sentence-transformers.

use std::path::PathBuf;

use chunkflow::ErrorKind;
use chunkflow::embeddings::{Backend, EmbedOptions, Error, LoadedModel, ModelOptions};
use chunkflow::models::Task;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::process::{Place, Ran};
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, golden, max_difference};

/// As for vectors; scores are logits or probabilities and may exceed 1.
const TOLERANCE: f64 = 5e-6;

const RERANKERS: [&str; 11] = [
    "rerank-bert",
    "rerank-bert-identity",
    "rerank-bert-labels",
    "rerank-bert-modules",
    "rerank-distilbert",
    "rerank-gte",
    "rerank-modernbert",
    "rerank-modernbert-cls",
    "rerank-mpnet",
    "rerank-roberta",
    "rerank-xlm-roberta",
];
const SPARSE: [&str; 5] =
    ["sparse-bert", "sparse-distilbert", "sparse-modernbert", "sparse-plain", "sparse-roberta"];

fn folder(name: &str) -> PathBuf {
    golden("heads").join(name)
}

fn load(name: &str, engine: Backend, max_batch_tokens: usize) -> LoadedModel {
    let kind = name.starts_with("sparse").then_some(Task::Sparse);
    let max_batch_tokens = Some(max_batch_tokens);
    let options =
        ModelOptions { backend: engine, max_batch_tokens, kind, ..ModelOptions::default() };
    LoadedModel::load(folder(name).to_str().unwrap(), &options).unwrap()
}

/// A tensor of the model's results.
fn expected(name: &str, tensor: &str) -> Vec<f64> {
    let bytes = std::fs::read(folder(name).join("expected.safetensors")).unwrap();
    support::numbers(&SafeTensors::deserialize(&bytes).unwrap(), tensor)
}

/// Tokens of each input.
fn lengths(name: &str) -> Vec<usize> {
    let ends = expected(name, "cu_seqlens");
    ends.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect()
}

fn pairs(name: &str) -> Vec<(String, String)> {
    support::json(&folder(name).join("pairs.json"))
}

fn borrow(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(query, document)| (query.as_str(), document.as_str())).collect()
}

#[test]
fn scores_are_those_of_cross_encoder() {
    for name in RERANKERS {
        let (pairs, expected) = (pairs(name), expected(name, "scores"));
        for engine in ENGINES {
            let scores = load(name, engine, ONE_BATCH).score(&borrow(&pairs)).unwrap();
            assert_eq!(scores.tokens, lengths(name), "{name}");
            assert_eq!(scores.data.len(), expected.len(), "{name}");
            assert_eq!(scores.labels * pairs.len(), expected.len(), "{name}");
            let largest = support::max_value(&expected).max(1.0);
            let difference = max_difference(&scores.data, &expected) / largest;
            assert!(difference <= TOLERANCE, "{name} on {engine:?}: {difference:e}");
        }
    }
}

#[test]
fn a_pair_scores_the_same_bits_in_any_company() {
    for name in RERANKERS {
        let pairs = pairs(name);
        let mut pairs = borrow(&pairs);
        let scores = |budget: usize, pairs: &[(&str, &str)]| {
            support::bits(&load(name, Backend::Native, budget).score(pairs).unwrap().data)
        };
        let alone = scores(1, &pairs);
        assert_eq!(scores(100, &pairs), alone, "{name} in batches of 100 tokens");
        let labels = alone.len() / pairs.len();
        pairs.reverse();
        let reversed = scores(ONE_BATCH, &pairs);
        let rows: Vec<u32> = reversed.chunks(labels).rev().flatten().copied().collect();
        assert_eq!(rows, alone, "{name} together, in the other order");
    }
}

#[test]
fn sparse_vectors_are_those_of_sparse_encoder() {
    for name in SPARSE {
        let texts: Vec<String> = support::json(&folder(name).join("texts.json"));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected = expected(name, "sparse");
        for engine in ENGINES {
            let model = load(name, engine, ONE_BATCH);
            let sparse = model.embed_sparse(&texts, &EmbedOptions::default()).unwrap();
            assert_eq!(sparse.tokens, lengths(name), "{name}");
            assert_eq!(
                (sparse.rows.len(), sparse.dim * texts.len()),
                (texts.len(), expected.len())
            );
            for (row, expected) in sparse.rows.iter().zip(expected.chunks(sparse.dim)) {
                assert!(row.is_sorted_by(|a, b| a.index < b.index));
                assert!(row.iter().all(|entry| entry.value > 0.0));
                let mut dense = vec![0.0; sparse.dim];
                for entry in row {
                    dense[entry.index as usize] = entry.value;
                }
                let largest = support::max_value(expected).max(1.0);
                let difference = max_difference(&dense, expected) / largest;
                assert!(difference <= TOLERANCE, "{name} on {engine:?}: {difference:e}");
                let zeros = expected.iter().filter(|x| **x == 0.0).count();
                assert!(zeros > 0 && zeros < expected.len(), "{name}: the golden tells nothing");
            }
        }
    }
}

#[test]
fn a_sparse_vector_has_the_same_bits_in_any_company() {
    for name in SPARSE {
        let texts: Vec<String> = support::json(&folder(name).join("texts.json"));
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rows = |budget: usize, texts: &[&str]| {
            let model = load(name, Backend::Native, budget);
            model.embed_sparse(texts, &EmbedOptions::default()).unwrap().rows
        };
        let alone = rows(1, &texts);
        texts.reverse();
        let mut together = rows(ONE_BATCH, &texts);
        together.reverse();
        assert_eq!(together, alone, "{name}");
    }
}

#[test]
fn the_largest_entries_are_kept_where_the_model_limits_them() {
    let name = "sparse-bert";
    let copy = tempfile::tempdir().unwrap();
    support::copy_folder(&folder(name), copy.path());
    support::edit_json(&copy.path().join("config_sentence_transformers.json"), |json| {
        json["max_active_dims"] = serde_json::json!(5);
    });
    let text = ["The cat sat on the mat."];
    let options = EmbedOptions::default();
    let all = load(name, Backend::Native, ONE_BATCH).embed_sparse(&text, &options).unwrap();
    let limited = support::load(copy.path(), Backend::Native, ONE_BATCH);
    let limited = limited.embed_sparse(&text, &options).unwrap();
    let mut largest = all.rows[0].clone();
    largest.sort_by(|a, b| b.value.total_cmp(&a.value));
    largest.truncate(5);
    largest.sort_by_key(|entry| entry.index);
    assert_eq!(limited.rows[0], largest);
}

#[test]
fn a_decoder_of_its_own_goes_before_the_word_table() {
    let copy = tempfile::tempdir().unwrap();
    support::copy_folder(&folder("sparse-bert"), copy.path());
    let path = copy.path().join("model.safetensors");
    support::edit_tensors(&path, |tensors| {
        let word = tensors["bert.embeddings.word_embeddings.weight"].clone();
        let mut own = word.clone();
        // Rows in the other order: every entry gets its mirror's logit, but for the bias.
        let row = own.data.len() / own.shape[0];
        own.data = word.data.chunks(row).rev().flatten().copied().collect();
        let bias = tensors.get_mut("cls.predictions.bias").unwrap();
        bias.data.fill(0);
        tensors.insert("cls.predictions.decoder.weight".to_owned(), own);
    });
    let options = EmbedOptions::default();
    let sparse = |path: &std::path::Path| {
        let model = support::load(path, Backend::Native, ONE_BATCH);
        model.embed_sparse(&["The cat sat on the mat."], &options).unwrap()
    };
    let own = sparse(copy.path());
    support::edit_tensors(&path, |tensors| {
        tensors.remove("cls.predictions.decoder.weight").unwrap();
    });
    let tied = sparse(copy.path());
    let mirror = |index: u32| own.dim as u32 - 1 - index;
    let mut mirrored = tied.rows[0].clone();
    for entry in &mut mirrored {
        entry.index = mirror(entry.index);
    }
    mirrored.reverse();
    assert_eq!(own.rows[0], mirrored);
}

#[test]
fn a_model_of_another_kind_says_what_it_gives() {
    let check = |error: Error, parts: &[&str]| {
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert_eq!(chunkflow::Error::from(error).kind(), ErrorKind::Input);
    };
    let options = EmbedOptions::default();
    let reranker = load("rerank-bert", Backend::Native, ONE_BATCH);
    check(reranker.embed(&["a"], &options).unwrap_err(), &["reranker", "scores"]);
    check(reranker.embed_sparse(&["a"], &options).unwrap_err(), &["reranker", "scores"]);
    let sparse = load("sparse-bert", Backend::Native, ONE_BATCH);
    check(sparse.embed(&["a"], &options).unwrap_err(), &["sparse"]);
    check(sparse.score(&[("a", "b")]).unwrap_err(), &["sparse"]);
    let dense = support::load(&golden("tiny"), Backend::Native, ONE_BATCH);
    check(dense.score(&[("a", "b")]).unwrap_err(), &["embedding"]);
    check(dense.embed_sparse(&["a"], &options).unwrap_err(), &["embedding"]);
}

#[test]
fn nothing_in_gives_nothing_out() {
    let options = EmbedOptions::default();
    let reranker = load("rerank-bert", Backend::Native, ONE_BATCH);
    assert!(reranker.score(&[]).unwrap().data.is_empty());
    let sparse = load("sparse-bert", Backend::Native, ONE_BATCH);
    assert!(sparse.embed_sparse(&[], &options).unwrap().rows.is_empty());
    let dense = support::load(&golden("tiny"), Backend::Native, ONE_BATCH);
    assert_eq!(dense.embed_tokens(&[], &options).unwrap().cu_rows, [0]);
}

/// Lines of JSON that a command printed.
fn lines(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The bits of a JSON array of numbers.
fn numbers(value: &Value) -> Vec<u32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| (number.as_f64().unwrap() as f32).to_bits()).collect()
}

const INPUT: &str = "{\"id\": \"x\", \"text\": \"The cat sat.\"}\n{\"text\": \"\"}\n";
const TEXTS: [&str; 2] = ["The cat sat.", ""];

#[test]
fn embed_writes_the_vectors_of_tokens() {
    let place = Place::with("in.jsonl", INPUT);
    let ran = place.tiny(&["embed", "in.jsonl", "--output-kind", "tokens"]);
    let model = support::load(&golden("tiny"), Backend::Native, ONE_BATCH);
    let expected = model.embed_tokens(&TEXTS, &EmbedOptions::default()).unwrap();
    let lines = lines(&ran);
    assert_eq!(lines.len(), 2);
    for (text, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], text);
        assert_eq!(line["tokens"], expected.tokens[text]);
        let vectors = line["embeddings"].as_array().unwrap();
        assert_eq!(vectors.len(), expected.tokens[text]);
        let bits: Vec<u32> = vectors.iter().flat_map(numbers).collect();
        assert_eq!(bits, support::bits(expected.text_rows(text)));
    }
    assert_eq!((&lines[0]["id"], &lines[1]["id"]), (&json!("x"), &Value::Null));
}

#[test]
fn embed_writes_sparse_vectors() {
    for name in SPARSE {
        let place = Place::with("in.jsonl", INPUT);
        let model = folder(name);
        let args = ["embed", "in.jsonl", "--output-kind", "sparse", "--model"];
        let ran = place.run(&[args.as_slice(), &[model.to_str().unwrap()]].concat());
        let model = load(name, Backend::Native, ONE_BATCH);
        let expected = model.embed_sparse(&TEXTS, &EmbedOptions::default()).unwrap();
        for (line, row) in lines(&ran).iter().zip(&expected.rows) {
            let indices: Vec<u32> = serde_json::from_value(line["indices"].clone()).unwrap();
            assert_eq!(indices, row.iter().map(|entry| entry.index).collect::<Vec<_>>());
            let values: Vec<f32> = row.iter().map(|entry| entry.value).collect();
            assert_eq!(numbers(&line["values"]), support::bits(&values));
        }
    }
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    let place = Place::with("in.txt", "a\n");
    for more in [
        ["--output-kind", "tokens", "--format", "npy"],
        ["--output-kind", "sparse", "--output", "x.parquet"],
        ["--output-kind", "tokens", "--dimensions", "8"],
        ["--output-kind", "matrix", "--format", "jsonl"],
    ] {
        let ran = place.tiny(&[["embed", "in.txt"].as_slice(), &more].concat());
        assert_eq!(ran.code, Some(2), "{more:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--output-kind"), "{}", ran.stderr);
    }
    assert_eq!(place.names(), ["in.txt"]);
}

#[test]
fn rerank_sorts_documents_by_their_score() {
    let name = "rerank-xlm-roberta";
    let documents = ["read a book", "the cat sat", "", "low sun over the old city", "the cat sat"];
    let query = "the cat";
    let place = Place::with("docs.txt", documents.join("\n"));
    let folder = folder(name);
    let model = ["--model", folder.to_str().unwrap()];
    let rerank = |more: &[&str]| {
        let args = ["rerank", "--query", query, "docs.txt"];
        place.run(&[args.as_slice(), &model, more].concat())
    };
    let pairs: Vec<(&str, &str)> = documents.iter().map(|text| (query, *text)).collect();
    let scores = load(name, Backend::Native, ONE_BATCH).score(&pairs).unwrap().data;
    let mut order: Vec<usize> = (0..documents.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let ranked = lines(&rerank(&["--return-documents"]));
    assert_eq!(ranked.len(), documents.len());
    for (line, &place) in ranked.iter().zip(&order) {
        assert_eq!((&line["index"], &line["text"]), (&json!(place), &json!(documents[place])));
        assert_eq!((line["score"].as_f64().unwrap() as f32).to_bits(), scores[place].to_bits());
    }
    let best = lines(&rerank(&["--top-n", "2"]));
    assert_eq!(best.len(), 2);
    assert_eq!((&best[0]["index"], &best[0]["text"]), (&json!(order[0]), &Value::Null));
    let other = place.tiny(&["rerank", "--query", query, "docs.txt"]);
    assert!(other.code == Some(65) && other.stderr.contains("embedding"), "{}", other.stderr);
    let labels = self::folder("rerank-bert-labels");
    let args = ["rerank", "--query", query, "docs.txt", "--model", labels.to_str().unwrap()];
    let several = place.run(&args);
    assert!(several.code == Some(65) && several.stderr.contains("3 scores"), "{}", several.stderr);
}

#[test]
fn commands_for_vectors_refuse_models_without() {
    let place = Place::with("in.txt", "a\n");
    for (name, kind) in [("rerank-bert", "reranker"), ("sparse-bert", "sparse")] {
        let folder = folder(name);
        for command in ["embed", "chunk"] {
            let ran = place.run(&[command, "in.txt", "--model", folder.to_str().unwrap()]);
            assert!(ran.code == Some(65) && ran.stderr.contains(kind), "{command} {}", ran.stderr);
        }
    }
}
