//! A build for CUDA where the driver cannot be opened: it starts, says so once and serves.

use std::process::Command;

use chunkflow::embeddings::{Backend, EmbedOptions};
use serde_json::{Value, json};

use crate::process::{Place, binary, tiny};
use crate::server_support::Server;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

/// A folder that goes before the system's, where the driver's library is no library.
fn no_driver() -> (Place, String) {
    let place = Place::with("libcuda.so.1", "not a library");
    let folder = place.path("").to_str().unwrap().to_owned();
    (place, folder)
}

#[test]
fn the_binary_is_linked_with_none_of_the_drivers_libraries() {
    let read = Command::new("readelf").arg("-d").arg(binary()).output().unwrap();
    let needed = String::from_utf8(read.stdout).unwrap();
    let needed: Vec<&str> = needed.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.iter().any(|line| line.contains("libc.so.6")), "{needed:?}");
    for library in ["libcu", "libnv"] {
        assert!(!needed.iter().any(|line| line.contains(library)), "{needed:?}");
    }
}

#[test]
fn a_device_that_is_asked_for_and_not_there_is_an_error_with_the_reason() {
    let (place, folder) = no_driver();
    for device in ["cuda", "cuda:0"] {
        let args = ["embed", "--model", &tiny(), "--device", device];
        let ran = place.feed_with(&args, b"the cat", &[("LD_LIBRARY_PATH", folder.clone())]);
        assert_ne!(ran.code, Some(0), "{device}");
        assert!(ran.stderr.contains("no CUDA device: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("libcuda.so.1"), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{device}");
    }
}

#[test]
fn the_processor_serves_instead_and_says_so_once() {
    let (_place, folder) = no_driver();
    let server = Server::with(
        &support::golden("tiny"),
        &[("LD_LIBRARY_PATH", &folder)],
        &["--device", "auto"],
    );
    server.wait_for_log("the processor serves instead");
    let answer =
        server.post("/v1/embeddings", &json!({ "input": "the cat", "model": "tiny" })).ok();
    let vector: Vec<f32> = answer["data"][0]["embedding"]
        .as_array()
        .unwrap()
        .iter()
        .map(|number| Value::as_f64(number).unwrap() as f32)
        .collect();
    let model = support::load(&support::golden("tiny"), Backend::Native, ONE_BATCH);
    let expected = model.embed(&["the cat"], &EmbedOptions::default()).unwrap();
    assert_eq!(support::bits(&vector), support::bits(&expected.data));
    server.terminate();
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
    assert_eq!(log.matches("the processor serves instead").count(), 1, "{log}");
}
