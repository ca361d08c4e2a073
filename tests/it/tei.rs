//! The routes of text-embeddings-inference: bodies, codes and messages of its contract, values
//! against the library and the reference.

use std::path::PathBuf;

use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use chunkflow::models::Task;
use serde_json::{Value, json};

use crate::server_support::{Answer, Request, Server};
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, golden};

const TEXTS: [&str; 3] = ["the cat", "One dog would not sleep!", "star"];

fn tiny() -> PathBuf {
    golden("tiny")
}

fn head(name: &str) -> PathBuf {
    golden("heads").join(name)
}

fn model() -> LoadedModel {
    support::load(&tiny(), Backend::Native, ONE_BATCH)
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn normalized(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    row.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}

#[track_caller]
fn check_near(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    let difference = support::max_difference(actual, &support::widen(expected));
    assert!(difference <= 1e-6, "{difference:e}");
}

#[track_caller]
fn check_error(answer: &Answer, status: u16, kind: &str, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["error_type"], kind, "{body}");
    assert!(body["error"].as_str().unwrap().contains(part), "{body}");
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn embed_gives_the_librarys_vectors_of_length_one_unless_told_otherwise() {
    let server = Server::start(&tiny());
    let (model, options) = (model(), EmbedOptions::default());
    let own = |options: &EmbedOptions| model.embed(&TEXTS, options).unwrap();
    let answer = server.post("/embed", &json!({ "inputs": TEXTS }));
    for (row, expected) in rows(&answer.ok()).iter().zip(own(&options).rows()) {
        check_near(row, &normalized(expected));
    }
    // As its clients grep for them.
    assert_eq!(answer.header("x-compute-characters"), Some("35"));
    let tokens: usize = own(&options).tokens.iter().sum();
    assert_eq!(answer.header("x-compute-tokens"), Some(&*tokens.to_string()));
    assert_eq!(answer.header("x-compute-type"), Some("cpu"));
    for header in ["x-total-time", "x-tokenization-time", "x-compute-time"] {
        assert!(answer.header(header).unwrap().parse::<u64>().is_ok(), "{header}");
    }
    let one = rows(&server.post("/embed", &json!({ "inputs": TEXTS[1] })).ok());
    assert_eq!(one, rows(&server.post("/", &json!({ "inputs": [TEXTS[1]] })).ok()));
    assert_eq!(one.len(), 1);
    let raw = json!({ "inputs": TEXTS, "normalize": false, "dimensions": 7 });
    let options =
        EmbedOptions { dimensions: Some(7), normalize: Some(false), ..EmbedOptions::default() };
    for (row, expected) in rows(&server.post("/embed", &raw).ok()).iter().zip(own(&options).rows())
    {
        check_near(row, expected);
    }
    let whole = own(&EmbedOptions { normalize: Some(false), ..EmbedOptions::default() });
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(whole.rows().all(|row| (length(row) - 1.0).abs() > 1e-3), "the model normalises");
}

#[test]
fn token_ids_are_the_models_own() {
    let server = Server::start(&tiny());
    let ids = |text: &str| -> Vec<u32> {
        let body = json!({ "inputs": text, "add_special_tokens": false });
        let tokens = server.post("/tokenize", &body).ok();
        tokens[0]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token["id"].as_u64().unwrap() as u32)
            .collect()
    };
    let embed = |inputs: Value| rows(&server.post("/embed", &json!({ "inputs": inputs })).ok());
    let texts = embed(json!(["the cat", "star"]));
    assert_eq!(embed(json!([ids("the cat"), ids("star")])), texts);
    assert_eq!(embed(json!(["the cat", ids("star")])), texts);
    assert_eq!(embed(json!([ids("the cat"), "star"])), texts);
    // A flat list is one input.
    assert_eq!(embed(json!(ids("the cat"))), texts[..1]);
    let beyond = server.post("/embed", &json!({ "inputs": [[4_000_000]] }));
    check_error(&beyond, 422, "Validation", "4000000");
}

