//! Models come from a hub verified and whole, or not at all; and from the cache without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use chunkflow::ErrorKind;
use chunkflow::embeddings::{self, EmbedOptions, LoadedModel, ModelOptions};
use chunkflow::models::{
    Error, Hub as Client, HubError, HubOptions, Places, Pulled, Store, Token, Verdict,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hub_server::{COMMIT, Fault, Hub, ID, ListLfs, git_id, sha256};
use crate::process::Place;
use crate::support;
use crate::support::run_now::RunNow;

const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";
const TEXTS: [&str; 2] = ["A text.", "Another one, a little longer."];
/// The files of the tiny model, weights of the whole last.
const NEEDED: [&str; 11] = [
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "3_Normalize/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// A hub that serves the tiny model, and a cache that is empty.
struct World {
    hub: Hub,
    cache: TempDir,
    token: Option<Token>,
}

impl World {
    fn new() -> Self {
        let hub = Hub::new(&support::golden("tiny"));
        Self { hub, cache: tempfile::tempdir().unwrap(), token: None }
    }

    fn places(&self) -> Places {
        Places {
            models_dir: self.cache.path().join("models"),
            cache_dir: Some(self.cache.path().join("hub")),
            registry: None,
        }
    }

    fn options(&self) -> ModelOptions {
        ModelOptions { places: self.places(), ..ModelOptions::default() }
    }

    fn client(&self, offline: bool) -> Client {
        let options = HubOptions {
            endpoint: self.hub.endpoint(),
            token: self.token.clone(),
            proxy: None,
            no_proxy: None,
            certificates: None,
            offline,
            backoff: Duration::from_millis(1),
        };
        Client::new(&options).unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.places()).unwrap()
    }

    fn pull(&self, revision: Option<&str>, update: bool) -> Result<Pulled, Error> {
        self.client(false).pull(&self.store(), ID, revision, update, &mut |_, _, _| {})
    }

    fn load(&self) -> Result<LoadedModel, embeddings::Error> {
        LoadedModel::load(ID, &self.options())
    }

    /// The request for the body of the weights.
    fn weights(&self) -> String {
        format!("GET /lfs/{}", sha256(&self.hub.file("model.safetensors")))
    }

    fn repository(&self) -> PathBuf {
        self.cache.path().join("hub/models--tester--tiny")
    }

    /// A pull that must fail, leaving nothing that looks whole.
    #[track_caller]
    fn refuse(&self, parts: &[&str], kind: ErrorKind) {
        let error = self.pull(None, false).unwrap_err();
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert_eq!(chunkflow::Error::from(error).kind(), kind, "{message}");
        assert!(!self.repository().join("snapshots").exists(), "a snapshot after {message}");
        assert!(!self.repository().join("refs").exists(), "a ref after {message}");
        let error = self.load().err().unwrap();
        assert!(matches!(error, embeddings::Error::Models(Error::MissingModel { .. })), "{error}");
    }

    /// After a failed pull: the next one brings everything.
    #[track_caller]
    fn recovers(&self) {
        self.pull(None, false).unwrap();
        assert_eq!(vectors(&self.load().unwrap()), reference());
    }
}

fn vectors(model: &LoadedModel) -> Vec<u32> {
    support::bits(&model.embed(&TEXTS, &EmbedOptions::default()).unwrap().data)
}

fn reference() -> Vec<u32> {
    let folder = support::golden("tiny");
    vectors(&LoadedModel::load(folder.to_str().unwrap(), &ModelOptions::default()).unwrap())
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_pull_brings_what_is_needed_in_the_layout_of_huggingface_hub() {
    let world = World::new();
    world.hub.put("README.md", "# tiny");
    world.hub.put("pytorch_model.bin", vec![0; 1_000]);
    world.hub.put("onnx/model.onnx", vec![0; 1_000]);
    let mut last = Vec::new();
    let pulled =
        world.client(false).pull(&world.store(), ID, None, false, &mut |file, done, size| {
            assert!(done <= size);
            last.push((file.to_owned(), done == size));
        });
    let pulled = pulled.unwrap();
    assert_eq!(pulled.commit, COMMIT);
    assert_eq!(pulled.path, world.repository().join("snapshots").join(COMMIT));
    assert_eq!(files_below(&pulled.path), NEEDED);
    assert_eq!(pulled.files.last().unwrap(), "model.safetensors");
    for file in NEEDED {
        assert_eq!(fs::read(pulled.path.join(file)).unwrap(), world.hub.file(file), "{file}");
        let link = fs::read_link(pulled.path.join(file)).unwrap();
        assert!(link.is_relative() && link.to_str().unwrap().contains("../blobs/"), "{link:?}");
        assert!(last.contains(&(file.to_owned(), true)), "{file} never showed progress");
    }
    let weights = fs::read_link(pulled.path.join("model.safetensors")).unwrap();
    assert!(weights.ends_with(sha256(&world.hub.file("model.safetensors"))));
    assert_eq!(fs::read_to_string(world.repository().join("refs/main")).unwrap(), COMMIT);
    assert!(world.hub.requests().iter().all(|request| {
        !["README", "pytorch", "onnx"].iter().any(|part| request.path.contains(part))
    }));
    assert_eq!(vectors(&world.load().unwrap()), reference());
}

#[test]
fn a_listing_says_of_files_what_would_be_asked_of_each() {
    let world = World::new();
    world.pull(None, false).unwrap();
    let requests = world.hub.requests();
    let heads = requests.iter().filter(|request| request.method == "HEAD").count();
    assert_eq!((heads, requests[0].path.ends_with("?blobs=true")), (0, true));
    let encodings = requests.iter().map(|request| request.headers.get("accept-encoding"));
    assert!(encodings.flatten().all(|encoding| encoding == "identity"));
    // A mirror that lists names alone is asked about each file, for the same cache.
    let mirror = World::new();
    mirror.hub.hide_blobs();
    mirror.pull(None, false).unwrap();
    let requests = mirror.hub.requests();
    let heads = requests.iter().filter(|request| request.method == "HEAD");
    let asked = heads.filter(|request| request.path.starts_with("/tester/"));
    assert_eq!(asked.count(), NEEDED.len());
    assert_eq!(files_below(&mirror.repository()), files_below(&world.repository()));
}

#[test]
fn what_is_pulled_hf_hub_finds() {
    let world = World::new();
    let pulled = world.pull(None, false).unwrap();
    let cache = hf_hub::Cache::new(world.places().cache_dir.unwrap());
    let repository = cache.model(ID.to_owned());
    for file in NEEDED {
        assert_eq!(repository.get(file), Some(pulled.path.join(file)));
    }
    assert_eq!(repository.get("README.md"), None);
}

#[test]
fn what_hf_hub_pulls_is_loaded() {
    let world = World::new();
    let api = hf_hub::api::sync::ApiBuilder::new()
        .with_endpoint(world.hub.endpoint())
        .with_cache_dir(world.places().cache_dir.unwrap())
        .with_progress(false)
        .with_token(None)
        .build()
        .unwrap();
    for file in NEEDED {
        api.model(ID.to_owned()).get(file).unwrap();
    }
    assert_eq!(vectors(&world.load().unwrap()), reference());
    world.hub.requests();
    // What is there is not brought again.
    world.pull(None, false).unwrap();
    let bodies = world.hub.requests().into_iter().filter(|asked| asked.path.contains("/resolve/"));
    assert_eq!(bodies.count(), 0);
}

#[test]
fn a_second_pull_downloads_nothing() {
    let world = World::new();
    world.pull(None, false).unwrap();
    world.hub.requests();
    world.pull(None, false).unwrap();
    let bodies = world
        .hub
        .requests()
        .into_iter()
        .filter(|request| request.method == "GET" && !request.path.starts_with("/api/models/"));
    assert_eq!(bodies.count(), 0);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let world = World::new();
    world.hub.fail(&world.weights(), 1, Fault::Cut(7_000));
    world.recovers();
    let requests = world.hub.requests();
    let bodies = requests.iter().filter(|request| request.path.starts_with("/lfs/"));
    let ranges: Vec<&String> = bodies.filter_map(|request| request.headers.get("range")).collect();
    assert_eq!(ranges, ["bytes=7000-"]);
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let world = World::new();
    world.hub.fail(&world.weights(), 1, Fault::Cut(7_000));
    world.hub.fail(&world.weights(), 1, Fault::NoRange);
    world.recovers();
    let world = World::new();
    world.hub.fail(&world.weights(), 1, Fault::Cut(7_000));
    // A part from elsewhere is not put where this one belongs.
    let elsewhere = Fault::Headers(vec![("Content-Range", "bytes 0-9/10".to_owned())]);
    world.hub.fail(&world.weights(), 1, elsewhere);
    world.refuse(&["corrupted"], ErrorKind::Model);
    world.recovers();
}

#[test]
fn a_killed_pull_leaves_nothing_that_looks_whole_and_is_gone_on_with() {
    let world = World::new();
    let place = Place::new();
    world.hub.fail(&world.weights(), 1, Fault::Stall(9_000));
    let mut child = spawn_pull(&place, &world);
    world.hub.stalled.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let repository = place.path("cache/models--tester--tiny");
    assert!(!repository.join("snapshots").exists() && !repository.join("refs").exists());
    let ran = place.run_with(&["models", "path", ID], &environment(&place, &world));
    assert_eq!(ran.code, Some(66), "{}", ran.stderr);
    let ran = place.run_with(&["models", "pull", ID], &environment(&place, &world));
    let path = PathBuf::from(ran.text().trim());
    assert_eq!(files_below(&path), NEEDED);
    let incomplete =
        files_below(&repository).into_iter().filter(|file| file.contains("incomplete"));
    assert_eq!(incomplete.count(), 0);
    for file in NEEDED {
        assert_eq!(fs::read(path.join(file)).unwrap(), world.hub.file(file), "{file}");
    }
}

fn environment(place: &Place, world: &World) -> Vec<(&'static str, String)> {
    vec![
        ("HF_HUB_OFFLINE", "0".to_owned()),
        ("HF_ENDPOINT", world.hub.endpoint()),
        ("HF_HUB_CACHE", place.path("cache").to_str().unwrap().to_owned()),
    ]
}

fn spawn_pull(place: &Place, world: &World) -> Child {
    let mut command = place.program(crate::process::binary(), &["models", "pull", ID]);
    command.envs(environment(place, world)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn passing_failures_are_tried_again() {
    for fault in [
        Fault::Status(500, "X", String::new()),
        Fault::Status(503, "X", String::new()),
        Fault::Status(429, "Retry-After", "0".to_owned()),
        Fault::Cut(0),
    ] {
        for part in ["GET /api/models/", "HEAD ", "GET /tester", "GET /lfs/"] {
            let world = World::new();
            if part == "HEAD " {
                world.hub.hide_blobs();
            }
            world.hub.fail(part, 2, fault.clone());
            if part == "HEAD " && matches!(fault, Fault::Cut(_)) {
                continue; // It has no body to cut.
            }
            world.recovers();
        }
    }
}

#[test]
fn lasting_failures_are_told_by_kind() {
    let failing = |status: u16, header: (&'static str, &str), part: &str| {
        let world = World::new();
        if part == "HEAD " {
            world.hub.hide_blobs();
        }
        world.hub.fail(part, 99, Fault::Status(status, header.0, header.1.to_owned()));
        world
    };
    let none = ("X", "");
    for part in ["GET /api/models/", "HEAD ", "GET /lfs/"] {
        failing(401, none, part).refuse(&["401", "HF_TOKEN"], ErrorKind::Permission);
        failing(403, none, part).refuse(&["403", "HF_TOKEN"], ErrorKind::Permission);
        failing(404, none, part).refuse(&["404"], ErrorKind::NotFound);
        let later = ("Retry-After", "3600");
        failing(429, later, part).refuse(&["429", "3600 s"], ErrorKind::Overloaded);
        failing(502, none, part).refuse(&["502"], ErrorKind::Unavailable);
        failing(418, none, part).refuse(&["418"], ErrorKind::Unavailable);
    }
    let world = failing(404, none, "GET /lfs/");
    world.refuse(&["404"], ErrorKind::NotFound);
}

#[test]
fn a_revision_that_the_hub_does_not_have_is_not_found() {
    let world = World::new();
    let error = world.pull(Some("v9"), false).unwrap_err();
    assert_eq!(chunkflow::Error::from(error).kind(), ErrorKind::NotFound);
}

#[test]
fn other_bytes_than_were_published_are_refused_and_forgotten() {
    let resolve = format!("GET /{ID}/resolve/{COMMIT}/tokenizer.json");
    for part in ["GET /lfs/", "GET /api/resolve-cache/", &resolve] {
        let world = World::new();
        world.hub.fail(part, 1, Fault::Garble);
        world.refuse(&["corrupted", "expected"], ErrorKind::Model);
        world.recovers();
    }
}

#[test]
fn a_blob_that_cannot_be_read_is_left_to_its_owner() {
    let world = World::new();
    let blob = world.repository().join("blobs").join(sha256(&world.hub.file("model.safetensors")));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    // Root may read what others keep to themselves, but nobody the first page of a process.
    std::os::unix::fs::symlink("/proc/self/mem", &blob).unwrap();
    let error = world.pull(None, false).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if *path == blob), "{error}");
    assert!(fs::read_link(&blob).is_ok(), "what could not be read was removed");
    // What is not the published file is of use to nobody.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "other").unwrap();
    assert!(matches!(world.pull(None, false), Err(Error::Digest { .. })));
    assert!(!blob.exists());
    world.recovers();
}

#[test]
fn a_body_that_lacks_nothing_but_its_end_is_whole() {
    let tokenizer = format!("GET /{ID}/resolve/{COMMIT}/tokenizer.json");
    for part in [World::new().weights(), tokenizer] {
        let world = World::new();
        world.hub.fail(&part, 99, Fault::Unended);
        world.recovers();
        let requests = world.hub.requests();
        let asked = requests.iter().filter(|asked| part == format!("GET {}", asked.path));
        assert_eq!(asked.count(), 1, "{part}");
    }
    // Its digest decides, as of any other.
    let world = World::new();
    world.hub.hide_blobs();
    let etag = Fault::Headers(vec![("ETag", format!("\"{}\"", "0".repeat(64)))]);
    world.hub.fail("HEAD ", 99, etag);
    world.hub.fail("GET /tester/", 99, Fault::Unended);
    world.refuse(&["corrupted"], ErrorKind::Model);
}

#[test]
fn a_listing_that_says_less_of_large_files_is_read_as_far_as_it_goes() {
    let whole = World::new();
    whole.pull(None, false).unwrap();
    let forms: [(ListLfs, usize); 8] = [
        // As in the hub's listing of a tree.
        (|sha256, size| json!({"oid": sha256, "size": size, "pointerSize": 134}), 0),
        (|sha256, size| json!({"oid": sha256, "sha256": sha256, "size": size}), 0),
        (|sha256, size| json!({"oid": null, "sha256": sha256, "size": size}), 0),
        // What is missing is asked for: the id beside it is that of the pointer.
        (|sha256, _| json!({"oid": sha256}), 2),
        (|sha256, _| json!({"sha256": sha256, "size": null}), 2),
        (|_, size| json!({"size": size}), 2),
        (|sha256, size| json!({"oid": git_id(sha256.as_bytes()), "size": size}), 2),
        (|_, _| json!({}), 2),
    ];
    for (case, (lfs, expected)) in forms.into_iter().enumerate() {
        let world = World::new();
        world.hub.list_lfs(lfs);
        world.pull(None, false).unwrap();
        let requests = world.hub.requests();
        let heads = requests.iter().filter(|request| request.method == "HEAD");
        let asked = heads.filter(|request| request.path.starts_with("/tester/"));
        assert_eq!(asked.count(), expected, "{case}");
        assert_eq!(files_below(&world.repository()), files_below(&whole.repository()), "{case}");
        assert_eq!(vectors(&world.load().unwrap()), reference());
    }
}

#[test]
fn wrong_lengths_are_seen() {
    let world = World::new();
    world.hub.hide_blobs();
    let short = Fault::Headers(vec![("X-Linked-Size", "123456789".to_owned())]);
    world.hub.fail("HEAD /tester/tiny/resolve", 99, short);
    world.refuse(&["ended after"], ErrorKind::Unavailable);
    let world = World::new();
    world.hub.fail(&world.weights(), 1, Fault::Longer);
    world.refuse(&["more than"], ErrorKind::Unavailable);
    world.recovers();
}

#[test]
fn redirects_out_of_bounds_are_refused() {
    let elsewhere = Hub::new(&support::golden("tiny"));
    let other_port = elsewhere.endpoint();
    for target in [
        other_port.as_str(),
        "https://127.0.0.2/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://10.0.0.1/x",
        "http://example.com/x",
        "file:///etc/passwd",
        "//example.com/x",
        "gopher://example.com/",
    ] {
        let world = World::new();
        let fault = Fault::Status(302, "Location", target.to_owned());
        world.hub.fail("GET /tester/tiny/resolve", 99, fault.clone());
        world.refuse(&["redirects to", target], ErrorKind::Unavailable);
        world.hub.fail("GET /api/models", 99, fault);
        world.refuse(&["redirects to", target], ErrorKind::Unavailable);
    }
    assert!(elsewhere.requests().is_empty(), "a redirect was followed to another host");
    let world = World::new();
    let circle = Fault::Status(302, "Location", "/api/models/tester/tiny/revision/main".to_owned());
    world.hub.fail("GET /api/models", 99, circle);
    world.refuse(&["redirects more than"], ErrorKind::Unavailable);
}

#[test]
fn a_hub_cannot_write_out_of_its_folder() {
    let listing =
        |file: &str| json!({"sha": COMMIT, "siblings": [{"rfilename": file}]}).to_string();
    for body in [
        json!({"sha": "../../../x", "siblings": []}).to_string(),
        json!({"sha": "main", "siblings": []}).to_string(),
        listing("config.json").replace("siblings", "other"),
        "[]".to_owned(),
        "not json".to_owned(),
    ] {
        let world = World::new();
        world.hub.fail("GET /api/models", 99, Fault::Body(body));
        world.refuse(&["/api/models/tester/tiny/revision/main"], ErrorKind::Unavailable);
    }
    for etag in ["../../../x", "a/b", "", "..", "%2e%2e", "x\\y"] {
        let world = World::new();
        let etag = Fault::Headers(vec![
            ("X-Linked-Etag", format!("\"{etag}\"")),
            ("ETag", format!("\"{etag}\"")),
        ]);
        world.hub.hide_blobs();
        world.hub.fail("HEAD ", 99, etag);
        world.refuse(&["ETag"], ErrorKind::Unavailable);
    }
    for path in ["../2_Dense", "/etc", "a/../../b", "2_Dense/../..", "C:\\x", "%2e%2e/x", "x\u{0}y"]
    {
        let world = World::new();
        let mut modules: Value = serde_json::from_slice(&world.hub.file("modules.json")).unwrap();
        modules[2]["path"] = json!(path);
        world.hub.put("modules.json", modules.to_string());
        world.hub.put(&format!("{path}/config.json"), "{}");
        world.refuse(&["does not stand below"], ErrorKind::Input);
        let outside = world.cache.path().join("hub/models--tester--tiny/b");
        assert!(!outside.exists());
        let world = World::new();
        let weights = world.hub.remove("model.safetensors");
        let index = json!({"weight_map": {"x": format!("{path}/part.safetensors")}}).to_string();
        world.hub.put("model.safetensors.index.json", index);
        world.hub.put(&format!("{path}/part.safetensors"), weights);
        world.refuse(&["does not stand below"], ErrorKind::Input);
    }
}

#[test]
fn repositories_that_cannot_be_run_name_what_they_lack() {
    for (file, part) in [
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer.json"),
        ("model.safetensors", "model.safetensors"),
    ] {
        let world = World::new();
        world.hub.remove(file);
        world.refuse(&[ID, part], ErrorKind::Model);
    }
    let world = World::new();
    let weights = world.hub.remove("model.safetensors");
    world.hub.put("pytorch_model.bin", weights);
    world.refuse(&[ID, "pickled"], ErrorKind::Model);
    assert!(world.hub.requests().iter().all(|request| !request.path.contains("pytorch")));
}

#[test]
fn a_module_that_lacks_a_file_is_refused_before_anything_large_is_pulled() {
    let large = |world: &World| {
        let requests = world.hub.requests();
        requests.iter().filter(|request| request.path.contains("safetensors")).count()
    };
    let world = World::new();
    let weights = world.hub.remove("2_Dense/model.safetensors");
    world.hub.put("2_Dense/pytorch_model.bin", weights);
    world.refuse(&[ID, "pickled"], ErrorKind::Model);
    assert_eq!(large(&world), 0);
    for file in ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"] {
        let world = World::new();
        world.hub.remove(file);
        world.refuse(&[ID, file], ErrorKind::Model);
        assert_eq!(large(&world), 0);
    }
}

#[test]
fn verification_is_of_the_files_that_a_model_needs() {
    let world = World::new();
    let models = tempfile::tempdir().unwrap();
    let folder = models.path().join(ID);
    support::copy_folder(&support::golden("tiny"), &folder);
    fs::write(folder.join("README.md"), "# tiny").unwrap();
    let places = Places { models_dir: models.path().to_owned(), ..world.places() };
    let verify = |model: &str| Store::open(&places).unwrap().find(model, None).unwrap().verify();
    let all = |verdict: &Verdict| NEEDED.map(|file| (file.to_owned(), verdict.clone())).to_vec();
    assert_eq!(verify(ID).unwrap(), all(&Verdict::Recorded));
    fs::remove_file(folder.join("README.md")).unwrap();
    assert_eq!(verify(ID).unwrap(), all(&Verdict::Matches));
    // A folder that is named by its path is held to the lock that lies in it.
    let path = folder.to_str().unwrap();
    assert_eq!(verify(path).unwrap(), all(&Verdict::Matches));
    // Without one it has no digests, but it has needs.
    fs::remove_file(folder.join("chunkflow.lock")).unwrap();
    fs::remove_file(folder.join("1_Pooling/config.json")).unwrap();
    let verdicts = verify(path).unwrap();
    assert_eq!(verdicts[0], ("1_Pooling/config.json".to_owned(), Verdict::Missing));
    assert!(verdicts[1..].iter().all(|(_, verdict)| *verdict == Verdict::Unknown));
}

#[test]
fn weights_in_parts_are_pulled_and_loaded() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("model.safetensors");
    fs::write(&whole, world.hub.remove("model.safetensors")).unwrap();
    let mut weight_map = serde_json::Map::new();
    for (part, file) in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        .into_iter()
        .enumerate()
    {
        let path = folder.path().join(file);
        fs::copy(&whole, &path).unwrap();
        support::edit_tensors(&path, |tensors| {
            let names: Vec<String> = tensors.keys().cloned().collect();
            for (index, name) in names.iter().enumerate() {
                if index % 2 == part {
                    weight_map.insert(name.clone(), json!(file));
                } else {
                    tensors.remove(name).unwrap();
                }
            }
        });
        world.hub.put(file, fs::read(path).unwrap());
    }
    world.hub.put("model.safetensors.index.json", json!({"weight_map": weight_map}).to_string());
    let pulled = world.pull(None, false).unwrap();
    assert_eq!(pulled.files.last().unwrap(), "model.safetensors.index.json");
    assert_eq!(vectors(&world.load().unwrap()), reference());
    fs::remove_file(pulled.path.join("model-00002-of-00002.safetensors")).unwrap();
    let error = world.load().err().unwrap();
    assert!(matches!(error, embeddings::Error::Models(Error::MissingModel { .. })), "{error}");
    assert!(error.to_string().contains("model-00002-of-00002.safetensors"), "{error}");
    world.recovers();
}

