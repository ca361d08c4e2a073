//! Files of a model that would make their reader wait for ever, or panic.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Place, Ran, check_fails, tiny};
use crate::support;

const DATA: i32 = 65;
/// What a run may take that waits for nobody.
const LIMIT: Duration = Duration::from_mins(1);

/// A copy of the tiny model, and a text.
fn place() -> Place {
    let place = Place::with("in.txt", "a text\n");
    support::copy_folder(Path::new(&tiny()), &place.path("model"));
    place
}

fn run(place: &Place, args: &[&str]) -> Ran {
    Ran::of(place.command(args).timeout(LIMIT).output().unwrap())
}

/// Every file of the model, from its folder.
fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            files(folder, &name, found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_at_once() {
    let mut names = Vec::new();
    files(Path::new(&tiny()), "", &mut names);
    names.push("chunkflow.lock".to_owned());
    let mut refused = 0;
    for name in &names {
        let place = place();
        let path = place.path("model").join(name);
        let _ = fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let ran = run(&place, &["embed", "in.txt", "-q", "--model", "model"]);
        // A file that nobody reads may be anything.
        assert!(ran.code.is_some(), "{name} is waited for");
        if ran.code != Some(0) {
            check_fails(&ran, DATA, &[name, "no regular file"]);
            refused += 1;
        }
        let looked = run(&place, &["models", "verify", "model"]);
        assert!(looked.code.is_some(), "{name} is waited for");
    }
    assert!(refused >= 6, "{refused} of {names:?}");
}

#[test]
fn a_device_in_place_of_a_file_is_refused() {
    for name in ["config.json", "tokenizer.json", "model.safetensors", "chunkflow.lock"] {
        let place = place();
        let path = place.path("model").join(name);
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let ran = run(&place, &["embed", "in.txt", "-q", "--model", "model"]);
        check_fails(&ran, DATA, &[name, "no regular file"]);
    }
}

/// Gives the tokenizer a table of characters, in base64.
fn set_charsmap(place: &Place, table: &str) {
    let path = place.path("model/tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    tokenizer["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": table});
    fs::write(path, tokenizer.to_string()).unwrap();
    // The classes of BERT build a normaliser of their own.
    place.write("model/tokenizer_config.json", r#"{"tokenizer_class":"PreTrainedTokenizerFast"}"#);
}

#[test]
fn a_table_of_characters_that_makes_tokenizers_panic_is_an_error_and_no_more() {
    let place = place();
    // A trie of no units, whose root is read.
    set_charsmap(&place, "AAAAAA==");
    let ran = run(&place, &["embed", "in.txt", "-q", "--model", "model"]);
    check_fails(&ran, DATA, &["tokenizer.json", "tokenizers cannot read it"]);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    // 512 bytes of zeros after their number: 128 units, enough for what begins with ASCII.
    set_charsmap(&place, &format!("AAIA{}", "A".repeat(684)));
    assert_eq!(run(&place, &["embed", "in.txt", "-q", "--model", "model"]).code, Some(0));
    place.write("in.txt", "a text\nna\u{ef}ve\n");
    for command in ["embed", "chunk"] {
        let ran = run(&place, &[command, "in.txt", "-q", "--model", "model"]);
        check_fails(&ran, DATA, &[]);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn a_folder_is_held_to_the_lock_that_lies_in_it() {
    use sha2::{Digest, Sha256};
    let place = place();
    let embed = ["embed", "in.txt", "-q", "--model", "model"];
    let lock = place.path("model/chunkflow.lock");
    let digest = |file: &str| {
        let bytes = fs::read(place.path("model").join(file)).unwrap();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    // None is begun.
    assert_eq!(run(&place, &embed).code, Some(0));
    assert!(!lock.exists());
    let write =
        |files: Value| fs::write(&lock, json!({"files": {"folder": files}}).to_string()).unwrap();
    write(
        json!({"config.json": digest("config.json"), "model.safetensors": digest("model.safetensors")}),
    );
    assert_eq!(run(&place, &embed).code, Some(0));
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        write(json!({file: "0".repeat(64)}));
        check_fails(&run(&place, &embed), DATA, &[file, "is corrupted"]);
        let verified = run(&place, &["models", "verify", "model"]);
        assert_eq!(verified.code, Some(DATA), "{}", verified.stderr);
        assert!(String::from_utf8_lossy(&verified.stdout).contains(file));
    }
    write(json!({"gone.json": "0".repeat(64)}));
    check_fails(&run(&place, &embed), DATA, &["gone.json", "is gone"]);
    fs::write(&lock, "{").unwrap();
    check_fails(&run(&place, &embed), DATA, &["chunkflow.lock"]);
}