#[test]
fn what_is_wrong_has_the_code_and_words_that_clients_look_for() {
    let variables = [("CHUNKFLOW__SERVER__MAX_TEXTS", "4")];
    let server = Server::with(&tiny(), &variables, &[]);
    let embed = |body: Value| server.post("/embed", &body);
    check_error(&embed(json!({ "inputs": [] })), 400, "Empty", "`inputs`");
    check_error(&embed(json!({ "inputs": "" })), 400, "Empty", "`inputs`");
    check_error(&embed(json!({ "inputs": [[]] })), 400, "Empty", "`inputs`");
    check_error(&embed(json!({ "input": "a" })), 422, "Validation", "inputs");
    check_error(&embed(json!({ "inputs": 7 })), 422, "Validation", "`inputs`");
    check_error(&embed(json!({ "inputs": vec!["a"; 5] })), 413, "Validation", "at most 4");
    check_error(
        &embed(json!({ "inputs": [[7], [7], [7], [7], [7]] })),
        413,
        "Validation",
        "at most 4",
    );
    let dimensions = embed(json!({ "inputs": "a", "dimensions": 0 }));
    check_error(&dimensions, 422, "Validation", "dimensions is 0");
    let prompt = embed(json!({ "inputs": "a", "prompt_name": "poem" }));
    check_error(&prompt, 422, "Validation", "unknown prompt `poem`");
    let long = "the cat ".repeat(100);
    let cut = embed(json!({ "inputs": ["a", long], "truncate": false }));
    check_error(
        &cut,
        422,
        "Validation",
        "Input validation error: `inputs` must have less than 49 tokens. Given: ",
    );
    let answer = embed(json!({ "inputs": ["a", long] }));
    assert_eq!((answer.status, answer.header("x-truncated-inputs")), (200, Some("1")));
    let direction = |direction: &str| {
        let body = json!({ "inputs": format!("star {long}"), "truncation_direction": direction });
        rows(&embed(body).ok())
    };
    assert_eq!(direction("Left"), direction("left"));
    assert_ne!(direction("Left"), direction("Right"));
    let malformed = server.send(&Request::json("/embed", b"{\"inputs\": "));
    check_error(&malformed, 400, "Validation", "JSON");
    let plain = Request::new("POST", "/embed").body(b"{}");
    check_error(&server.send(&plain), 415, "Validation", "application/json");
    check_error(&server.get("/embed"), 405, "Validation", "GET");
    // A model of another task.
    let rerank = json!({ "query": "a", "texts": ["b"] });
    check_error(&server.post("/rerank", &rerank), 424, "Backend", "an embedding model");
    check_error(
        &server.post("/predict", &json!({ "inputs": "a" })),
        424,
        "Backend",
        "an embedding model",
    );
    check_error(&server.post("/embed_sparse", &json!({ "inputs": "a" })), 424, "Backend", "sparse");
}

#[test]
fn similarity_is_the_cosine_and_embed_all_has_every_token() {
    let server = Server::start(&tiny());
    let model = model();
    let inputs = json!({ "source_sentence": TEXTS[0], "sentences": TEXTS[1..] });
    let scores = numbers(&server.post("/similarity", &json!({ "inputs": inputs })).ok());
    let vectors = model.embed(&TEXTS, &EmbedOptions::default()).unwrap();
    let vectors: Vec<Vec<f32>> = vectors.rows().map(normalized).collect();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    check_near(&scores, &[dot(&vectors[0], &vectors[1]), dot(&vectors[0], &vectors[2])]);
    // As huggingface_hub sends it.
    assert_eq!(numbers(&server.post("/", &json!({ "inputs": inputs })).ok()), scores);
    let none = json!({ "inputs": { "source_sentence": "a", "sentences": [] } });
    check_error(&server.post("/similarity", &none), 400, "Empty", "`sentences`");
    let all = server.post("/embed_all", &json!({ "inputs": TEXTS })).ok();
    let expected = model.model().embed_tokens(&TEXTS, &EmbedOptions::default()).unwrap();
    let expected = expected.run(&model).unwrap();
    for (index, text) in all.as_array().unwrap().iter().enumerate() {
        check_near(&rows(text).concat(), expected.text_rows(index));
    }
}

#[test]
fn rerank_is_sorted_and_scores_are_the_references() {
    let server = Server::start(&head("rerank-bert"));
    let texts = ["the sun", "a cat sat", "one dog", "the star"];
    let model = support::load(&head("rerank-bert"), Backend::Native, ONE_BATCH);
    let pairs: Vec<(&str, &str)> = texts.iter().map(|text| ("the cat", *text)).collect();
    let own = model.score(&pairs).unwrap();
    let body = json!({ "query": "the cat", "texts": texts, "return_text": true });
    let ranks = server.post("/rerank", &body).ok();
    let ranks = ranks.as_array().unwrap();
    assert_eq!(ranks.len(), texts.len());
    let score = |rank: &Value| rank["score"].as_f64().unwrap() as f32;
    assert!(ranks.windows(2).all(|two| score(&two[0]) >= score(&two[1])));
    for rank in ranks {
        let index = rank["index"].as_u64().unwrap() as usize;
        assert_eq!(rank["text"], texts[index]);
        // This model's own activation is the logistic function.
        check_near(&[score(rank)], &own.data[index..=index]);
    }
    let raw = json!({ "query": "the cat", "texts": texts, "raw_scores": true });
    for rank in server.post("/", &raw).ok().as_array().unwrap() {
        let index = rank["index"].as_u64().unwrap() as usize;
        assert!(rank.get("text").is_none());
        check_near(&[1.0 / (1.0 + (-score(rank)).exp())], &own.data[index..=index]);
    }
    check_error(&server.post("/embed", &json!({ "inputs": "a" })), 424, "Backend", "a reranker");
    let info = server.get("/info").ok();
    assert_eq!(info["model_type"]["reranker"]["id2label"]["0"], "LABEL_0", "{info}");
}

