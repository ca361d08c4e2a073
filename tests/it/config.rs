//! Settings: a wrong one stops every command with 78 and names its source and key, and of two
//! right ones the nearer to the user wins.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Place, Ran, check_none, problem, tiny};

const USAGE: i32 = 2;
const CONFIG: i32 = 78;

/// `chunkflow` with variables.
fn run(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = place.command(args);
    Ran::of(command.envs(variables.iter().copied()).output().unwrap())
}

/// What keeps `ran` from having told of a wrong setting on standard error alone.
fn not_refused(ran: &Ran, parts: &[&str]) -> Option<String> {
    let printed = (!ran.stdout.is_empty()).then(|| "standard output is not empty".to_owned());
    problem(ran, CONFIG, parts).or(printed)
}

#[track_caller]
fn check_refused(ran: &Ran, parts: &[&str]) {
    check_none(&Vec::from_iter(not_refused(ran, parts)));
}

/// Settings in YAML, and what the message must hold.
const BROKEN_FILES: [(&str, &[&str]); 52] = [
    // Keys that do not exist.
    ("colour: red", &["colour", "unknown", "compute", "server"]),
    ("model: {nme: x}", &["model.nme", "unknown", "name, revision, dir"]),
    ("compute: {thread: 2}", &["compute.thread:", "unknown", "threads"]),
    ("embed: {dimensions: 2}", &["embed.dimensions", "unknown", "truncate"]),
    ("chunk: {max: 2}", &["chunk.max:", "unknown", "max_tokens"]),
    ("server: {prot: 2}", &["server.prot", "unknown", "port"]),
    ("log: {lvl: info}", &["log.lvl", "unknown", "level"]),
    ("server: {port: {number: 1}}", &["server.port"]),
    // Values of another type.
    ("model: all-MiniLM-L6-v2", &["model"]),
    ("model: {name: [a]}", &["model.name", "string"]),
    ("model: {dir: {a: b}}", &["model.dir"]),
    ("compute: {threads: two}", &["compute.threads", "two"]),
    ("compute: {threads: -1}", &["compute.threads", "-1"]),
    ("compute: {max_batch_tokens: 1.5}", &["compute.max_batch_tokens", "1.5"]),
    ("chunk: {max_tokens: '100'}", &["chunk.max_tokens", "100"]),
    ("chunk: {size_weight: heavy}", &["chunk.size_weight", "heavy"]),
    ("server: {port: many}", &["server.port", "many"]),
    ("server: {port: 70000}", &["server.port", "70000"]),
    ("server: {port: -1}", &["server.port", "-1"]),
    ("server: {host: 'http://localhost'}", &["server.host"]),
    ("server: {host: 5}", &["server.host"]),
    ("server: {request_timeout_s: 1.5}", &["server.request_timeout_s", "1.5"]),
    ("server: {max_body_bytes: 32MB}", &["server.max_body_bytes", "32MB"]),
    ("log: {level: 3}", &["log.level", "3"]),
    // Values that are not among those known.
    ("compute: {device: gpu}", &["compute.device", "gpu", "auto", "cpu"]),
    ("compute: {dtype: f64}", &["compute.dtype", "f64", "f32"]),
    ("compute: {isa: sse9}", &["compute.isa", "`sse9` is no instruction set", "auto", "scalar"]),
    ("compute: {engine: torch}", &["compute.engine", "torch", "native", "candle"]),
    ("embed: {truncate: middle}", &["embed.truncate", "middle", "left", "right"]),
    ("log: {format: xml}", &["log.format", "xml", "pretty", "json"]),
    ("log: {level: 'a=b=c'}", &["log.level", "a=b=c"]),
    ("log: {level: verbose}", &["log.level", "verbose", "debug"]),
    // Values out of range.
    ("model: {name: ''}", &["model.name"]),
    ("compute: {threads: 5000}", &["compute.threads", "1024"]),
    ("compute: {max_batch_tokens: 0}", &["compute.max_batch_tokens", "1"]),
    ("chunk: {max_tokens: 15}", &["chunk.max_tokens", "15", "16"]),
    ("chunk: {target_tokens: 0}", &["chunk.target_tokens", "0"]),
    ("chunk: {target_tokens: 300}", &["chunk.target_tokens", "300", "256"]),
    ("chunk: {size_weight: -0.5}", &["chunk.size_weight", "-0.5"]),
    ("chunk: {size_weight: .nan}", &["line 1", ".nan"]),
    ("server: {max_body_bytes: 100}", &["server.max_body_bytes", "1024"]),
    ("server: {max_bytes_in_flight: 33554431}", &["server.max_bytes_in_flight", "33554432"]),
    ("server: {body_timeout_s: 0}", &["server.body_timeout_s", "1"]),
    ("server: {max_requests: 0}", &["server.max_requests", "1"]),
    ("server: {max_texts: 0}", &["server.max_texts", "1"]),
    ("server: {request_timeout_s: 0}", &["server.request_timeout_s", "1"]),
    ("server: {shutdown_grace_s: 100000}", &["server.shutdown_grace_s", "86400"]),
    ("server: {max_queued_tokens: 0}", &["server.max_queued_tokens", "1"]),
    // No settings at all.
    ("server: {port: 1", &["line 1"]),
    ("server:\n\tport: 1", &["line 2"]),
    ("server: {port: 1, port: 2}", &["port", "duplicate"]),
    ("- server", &["line 1", "mapping"]),
];

