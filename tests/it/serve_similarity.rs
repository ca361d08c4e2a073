//! `POST /v1/similarity` against naive loops in f64.

use std::path::PathBuf;
use std::sync::OnceLock;

use chunkflow::compute::Isa;
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use chunkflow::similarity::{Device, UnitRows, pairwise};
use serde_json::{Value, json};

use crate::server_support::{Answer, Server};
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

const PATH: &str = "/v1/similarity";

fn folder() -> PathBuf {
    support::golden("tiny")
}

fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| support::load(&folder(), Backend::Native, ONE_BATCH))
}

fn embed(texts: &[&str], dimensions: Option<usize>) -> Vec<Vec<f64>> {
    let options = EmbedOptions { dimensions, ..EmbedOptions::default() };
    let embeddings = model().embed(texts, &options).unwrap();
    embeddings.rows().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

/// Vectors as a request has them, the second of zeros, of different lengths.
fn random(rows: usize, dim: usize, seed: u64) -> Vec<Vec<f64>> {
    let values = SplitMix64::new(seed).values(rows * dim, 1.0);
    let mut rows: Vec<Vec<f64>> =
        values.chunks(dim).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        let scale = if index == 1 { 0.0 } else { (index % 5 + 1) as f64 };
        for x in row.iter_mut() {
            *x *= scale;
        }
    }
    rows
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

/// An answer with `field` and no other result; returns it.
#[track_caller]
fn result(answer: &Answer, field: &str) -> Vec<Value> {
    let body = answer.ok();
    let mut fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    fields.sort();
    let mut expected = ["object", "model", "usage", field];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!((&body["object"], &body["model"]), (&json!("similarity"), &json!("tiny")));
    body[field].as_array().unwrap().clone()
}

#[track_caller]
fn check_scores(answer: &Answer, a: &[Vec<f64>], b: &[Vec<f64>]) {
    let scores = result(answer, "scores");
    assert_eq!(scores.len(), a.len());
    for (scores, a) in scores.iter().zip(a) {
        let scores = scores.as_array().unwrap();
        assert_eq!(scores.len(), b.len());
        for (score, b) in scores.iter().zip(b) {
            assert!((score.as_f64().unwrap() - cosine(a, b)).abs() < 1e-6);
        }
    }
}

#[test]
fn texts_and_vectors_are_compared_in_any_combination() {
    let server = Server::start(&folder());
    let (some, others) = (["the cat", "a book on the moon"], ["fire", "the cat", "water"]);
    let (a, b) = (embed(&some, None), embed(&others, None));
    let texts = server.post(PATH, &json!({"a": some, "b": others, "model": "tiny"}));
    check_scores(&texts, &a, &b);
    let tokens: usize = some
        .iter()
        .chain(&others)
        .map(|text| model().model().tokenizer().count(text).unwrap())
        .sum();
    assert_eq!(texts.json()["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    check_scores(&server.post(PATH, &json!({"a": some})), &a, &a);
    check_scores(&server.post(PATH, &json!({"a": "the cat", "b": some})), &a[..1], &a);
    let vectors = random(7, 24, 1);
    check_scores(&server.post(PATH, &json!({"a": some, "b": vectors})), &a, &vectors);
    let answer = server.post(PATH, &json!({"a": vectors, "b": others}));
    check_scores(&answer, &vectors, &b);
    let (small, smaller) = (random(5, 3, 2), random(4, 3, 3));
    let answer = server.post(PATH, &json!({"a": small, "b": smaller}));
    check_scores(&answer, &small, &smaller);
    assert_eq!(answer.json()["usage"]["total_tokens"], 0);
    let cut = server.post(PATH, &json!({"a": some, "dimensions": 7}));
    let cut_rows = embed(&some, Some(7));
    check_scores(&cut, &cut_rows, &cut_rows);
}

#[test]
fn the_best_are_named_and_no_row_is_its_own_neighbour() {
    let server = Server::start(&folder());
    let (a, b) = (random(9, 5, 4), random(6, 5, 5));
    for (body, columns, k) in [
        (json!({"a": a, "b": b, "top_k": 4}), &b, 4),
        (json!({"a": a, "b": b, "top_k": 100}), &b, 6),
        (json!({"a": a, "top_k": 3}), &a, 3),
        (json!({"a": a, "top_k": 9}), &a, 8),
    ] {
        let alone = body.get("b").is_none();
        let lists = result(&server.post(PATH, &body), "neighbours");
        assert_eq!(lists.len(), a.len());
        for (row, list) in lists.iter().enumerate() {
            let others = (0..columns.len()).filter(|&other| !alone || other != row);
            let mut expected: Vec<(usize, f64)> =
                others.map(|other| (other, cosine(&a[row], &columns[other]))).collect();
            // A row of zeros has equal scores, which are in the order of their rows.
            expected.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
            expected.truncate(k);
            let list = list.as_array().unwrap();
            assert_eq!(list.len(), expected.len());
            for (found, (index, score)) in list.iter().zip(expected) {
                assert_eq!(found["index"], index);
                assert!((found["score"].as_f64().unwrap() - score).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn pairs_are_those_that_reach_the_threshold() {
    let server = Server::start(&folder());
    let (a, b) = (random(12, 4, 6), random(10, 4, 7));
    for (body, columns) in
        [(json!({"a": a, "b": b, "threshold": 0.2}), &b), (json!({"a": a, "threshold": 0.2}), &a)]
    {
        let alone = body.get("b").is_none();
        let pairs = result(&server.post(PATH, &body), "pairs");
        let mut expected = Vec::new();
        for (i, row) in a.iter().enumerate() {
            for (j, column) in columns.iter().enumerate().skip(if alone { i + 1 } else { 0 }) {
                if cosine(row, column) >= 0.2 {
                    expected.push((i, j, cosine(row, column)));
                }
            }
        }
        assert!(expected.len() > 5);
        assert_eq!(pairs.len(), expected.len());
        for (pair, (i, j, score)) in pairs.iter().zip(expected) {
            assert_eq!((&pair["a"], &pair["b"]), (&json!(i), &json!(j)));
            assert!((pair["score"].as_f64().unwrap() - score).abs() < 1e-6);
        }
    }
}

#[test]
fn a_threshold_of_minus_one_finds_opposite_rows() {
    let server = Server::start(&folder());
    let a = random(40, 13, 8);
    let b: Vec<Vec<f64>> = a.iter().map(|row| row.iter().map(|x| -x).collect()).collect();
    let scores = result(&server.post(PATH, &json!({"a": a, "b": b})), "scores");
    let below = |row: &Value| row.as_array().unwrap().iter().any(|x| x.as_f64().unwrap() < -1.0);
    assert!(scores.iter().any(below), "no case for a test");
    let pairs = result(&server.post(PATH, &json!({"a": a, "b": b, "threshold": -1})), "pairs");
    assert_eq!(pairs.len(), 40 * 40);
}

#[test]
fn scores_have_the_bits_of_the_instructions_that_are_set() {
    // Exactly of f32, so that JSON does not round them another way.
    let narrow = |row: Vec<f64>| row.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = random(20, 24, 9).into_iter().map(narrow).collect();
    for isa in Isa::available() {
        let server = Server::with(&folder(), &[("CHUNKFLOW__COMPUTE__ISA", &isa.to_string())], &[]);
        let unit = UnitRows::from_f32(rows.concat(), 24).unwrap();
        let mut expected = vec![0.0; 20 * 20];
        let unit = unit.rows().unwrap();
        pairwise(&Device::cpu(isa), unit, unit, &mut expected).unwrap();
        let scores = result(&server.post(PATH, &json!({"a": rows})), "scores");
        let scores = scores.iter().flat_map(|row| row.as_array().unwrap());
        let scores: Vec<f32> = scores.map(|score| score.as_f64().unwrap() as f32).collect();
        assert!(scores == expected, "{isa}");
    }
}

#[test]
fn many_texts_that_are_cut_are_counted() {
    let server = Server::start(&folder());
    let long = "the cat ".repeat(60);
    let texts = vec![long; 130];
    let first: Vec<String> = (0..100).map(|index| format!("a[{index}]")).collect();
    let expected = format!("{},+31", first.join(","));
    let answer = server.post(PATH, &json!({"a": texts, "b": texts[0]}));
    assert_eq!(answer.header("x-truncated-inputs"), Some(expected.as_str()));
}

#[test]
fn a_text_that_is_cut_is_named() {
    let server = Server::start(&folder());
    let long = "the cat ".repeat(60);
    let answer = server.post(PATH, &json!({"a": ["a", long, long], "b": [long, "b"]}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-truncated-inputs"), Some("a[1],a[2],b[0]"));
    assert_eq!(server.post(PATH, &json!({"a": "a"})).header("x-truncated-inputs"), None);
}

#[test]
fn wrong_requests_are_openais_errors_with_field_value_and_limit() {
    let server = Server::start(&folder());
    let many = vec![[1, 2]; 1_001];
    let (wide, long) = (vec![0; 65_537], "é".repeat(1_000));
    let short = format!("number 1 is \"{}\"..", "é".repeat(80));
    let cases: [(Value, &str, &[&str]); 24] = [
        (json!({"a": []}), "a", &["must not be an empty list"]),
        (json!({"a": ["x", ""]}), "a", &["number 1"]),
        (
            json!({"a": 7}),
            "a",
            &["`a` must be a string, a list of strings or a list of vectors, found 7"],
        ),
        (json!({"a": {"b": 1}}), "a", &["found an object"]),
        (json!({"a": "x", "b": null, "threshold": 1e39}), "threshold", &["1e39, expected -1 to 1"]),
        (json!({"a": [[1.0], long]}), "a", &["`a` holds vectors", &short]),
        (json!({"a": [[1.0], [[2.0]]]}), "a", &["vector 1 holds a list"]),
        (json!({"a": ["x", [2.0]]}), "a", &["number 1 is a list"]),
        (json!({"a": [wide]}), "a", &["vector 0 has 65537 dimensions, at most 65536"]),
        (json!({"a": [[1]], "dimensions": 0}), "dimensions", &["`dimensions` is 0", "neither"]),
        (json!({"a": "x", "b": [[1, 2]], "dimensions": 3}), "b", &["2 dimensions", "have 3"]),
        (json!({"a": ["x"], "b": [[1.0], "x"]}), "b", &["`b` holds vectors, number 1 is \"x\""]),
        (json!({"a": [1.0, 2.0]}), "a", &["expected a list of vectors"]),
        (json!({"a": [[]]}), "a", &["vector 0 has 0 dimensions"]),
        (json!({"a": [[1, 2], [3]]}), "a", &["vector 1 has 1 dimensions, expected 2"]),
        (json!({"a": [[1, null]]}), "a", &["vector 0 holds null"]),
        (json!({"a": [[1, 1e300]]}), "a", &["vector 0 holds 1e+300"]),
        (json!({"a": [[1, 2]], "b": [[1, 2, 3]]}), "b", &["3 dimensions, those of `a` have 2"]),
        (json!({"a": "x", "b": [[1, 2]]}), "b", &["2 dimensions, those of `a` have 24"]),
        (json!({"a": "x", "dimensions": 25}), "dimensions", &["25", "24"]),
        (json!({"a": [[1]], "top_k": 0}), "top_k", &["`top_k` is 0, expected at least 1"]),
        (json!({"a": [[1]], "top_k": 1, "threshold": 0}), "top_k", &["do not go together"]),
        (json!({"a": [[1]], "threshold": 1.5}), "threshold", &["1.5, expected -1 to 1"]),
        (json!({"a": many}), "a", &["1001 items", "1002001 scores", "at most 1000000"]),
    ];
    for (body, param, parts) in cases {
        let answer = server.post(PATH, &body);
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"], param, "{error}");
        for part in parts {
            assert!(error["message"].as_str().unwrap().contains(part), "{part:?}: {error}");
        }
    }
    // A field that is no field of ours is a typing error, not a wish to be ignored.
    assert_eq!(server.post(PATH, &json!({"a": "x", "topk": 1})).status, 400);
    assert_eq!(server.post(PATH, &json!({"a": "x", "model": "other"})).status, 404);
    assert_eq!(server.get(PATH).status, 405);
}