#[test]
fn a_branch_stays_at_the_commit_of_its_first_pull() {
    let world = World::new();
    world.pull(None, false).unwrap();
    world.hub.move_main(OTHER);
    assert_eq!(world.pull(None, false).unwrap().commit, COMMIT);
    // Another library may move the cache's own ref.
    fs::write(world.repository().join("refs/main"), OTHER).unwrap();
    assert!(world.store().find(ID, None).unwrap().path().ends_with(COMMIT));
    assert_eq!(world.pull(None, true).unwrap().commit, OTHER);
    assert!(world.store().find(ID, None).unwrap().path().ends_with(OTHER));
    assert!(world.store().find(ID, Some(COMMIT)).unwrap().path().ends_with(COMMIT));
    assert!(world.store().find(&format!("{ID}@{COMMIT}"), None).unwrap().path().ends_with(COMMIT));
}

#[test]
fn a_branch_with_a_slash_is_one() {
    let world = World::new();
    world.pull(Some("feature/x"), false).unwrap();
    assert_eq!(fs::read_to_string(world.repository().join("refs/feature/x")).unwrap(), COMMIT);
    assert!(world.store().find(ID, Some("feature/x")).is_ok());
    assert!(world.store().find(ID, None).is_err());
}

/// A blob behind a file of the snapshot, with one bit flipped in it.
fn flip(snapshot: &Path, file: &str) {
    let path = snapshot.join(file).canonicalize().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.iter().position(u8::is_ascii_alphanumeric).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_file_that_changed_since_it_was_first_seen_is_refused() {
    for file in [
        "config.json",
        "tokenizer.json",
        "1_Pooling/config.json",
        "model.safetensors",
        "2_Dense/model.safetensors",
    ] {
        let world = World::new();
        let snapshot = world.pull(None, false).unwrap().path;
        flip(&snapshot, file);
        let error = world.load().err().unwrap();
        let expected = sha256(&world.hub.file(file));
        let message = error.to_string();
        assert!(message.contains(file) && message.contains(&expected), "{message}");
        let actual = sha256(&fs::read(snapshot.join(file)).unwrap());
        assert!(message.contains(&actual), "{message}");
    }
}

#[test]
fn a_cache_that_another_library_filled_is_trusted_at_first_sight_only() {
    let world = World::new();
    world.pull(None, false).unwrap();
    let lock = world.repository().join("chunkflow.lock");
    fs::remove_file(&lock).unwrap();
    let found = world.store().find(ID, None).unwrap();
    assert_eq!(vectors(&world.load().unwrap()), reference());
    assert!(lock.is_file());
    flip(found.path(), "config_sentence_transformers.json");
    let verdicts = world.store().find(ID, None).unwrap().verify().unwrap();
    for (file, verdict) in verdicts {
        let differs = matches!(verdict, Verdict::Differs { .. });
        assert_eq!(differs, file == "config_sentence_transformers.json", "{file}: {verdict:?}");
    }
    assert!(matches!(world.load(), Err(embeddings::Error::Models(Error::Digest { .. }))));
}

#[test]
fn a_load_remembers_every_file_that_it_read() {
    let world = World::new();
    let models = tempfile::tempdir().unwrap();
    let folder = models.path().join(ID);
    support::copy_folder(&support::golden("tiny"), &folder);
    let snapshot = world.pull(None, false).unwrap().path;
    fs::remove_file(world.repository().join("chunkflow.lock")).unwrap();
    let small = |file: &&str| !file.ends_with(".safetensors");
    let of_folder = Places { models_dir: models.path().to_owned(), ..Places::default() };
    let cases = [
        (of_folder, &folder, folder.join("chunkflow.lock"), "folder", NEEDED.to_vec()),
        // Large files have their digest as the name of the blob.
        (
            world.places(),
            &snapshot,
            world.repository().join("chunkflow.lock"),
            COMMIT,
            NEEDED.into_iter().filter(small).collect(),
        ),
    ];
    for (places, files, lock, commit, expected) in cases {
        let options = ModelOptions { places, ..ModelOptions::default() };
        let load = || LoadedModel::load(ID, &options);
        assert_eq!(vectors(&load().unwrap()), reference());
        let lock: Value = support::json(&lock);
        let digests = lock["files"][commit].as_object().unwrap();
        assert_eq!(digests.keys().collect::<Vec<_>>(), expected, "{commit}");
        for (file, digest) in digests {
            assert_eq!(digest, &sha256(&fs::read(files.join(file)).unwrap()), "{file}");
        }
        let tokenizer = files.join("tokenizer.json").canonicalize().unwrap();
        let changed = [fs::read(&tokenizer).unwrap(), b"\n".to_vec()].concat();
        fs::write(&tokenizer, changed).unwrap();
        let error = load().err().unwrap().to_string();
        assert!(error.contains("tokenizer.json is corrupted"), "{error}");
    }
}

#[test]
fn what_another_library_pulled_serves_for_a_pinned_model() {
    let world = World::new();
    let path = world.cache.path().join("models.toml");
    let spec = format!("name = \"x\"\nrepository = \"{ID}\"\nrevision = \"{OTHER}\"\n");
    fs::write(&path, format!("[[model]]\n{spec}")).unwrap();
    world.pull(None, false).unwrap();
    fs::remove_file(world.repository().join("chunkflow.lock")).unwrap();
    let places = Places { registry: Some(path), ..world.places() };
    assert!(Store::open(&places).unwrap().find("x", None).unwrap().path().ends_with(COMMIT));
    let options = ModelOptions { places, ..ModelOptions::default() };
    assert_eq!(vectors(&LoadedModel::load("x", &options).unwrap()), reference());
    let strict = ModelOptions { revision: Some(OTHER.to_owned()), ..options };
    let error = LoadedModel::load("x", &strict);
    assert!(matches!(error, Err(embeddings::Error::Models(Error::MissingModel { .. }))));
}

#[test]
fn a_file_that_is_gone_is_missed() {
    for file in ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"] {
        let world = World::new();
        let snapshot = world.pull(None, false).unwrap().path;
        fs::remove_file(snapshot.join(file)).unwrap();
        let error = world.load().err().unwrap().to_string();
        assert!(error.contains(file) && error.contains("is gone"), "{error}");
        let verdicts = world.store().find(ID, None).unwrap().verify().unwrap();
        let missing: Vec<_> =
            verdicts.iter().filter(|(_, verdict)| *verdict != Verdict::Matches).collect();
        assert_eq!(missing, [&(file.to_owned(), Verdict::Missing)]);
        world.recovers();
    }
}

