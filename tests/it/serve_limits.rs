//! What may be in flight at the service, and what becomes of requests beyond it.

use serde_json::{Value, json};

use crate::process::wait_for;
use crate::serve::check_error;
use crate::server_support::{Answer, Connection, Request, Server};
use crate::support;

const PATH: &str = "/v1/embeddings";

fn with(variables: &[(&str, &str)]) -> Server {
    Server::with(&support::golden("tiny"), variables, &[])
}

#[track_caller]
fn check_serves(server: &Server) {
    assert_eq!(server.post(PATH, &json!({"input": "a"})).status, 200);
}

/// A refusal that says when to try again.
#[track_caller]
fn check_busy(answer: &Answer, parts: &[&str]) {
    check_error(answer, 429, None, parts);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

/// The head of a request whose body does not say its size.
const UNSIZED: &str = "POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                       content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// Sends one piece of `size` bytes of an unsized body that goes on.
fn send_piece(server: &Server, size: usize) -> Connection {
    let mut connection = Connection::open(server.address());
    connection.write(format!("{UNSIZED}{size:x}\r\n{}", " ".repeat(size)).as_bytes());
    connection
}

#[test]
fn unfinished_large_bodies_do_not_keep_small_requests_from_being_served() {
    let server = with(&[]);
    let body = vec![b' '; 33_000_000];
    let request = Request::json(PATH, &body);
    let mut held = Vec::new();
    for number in 0..40 {
        let mut connection = Connection::open(server.address());
        match connection.try_begin(&request) {
            Ok(()) => {
                connection.write(&body[..1_000_000]);
                held.push(connection);
            }
            Err(answer) => {
                // As many as there is room for, and not one more.
                assert!(number >= 8, "{number}");
                check_busy(&answer, &["264000000", "33000000", "268435456"]);
            }
        }
    }
    assert_eq!(held.len(), 8);
    check_serves(&server);
    // The largest that needs no room.
    let mut small = json!({"input": "a"}).to_string().into_bytes();
    small.resize(64 << 10, b' ');
    assert_eq!(server.send(&Request::json("/v1/chunk", &small)).status, 200);
    small.push(b' ');
    assert_eq!(server.send(&Request::json("/v1/chunk", &small)).status, 200);
    // What a client that leaves has held is given back.
    held.pop();
    held.push(wait_for("room for a large body", || {
        let mut connection = Connection::open(server.address());
        connection.try_begin(&request).ok().map(|()| connection)
    }));
    check_serves(&server);
}

#[test]
fn a_finished_large_body_gives_its_room_back() {
    let variables = [
        ("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "200000"),
        ("CHUNKFLOW__SERVER__MAX_BYTES_IN_FLIGHT", "200000"),
    ];
    let server = with(&variables);
    let mut body = json!({"input": "a"}).to_string().into_bytes();
    body.resize(200_000, b' ');
    for path in [PATH, "/v1/chunk"] {
        assert_eq!(server.send(&Request::json(path, &body)).status, 200);
    }
    // One whose job is refused, too.
    let mut wrong = json!({"input": []}).to_string().into_bytes();
    wrong.resize(200_000, b' ');
    check_error(&server.send(&Request::json(PATH, &wrong)), 400, Some("input"), &["empty list"]);
    for _ in 0..4 {
        assert_eq!(server.send(&Request::json(PATH, &body)).status, 200);
    }
}

#[test]
fn a_body_without_a_size_takes_room_as_it_comes() {
    let variables = [
        ("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "200000"),
        ("CHUNKFLOW__SERVER__MAX_BYTES_IN_FLIGHT", "200000"),
    ];
    let server = with(&variables);
    let mut held = Connection::open(server.address());
    held.begin(&Request::json(PATH, &vec![b' '; 150_000]));
    let refused = send_piece(&server, (64 << 10) + 1).read_answer();
    check_busy(&refused, &["150000", "limit of 200000"]);
    // A small one needs none.
    let mut small = Connection::open(server.address());
    small.write(format!("{UNSIZED}e\r\n{{\"input\": \"a\"}}\r\n0\r\n\r\n").as_bytes());
    assert_eq!(small.read_answer().status, 200);
    drop(held);
    let large = wait_for("room for an unsized body", || {
        let body = json!({"input": "a".repeat(70_000)}).to_string();
        let mut connection = Connection::open(server.address());
        connection.write(format!("{UNSIZED}{:x}\r\n{body}", body.len()).as_bytes());
        connection.write(b"\r\n0\r\n\r\n");
        let answer = connection.read_answer();
        (answer.status != 429).then_some(answer)
    });
    assert_eq!(large.status, 200, "{}", large.text());
    let too_large = send_piece(&server, 200_001).read_answer();
    check_error(&too_large, 413, None, &["200000 bytes"]);
}

#[test]
fn a_body_that_stops_coming_is_answered_408() {
    let server = with(&[("CHUNKFLOW__SERVER__BODY_TIMEOUT_S", "1")]);
    let mut connection = Connection::open(server.address());
    connection.begin(&Request::json(PATH, b"{\"input\": \"a\"}").header("x-request-id", "slow"));
    connection.write(b"{");
    let answer = connection.read_answer();
    check_error(&answer, 408, None, &["no progress for 1 s"]);
    assert_eq!(answer.header("x-request-id"), Some("slow"));
    check_serves(&server);
}

#[test]
fn requests_beyond_those_that_may_be_in_flight_are_refused_and_probes_are_not() {
    let server = with(&[("CHUNKFLOW__SERVER__MAX_REQUESTS", "2")]);
    let body = json!({"input": "a"}).to_string();
    let request = Request::json(PATH, body.as_bytes());
    let mut held = [(); 2].map(|()| Connection::open(server.address()));
    for connection in &mut held {
        connection.begin(&request);
    }
    check_busy(&server.send(&request), &["2 requests", "limit 2"]);
    check_busy(&server.get("/v1/models"), &["limit 2"]);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
    for mut connection in held {
        connection.write(body.as_bytes());
        assert_eq!(connection.read_answer().status, 200);
    }
    wait_for("a place", || (server.send(&request).status == 200).then_some(()));
}

#[test]
fn a_request_with_too_many_texts_is_told_how_many_are_allowed() {
    let server = with(&[("CHUNKFLOW__SERVER__MAX_TEXTS", "3")]);
    let refused: [(&str, Value, &str, &[&str]); 5] = [
        (PATH, json!({"input": ["a", "b", "c", "d"]}), "input", &["4 texts", "at most 3"]),
        ("/v1/chunk", json!({"input": vec!["a"; 9]}), "input", &["9 texts", "at most 3"]),
        ("/v1/similarity", json!({"a": vec!["a"; 5]}), "a", &["5 texts", "at most 3"]),
        ("/v1/similarity", json!({"a": [[1]], "b": vec!["a"; 5]}), "b", &["5 texts"]),
        ("/v1/similarity", json!({"a": ["a", "b"], "b": ["c", "d"]}), "b", &["4 texts"]),
    ];
    for (path, body, field, parts) in refused {
        check_error(&server.post(path, &body), 413, Some(field), parts);
    }
    let allowed = [
        (PATH, json!({"input": ["a", "b", "c"]})),
        ("/v1/chunk", json!({"input": ["a", "b", "c"]})),
        ("/v1/similarity", json!({"a": ["a", "b"], "b": ["c"]})),
        ("/v1/similarity", json!({"a": vec![[1, 2]; 5], "b": vec![[3, 4]; 5]})),
    ];
    for (path, body) in allowed {
        assert_eq!(server.post(path, &body).status, 200, "{path} {body}");
    }
}

#[test]
fn eight_million_texts_are_refused_in_little_more_memory_than_their_body() {
    let server = with(&[]);
    check_serves(&server);
    let idle = server.memory_kib("VmRSS:");
    let texts = vec!["\"a\""; 8_000_000].join(",");
    let body = format!("{{\"input\":[{texts}]}}");
    let answer = server.send(&Request::json(PATH, body.as_bytes()));
    check_error(&answer, 413, Some("input"), &["8000000 texts", "at most 100000"]);
    let peak = server.memory_kib("VmHWM:");
    println!("{idle} KiB idle, at most {peak} KiB for a body of {} bytes", body.len());
    assert!(peak <= idle + (100 << 10), "{idle} KiB grew to {peak} KiB");
}
