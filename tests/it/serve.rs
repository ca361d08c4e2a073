//! The HTTP contract: what clients of OpenAI's API rely on, and what an operator does.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunkflow::chunking::{ChunkOptions, ChunkSpec};
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use chunkflow::pipeline::{self, Chunked};
use serde_json::{Value, json};

use crate::documents::keep;
use crate::process::{DEADLINE, Place, check_none, tiny, wait_for};
use crate::server_support::{Answer, Connection, Request, Server};
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

fn folder() -> PathBuf {
    support::golden("tiny")
}

/// The model that is served.
fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| support::load(&folder(), Backend::Native, ONE_BATCH))
}

fn expected(texts: &[&str], options: &EmbedOptions) -> Vec<Vec<u32>> {
    model().embed(texts, options).unwrap().rows().map(support::bits).collect()
}

fn plain(texts: &[&str]) -> Vec<Vec<u32>> {
    expected(texts, &EmbedOptions::default())
}

/// Bits of a JSON array of f32, each printed with the digits that bring it back.
fn float_bits(vector: &Value) -> Vec<u32> {
    let numbers = vector.as_array().unwrap().iter();
    numbers.map(|number| (number.as_f64().unwrap() as f32).to_bits()).collect()
}

fn base64_bits(vector: &Value) -> Vec<u32> {
    let bytes = STANDARD.decode(vector.as_str().unwrap()).unwrap();
    assert_eq!(bytes.len() % 4, 0);
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// The vectors of an answer of `/v1/embeddings`, which must be complete.
#[track_caller]
fn vectors(answer: &Answer, bits: fn(&Value) -> Vec<u32>) -> Vec<Vec<u32>> {
    let body = answer.ok();
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("tiny")));
    let data = body["data"].as_array().unwrap();
    for (index, item) in data.iter().enumerate() {
        assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)));
    }
    data.iter().map(|item| bits(&item["embedding"])).collect()
}