#[test]
fn a_snapshot_of_another_library_without_its_modules_is_not_whole() {
    let world = World::new();
    let snapshot = world.pull(None, false).unwrap().path;
    fs::remove_file(world.repository().join("chunkflow.lock")).unwrap();
    fs::remove_file(snapshot.join("modules.json")).unwrap();
    let error = world.load().err().unwrap();
    assert!(matches!(error, embeddings::Error::Models(Error::MissingModel { .. })), "{error}");
    assert!(error.to_string().contains("modules.json"), "{error}");
    // That library has asked for it and found that there is none.
    let absent = world.repository().join(".no_exist").join(COMMIT).join("modules.json");
    fs::create_dir_all(absent.parent().unwrap()).unwrap();
    fs::write(absent, "").unwrap();
    assert_eq!(world.load().unwrap().model().dimensions(), 32, "a plain transformer");
}

#[test]
fn a_lock_that_cannot_be_read_is_no_licence() {
    let world = World::new();
    let models = tempfile::tempdir().unwrap();
    let folder = models.path().join(ID);
    support::copy_folder(&support::golden("tiny"), &folder);
    let places = Places { models_dir: models.path().to_owned(), ..world.places() };
    let options = ModelOptions { places, ..ModelOptions::default() };
    assert_eq!(vectors(&LoadedModel::load(ID, &options).unwrap()), reference());
    fs::write(folder.join("chunkflow.lock"), "{").unwrap();
    let error = LoadedModel::load(ID, &options).err().unwrap().to_string();
    assert!(error.contains("chunkflow.lock"), "{error}");
}

