//! Settings that are wrong: exit 78, nothing is started, and the message has the file and line or the
//! variable's name, in the words of a settings file.

use std::fs;

use serde_json::Value;

use crate::process::{Place, Ran, check_none, problem, tiny};

const CONFIG: i32 = 78;

/// Names of this program's types, which no user knows.
const TYPE_NAMES: [&str; 14] = [
    "struct", "usize", "isize", "u8", "u16", "u32", "u64", "i64", "f64", "unit", "enum", "variant",
    "tuple", "newtype",
];

/// A file, the line that is at fault, and what the message must hold.
const FILES: [(&str, u32, &[&str]); 42] = [
    // Keys that do not exist.
    ("log:\n  level: info\ncolour: red\n", 3, &["colour", "unknown", "server"]),
    ("colour:\n  red: 1\n", 1, &["colour", "unknown"]),
    ("model:\n  name: x\n  nme: y\n", 3, &["model.nme", "unknown", "revision"]),
    ("\n\nhub:\n  # theirs\n  endpont: x\n", 5, &["hub.endpont", "endpoint"]),
    ("compute:\n  threads: 2\n  thread: 2\n", 3, &["compute.thread:", "threads"]),
    ("embed:\n\n  dimensions: 2\n", 3, &["embed.dimensions", "truncate"]),
    ("chunk:\n  method: cvs\n  max: 2\n", 3, &["chunk.max:", "max_tokens"]),
    ("server:\n  port: 1\n  prot: 2\n", 3, &["server.prot", "port"]),
    ("log:\n  level: info\n  lvl: info\n", 3, &["log.lvl", "level"]),
    ("{server: {port: 1,\n  prot: 2}}\n", 2, &["server.prot"]),
    // Sections that are none.
    ("server:\n", 1, &["server", "found nothing", "a section with keys", "port"]),
    ("log:\n  level: info\nserver:\n  # port: 1\n", 3, &["server", "found nothing"]),
    ("model: all-MiniLM-L6-v2\n", 1, &["model", "`all-MiniLM-L6-v2`", "a section"]),
    ("embed:\n  truncate: left\nchunk: [256]\n", 3, &["chunk", "a list", "a section"]),
    ("compute: 4\n", 1, &["compute", "`4`"]),
    ("hub: true\n", 1, &["hub", "`true`"]),
    // Values of another type.
    ("model:\n  revision: 123456\n", 2, &["model.revision", "`123456`", "a string", "in quotes"]),
    ("model:\n  name:\n    - a\n", 2, &["model.name", "a list", "a string"]),
    ("model:\n  name: ~\n", 2, &["model.name", "nothing"]),
    ("model:\n  dir:\n    a: b\n", 2, &["model.dir", "a mapping"]),
    ("hub:\n  endpoint: 5\n", 2, &["hub.endpoint", "`5`", "in quotes"]),
    (
        "compute:\n  engine: native\n  threads: two\n",
        3,
        &["compute.threads", "`two`", "a whole number"],
    ),
    ("compute:\n  threads: -1\n", 2, &["compute.threads", "`-1`", "a whole number from 0"]),
    ("compute:\n  max_batch_tokens: 1.5\n", 2, &["compute.max_batch_tokens", "`1.5`"]),
    ("chunk:\n  max_tokens: '100'\n", 2, &["chunk.max_tokens", "`100`"]),
    ("chunk:\n  size_weight: heavy\n", 2, &["chunk.size_weight", "`heavy`", "a number"]),
    ("server:\n  host: ::1\n  port: 70000\n", 3, &["server.port", "`70000`", "65535"]),
    ("server:\n  port:\n    number: 1\n", 2, &["server.port", "a mapping"]),
    ("server:\n  max_body_bytes: 32MB\n", 2, &["server.max_body_bytes", "`32MB`"]),
    ("log:\n  level: 3\n", 2, &["log.level", "`3`"]),
    // Values that are not among those known.
    ("compute:\n  dtype: f65\n", 2, &["compute.dtype", "`f65`", "f32"]),
    ("compute:\n  isa: sse9\n", 2, &["compute.isa", "`sse9`", "auto"]),
    ("embed:\n  truncate: middle\n", 2, &["embed.truncate", "`middle`", "left, right"]),
    ("server:\n  port: 1\n  host: http://localhost\n", 3, &["server.host", "`http://localhost`"]),
    // Values out of range.
    ("server:\n  port: 1\n  max_texts: 0\n", 3, &["server.max_texts", "1"]),
    ("chunk:\n  preset: topics\n  max_tokens: 3\n", 3, &["chunk.max_tokens", "16"]),
    ("compute:\n  threads: 5000\n", 2, &["compute.threads", "1024"]),
    // No settings at all.
    ("server:\n  port: 1\n  host: [\n", 3, &["settings.yaml"]),
    ("server:\n\tport: 1\n", 2, &["settings.yaml"]),
    ("server:\n  port: 1\n  port: 2\n", 3, &["port", "duplicate"]),
    ("- server\n", 1, &["mapping"]),
    ("log:\n  level: info\n  format\n", 3, &["settings.yaml"]),
];