/// OpenAI's error object with these values; the message holds all of `parts`.
#[track_caller]
pub(crate) fn check_error(answer: &Answer, status: u16, param: Option<&str>, parts: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    let error = body["error"].as_object().unwrap();
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(body.as_object().unwrap().len(), 1);
    for key in ["message", "type", "param", "code"] {
        assert!(keys.contains(&key), "{key}: {body}");
    }
    let kind = match status {
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    assert_eq!(error["type"], kind);
    assert_eq!(error["param"], json!(param), "{body}");
    for part in parts {
        assert!(error["message"].as_str().unwrap().contains(part), "{part:?}: {body}");
    }
}

// Embeddings.

#[test]
fn one_string_and_a_list_are_embedded_as_by_the_library() {
    let server = Server::start(&folder());
    let texts = ["the cat", "Café 中文 😀\n", " ", "a"];
    let one = server.post("/v1/embeddings", &json!({"input": texts[0]}));
    assert_eq!(vectors(&one, float_bits), plain(&texts[..1]));
    let list = server.post("/v1/embeddings", &json!({"input": texts, "model": "tiny"}));
    assert_eq!(vectors(&list, float_bits), plain(&texts));
    assert_eq!(list.header("content-type"), Some("application/json"));
}

#[test]
fn base64_is_little_endian_f32_and_float_is_the_default() {
    let server = Server::start(&folder());
    let texts = ["the cat", "sat on the mat"];
    let ask = |format: &str| {
        server.post("/v1/embeddings", &json!({"input": texts, "encoding_format": format}))
    };
    assert_eq!(vectors(&ask("base64"), base64_bits), plain(&texts));
    assert_eq!(vectors(&ask("float"), float_bits), plain(&texts));
}

#[test]
fn dimensions_are_kept_from_the_front() {
    let server = Server::start(&folder());
    for dimensions in [1, 7, 24] {
        let body = json!({"input": "the cat", "dimensions": dimensions});
        let options = EmbedOptions { dimensions: Some(dimensions), ..EmbedOptions::default() };
        let rows = vectors(&server.post("/v1/embeddings", &body), float_bits);
        assert_eq!(rows, expected(&["the cat"], &options));
    }
}

#[test]
fn usage_counts_tokens_and_cut_texts_are_listed_in_a_header() {
    let server = Server::start(&folder());
    let long = "the cat ".repeat(40);
    let answer = server.post("/v1/embeddings", &json!({"input": ["a", long, "the cat", long]}));
    // One token a word and two special ones, at most 48.
    let tokens = 3 + 48 + 4 + 48;
    assert_eq!(answer.ok()["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    assert_eq!(answer.header("x-truncated-inputs"), Some("1,3"));
    let whole = server.post("/v1/embeddings", &json!({"input": "a"}));
    assert_eq!(whole.ok()["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(whole.header("x-truncated-inputs"), None);
}

#[test]
fn fields_that_other_clients_send_are_ignored() {
    let server = Server::start(&folder());
    let body = json!({"input": "a", "user": "someone", "input_type": "query", "dimensions": null});
    assert_eq!(vectors(&server.post("/v1/embeddings", &body), float_bits), plain(&["a"]));
}

#[test]
fn bad_requests_are_told_what_is_wrong_with_which_field() {
    let server = Server::start(&folder());
    let cases: [(Value, Option<&str>, &[&str]); 17] = [
        (json!({"input": null}), Some("input"), &["null"]),
        (json!({"input": 7}), Some("input"), &["string"]),
        (json!({"input": {"text": "a"}}), Some("input"), &["string"]),
        (json!({"input": []}), Some("input"), &["empty list"]),
        (json!({"input": ""}), Some("input"), &["empty string"]),
        (json!({"input": ["a", ""]}), Some("input"), &["empty string", "1"]),
        (json!({"input": ["a", 7]}), Some("input"), &["7"]),
        (json!({"input": ["a", null]}), Some("input"), &["null"]),
        (json!({"input": [1, 2, 3]}), Some("input"), &["check_embedding_ctx_length"]),
        (json!({"input": [[1, 2], [3]]}), Some("input"), &["check_embedding_ctx_length"]),
        (json!({"input": "a", "dimensions": 0}), Some("dimensions"), &["0", "24"]),
        (json!({"input": "a", "dimensions": -1}), Some("dimensions"), &["-1", "24"]),
        (json!({"input": "a", "dimensions": 25}), Some("dimensions"), &["25", "24"]),
        (json!({"input": "a", "dimensions": "7"}), Some("dimensions"), &["dimensions"]),
        (
            json!({"input": "a", "encoding_format": "hex"}),
            Some("encoding_format"),
            &["encoding_format", "base64"],
        ),
        (json!({"input": "a", "model": 7}), Some("model"), &["model"]),
        (json!({"model": "tiny"}), Some("input"), &["input"]),
    ];
    for (body, param, parts) in &cases {
        check_error(&server.post("/v1/embeddings", body), 400, *param, parts);
    }
    for body in [&b""[..], b"{", b"{\"input\": \"a\"", b"\"a\"", b"[]", b"{\"input\": \"\xff\"}"] {
        check_error(&server.send(&Request::json("/v1/embeddings", body)), 400, None, &[]);
    }
    assert_eq!(server.post("/v1/embeddings", &json!({"input": "a"})).status, 200);
}

#[test]
fn wrong_routes_methods_types_and_sizes_have_their_own_status() {
    let variables = [("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "2048")];
    let server = Server::with(&folder(), &variables, &[]);
    check_error(&server.get("/v1/completions"), 404, None, &["GET", "/v1/completions"]);
    check_error(&server.get("/nothing?a=b"), 404, None, &["/nothing"]);
    let wrong = [("GET", "/v1/embeddings", "POST"), ("PUT", "/v1/chunk", "POST")];
    for (method, path, allowed) in wrong {
        let answer = server.send(&Request::new(method, path));
        check_error(&answer, 405, None, &[method, path]);
        assert_eq!(answer.header("allow"), Some(allowed));
    }
    for path in ["/v1/models", "/v1/models/tiny", "/healthz", "/readyz"] {
        let answer = server.send(&Request::json(path, b"{}"));
        check_error(&answer, 405, None, &["POST", path]);
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    }
    for path in ["/v1/embeddings", "/v1/chunk"] {
        let body = br#"{"input": "a"}"#;
        let untyped = Request::new("POST", path).body(body);
        check_error(&server.send(&untyped), 415, None, &["application/json"]);
        let text = untyped.clone().header("content-type", "text/plain");
        check_error(&server.send(&text), 415, None, &["application/json"]);
        let charset = untyped.header("content-type", "application/json; charset=utf-8");
        assert_eq!(server.send(&charset).status, 200);
        for coding in ["gzip", "GZIP", "br", "zstd", "deflate", "x-own", "aws-chunked"] {
            let coded = charset.clone().header("content-encoding", coding);
            check_error(&server.send(&coded), 415, None, &["Content-Encoding", coding]);
        }
        let twice = charset.clone().header("content-encoding", "identity, gzip");
        check_error(&server.send(&twice), 415, None, &["`gzip`"]);
        for coding in ["identity", "Identity", "", " identity , identity"] {
            let plain = charset.clone().header("content-encoding", coding);
            assert_eq!(server.send(&plain).status, 200, "{coding:?}");
        }
        let large = json!({"input": "a".repeat(2_048)});
        check_error(&server.post(path, &large), 413, None, &["2048"]);
    }
}

#[test]
fn a_large_body_is_refused_before_it_is_sent() {
    let variables = [
        ("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "2048"),
        ("CHUNKFLOW__SERVER__REQUEST_TIMEOUT_S", "9"),
    ];
    let server = Server::with(&folder(), &variables, &[]);
    let body = vec![b' '; 1 << 20];
    let mut connection = Connection::open(server.address());
    // The head alone tells the size, and nothing that is not sent can break the connection.
    connection.write(&Request::json("/v1/embeddings", &body).head());
    check_error(&connection.read_answer(), 413, None, &["2048"]);
}

// Models.

#[test]
fn the_served_model_is_listed_and_retrieved() {
    let server = Server::start(&folder());
    let list = server.get("/v1/models").ok();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let entry = &list["data"][0];
    assert_eq!((&entry["id"], &entry["object"]), (&json!("tiny"), &json!("model")));
    assert!(entry["created"].as_u64().unwrap() > 1_700_000_000);
    assert!(entry["owned_by"].is_string());
    assert_eq!(&server.get("/v1/models/tiny").ok(), entry);
}

#[test]
fn another_model_than_the_served_one_is_not_found() {
    let server = Server::start(&folder());
    let answers = [
        server.get("/v1/models/other"),
        server.get("/v1/models/owner/other"),
        server.get("/v1/models/all-MiniLM-L6-v2"),
        server.post("/v1/embeddings", &json!({"input": "a", "model": "other"})),
        server.post("/v1/embeddings", &json!({"input": "a", "model": "minilm"})),
        server.post("/v1/chunk", &json!({"input": "a", "model": "other"})),
    ];
    for answer in answers {
        check_error(&answer, 404, None, &["tiny"]);
        assert_eq!(answer.json()["error"]["code"], "model_not_found");
    }
}

#[test]
fn the_real_model_answers_to_all_its_names() {
    support::real_folder();
    let models = support::models_dir();
    let flags = ["--models-dir", models.to_str().unwrap()];
    let server = Server::with(&PathBuf::from("minilm"), &[], &flags);
    let repository = "sentence-transformers/all-MiniLM-L6-v2";
    for id in ["all-MiniLM-L6-v2", "minilm", repository, &repository.replace('/', "%2F")] {
        assert_eq!(server.get(&format!("/v1/models/{id}")).ok()["id"], "all-MiniLM-L6-v2");
    }
    for name in ["all-MiniLM-L6-v2", "minilm", repository] {
        let answer = server.post("/v1/embeddings", &json!({"input": "hello", "model": name}));
        assert_eq!(answer.ok()["model"], "all-MiniLM-L6-v2");
    }
}

#[test]
fn a_model_of_the_users_registry_answers_to_all_its_names() {
    let registry = "[[model]]\nname = \"mine\"\nrepository = \"owner/tiny\"\n\
                    aliases = [\"my-alias\", \"another\"]\n";
    let place = Place::with("more.toml", registry);
    support::copy_folder(&folder(), &place.path("models/owner/tiny"));
    let (file, models) = (place.path("more.toml"), place.path("models"));
    let variables = [("CHUNKFLOW__MODEL__REGISTRY", file.to_str().unwrap())];
    let flags = ["--models-dir", models.to_str().unwrap()];
    let server = Server::with(&PathBuf::from("another"), &variables, &flags);
    for name in ["mine", "owner/tiny", "my-alias", "another"] {
        assert_eq!(server.get(&format!("/v1/models/{name}")).ok()["id"], "mine");
        let body = json!({"input": "a", "a": "a", "model": name});
        assert_eq!(server.post("/v1/embeddings", &body).ok()["model"], "mine");
        for (path, field) in [("/v1/chunk", "input"), ("/v1/similarity", "a")] {
            assert_eq!(
                server.post(path, &json!({field: "a", "model": name})).ok()["model"],
                "mine"
            );
        }
    }
    check_error(&server.get("/v1/models/minilm"), 404, None, &["`minilm`", "`mine`"]);
}

// Chunks.

const BOOK: &str = "The cat sat on the mat. It was a good day, naïve 😀 or not.\r\n\r\n\
    Fire and water do not go with each other! Who would write a book on the moon? \
    One bird did. The second was a dog.\n\n\nThe price is 3.14; the city sleeps.  ";

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The specification that a request's choices are.
fn resolved(choices: &Value) -> ChunkSpec {
    serde_json::from_value::<ChunkOptions>(choices.clone()).unwrap().resolve().unwrap()
}

#[test]
fn chunks_partition_the_text_and_are_the_librarys() {
    let server = Server::start(&folder());
    let texts = [BOOK.repeat(4), "One line.".to_owned()];
    let choices = json!({"max_tokens": 40, "target_tokens": 30, "size_weight": 0.5});
    let spec = resolved(&choices);
    let body = json!({
        "input": texts, "model": "tiny", "spec": choices, "vectors": true, "dimensions": 9
    });
    let answer = server.post("/v1/chunk", &body).ok();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("tiny")));
    let documents = answer["data"].as_array().unwrap();
    assert_eq!(documents.len(), texts.len());
    let mut tokens = 0;
    for (index, (document, text)) in documents.iter().zip(&texts).enumerate() {
        assert_eq!((&document["object"], &document["index"]), (&json!("document"), &json!(index)));
        let chunks = document["chunks"].as_array().unwrap();
        let Chunked { chunks: expected, document: whole, .. } =
            pipeline::chunk(model(), text, &spec, &keep(9)).unwrap();
        assert_eq!(chunks.len(), expected.len());
        // A document's tokens are paid for once, however many chunks it has.
        assert_eq!(whole.tokens(), model().model().tokenizer().count(text).unwrap());
        tokens += whole.tokens();
        let mut joined = String::new();
        for (number, (chunk, expected)) in chunks.iter().zip(&expected).enumerate() {
            assert_eq!((size(&chunk["chunk"]), size(&chunk["start"])), (number, joined.len()));
            joined.push_str(chunk["text"].as_str().unwrap());
            assert_eq!(size(&chunk["end"]), joined.len());
            assert_eq!(size(&chunk["start_char"])..size(&chunk["end_char"]), expected.chars);
            assert_eq!(size(&chunk["tokens"]), expected.tokens);
            let strength = chunk["strength"].as_f64().map(|strength| strength as f32);
            assert_eq!(strength.map(f32::to_bits), expected.strength.map(f32::to_bits));
            assert_eq!(float_bits(&chunk["vector"]), support::bits(&expected.vector));
        }
        assert_eq!(&joined, text);
    }
    assert_eq!(answer["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
}

#[test]
fn chunks_carry_vectors_only_when_asked_and_a_lower_limit_alone_is_enough() {
    let server = Server::start(&folder());
    let body = json!({"input": BOOK.repeat(4), "spec": {"max_tokens": 40}});
    let answer = server.post("/v1/chunk", &body).ok();
    let chunks = answer["data"][0]["chunks"].as_array().unwrap();
    assert!(chunks.len() > 3);
    for chunk in chunks {
        assert!(size(&chunk["tokens"]) <= 40);
        assert_eq!(chunk.get("vector"), None);
    }
}

#[test]
fn curve_and_band_are_the_librarys_and_sent_only_when_asked() {
    let server = Server::start(&folder());
    let texts = [BOOK.repeat(3), "One line.".to_owned()];
    for encoding in ["late", "isolated"] {
        let choices = json!({
            "max_tokens": 40, "target_tokens": 30, "encoding": encoding, "max_units": 7, "window": 2
        });
        let spec = resolved(&choices);
        let ask = |more: Value| {
            let mut body = json!({"input": texts, "spec": choices});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            server.post("/v1/chunk", &body).ok()["data"].as_array().unwrap().clone()
        };
        let both = ask(json!({"curve": true, "band": true}));
        for (document, text) in both.iter().zip(&texts) {
            let expected = pipeline::chunk(model(), text, &spec, &EmbedOptions::default()).unwrap();
            let units = expected.document.units();
            let ends: Vec<usize> = units.iter().map(|unit| unit.bytes.end).collect();
            let curve = &document["curve"];
            assert_eq!(curve["unit_ends"], json!(ends));
            assert_eq!(float_bits(&curve["strengths"]), support::bits(&expected.cuts.curve));
            assert_eq!(expected.cuts.curve.len(), units.len() - 1);
            let rows = document["band"].as_array().unwrap();
            assert_eq!(rows.len(), units.len());
            for ((unit, row), expected) in rows.iter().enumerate().zip(expected.cuts.band.rows()) {
                assert_eq!(float_bits(row), support::bits(expected));
                // Itself and the six after it, as many as there are.
                assert_eq!(expected.len(), 7.min(units.len() - unit));
                assert!((expected[0] - 1.0).abs() < 1e-5);
            }
        }
        for (more, key, other) in [("curve", "curve", "band"), ("band", "band", "curve")] {
            for document in ask(json!({more: true})) {
                assert!(document.get(key).is_some() && document.get(other).is_none());
            }
        }
    }
    // No units are encoded, so there is nothing to compare.
    let choices = json!({"method": "sentence", "encoding": "isolated"});
    let body = json!({"input": BOOK, "spec": choices, "curve": true, "band": true});
    let document = &server.post("/v1/chunk", &body).ok()["data"][0];
    assert_eq!((&document["curve"]["strengths"], &document["band"]), (&json!([]), &json!([])));
    assert!(!document["curve"]["unit_ends"].as_array().unwrap().is_empty());
}

#[test]
fn a_band_of_more_values_than_allowed_is_refused() {
    let server = Server::start(&folder());
    let texts = vec!["The cat sat. ".repeat(1_024); 2];
    let spec = json!({"max_tokens": 40, "target_tokens": 30, "max_units": 1_024});
    let mut body = json!({"input": texts, "spec": spec, "band": true});
    // Both triangles of 1,024 rows.
    let parts = ["1049600 values with document 1", "at most 1000000", "max_units"];
    check_error(&server.post("/v1/chunk", &body), 400, Some("band"), &parts);
    body["input"] = json!(texts[0]);
    let rows = server.post("/v1/chunk", &body).ok()["data"][0]["band"].as_array().unwrap().len();
    assert_eq!(rows, 1_024);
    body["input"] = json!(texts);
    body["band"] = json!(false);
    assert_eq!(server.post("/v1/chunk", &body).status, 200);
}

#[test]
fn bad_chunk_requests_are_told_what_is_wrong_with_which_field() {
    let server = Server::start(&folder());
    let cases: [(Value, Option<&str>, &[&str]); 18] = [
        (json!({"spec": {"max_tokens": 15}}), Some("max_tokens"), &["15", "16"]),
        (json!({"spec": {"target_tokens": 0}}), Some("target_tokens"), &["0", "256"]),
        (json!({"spec": {"target_tokens": 300}}), Some("target_tokens"), &["300", "256"]),
        (
            json!({"spec": {"max_tokens": 40, "target_tokens": 41}}),
            Some("target_tokens"),
            &["41", "40"],
        ),
        (json!({"spec": {"size_weight": -0.5}}), Some("size_weight"), &["-0.5"]),
        (json!({"spec": {"segments": 0}}), Some("segments"), &["0", "1 and more"]),
        (json!({"spec": {"segments": "threshold"}}), Some("segments"), &["window"]),
        (json!({"dimensions": 25}), Some("dimensions"), &["25", "24"]),
        (json!({"input": ["a", ""]}), Some("input"), &["empty string", "1"]),
        (json!({"input": [1]}), Some("input"), &["strings"]),
        (json!({"spec": {"max_tokens": -1}}), Some("spec.max_tokens"), &["max_tokens", "-1"]),
        (json!({"spec": {"max_tokens": "40"}}), Some("spec.max_tokens"), &["max_tokens", "40"]),
        (json!({"spec": {"method": "magic"}}), Some("spec.method"), &["method", "magic", "kcpd"]),
        (
            json!({"spec": {"segments": "many"}}),
            Some("spec.segments"),
            &["segments", "many", "elbow"],
        ),
        (json!({"vectors": "yes"}), Some("vectors"), &["vectors"]),
        (json!({"curve": 1}), Some("curve"), &["curve"]),
        (json!({"spec": {"overlap": 10}}), Some("spec.overlap"), &["overlap", "overlap_tokens"]),
        // Choices stand in `spec` alone.
        (json!({"max_tokens": 40}), Some("max_tokens"), &["max_tokens", "spec"]),
    ];
    for (mut body, param, parts) in cases {
        body.as_object_mut().unwrap().entry("input").or_insert(json!("The cat sat. It slept."));
        check_error(&server.post("/v1/chunk", &body), 400, param, parts);
    }
    let infinite = br#"{"input": "a", "spec": {"size_weight": 1e999}}"#;
    check_error(&server.send(&Request::json("/v1/chunk", infinite)), 400, None, &[]);
}

// Every route.

/// One request for every status that can be had at will, on every route.
fn one_of_each() -> Vec<(u16, Request<'static>)> {
    let good = br#"{"input": "a"}"#;
    let other = br#"{"input": "a", "model": "other"}"#;
    let mut requests = vec![
        (200, Request::new("GET", "/v1/models")),
        (200, Request::new("GET", "/v1/models/tiny")),
        (200, Request::new("GET", "/healthz")),
        (200, Request::new("GET", "/readyz")),
        (404, Request::new("GET", "/v1/models/a/b")),
        (404, Request::new("GET", "/nothing")),
        (405, Request::new("DELETE", "/v1/models")),
        (405, Request::new("POST", "/healthz")),
    ];
    for path in ["/v1/embeddings", "/v1/chunk"] {
        requests.push((200, Request::json(path, good)));
        requests.push((400, Request::json(path, b"{")));
        requests.push((400, Request::json(path, br#"{"input": []}"#)));
        requests.push((404, Request::json(path, other)));
        requests.push((405, Request::new("GET", path)));
        requests.push((413, Request::json(path, &[b' '; 3_000])));
        requests.push((415, Request::new("POST", path).body(good)));
    }
    requests
}

fn is_id(id: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(safe)
}

#[test]
fn every_answer_carries_the_clients_request_id_or_a_new_one() {
    let server = Server::with(&folder(), &[("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "2048")], &[]);
    let long = "x".repeat(65);
    let longest = "x".repeat(64);
    let mut seen = std::collections::BTreeSet::new();
    for (status, request) in one_of_each() {
        for id in ["a", "0b-3_Z", &longest] {
            let answer = server.send(&request.clone().header("x-request-id", id));
            assert_eq!((answer.status, answer.header("x-request-id")), (status, Some(id)));
        }
        for id in ["", "a b", "a/b", "naïve", "a;b", &long] {
            let answer = server.send(&request.clone().header("x-request-id", id));
            let own = answer.header("x-request-id").unwrap();
            assert_eq!(answer.status, status);
            assert!(is_id(own) && own != id, "{id:?} {own:?}");
            assert!(seen.insert(own.to_owned()), "{own} twice");
        }
        let own = server.send(&request).header("x-request-id").map(str::to_owned);
        assert!(own.is_some_and(|own| is_id(&own) && seen.insert(own)));
    }
}

#[test]
fn probes_answer() {
    let server = Server::start(&folder());
    for (path, text) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (200, text));
    }
}

#[test]
fn no_text_of_a_request_is_logged() {
    const MARKER: &str = "zanzibar";
    let server = Server::with(&folder(), &[], &["--log-level", "trace"]);
    let long = format!("{MARKER} ").repeat(100);
    let answers = [
        server.post("/v1/embeddings", &json!({"input": [MARKER, long]})),
        server.post("/v1/embeddings", &json!({"input": "a", "model": MARKER, "user": MARKER})),
        server.post("/v1/embeddings", &json!({"input": [MARKER, {"a": MARKER}]})),
        server.post("/v1/embeddings", &json!({"input": MARKER, "encoding_format": MARKER})),
        server.send(&Request::json("/v1/embeddings", b"{\"input\": \"zanzibar")),
        server.post("/v1/chunk", &json!({"input": long, "spec": {"max_tokens": 20}})),
        server.post("/v1/chunk", &json!({"input": MARKER, MARKER: 1})),
        server.get(&format!("/{MARKER}?{MARKER}={MARKER}")),
        server.get(&format!("/v1/models/{MARKER}")),
        server.send(&Request::new("GET", "/healthz").header("x-request-id", "zanzibar!")),
    ];
    let statuses = answers.map(|answer| answer.status);
    assert_eq!(statuses, [200, 404, 400, 400, 400, 200, 400, 404, 404, 200]);
    server.terminate();
    let (_, logged) = server.wait();
    assert!(logged.matches("\"answered\"").count() >= 10, "{logged}");
    let told: Vec<String> =
        logged.lines().filter(|line| line.contains(MARKER)).map(str::to_owned).collect();
    check_none(&told);
}

#[test]
fn a_line_of_the_log_names_request_route_and_status() {
    let server = Server::start(&folder());
    server.send(&Request::json("/v1/embeddings", b"{").header("x-request-id", "my-id"));
    let line = server.wait_for_log("answered");
    let line = line.to_string();
    for part in ["my-id", "/v1/embeddings", "POST", "400", "latency_ms"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

// Load.

#[test]
fn concurrent_requests_get_the_bits_of_each_alone() {
    let server = Server::start(&folder());
    let texts: Vec<String> =
        (0..32).map(|index| format!("cat number {index} {}", "sat ".repeat(index))).collect();
    let together = std::sync::Barrier::new(texts.len());
    std::thread::scope(|scope| {
        for text in &texts {
            let (server, together) = (&server, &together);
            scope.spawn(move || {
                let body = json!({"input": text, "encoding_format": "base64"});
                together.wait();
                for _ in 0..4 {
                    let answer = server.post("/v1/embeddings", &body);
                    assert_eq!(vectors(&answer, base64_bits), plain(&[text.as_str()]), "{text}");
                }
            });
        }
    });
}

#[test]
fn a_full_queue_answers_429_and_when_to_try_again() {
    // As many as one of the requests has: 64 texts of the model's 48 tokens.
    let server = Server::with(&folder(), &[("CHUNKFLOW__SERVER__MAX_QUEUED_TOKENS", "3072")], &[]);
    let body = json!({"input": vec!["the cat sat on the mat ".repeat(8); 64]});
    let refused = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !refused.load(Ordering::Relaxed) && start.elapsed() < DEADLINE {
                    let answer = server.post("/v1/embeddings", &body);
                    if answer.status != 429 {
                        assert_eq!(answer.ok()["data"].as_array().unwrap().len(), 64);
                        continue;
                    }
                    check_error(&answer, 429, None, &["queue is full", "limit 3072"]);
                    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                    assert!((1..=60).contains(&seconds), "{seconds}");
                    refused.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    let larger = json!({"input": vec!["the cat sat on the mat ".repeat(8); 65]});
    check_error(&server.post("/v1/embeddings", &larger), 413, None, &["3120 tokens", "limit 3072"]);
    assert!(refused.into_inner(), "no request of 16 at a time was refused in {DEADLINE:?}");
    assert_eq!(server.post("/v1/embeddings", &json!({"input": "a"})).status, 200);
}

#[test]
fn a_request_that_takes_too_long_is_answered_504() {
    let server = Server::with(&folder(), &[("CHUNKFLOW__SERVER__REQUEST_TIMEOUT_S", "1")], &[]);
    let mut connection = Connection::open(server.address());
    // Its body never comes.
    connection.begin(&Request::json("/v1/embeddings", b"{}").header("x-request-id", "slow"));
    let answer = connection.read_answer();
    check_error(&answer, 504, None, &["1 s"]);
    assert_eq!(answer.header("x-request-id"), Some("slow"));
    assert_eq!(server.post("/v1/embeddings", &json!({"input": "a"})).status, 200);
}

// The process.

#[test]
fn requests_in_flight_finish_after_sigterm_and_the_exit_code_is_0() {
    let server = Server::start(&folder());
    let bodies: Vec<String> =
        (0..4).map(|index| json!({"input": format!("cat {index}")}).to_string()).collect();
    let mut connections: Vec<Connection> = Vec::new();
    for body in &bodies {
        let mut connection = Connection::open(server.address());
        connection.begin(&Request::json("/v1/embeddings", body.as_bytes()));
        connections.push(connection);
    }
    server.terminate();
    server.wait_for_log("stopping");
    for (index, (mut connection, body)) in connections.into_iter().zip(&bodies).enumerate() {
        connection.write(body.as_bytes());
        let answer = connection.read_answer();
        assert_eq!(vectors(&answer, float_bits), plain(&[&format!("cat {index}")]));
    }
    let address = server.address();
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn requests_that_never_end_do_not_hold_the_server_beyond_its_grace() {
    let server = Server::with(&folder(), &[("CHUNKFLOW__SERVER__SHUTDOWN_GRACE_S", "0")], &[]);
    let mut connection = Connection::open(server.address());
    connection.begin(&Request::json("/v1/embeddings", b"{}"));
    server.terminate();
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped with requests in flight"), "{log}");
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_stopping_server_takes_no_new_connections() {
    let server = Server::start(&folder());
    let mut connection = Connection::open(server.address());
    connection.begin(&Request::json("/v1/embeddings", b"{}"));
    server.terminate();
    wait_for("the port to close", || TcpStream::connect(server.address()).err());
    connection.write(b"{}");
    assert_eq!(connection.read_answer().status, 400);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_host_may_be_a_name() {
    let server = Server::with(&folder(), &[], &["--host", "localhost"]);
    assert_eq!(server.get("/healthz").status, 200);
    assert!(server.address().ip().is_loopback());
    let ran = Place::new().run(&["serve", "--model", &tiny(), "--host", "no-such-host.invalid"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    let parts = ["server.host", "`no-such-host.invalid`", "--host"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ran =
        Place::new().run(&["serve", "--model", &tiny(), "--port", &address.port().to_string()]);
    assert_eq!(ran.code, Some(74), "{}", ran.stderr);
    let message = format!("error: cannot listen on {address}: ");
    assert!(ran.stderr.contains(&message) && ran.stderr.contains("in use"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("listening"));
}