#[test]
fn a_wrong_digest_of_the_users_own_removes_nothing_of_others() {
    let world = World::new();
    let pulled = world.pull(None, false).unwrap();
    let blob = pulled.path.join("model.safetensors").canonicalize().unwrap();
    fs::remove_file(world.repository().join("chunkflow.lock")).unwrap();
    let path = world.cache.path().join("models.toml");
    let digest = format!("sha256 = {{ \"model.safetensors\" = \"{}\" }}\n", "0".repeat(64));
    let spec = format!("[[model]]\nname = \"x\"\nrepository = \"{ID}\"\n{digest}");
    fs::write(&path, spec).unwrap();
    let places = Places { registry: Some(path), ..world.places() };
    let store = Store::open(&places).unwrap();
    let error = world.client(false).pull(&store, "x", None, true, &mut |_, _, _| {});
    assert!(matches!(error, Err(Error::Digest { .. })), "{error:?}");
    assert!(blob.is_file(), "the hub vouches for it");
}

#[test]
fn a_lock_that_is_a_folder_is_an_error() {
    let world = World::new();
    world.pull(None, false).unwrap();
    let lock = world.repository().join("chunkflow.lock");
    fs::remove_file(&lock).unwrap();
    // Root may write anywhere; a folder in the lock's place stops everyone.
    fs::create_dir(&lock).unwrap();
    fs::write(lock.join("occupied"), "").unwrap();
    let error = world.load().err().unwrap();
    assert!(matches!(error, embeddings::Error::Models(Error::Read { .. })), "{error}");
}

