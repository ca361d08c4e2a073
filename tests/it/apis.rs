//! The routes of Cohere, Jina and Ollama: bodies and errors of each, values against the library.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use serde_json::{Value, json};

use crate::server_support::Server;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, golden};

const TEXTS: [&str; 2] = ["the cat", "One dog would not sleep!"];

fn tiny() -> PathBuf {
    golden("tiny")
}

fn vectors(model: &LoadedModel, options: &EmbedOptions) -> Vec<Vec<f32>> {
    let embeddings = model.embed(&TEXTS, options).unwrap();
    embeddings.rows().map(<[f32]>::to_vec).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect()
}

fn decoded(value: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[test]
fn cohere_gives_every_type_of_one_run() {
    let server = Server::start(&tiny());
    let model = support::load(&tiny(), Backend::Native, ONE_BATCH);
    let prompted = |name: &str| EmbedOptions {
        prompt: model.model().prompt(Some(name)).unwrap(),
        ..EmbedOptions::default()
    };
    let expected = vectors(&model, &prompted("query"));
    let types = ["float", "base64", "int8", "uint8", "binary", "ubinary"];
    let answer = server.post(
        "/v2/embed",
        &json!({ "model": "tiny", "input_type": "search_query", "texts": TEXTS,
                 "embedding_types": types }),
    );
    let answer = answer.ok();
    assert_eq!(answer["response_type"], "embeddings_by_type");
    assert_eq!(
        (&answer["texts"], &answer["meta"]["api_version"]["version"]),
        (&json!(TEXTS), &json!("2"))
    );
    assert!(answer["meta"]["billed_units"]["input_tokens"].as_u64().unwrap() > 4);
    assert!(answer["meta"].get("warnings").is_none());
    let of = |kind: &str, index: usize| answer["embeddings"][kind][index].clone();
    for (index, row) in expected.iter().enumerate() {
        assert_eq!(floats(&of("float", index)), *row);
        assert_eq!(decoded(&of("base64", index)), *row);
        let (signed, unsigned) = (integers(&of("int8", index)), integers(&of("uint8", index)));
        // Of 24 dimensions: 4 / sqrt(24).
        let end = 4.0 / 24_f64.sqrt();
        for ((&signed, &unsigned), &x) in signed.iter().zip(&unsigned).zip(row) {
            assert_eq!(signed, unsigned - 128);
            let value = -end + (unsigned as f64 + 0.5) * 2.0 * end / 255.0;
            assert!(
                (value - f64::from(x).clamp(-end, end)).abs() <= end / 255.0 + 1e-6,
                "{value} {x}"
            );
        }
        let bits = integers(&of("ubinary", index));
        let less: Vec<i64> = bits.iter().map(|byte| byte - 128).collect();
        assert_eq!(integers(&of("binary", index)), less);
        for (place, &x) in row.iter().enumerate() {
            assert_eq!(bits[place / 8] >> (7 - place % 8) & 1, i64::from(x > 0.0));
        }
    }
    let plain = json!({ "model": "tiny", "texts": TEXTS });
    let first = server.post("/v1/embed", &plain).ok();
    assert_eq!(first["response_type"], "embeddings_floats");
    let plain = vectors(&model, &EmbedOptions::default());
    assert_eq!(floats(&first["embeddings"][1]), plain[1]);
    assert_ne!(plain, expected);
}

#[test]
fn cohere_says_what_was_cut_and_what_is_wrong() {
    let server = Server::start(&tiny());
    let long = format!("star {}", "the cat ".repeat(100));
    let embed = |truncate: &str| {
        let body = json!({ "model": "tiny", "input_type": "clustering", "texts": ["a", long],
                           "truncate": truncate });
        server.post("/v2/embed", &body)
    };
    let answer = embed("END");
    assert_eq!(answer.header("x-truncated-inputs"), Some("1"));
    let warning = &answer.ok()["meta"]["warnings"][0];
    assert!(warning.as_str().unwrap().contains("input 1"), "{warning}");
    assert_ne!(embed("START").ok()["embeddings"], answer.ok()["embeddings"]);
    let wrong = |body: Value, status: u16, part: &str| {
        let answer = server.post("/v2/embed", &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{message}");
    };
    assert_eq!(embed("NONE").status, 400);
    wrong(json!({ "model": "tiny", "texts": ["a"] }), 400, "input_type");
    wrong(json!({ "model": "tiny", "input_type": "image", "images": [] }), 400, "texts alone");
    wrong(json!({ "model": "tiny", "input_type": "clustering" }), 400, "`texts` is missing");
    wrong(json!({ "model": "huge", "input_type": "clustering", "texts": ["a"] }), 404, "huge");
    wrong(json!({ "model": "tiny", "input_type": "poem", "texts": ["a"] }), 400, "poem");
}

#[test]
fn cohere_and_jina_rank_documents() {
    let folder = golden("heads").join("rerank-bert");
    let server = Server::start(&folder);
    let model = support::load(&folder, Backend::Native, ONE_BATCH);
    let documents = ["the sun", "a cat sat", "one dog"];
    let pairs: Vec<(&str, &str)> = documents.iter().map(|text| ("the cat", *text)).collect();
    let mut expected: Vec<(usize, f32)> =
        model.score(&pairs).unwrap().data.into_iter().enumerate().collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let ranked = |answer: &Value| -> Vec<(usize, f32)> {
        let results = answer["results"].as_array().unwrap().iter();
        let place = |x: &Value| x["index"].as_u64().unwrap() as usize;
        results.map(|x| (place(x), x["relevance_score"].as_f64().unwrap() as f32)).collect()
    };
    let body = json!({ "model": "rerank-bert", "query": "the cat", "documents": documents });
    let second = server.post("/v2/rerank", &body).ok();
    assert_eq!(ranked(&second), expected);
    assert_eq!(second["meta"]["billed_units"]["search_units"], 1);
    assert!(second["results"][0].get("document").is_none());
    let body = json!({ "query": "the cat", "documents": [{ "text": documents[0] }, documents[1],
                       documents[2]], "top_n": 2, "return_documents": true });
    let first = server.post("/v1/rerank", &body).ok();
    assert_eq!(ranked(&first), expected[..2]);
    assert_eq!(first["results"][0]["document"]["text"], documents[expected[0].0]);
    assert_eq!(first["model"], "rerank-bert");
    assert!(first["usage"]["total_tokens"].as_u64().unwrap() > 9);
    let none = server.post("/v2/rerank", &json!({ "query": "a", "documents": [] }));
    assert_eq!(
        (none.status, &none.json()["message"]),
        (400, &json!("there are no documents to rank"))
    );
}

#[test]
fn jinas_fields_choose_type_length_and_cut() {
    let server = Server::start(&tiny());
    let model = support::load(&tiny(), Backend::Native, ONE_BATCH);
    let prompt = model.model().prompt(Some("query")).unwrap();
    let options = EmbedOptions { prompt, ..EmbedOptions::default() };
    let expected = vectors(&model, &options);
    let post = |fields: Value| {
        let mut body = json!({ "model": "tiny", "input": TEXTS, "task": "retrieval.query" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        server.post("/v1/embeddings", &body)
    };
    let both = post(json!({ "embedding_type": ["float", "ubinary"] })).ok();
    assert_eq!(floats(&both["data"][1]["embedding"]["float"]), expected[1]);
    assert_eq!(integers(&both["data"][1]["embedding"]["ubinary"]).len(), 3);
    let one = post(json!({ "embedding_type": "base64" })).ok();
    assert_eq!(decoded(&one["data"][0]["embedding"]), expected[0]);
    let raw = post(json!({ "normalized": false })).ok();
    let options = EmbedOptions { normalize: Some(false), ..options };
    assert_eq!(floats(&raw["data"][0]["embedding"]), vectors(&model, &options)[0]);
    let long = "the cat ".repeat(100);
    let refused = post(json!({ "truncate": false, "input": ["a", long] }));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input")));
    let prompt = post(json!({ "prompt_name": "poem" }));
    assert_eq!((prompt.status, &prompt.json()["error"]["param"]), (400, &json!("prompt_name")));
}

#[test]
fn ollama_answers_as_its_clients_expect() {
    let server = Server::start(&tiny());
    let model = support::load(&tiny(), Backend::Native, ONE_BATCH);
    let options = EmbedOptions { normalize: Some(true), ..EmbedOptions::default() };
    let expected = vectors(&model, &options);
    let answer = server.post("/api/embed", &json!({ "model": "tiny:latest", "input": TEXTS })).ok();
    assert_eq!(answer["model"], "tiny:latest");
    for (row, expected) in answer["embeddings"].as_array().unwrap().iter().zip(&expected) {
        assert_eq!(floats(row), *expected);
    }
    assert!(answer["total_duration"].as_u64().unwrap() > 0);
    assert!(answer["prompt_eval_count"].as_u64().unwrap() > 4);
    for input in [json!([]), json!("")] {
        let none = server.post("/api/embed", &json!({ "model": "tiny", "input": input })).ok();
        assert_eq!(none["embeddings"], json!([]));
    }
    let legacy =
        server.post("/api/embeddings", &json!({ "model": "tiny", "prompt": TEXTS[0] })).ok();
    assert_eq!(floats(&legacy["embedding"]), expected[0]);
    let long = "the cat ".repeat(100);
    let body = json!({ "model": "tiny", "input": long, "truncate": false });
    let refused = server.post("/api/embed", &body);
    let message = json!({ "error": "the input length exceeds the context length" });
    assert_eq!((refused.status, refused.json()), (400, message));
    let absent = server.post("/api/embed", &json!({ "model": "nomic", "input": "a" }));
    assert_eq!(absent.status, 404);
    assert!(absent.json()["error"].as_str().unwrap().starts_with("model 'nomic' not found"));
    let tags = server.get("/api/tags").ok();
    assert_eq!(tags["models"][0]["name"], "tiny");
    assert_eq!(tags["models"][0]["details"]["quantization_level"], "F32");
    assert!(server.get("/api/version").ok()["version"].is_string());
}