/// A variable, its value, and what the message must hold.
const VARIABLES: [(&str, &str, &[&str]); 18] = [
    ("CHUNKFLOW__SERVER__PORT", "many", &["server.port", "`many`", "65535"]),
    ("CHUNKFLOW__SERVER__PORT", "70000", &["server.port", "`70000`"]),
    ("CHUNKFLOW__SERVER__PORT", "", &["server.port"]),
    ("CHUNKFLOW__SERVER__PORT", "[1]", &["server.port", "a list"]),
    ("CHUNKFLOW__SERVER__PROT", "1", &["server.prot", "unknown", "port"]),
    ("CHUNKFLOW__SERVER__PORT__NUMBER", "1", &["server.port", "a mapping"]),
    ("CHUNKFLOW__SERVER__", "1", &["server", "`1`", "a section with keys"]),
    ("CHUNKFLOW__SERVER", "1", &["server", "`1`", "a section with keys"]),
    ("CHUNKFLOW__SERVR", "1", &["servr", "unknown", "server"]),
    ("chunkflow__server__port", "many", &["server.port", "`many`"]),
    ("CHUNKFLOW__SERVER__HOST", "a b", &["server.host", "`a b`"]),
    ("CHUNKFLOW__SERVER__HOST", "10.0.0.256", &["server.host", "`10.0.0.256`"]),
    ("CHUNKFLOW__COMPUTE__THREADS", "-1", &["compute.threads", "`-1`"]),
    ("CHUNKFLOW__COMPUTE__DEVICE", "gpu", &["compute.device", "gpu", "cpu"]),
    ("CHUNKFLOW__HUB__OFFLINE", "maybe", &["hub.offline", "`maybe`", "true or false"]),
    ("CHUNKFLOW__CHUNK__MAX_TOKENS", "3", &["chunk.max_tokens", "16"]),
    ("CHUNKFLOW__LOG__FORMAT", "xml", &["log.format", "`xml`", "auto, pretty, json"]),
    ("CHUNKFLOW__MODEL__NAME", "", &["model.name"]),
];

/// What keeps a run from having refused a setting as it should.
fn not_refused(ran: &Ran, parts: &[&str]) -> Option<String> {
    let words: Vec<&str> = ran.stderr.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let name = TYPE_NAMES.iter().find(|name| words.contains(name));
    let name = name.map(|name| format!("{name} is no word of a settings file: {}", ran.stderr));
    let started = !ran.stdout.is_empty() || ran.stderr.contains("listening");
    let started = started.then(|| "something was started".to_owned());
    problem(ran, CONFIG, parts).or(name).or(started)
}

#[test]
fn a_wrong_file_is_told_with_its_line() {
    let mut problems = Vec::new();
    for (yaml, line, parts) in FILES {
        let place = Place::with("settings.yaml", yaml);
        let at = format!("settings.yaml:{line}");
        let parts = [parts, &[at.as_str()]].concat();
        // Flags above do not take the blame.
        let serve = ["serve", "--model", &tiny(), "--port", "0", "--config", "settings.yaml"];
        let check = ["config", "check", "--config", "settings.yaml"];
        let is_shadowed = yaml.contains("model:\n  name:") || yaml.contains("  port:");
        let commands = [Some(&check[..]), (!is_shadowed).then_some(&serve[..])];
        for args in commands.into_iter().flatten() {
            let problem = not_refused(&place.run(args), &parts);
            problems.extend(problem.map(|problem| format!("{args:?} {yaml:?}: {problem}")));
        }
    }
    check_none(&problems);
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let mut problems = Vec::new();
    for (name, value, parts) in VARIABLES {
        let ran = Place::new().run_with(&["config", "check"], &[(name, value.to_owned())]);
        let problem = not_refused(&ran, &[parts, &[name]].concat());
        problems.extend(problem.map(|problem| format!("{name}={value}: {problem}")));
    }
    check_none(&problems);
}

#[test]
fn no_setting_tells_of_types_whatever_it_is_given() {
    let defaults = concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.yaml");
    let defaults: Value = serde_saphyr::from_str(&fs::read_to_string(defaults).unwrap()).unwrap();
    let values = ["~", "true", "-3", "0.5", "99999999999999999999", "some text", "[1]", "{a: 1}"];
    let (mut problems, mut refused) = (Vec::new(), 0);
    let sections = defaults.as_object().unwrap();
    let keys = sections.iter().flat_map(|(section, values)| {
        values.as_object().unwrap().keys().map(move |key| (section, key))
    });
    for (section, key) in keys {
        for value in values {
            let place =
                Place::with("settings.yaml", format!("# own\n{section}:\n  {key}: {value}\n"));
            let ran = place.run(&["config", "check", "--config", "settings.yaml"]);
            if ran.code == Some(0) {
                continue;
            }
            refused += 1;
            let named = format!("{section}.{key}");
            let problem = not_refused(&ran, &[&named, "settings.yaml:3"]);
            problems.extend(problem.map(|problem| format!("{named}: {value}: {problem}")));
        }
    }
    check_none(&problems);
    assert!(refused > 200, "{refused}");
}