/// Moves the blob of the weights to where `huggingface_hub` shares it among repositories, and leaves
/// a link.
fn share_weights(world: &World) -> PathBuf {
    let blob = world.repository().join("blobs").join(sha256(&world.hub.file("model.safetensors")));
    let hash = "5e".repeat(32);
    let shared = world.cache.path().join("hub/blobs/5e").join(&hash);
    fs::create_dir_all(shared.parent().unwrap()).unwrap();
    fs::rename(&blob, &shared).unwrap();
    let target = format!("../../blobs/5e/{hash}");
    std::os::unix::fs::symlink(target, &blob).unwrap();
    shared
}

#[test]
fn files_that_repositories_of_a_cache_share_are_theirs() {
    let world = World::new();
    world.pull(None, false).unwrap();
    let shared = share_weights(&world);
    assert_eq!(vectors(&world.load().unwrap()), reference());
    let here = || {
        world
            .store()
            .list()
            .into_iter()
            .any(|entry| entry.spec.repository == ID && entry.place.is_some())
    };
    assert!(here());
    let removed = world.store().remove(ID).unwrap();
    assert_eq!((removed.path, removed.left), (world.repository(), vec![shared.clone()]));
    assert!(shared.is_file() && !here());
}

#[test]
fn a_shared_file_is_held_to_its_digest() {
    let world = World::new();
    world.pull(None, false).unwrap();
    fs::remove_file(world.repository().join("chunkflow.lock")).unwrap();
    let shared = share_weights(&world);
    let mut bytes = fs::read(&shared).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shared, bytes).unwrap();
    let error = world.load().err().unwrap().to_string();
    assert!(error.contains("corrupted"), "{error}");
    // One that is gone is missed by the listing too.
    fs::remove_file(&shared).unwrap();
    assert!(world.load().is_err());
    let listed = world.store().list().into_iter().find(|entry| entry.spec.repository == ID);
    assert!(listed.is_none_or(|entry| entry.place.is_none()));
}