#[test]
fn predict_takes_texts_and_pairs_and_names_the_labels() {
    let server = Server::start(&head("rerank-bert-labels"));
    let model = support::load(&head("rerank-bert-labels"), Backend::Native, ONE_BATCH);
    let labels = model.model().labels();
    assert!(labels.len() > 1);
    let probabilities = |answer: &Value| -> Vec<f32> {
        let found = answer.as_array().unwrap();
        let scores: Vec<f64> = found.iter().map(|x| x["score"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|two| two[0] >= two[1]), "{answer}");
        let of = |label: &String| found.iter().find(|x| x["label"] == **label).unwrap();
        labels.iter().map(|label| of(label)["score"].as_f64().unwrap() as f32).collect()
    };
    let predict = |inputs: Value| server.post("/predict", &json!({ "inputs": inputs })).ok();
    let pair = probabilities(&predict(json!(["the cat", "a dog"])));
    let logits = model.score(&[("the cat", "a dog")]).unwrap().data;
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
    let expected: Vec<f32> = logits.iter().map(|logit| logit.exp() / sum).collect();
    check_near(&pair, &expected);
    let single = probabilities(&predict(json!("the cat")));
    assert_eq!(probabilities(&predict(json!(["the cat"]))), single);
    assert_ne!(single, pair);
    let batch = predict(json!([["the cat"], ["the cat", "a dog"]]));
    assert_eq!(probabilities(&batch[0]), single);
    assert_eq!(probabilities(&batch[1]), pair);
    let raw =
        server.post("/predict", &json!({ "inputs": ["the cat", "a dog"], "raw_scores": true }));
    check_near(&probabilities(&raw.ok()), &logits);
    let three = server.post("/predict", &json!({ "inputs": ["a", "b", "c"] }));
    check_error(&three, 422, "Validation", "one or two texts, found 3");
    let info = server.get("/info").ok();
    assert_eq!(info["model_type"]["classifier"]["label2id"][&labels[1]], 1, "{info}");
    let rerank = server.post("/rerank", &json!({ "query": "a", "texts": ["b"] }));
    check_error(&rerank, 424, "Backend", "a ranking needs 1");
}

#[test]
fn sparse_models_give_what_is_not_zero() {
    let server = Server::with(&head("sparse-bert"), &[], &[]);
    let model = support::load(&head("sparse-bert"), Backend::Native, ONE_BATCH);
    assert_eq!(model.model().kind(), Task::Sparse);
    let expected = model.embed_sparse(&TEXTS, &EmbedOptions::default()).unwrap();
    let rows = server.post("/embed_sparse", &json!({ "inputs": TEXTS })).ok();
    for (row, expected) in rows.as_array().unwrap().iter().zip(&expected.rows) {
        let entries = row.as_array().unwrap().iter();
        let entries: Vec<(u64, f32)> = entries
            .map(|entry| {
                (entry["index"].as_u64().unwrap(), entry["value"].as_f64().unwrap() as f32)
            })
            .collect();
        let expected: Vec<(u64, f32)> =
            expected.iter().map(|entry| (entry.index.into(), entry.value)).collect();
        assert_eq!(entries, expected);
    }
    assert_eq!(server.post("/", &json!({ "inputs": TEXTS })).ok(), rows);
    assert_eq!(server.get("/info").ok()["model_type"]["embedding"]["pooling"], "splade");
}

#[test]
fn tokens_have_the_bytes_of_their_text_and_decode_to_it() {
    let server = Server::start(&tiny());
    let text = "The cat, and one dog.";
    let tokens = server.post("/tokenize", &json!({ "inputs": [text, "star"] })).ok();
    let tokens = tokens[0].as_array().unwrap();
    let (first, last) = (&tokens[0], tokens.last().unwrap());
    for special in [first, last] {
        assert_eq!(special["special"], true);
        assert_eq!((&special["start"], &special["stop"]), (&Value::Null, &Value::Null));
    }
    for token in &tokens[1..tokens.len() - 1] {
        let place = |key: &str| token[key].as_u64().unwrap() as usize;
        assert_eq!(token["text"], text[place("start")..place("stop")]);
    }
    let ids: Vec<&Value> = tokens.iter().map(|token| &token["id"]).collect();
    let decode = |body: Value| server.post("/decode", &body).ok();
    let plain = decode(json!({ "ids": ids }));
    // As transformers joins them.
    assert_eq!(plain[0], "the cat , and one dog .");
    let special = decode(json!({ "ids": [ids], "skip_special_tokens": false }));
    assert_eq!(special.as_array().unwrap().len(), 1);
    assert!(special[0].as_str().unwrap().len() > text.len());
    let info = server.get("/info").ok();
    assert_eq!(info["max_input_length"], 48, "{info}");
    assert_eq!((&info["model_dtype"], &info["auto_truncate"]), (&json!("float32"), &json!(true)));
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.get("/").status, 200);
}
