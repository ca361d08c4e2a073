//! What one client can take from another at the edge of the service: connections that say nothing,
//! read nothing or are too many, and the end of serving.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde_json::json;

use crate::process::{Place, wait_for};
use crate::server_support::{Connection, Request, Server};
use crate::support;

const SECOND: &str = "1";

fn with(variables: &[(&str, &str)]) -> Server {
    Server::with(&support::golden("tiny"), variables, &[])
}

fn embed(server: &Server) -> u16 {
    server.post("/v1/embeddings", &json!({ "input": "the cat" })).status
}

#[test]
fn who_says_nothing_or_half_a_head_is_closed() {
    let server = with(&[("CHUNKFLOW__SERVER__HEADER_TIMEOUT_S", SECOND)]);
    let start = Instant::now();
    let mut silent = Connection::open(server.address());
    let mut half = Connection::open(server.address());
    half.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n");
    assert_eq!(embed(&server), 200);
    assert_eq!(silent.read_to_end(), b"");
    assert_eq!(half.read_to_end(), b"");
    assert!(start.elapsed().as_secs_f64() >= 0.9, "closed too early");
    assert_eq!(embed(&server), 200);
}

#[test]
fn a_connection_that_waits_too_long_for_its_next_request_is_closed() {
    let server = with(&[("CHUNKFLOW__SERVER__IDLE_TIMEOUT_S", SECOND)]);
    let mut kept = Connection::open(server.address());
    kept.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = String::from_utf8(kept.read_to_end()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
}

#[test]
fn the_longest_waiting_connection_makes_room_for_the_next() {
    let server = with(&[("CHUNKFLOW__SERVER__MAX_CONNECTIONS", "2")]);
    let mut oldest = Connection::open(server.address());
    let request = Request::json("/v1/embeddings", br#"{"input": "the cat"}"#);
    let mut busy = Connection::open(server.address());
    busy.begin(&request);
    assert_eq!(embed(&server), 200);
    assert_eq!(oldest.read_to_end(), b"");
    // All that may be open are busy.
    let mut other = Connection::open(server.address());
    other.begin(&request);
    let mut refused = Connection::open(server.address());
    assert_eq!(refused.read_to_end(), b"");
    server.wait_for_log("a connection is refused");
    for connection in [&mut busy, &mut other] {
        connection.write(br#"{"input": "the cat"}"#);
        assert_eq!(connection.read_answer().status, 200);
    }
    assert_eq!(embed(&server), 200);
}

#[test]
fn a_client_that_reads_nothing_of_its_answer_is_dropped() {
    let server = with(&[("CHUNKFLOW__SERVER__WRITE_TIMEOUT_S", SECOND)]);
    let texts = vec!["the cat sat on the mat and one dog would not sleep"; 4_000];
    let body = json!({ "inputs": texts }).to_string();
    let mut stalled = Connection::open(server.address());
    let request = Request::json("/embed_all", body.as_bytes());
    stalled.write(&[&request.head(), body.as_bytes()].concat());
    server.wait_for_log("a client did not read its answer in time");
    assert_eq!(embed(&server), 200);
}

#[test]
fn a_request_names_one_host_and_refusals_have_their_headers() {
    let server = with(&[]);
    let send = |bytes: &[u8]| {
        let mut connection = Connection::open(server.address());
        connection.write(bytes);
        connection.read_answer()
    };
    for (head, kind) in [
        (&b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n"[..], "invalid_request_error"),
        (
            b"GET /v1/models HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            "invalid_request_error",
        ),
    ] {
        let answer = send(head);
        assert_eq!((answer.status, &answer.json()["error"]["type"]), (400, &json!(kind)));
    }
    assert_eq!(send(b"GET /healthz HTTP/1.0\r\n\r\n").status, 200);
    let garbage = send(b"no request at all\r\n\r\n");
    assert_eq!(garbage.status, 400);
    for answer in [garbage, server.get("/v1/models"), server.get("/nothing")] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36));
    }
    // Two lengths, and a length beside chunks: what one reads as a body another reads as a request.
    let lengths = b"POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd";
    assert_eq!(send(lengths).status, 400);
}

#[test]
fn a_client_that_leaves_is_told_in_the_log() {
    let server = with(&[]);
    let body = json!({ "input": vec!["the cat sat on the mat"; 50_000] }).to_string();
    let request = Request::json("/v1/embeddings", body.as_bytes());
    let mut leaving = Connection::open(server.address());
    leaving.write(&[&request.head(), body.as_bytes()].concat());
    drop(leaving);
    server.wait_for_log("the client left before it was answered");
}

#[test]
fn the_port_stays_open_while_readiness_is_gone_and_half_heads_keep_nothing() {
    let variables =
        [("CHUNKFLOW__SERVER__DRAIN_DELAY_S", "2"), ("CHUNKFLOW__SERVER__SHUTDOWN_GRACE_S", "600")];
    let server = with(&variables);
    let mut half = Connection::open(server.address());
    half.write(b"POST /v1/embeddings HTTP/1.1\r\n");
    server.terminate();
    server.wait_for_log("stopping");
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(embed(&server), 200);
    let (status, _) = server.wait();
    assert!(status.success());
}

#[test]
fn a_second_signal_ends_at_once_what_the_first_lets_finish() {
    let server = with(&[("CHUNKFLOW__SERVER__SHUTDOWN_GRACE_S", "600")]);
    let mut unfinished = Connection::open(server.address());
    unfinished.begin(&Request::json("/v1/embeddings", br#"{"input": "the cat"}"#));
    server.terminate();
    server.wait_for_log("stopping");
    server.terminate();
    server.wait_for_log("stopped with requests in flight");
    let (status, _) = server.wait();
    assert!(status.success());
}

#[test]
fn a_hangup_reads_the_level_of_the_log_again() {
    let place = Place::new();
    place.write("settings.yaml", "log:\n  level: info\n");
    let path = place.path("settings.yaml");
    let flags = ["--config", path.to_str().unwrap()];
    let server = Server::with(&support::golden("tiny"), &[], &flags);
    place.write("settings.yaml", "log:\n  level: warn\n");
    server.signal("HUP");
    assert_eq!(server.wait_for_log("settings were read again")["level"], "warn");
    assert_eq!(embed(&server), 200);
    place.write("settings.yaml", "log:\n  level: [\n");
    server.signal("HUP");
    server.wait_for_log("settings were read again and are wrong");
    assert_eq!(embed(&server), 200);
    server.terminate();
    let (_, log) = server.wait();
    assert!(!log.contains("\"answered\""), "{log}");
}

#[test]
fn a_socket_of_the_file_system_serves_and_is_removed() {
    let place = Place::new();
    let path = place.path("socket");
    let mut server = place.program(
        crate::process::binary(),
        &["serve", "--model", support::golden("tiny").to_str().unwrap()],
    );
    let mut server = server
        .env("CHUNKFLOW__SERVER__UNIX_SOCKET", &path)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = wait_for("the socket", || UnixStream::connect(&path).ok());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let id = server.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
    assert!(!path.exists());
}