#[test]
fn blobs_may_stand_on_another_disk() {
    let world = World::new();
    world.pull(None, false).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (blobs, moved) = (world.repository().join("blobs"), elsewhere.path().join("blobs"));
    support::copy_folder(&blobs, &moved);
    fs::remove_dir_all(&blobs).unwrap();
    std::os::unix::fs::symlink(&moved, &blobs).unwrap();
    assert_eq!(vectors(&world.load().unwrap()), reference());
}

#[test]
fn what_stands_behind_a_link_is_left_and_named() {
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().canonicalize().unwrap();
    for part in ["", "blobs"] {
        let world = World::new();
        world.pull(None, false).unwrap();
        let (here, moved) = (world.repository().join(part), elsewhere.join(format!("of-{part}")));
        support::copy_folder(&here, &moved);
        let here = here.components().collect::<PathBuf>();
        fs::remove_dir_all(&here).unwrap();
        std::os::unix::fs::symlink(&moved, &here).unwrap();
        let removed = world.store().remove(ID).unwrap();
        assert_eq!((removed.path, removed.left), (world.repository(), vec![moved.clone()]));
        assert!(files_below(&moved).len() >= NEEDED.len(), "{part}");
        assert!(world.repository().symlink_metadata().is_err(), "{part}");
    }
}