#[test]
fn digits_are_text_where_a_setting_is_text() {
    for (name, value, key) in [
        ("CHUNKFLOW__MODEL__REVISION", "123456", "model.revision"),
        ("CHUNKFLOW__MODEL__REVISION", "0123", "model.revision"),
        ("CHUNKFLOW__MODEL__REVISION", "1e5", "model.revision"),
        ("CHUNKFLOW__MODEL__REVISION", "true", "model.revision"),
        (
            "CHUNKFLOW__MODEL__REVISION",
            "99999999999999999999999999999999999999999",
            "model.revision",
        ),
        ("CHUNKFLOW__MODEL__NAME", "2024", "model.name"),
        ("CHUNKFLOW__MODEL__NAME", "[a]", "model.name"),
        ("CHUNKFLOW__MODEL__DIR", "7", "model.dir"),
        ("CHUNKFLOW__HUB__CACHE", "1.5", "hub.cache"),
    ] {
        let ran = Place::new().run_with(&["config", "show", "--json"], &[(name, value.to_owned())]);
        let settings: Value = serde_json::from_str(ran.text()).unwrap();
        let setting = settings.as_array().unwrap().iter().find(|setting| setting["key"] == key);
        let setting = setting.unwrap();
        assert_eq!((&setting["value"], &setting["origin"]), (&value.into(), &name.into()));
    }
    let number = ("CHUNKFLOW__SERVER__PORT", "123".to_owned());
    let ran = Place::new().run_with(&["config", "show", "--json"], &[number]);
    assert!(ran.text().contains("\"value\": 123,"), "{}", ran.text());
}

#[test]
fn a_wrong_registry_is_a_wrong_setting() {
    let own = "[[model]]\nname = \"x\"\nrepository = \"a/b\"\n";
    for (text, parts) in [
        ("[[model]\n".to_owned(), &["more.toml:1"][..]),
        ("\n[[model]]\nname = 5\nrepository = \"a/b\"\n".to_owned(), &["more.toml:3", "string"]),
        (format!("{own}nme = 1\n"), &["more.toml:4", "nme"]),
        (format!("{own}max_tokens = \"x\"\n"), &["more.toml:4", "a whole number"]),
        (format!("{own}kind = \"x\"\n"), &["more.toml:4", "reranker"]),
        ("[[model]]\nname = \"x\"\n".to_owned(), &["more.toml:1", "repository"]),
        (
            "[[model]]\nname = \"y\"\nrepository = \"../b\"\n".to_owned(),
            &["more.toml:2", "`y`", "../b"],
        ),
        (format!("{own}pooling = \"best\"\n"), &["more.toml:2", "`x`", "`best`"]),
        (format!("{own}sha256 = {{ a = \"1\" }}\n"), &["more.toml:2", "hexadecimal"]),
        ("model = 5\n".to_owned(), &["more.toml:1"]),
    ] {
        let place = Place::with("more.toml", &text);
        place.write("in.txt", "one\n");
        let variable = [("CHUNKFLOW__MODEL__REGISTRY", "more.toml".to_owned())];
        let args = ["embed", "in.txt", "--model", &tiny()];
        let problem =
            not_refused(&place.run_with(&args, &variable), &[parts, &["model.registry"]].concat());
        check_none(&Vec::from_iter(problem.map(|problem| format!("{text:?}: {problem}"))));
    }
    let variable = [("CHUNKFLOW__MODEL__REGISTRY", "absent.toml".to_owned())];
    let ran = Place::new().run_with(&["models", "list"], &variable);
    check_none(&Vec::from_iter(not_refused(
        &ran,
        &["model.registry", "absent.toml", "No such file"],
    )));
}

#[test]
fn hosts_are_addresses_or_names() {
    for host in
        ["127.0.0.1", "::1", "0.0.0.0", "localhost", "a-b.example.com", "x_y", "host1", "h."]
    {
        let variable = [("CHUNKFLOW__SERVER__HOST", host.to_owned())];
        let ran = Place::new().run_with(&["config", "check"], &variable);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{host}");
    }
    for host in
        ["", ".", "a..b", "localhost:80", "[::1]", "http://h", "1.2.3", "300.1.1.1", "a b", "ä"]
    {
        let variable = [("CHUNKFLOW__SERVER__HOST", host.to_owned())];
        let ran = Place::new().run_with(&["config", "check"], &variable);
        let problem = not_refused(&ran, &["server.host", "CHUNKFLOW__SERVER__HOST"]);
        check_none(&Vec::from_iter(problem.map(|problem| format!("{host:?}: {problem}"))));
    }
}
