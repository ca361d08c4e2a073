//! The program on CUDA: what it chooses and what it serves.

use chunkflow::embeddings::{Backend, EmbedOptions};
use serde_json::json;

use crate::process::{Place, Ran, tiny};
use crate::server_support::Server;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH};

/// Where this process's driver comes from, handed on.
#[expect(clippy::disallowed_methods, reason = "handed on, not read as a setting")]
fn driver() -> String {
    std::env::var("LD_LIBRARY_PATH").unwrap_or_default()
}

/// A run on an emulated device of this compute capability; a real device has its own.
fn embed(capability: &str, flags: &[&str]) -> Ran {
    let model = tiny();
    let args = [&["embed", "-v", "--model", &model, "--device", "cuda:0"], flags].concat();
    let capability = ("CHUNKFLOW_HOST_CAPABILITY", capability.to_owned());
    Place::new().feed_with(&args, b"the cat", &[("LD_LIBRARY_PATH", driver()), capability])
}

#[test]
fn auto_is_bf16_and_on_devices_without_it_f16() {
    let _turn = super::turn();
    if super::is_device_named() {
        return;
    }
    let (auto, f32) = (["--dtype", "auto"], ["--dtype", "f32"]);
    for (capability, flags, dtype, reason) in [
        ("80", &[][..], "bf16", "5 to 10 times"),
        ("90", &auto, "bf16", "5 to 10 times"),
        ("75", &[], "f16", "without bf16"),
        ("80", &f32, "f32", "as the settings"),
    ] {
        let ran = embed(capability, flags);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let loaded = ran.stderr.lines().find(|line| line.contains("model loaded")).unwrap();
        assert!(loaded.contains(&format!(", {dtype}\"")), "{capability}: {loaded}");
        assert!(loaded.contains(reason), "{capability}: {loaded}");
    }
    let refused = embed("75", &["--dtype", "bf16"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("dtype is bf16"), "{}", refused.stderr);
    assert!(refused.stderr.contains("has: f32, f16"), "{}", refused.stderr);
}

#[test]
fn dtypes_and_devices_that_there_are_not_are_refused_with_what_there_is() {
    let _turn = super::turn();
    let int8 = embed("80", &["--dtype", "int8"]);
    assert_ne!(int8.code, Some(0));
    assert!(int8.stderr.contains("dtype is int8"), "{}", int8.stderr);
    let args = ["embed", "--model", &tiny(), "--device", "cuda:64"];
    let absent = Place::new().feed_with(&args, b"the cat", &[("LD_LIBRARY_PATH", driver())]);
    assert_ne!(absent.code, Some(0));
    assert!(absent.stderr.contains("no CUDA device: device 64 of "), "{}", absent.stderr);
}

#[test]
fn a_driver_that_is_too_old_is_told_with_what_there_is_to_do() {
    let _turn = super::turn();
    if super::is_device_named() {
        return;
    }
    let run = |device: &str, version: &str| {
        let args = ["embed", "-v", "--model", &tiny(), "--device", device];
        let version = ("CHUNKFLOW_HOST_DRIVER", version.to_owned());
        Place::new().feed_with(&args, b"the cat", &[("LD_LIBRARY_PATH", driver()), version])
    };
    let told = "the driver is for CUDA 12.8: CUDA 13 needs driver 580 or newer, or on data centre \
                GPUs the package cuda-compat";
    let refused = run("cuda", "12080");
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains(&format!("no CUDA device: {told}")), "{}", refused.stderr);
    let instead = run("auto", "12080");
    assert_eq!(instead.code, Some(0), "{}", instead.stderr);
    assert!(instead.stderr.contains(told), "{}", instead.stderr);
    let newer = run("cuda", "13010");
    assert_eq!(newer.code, Some(0), "{}", newer.stderr);
}

#[test]
fn the_service_answers_from_the_device() {
    let _turn = super::turn();
    let folder = support::golden("tiny");
    let flags = ["--device", "cuda", "--dtype", "f32"];
    let driver = driver();
    // The warm-up runs a batch of the most tokens: a small one is enough here.
    let variables =
        [("LD_LIBRARY_PATH", driver.as_str()), ("CHUNKFLOW__COMPUTE__MAX_BATCH_TOKENS", "256")];
    let server = Server::with(&folder, &variables, &flags);
    let device = server.wait_for_log("model loaded")["device"].to_string();
    assert!(device.contains("cuda:0"), "{device}");
    assert_eq!(server.wait_for_log("largest batch")["tokens"], json!(256));
    let texts = ["the cat", "One dog would not sleep!"];
    let answer = server.post("/v1/embeddings", &json!({ "input": texts, "model": "tiny" })).ok();
    let model = support::load(&folder, Backend::Native, ONE_BATCH);
    let expected = model.embed(&texts, &EmbedOptions::default()).unwrap();
    for (index, expected) in expected.rows().enumerate() {
        let vector = answer["data"][index]["embedding"].as_array().unwrap();
        let vector: Vec<f32> = vector.iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert!(support::max_difference(&vector, &support::widen(expected)) <= 1e-5);
    }
    assert_eq!(server.get("/readyz").text(), "ready");
    server.terminate();
    assert!(server.wait().0.success());
}

#[test]
fn blocks_of_a_file_come_in_order_and_an_error_in_a_later_one_is_told() {
    let _turn = super::turn();
    let model = tiny();
    let lines: Vec<String> = (0..2_500).map(|at| format!("{{\"text\": \"cat {at}\"}}")).collect();
    let place = Place::with("good.jsonl", lines.join("\n"));
    place.write("bad.jsonl", [&lines.join("\n"), "\n{\"text\": 1}"].concat());
    let run = |file: &str, device: &str| {
        let args = ["embed", file, "--model", &model, "--device", device, "--dtype", "f32"];
        place.run_with(&args, &[("LD_LIBRARY_PATH", driver())])
    };
    let (cuda, cpu) = (run("good.jsonl", "cuda:0"), run("good.jsonl", "cpu"));
    let tokens = |ran: &Ran| -> Vec<(u64, u64)> {
        let row = |line: &str| -> (u64, u64) {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            (row["index"].as_u64().unwrap(), row["tokens"].as_u64().unwrap())
        };
        ran.text().lines().map(row).collect()
    };
    assert_eq!(tokens(&cuda).len(), lines.len());
    assert_eq!(tokens(&cuda), tokens(&cpu));
    let bad = run("bad.jsonl", "cuda:0");
    assert_ne!(bad.code, Some(0));
    assert!(bad.stderr.contains("bad.jsonl:2501"), "{}", bad.stderr);
}