#[test]
fn a_broken_file_is_named_with_its_key() {
    let mut problems = Vec::new();
    for (yaml, parts) in BROKEN_FILES {
        let place = Place::with("settings.yaml", yaml);
        let ran = place.run(&["config", "check", "--config", "settings.yaml"]);
        let problem = not_refused(&ran, &[parts, &["settings.yaml"]].concat());
        problems.extend(problem.map(|problem| format!("{yaml:?}: {problem}")));
    }
    check_none(&problems);
}

#[test]
fn a_syntax_error_in_a_file_is_told_once_and_by_its_place() {
    let place = Place::with("settings.yaml", "server:\n  port: 1\n  host: [\n");
    let ran = place.run(&["config", "check", "--config", "settings.yaml"]);
    check_refused(&ran, &["error: settings.yaml", "line 3"]);
    assert!(!ran.stderr.contains("<input>"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("settings.yaml").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let place = Place::with("latin1.yaml", b"model: {name: caf\xe9}");
    place.write("folder/a.yaml", "");
    let files =
        [("absent.yaml", "No such file"), ("folder", "directory"), ("latin1.yaml", "UTF-8")];
    for (file, why) in files {
        check_refused(&place.run(&["config", "show", "--config", file]), &[file, why]);
    }
}

#[test]
fn a_broken_variable_is_named_with_its_key() {
    let broken: [(&str, &str, &[&str]); 14] = [
        ("CHUNKFLOW__SERVER__PORT", "many", &["server.port", "many"]),
        ("CHUNKFLOW__SERVER__PORT", "70000", &["server.port", "70000"]),
        ("CHUNKFLOW__SERVER__PORT", "", &["server.port"]),
        ("CHUNKFLOW__SERVER__PROT", "1", &["server.prot", "unknown", "port"]),
        ("CHUNKFLOW__SERVER__HOST", "localhost:80", &["server.host"]),
        ("CHUNKFLOW__SERVER__MAX_BODY_BYTES", "10", &["server.max_body_bytes", "1024"]),
        ("CHUNKFLOW__SERVR", "1", &["servr", "unknown", "server"]),
        ("CHUNKFLOW__COMPUTE__THREADS", "-1", &["compute.threads", "-1"]),
        ("CHUNKFLOW__COMPUTE__DEVICE", "gpu", &["compute.device", "gpu", "cpu"]),
        ("CHUNKFLOW__CHUNK__MAX_TOKENS", "3", &["chunk.max_tokens", "16"]),
        ("CHUNKFLOW__CHUNK__SIZE_WEIGHT", "heavy", &["chunk.size_weight", "heavy"]),
        ("CHUNKFLOW__MODEL__NAME", "", &["model.name"]),
        ("CHUNKFLOW__LOG__FORMAT", "xml", &["log.format", "xml", "pretty"]),
        ("CHUNKFLOW__EMBED__TRUNCATE", "up", &["embed.truncate", "up", "left"]),
    ];
    let mut problems = Vec::new();
    for (name, value, parts) in broken {
        let ran = run(&Place::new(), &[(name, value)], &["config", "check"]);
        let problem = not_refused(&ran, &[parts, &[name]].concat());
        problems.extend(problem.map(|problem| format!("{name}={value}: {problem}")));
    }
    check_none(&problems);
}

#[test]
fn a_variable_that_names_no_setting_is_refused_by_its_name() {
    let mut problems = Vec::new();
    for name in ["CHUNKFLOW__", "CHUNKFLOW____", "CHUNKFLOW____X", "chunkflow____x"] {
        let ran = run(&Place::new(), &[(name, "5")], &["config", "check"]);
        let told = format!("`{name}` names no setting, expected CHUNKFLOW__SECTION__KEY");
        problems.extend(not_refused(&ran, &[&told]).map(|problem| format!("{name}: {problem}")));
    }
    check_none(&problems);
}

#[test]
fn a_filter_that_is_none_is_named_by_its_variable() {
    let place = Place::with("in.txt", "");
    let args = ["embed", "in.txt", "--model", &tiny()];
    check_refused(&run(&place, &[("RUST_LOG", "a=b=c")], &args), &["RUST_LOG", "a=b=c"]);
}

#[test]
fn a_profile_that_is_none_is_refused() {
    let place = Place::with("secret.yaml", "server: {port: 1}");
    place.write("config/a.b.yaml", "server: {port: 1}");
    let path = place.path("secret");
    for profile in
        ["staging", "../secret", "a.b", "production.yaml", "./test", path.to_str().unwrap()]
    {
        let ran = run(&place, &[("CHUNKFLOW_ENV", profile)], &["config", "check"]);
        check_refused(&ran, &["CHUNKFLOW_ENV", profile]);
    }
}

#[test]
fn a_broken_profile_is_named_by_its_file() {
    let place = Place::with("config/broken.yaml", "server: {prot: 1}");
    let ran = run(&place, &[("CHUNKFLOW_ENV", "broken")], &["config", "check"]);
    check_refused(&ran, &["config/broken.yaml", "server.prot"]);
}

#[test]
fn a_broken_flag_is_named_with_its_key() {
    let broken: [(&[&str], &[&str]); 9] = [
        (&["embed", "--threads", "5000"], &["--threads", "compute.threads", "1024"]),
        (&["embed", "--model", ""], &["--model", "model.name"]),
        (&["embed", "--log-level", "a=b=c"], &["--log-level", "log.level", "a=b=c"]),
        (&["chunk", "--max-tokens", "5"], &["--max-tokens", "chunk.max_tokens", "16"]),
        (&["chunk", "--target-tokens", "0"], &["--target-tokens", "chunk.target_tokens"]),
        (&["chunk", "--target-tokens", "999"], &["--target-tokens", "999", "256"]),
        (&["chunk", "--size-weight=-1"], &["--size-weight", "chunk.size_weight", "-1"]),
        (&["chunk", "--size-weight", "nan"], &["--size-weight", "chunk.size_weight"]),
        (&["serve", "--host", "no-such-host.invalid"], &["--host", "server.host"]),
    ];
    let mut problems = Vec::new();
    for (args, parts) in broken {
        let problem = not_refused(&Place::new().run(args), parts);
        problems.extend(problem.map(|problem| format!("{args:?}: {problem}")));
    }
    check_none(&problems);
}

#[test]
fn a_flag_that_does_not_parse_is_a_usage_error() {
    let unparsed: [&[&str]; 7] = [
        &["embed", "--threads=-1"],
        &["embed", "--device", "gpu"],
        &["embed", "--dtype", "f64"],
        &["embed", "--engine", "torch"],
        &["embed", "--truncate", "up"],
        &["serve", "--port", "70000"],
        &["serve", "--port", "http"],
    ];
    for args in unparsed {
        let ran = Place::new().run(args);
        assert_eq!(ran.code, Some(USAGE), "{args:?} {}", ran.stderr);
        let flag = args[1].split('=').next().unwrap();
        assert!(ran.stderr.contains(flag) && ran.stdout.is_empty(), "{}", ran.stderr);
    }
}

#[test]
fn several_problems_are_told_at_once() {
    let place = Place::with("settings.yaml", "server: {request_timeout_s: 0}\nmodel: {name: ''}");
    let ran = run(
        &place,
        &[("CHUNKFLOW__CHUNK__MAX_TOKENS", "3")],
        &["config", "check", "--config", "settings.yaml"],
    );
    let parts = [
        "server.request_timeout_s",
        "model.name",
        "chunk.max_tokens",
        "settings.yaml",
        "CHUNKFLOW__CHUNK__MAX_TOKENS",
    ];
    check_refused(&ran, &parts);
}

#[test]
fn a_lower_limit_of_chunks_alone_is_no_contradiction() {
    let place = Place::with("book.txt", "The cat sat on the mat. ".repeat(40));
    let ran = place.tiny(&["chunk", "book.txt", "--max-tokens", "40"]);
    assert!(ran.text().lines().count() > 2);
    let variables = [("CHUNKFLOW__CHUNK__MAX_TOKENS", "40")];
    let same = run(&place, &variables, &["chunk", "book.txt", "--model", &tiny()]);
    assert_eq!(same.text(), ran.text());
}

// Right settings.

/// Value and origin of `key` as `config show --json` prints them.
fn shown(settings: &[Value], key: &str) -> (Value, String) {
    let setting = settings.iter().find(|setting| setting["key"] == key);
    let setting = setting.unwrap_or_else(|| panic!("{key} is not shown"));
    (setting["value"].clone(), setting["origin"].as_str().unwrap().to_owned())
}

fn show(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Vec<Value> {
    let ran = run(place, variables, &[&["config", "show", "--json"], args].concat());
    assert_eq!(ran.stderr, "");
    serde_json::from_str(ran.text()).unwrap()
}

#[test]
fn the_layer_nearest_to_the_user_wins_and_is_named() {
    let place = Place::with(
        "config/layers.yaml",
        "embed: {truncate: left}\nserver: {port: 1}\ncompute: {threads: 1}\nlog: {level: error}",
    );
    place.write("own.yaml", "server: {port: 2}\ncompute: {threads: 2}\nlog: {level: warn}");
    let variables = [
        ("CHUNKFLOW_ENV", "layers"),
        ("CHUNKFLOW__COMPUTE__THREADS", "3"),
        ("CHUNKFLOW__LOG__LEVEL", "info"),
    ];
    let settings = show(&place, &variables, &["--config", "own.yaml", "--log-level", "debug"]);
    let expected = [
        ("chunk.preset", json!("retrieval"), "default"),
        ("chunk.max_tokens", json!(null), "default"),
        ("embed.truncate", json!("left"), "config/layers.yaml"),
        ("server.port", json!(2), "own.yaml"),
        ("compute.threads", json!(3), "CHUNKFLOW__COMPUTE__THREADS"),
        ("log.level", json!("debug"), "--log-level"),
    ];
    for (key, value, origin) in expected {
        assert_eq!(shown(&settings, key), (value, origin.to_owned()));
    }
    for (flag, level, origin) in [("-v", "info", "--verbose"), ("-q", "error", "--quiet")] {
        let settings = show(&place, &variables, &[flag]);
        assert_eq!(shown(&settings, "log.level"), (json!(level), origin.to_owned()));
    }
}

#[test]
fn every_default_is_shown_with_its_value() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.yaml");
    let defaults: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let place = Place::new();
    let settings = show(&place, &[("HF_HOME", ""), ("HF_HUB_OFFLINE", "0")], &[]);
    let mut count = 0;
    for (section, values) in defaults.as_object().unwrap() {
        for (key, value) in values.as_object().unwrap() {
            let (found, origin) = shown(&settings, &format!("{section}.{key}"));
            assert_eq!(origin, "default", "{section}.{key}");
            // The one default that depends on the user.
            if (section.as_str(), key.as_str()) == ("hub", "cache") {
                assert!(found.as_str().unwrap().ends_with(".cache/huggingface/hub"), "{found}");
            } else {
                assert_eq!(&found, value, "{section}.{key}");
            }
            count += 1;
        }
    }
    assert_eq!(settings.len(), count);
    let text = Place::new().run(&["config", "show"]);
    assert_eq!(text.text().lines().count(), count);
    assert!(text.text().contains("8080"));
}

#[test]
fn variables_of_hugging_face_stand_between_our_own_and_the_files() {
    let place = Place::with("own.yaml", "hub: {endpoint: 'http://file', cache: from-file}");
    let file = ["--config", "own.yaml"];
    let theirs = [
        ("HF_ENDPOINT", "http://mirror"),
        ("HF_HOME", "/home-of-theirs"),
        ("HF_HUB_OFFLINE", "yes"),
    ];
    let settings = show(&place, &theirs, &file);
    for (key, value, origin) in [
        ("hub.endpoint", json!("http://mirror"), "HF_ENDPOINT"),
        ("hub.cache", json!("/home-of-theirs/hub"), "HF_HOME"),
        ("hub.offline", json!(true), "HF_HUB_OFFLINE"),
    ] {
        assert_eq!(shown(&settings, key), (value, origin.to_owned()));
    }
    let nearer = [
        ("HUGGINGFACE_HUB_CACHE", "/old"),
        ("HF_HUB_CACHE", "/new"),
        ("CHUNKFLOW__HUB__ENDPOINT", "http://ours"),
        ("TRANSFORMERS_OFFLINE", "1"),
        ("HF_HUB_OFFLINE", "0"),
    ];
    let settings = show(&place, &[theirs.as_slice(), &nearer].concat(), &file);
    for (key, value, origin) in [
        ("hub.endpoint", json!("http://ours"), "CHUNKFLOW__HUB__ENDPOINT"),
        ("hub.cache", json!("/new"), "HF_HUB_CACHE"),
        ("hub.offline", json!(true), "TRANSFORMERS_OFFLINE"),
    ] {
        assert_eq!(shown(&settings, key), (value, origin.to_owned()));
    }
    // sentence-transformers gives its own folder to the libraries below it.
    let settings =
        show(&place, &[nearer.as_slice(), &[("SENTENCE_TRANSFORMERS_HOME", "/st")]].concat(), &[]);
    let expected = (json!("/st"), "SENTENCE_TRANSFORMERS_HOME".to_owned());
    assert_eq!(shown(&settings, "hub.cache"), expected);
    let none = [("HF_HOME", ""), ("HF_HUB_OFFLINE", ""), ("XDG_CACHE_HOME", "/cache")];
    let settings = show(&place, &none, &[]);
    let expected = (json!("/cache/huggingface/hub"), "default".to_owned());
    assert_eq!(shown(&settings, "hub.cache"), expected);
    let settings = show(&place, &none, &file);
    assert_eq!(shown(&settings, "hub.cache"), (json!("from-file"), "own.yaml".to_owned()));
}

#[test]
fn a_cache_that_is_null_is_where_the_libraries_find_it() {
    let place = Place::with("own.yaml", "hub: {cache: null}\nserver: {port: 1}");
    place.write("config/named.yaml", "hub: {cache: /named}");
    place.write("config/null.yaml", "hub: {cache: null}");
    let none = [("HF_HOME", ""), ("XDG_CACHE_HOME", "/cache")];
    let shown = |variables: &[(&str, &str)], args: &[&str]| {
        shown(&show(&place, &[&none, variables].concat(), args), "hub.cache")
    };
    let expected = (json!("/cache/huggingface/hub"), "default".to_owned());
    let file = ["--config", "own.yaml"];
    assert_eq!(shown(&[], &file), expected);
    assert_eq!(shown(&[("CHUNKFLOW_ENV", "null")], &[]), expected);
    // The nearest layer says that nothing is named.
    assert_eq!(shown(&[("CHUNKFLOW_ENV", "named")], &file), expected);
    let theirs = (json!("/theirs"), "HF_HUB_CACHE".to_owned());
    assert_eq!(shown(&[("HF_HUB_CACHE", "/theirs")], &file), theirs);
    let named = (json!("/named"), "config/named.yaml".to_owned());
    assert_eq!(shown(&[("CHUNKFLOW_ENV", "named")], &[]), named);
    // What is wrong elsewhere is still told.
    place.write("wrong.yaml", "hub: {cache: null}\nserver: {prot: 1}");
    let ran = run(&place, &none, &["config", "check", "--config", "wrong.yaml"]);
    check_refused(&ran, &["wrong.yaml:2", "server.prot"]);
}

#[test]
fn built_in_profiles_need_no_file_and_a_file_goes_before_them() {
    let variables = [("CHUNKFLOW_ENV", "production")];
    let built_in = show(&Place::new(), &variables, &[]);
    let expected = (json!("0.0.0.0"), "profile production".to_owned());
    assert_eq!(shown(&built_in, "server.host"), expected);
    let place = Place::with("config/production.yaml", "server: {host: '::1'}");
    let own = show(&place, &variables, &[]);
    let expected = (json!("::1"), "config/production.yaml".to_owned());
    assert_eq!(shown(&own, "server.host"), expected);
    let test = show(&Place::new(), &[("CHUNKFLOW_ENV", "test")], &[]);
    assert_eq!(shown(&test, "server.port").0, json!(0));
}

#[test]
fn valid_settings_are_checked_in_silence() {
    let place = Place::with("empty.yaml", "# nothing yet\n");
    place.write("own.yaml", "compute:\n  threads: 2\nlog:\n  level: chunkflow=debug,warn\n");
    for file in ["empty.yaml", "own.yaml"] {
        let variables = [("CHUNKFLOW_ENV", ""), ("CHUNKFLOW__SERVER__HOST", "::")];
        let ran = run(&place, &variables, &["config", "check", "--config", file]);
        assert_eq!((ran.text(), ran.stderr.as_str()), ("", ""));
    }
}

#[test]
fn variables_reach_the_command_and_flags_go_before_them() {
    let place = Place::with("in.txt", "the cat sat on the red mat. ".repeat(20));
    let left = place.tiny(&["embed", "in.txt", "-q", "--truncate", "left"]);
    let right = place.tiny(&["embed", "in.txt", "-q"]);
    assert_ne!(left.text(), right.text());
    let model = tiny();
    let variables = [("CHUNKFLOW__EMBED__TRUNCATE", "left"), ("CHUNKFLOW__MODEL__NAME", &model)];
    let args = ["embed", "in.txt", "-q"];
    assert_eq!(run(&place, &variables, &args).text(), left.text());
    let args = ["embed", "in.txt", "-q", "--truncate", "right"];
    assert_eq!(run(&place, &variables, &args).text(), right.text());
}