#[test]
fn a_git_lfs_pointer_is_called_one() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        let models = tempfile::tempdir().unwrap();
        let folder = models.path().join(ID);
        support::copy_folder(&support::golden("tiny"), &folder);
        fs::write(folder.join(file), pointer).unwrap();
        let places = Places { models_dir: models.path().to_owned(), ..Places::default() };
        let options = ModelOptions { places: places.clone(), ..ModelOptions::default() };
        let error = LoadedModel::load(ID, &options).err().unwrap().to_string();
        assert!(error.contains("git-lfs pointer") && error.contains(file), "{error}");
        let mut listed = Store::open(&places).unwrap().list().into_iter();
        assert!(listed.all(|entry| entry.spec.repository != ID || entry.place.is_none()));
    }
}

#[test]
fn links_out_of_the_cache_are_refused() {
    let world = World::new();
    let snapshot = world.pull(None, false).unwrap().path;
    let secret = world.cache.path().join("secret.json");
    fs::copy(snapshot.join("config.json"), &secret).unwrap();
    fs::remove_file(snapshot.join("config.json")).unwrap();
    std::os::unix::fs::symlink(&secret, snapshot.join("config.json")).unwrap();
    let error = world.load().err().unwrap().to_string();
    assert!(error.contains("leads to") && error.contains("secret.json"), "{error}");
}

#[test]
fn offline_nothing_connects() {
    let world = World::new();
    let error = world.client(true).pull(&world.store(), ID, None, false, &mut |_, _, _| {});
    assert!(matches!(error, Err(Error::Hub(HubError::Offline { .. }))));
    let place = Place::new();
    for offline in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CHUNKFLOW__HUB__OFFLINE"] {
        let mut variables = environment(&place, &world);
        variables.push((offline, "true".to_owned()));
        for args in [vec!["models", "path", ID], vec!["embed", "--model", ID]] {
            let start = Instant::now();
            let ran = place.run_without_network(&args, b"", &variables);
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
            assert_eq!(ran.code, Some(66), "{offline}: {}", ran.stderr);
            for part in
                ["cache/models--tester--tiny/refs/main", "chunkflow models pull tester/tiny"]
            {
                assert!(ran.stderr.contains(part), "{}", ran.stderr);
            }
        }
        let ran = place.run_without_network(&["models", "pull", ID], b"", &variables);
        assert_eq!(ran.code, Some(69));
    }
    // The filter does what it is for: without the setting, the first connection ends the process.
    let variables = environment(&place, &world);
    let ran = place.run_without_network(&["models", "pull", ID], b"", &variables);
    assert_eq!(ran.code, None, "{}", ran.stderr);
    // What has been pulled works without it.
    place.run_with(&["models", "pull", ID], &variables).output();
    let embed = ["embed", "--model", ID, "--offline"];
    place.run_without_network(&embed, b"A text.\n", &variables).output();
    let pull = ["models", "pull", ID, "--offline"];
    place.run_without_network(&pull, b"", &variables).output();
}

#[test]
fn a_missing_file_of_a_snapshot_is_named_with_the_command() {
    let world = World::new();
    let snapshot = world.pull(None, false).unwrap().path;
    fs::remove_file(snapshot.join("tokenizer.json")).unwrap();
    let error = world.load().err().unwrap().to_string();
    for part in [snapshot.join("tokenizer.json").to_str().unwrap(), "chunkflow models pull"] {
        assert!(error.contains(part), "{error}");
    }
    world.recovers();
}

#[test]
fn commands_pull_a_model_that_is_not_here() {
    let (world, place) = (World::new(), Place::new());
    let variables = environment(&place, &world);
    let mut variables: Vec<_> = variables.into_iter().collect();
    let ran = place.feed_with(&["embed", "--model", ID], b"A text.\n", &variables);
    let line: Value = serde_json::from_slice(ran.output()).unwrap();
    assert_eq!(line["embedding"].as_array().unwrap().len(), 24);
    assert!(ran.stderr.contains("pulling it from the hub"), "{}", ran.stderr);
    variables.push(("HF_HUB_OFFLINE", "1".to_owned()));
    let again = place.feed_with(&["embed", "--model", ID], b"A text.\n", &variables);
    assert_eq!(again.output(), ran.output());
    let listed = place.run_with(&["models", "list", "--here", "--json"], &variables);
    let entry: Value = serde_json::from_slice(listed.output()).unwrap();
    assert_eq!((&entry["repository"], &entry["place"]), (&json!(ID), &json!("cache")));
    let verified = place.run_with(&["models", "verify"], &variables);
    assert_eq!(verified.text().lines().filter(|line| line.ends_with(": ok")).count(), NEEDED.len());
    let removed = place.run_with(&["models", "rm", ID], &variables);
    assert!(removed.text().contains("models--tester--tiny"));
    assert!(!place.path("cache/models--tester--tiny").exists());
    assert_eq!(place.run_with(&["models", "rm", ID], &variables).code, Some(66));
}

#[test]
fn exit_codes_say_who_can_help() {
    let place = Place::new();
    for (status, code) in [(401, 77), (403, 77), (404, 66)] {
        let world = World::new();
        world.hub.fail("/api/models/", 99, Fault::Status(status, "X", String::new()));
        let ran = place.run_with(&["models", "pull", ID], &environment(&place, &world));
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    }
    let world = World::new();
    let later = Fault::Status(429, "Retry-After", "600".to_owned());
    world.hub.fail("/api/models/", 99, later);
    let ran = place.run_with(&["models", "pull", ID], &environment(&place, &world));
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    let world = World::new();
    world.hub.fail("GET /lfs/", 99, Fault::Garble);
    let ran = place.run_with(&["models", "pull", ID], &environment(&place, &world));
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
}

#[test]
fn the_token_goes_to_the_endpoint_and_into_no_message() {
    let secret = "hf_secretsecretsecret";
    let (world, place) = (World::new(), Place::new());
    let sent = |variables: &[(&'static str, String)]| {
        let ran = place.run_with(&["models", "pull", ID, "-vv"], variables);
        assert!(!ran.stderr.contains(secret) && !ran.text().contains(secret), "{}", ran.stderr);
        fs::remove_dir_all(place.path("cache")).unwrap();
        let requests = world.hub.requests();
        let with = requests.iter().filter(|request| {
            let value = request.headers.get("authorization");
            value.is_some_and(|value| *value == format!("Bearer {secret}"))
        });
        let count = with.count();
        assert!(count == 0 || count == requests.len(), "{count} of {}", requests.len());
        count > 0
    };
    let plain = environment(&place, &world);
    assert!(!sent(&plain));
    let with = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        plain.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    assert!(sent(&with(&[("HF_TOKEN", secret)])));
    assert!(!sent(&with(&[("HF_TOKEN", secret), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")])));
    place.write("token", format!("{secret}\n"));
    let path = place.path("token");
    assert!(sent(&with(&[("HF_TOKEN_PATH", path.to_str().unwrap())])));
    place.write("home/token", secret);
    assert!(sent(&with(&[("HF_HOME", place.path("home").to_str().unwrap())])));
    let shown = place.run_with(&["config", "show"], &with(&[("HF_TOKEN", secret)]));
    assert!(!shown.text().contains(secret));
    assert!(!format!("{:?}", Token::new(secret)).contains(secret));
}

/// Names of models that no hub has.
const BAD_IDS: [&str; 40] = [
    "../x",
    "../../etc/passwd",
    "a/../b",
    "a/..",
    "./a",
    "a/b/c",
    "a//b",
    "/a/b",
    "a/",
    "/b",
    "a\\b/c",
    "a/b\\c",
    "a/b%2e%2e",
    "%2e%2e/b",
    "a/b?x",
    "a/b#x",
    "a/.b",
    ".a/b",
    "-a/b",
    "a/b-",
    "a/b.",
    "a--b/c",
    "a/b..c",
    "a/b c",
    "a/b\n",
    "a b/c",
    "ä/b",
    "~/b",
    "a/b:c",
    "file:///etc/passwd",
    "https://example.com/a",
    "a/b@../../x",
    "a/b@/x",
    "a/b@x/../y",
    "a/b@",
    "a/b@x y",
    "a/b@.x",
    "a/b@x//y",
    "a/b@x\\y",
    "a/b@%2e%2e",
];

#[test]
fn names_that_lead_out_of_their_folder_are_refused_unasked() {
    let (world, place) = (World::new(), Place::new());
    let variables = environment(&place, &world);
    for id in BAD_IDS {
        let ran = place.run_with(&["models", "pull", "--", id], &variables);
        assert!(matches!(ran.code, Some(65 | 66)), "{id:?}: {:?} {}", ran.code, ran.stderr);
    }
    let long = format!("a/{}", "b".repeat(97));
    let long_revision = "r".repeat(256);
    assert_eq!(place.run_with(&["models", "pull", &long], &variables).code, Some(66));
    for revision in [
        "../x",
        "..",
        ".",
        "/x",
        "x/../y",
        "x//y",
        "x/",
        "a b",
        "x\\y",
        "%2e%2e",
        "x?y",
        "x#y",
        "x:y",
        "x\ny",
        ".hidden",
        "x/.y",
        "ä",
        "~",
        "@",
        &long_revision,
    ] {
        let args = ["models", "pull", ID, "--revision", revision];
        let ran = place.run_with(&args, &variables);
        assert_eq!(ran.code, Some(65), "{revision:?}: {}", ran.stderr);
        let args = ["models", "path", ID, "--revision", revision];
        assert_eq!(place.run_with(&args, &variables).code, Some(65), "{revision:?}");
    }
    assert!(world.hub.requests().is_empty(), "a bad name was asked for");
    assert!(!place.path("cache").exists(), "a bad name made a folder");
}

#[test]
fn a_file_of_the_users_adds_and_replaces_models() {
    let (world, place) = (World::new(), Place::new());
    let registry = format!(
        "[[model]]\nname = \"mine\"\nrepository = \"{ID}\"\nrevision = \"{COMMIT}\"\n\
        prompts = {{ shout = \"HEY: \" }}\n[model.sha256]\n\"config.json\" = \"{}\"\n",
        sha256(&world.hub.file("config.json"))
    );
    place.write("models.toml", registry);
    let mut variables = environment(&place, &world);
    variables.push(("CHUNKFLOW__MODEL__REGISTRY", "models.toml".to_owned()));
    let args = ["embed", "--model", "mine", "--prompt-name", "shout"];
    let named = place.feed_with(&args, b"A text.\n", &variables);
    let spelt =
        place.feed_with(&["embed", "--model", ID, "--prompt", "HEY: "], b"A text.\n", &variables);
    assert_eq!(named.output(), spelt.output());
    world.hub.put("config.json", [world.hub.file("config.json"), b"\n".to_vec()].concat());
    place.run_with(&["models", "rm", "mine"], &variables).output();
    let ran = place.run_with(&["models", "pull", "mine"], &variables);
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    place.write("models.toml", "[[model]]\nname = \"x\"\nrepository = \"../x\"\n");
    let ran = place.run_with(&["models", "list"], &variables);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    place.write("models.toml", "[[model]]\nname = \"x\"\nrepository = \"a/b\"\nrevison = \"v1\"\n");
    let ran = place.run_with(&["models", "list"], &variables);
    assert!(ran.stderr.contains("models.toml") && ran.stderr.contains("revison"), "{}", ran.stderr);
}
