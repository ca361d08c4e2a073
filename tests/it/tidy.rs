//! The house rules that no compiler checks: who may import whom, and what may stand where.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order in which they build on one another. `error` collects every module's
/// errors and is used by those that cross modules, so it has no place in the order.
const ORDER: [&str; 13] = [
    "compute",
    "similarity",
    "chunking",
    "models",
    "embeddings",
    "files",
    "records",
    "pipeline",
    "evaluation",
    "config",
    "telemetry",
    "api",
    "cli",
];

/// A source file below `src/`, split from its unit tests, which may do as they like.
struct Source {
    /// Relative to `src/`, with forward slashes.
    path: String,
    code: String,
}

impl Source {
    /// The module that the file belongs to: its first folder, or its own name.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Lines of code, numbered from 1, without comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let path = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            Source { path, code: code.to_owned() }
        })
        .collect();
    assert!(sources.len() > 30, "found only {} sources", sources.len());
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            files.push(path);
        }
    }
}

/// Reports every line for which `wrong` gives a reason.
fn check(wrong: impl Fn(&Source, &str) -> Option<String>) {
    let mut problems = Vec::new();
    for source in sources() {
        for (number, line) in source.lines() {
            if let Some(reason) = wrong(&source, line) {
                problems.push(format!("src/{}:{number}: {reason}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The modules that a line names after `crate::`, also in braces.
fn imports(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(""));
        let names = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for name in names {
            let end = name.trim().find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = name.trim();
            found.push(&name[..end.unwrap_or(name.len())]);
        }
    }
    found
}

#[test]
fn modules_import_only_what_stands_above_them() {
    check(|source, line| {
        let own = ORDER.iter().position(|module| *module == source.module())?;
        let wrong = imports(line).into_iter().find(|import| {
            ORDER.iter().position(|module| module == import).is_some_and(|place| place > own)
        });
        wrong.map(|import| format!("{} may not import {import}", source.module()))
    });
}

#[test]
fn every_module_has_its_place_in_the_order() {
    let beside = ["lib", "main", "error", "guard"];
    for source in sources() {
        let module = source.module();
        assert!(
            ORDER.contains(&module) || beside.contains(&module),
            "src/{} is in no known module",
            source.path
        );
    }
}

#[test]
fn every_file_says_what_it_owns() {
    for source in sources() {
        assert!(source.code.starts_with("//! "), "src/{} does not open with //!", source.path);
    }
}

#[test]
fn files_stay_short() {
    for source in sources() {
        let lines = source.code.lines().count();
        assert!(lines <= 400, "src/{} has {lines} lines before its tests, limit 400", source.path);
    }
}

#[test]
fn unsafe_stands_only_in_kernels_and_where_files_are_mapped() {
    check(|source, line| {
        let allowed =
            ["compute/cpu/", "compute/cuda/"].iter().any(|folder| source.path.starts_with(folder))
                || ["models/folder.rs", "files/npy/mapped.rs"].contains(&source.path.as_str());
        (!allowed && line.contains("unsafe ")).then(|| "unsafe".to_owned())
    });
}

#[test]
fn tokio_lives_in_the_service_alone() {
    check(|source, line| {
        (source.module() != "api" && line.contains("tokio::")).then(|| "tokio".to_owned())
    });
}

#[test]
fn only_the_command_line_writes_to_standard_streams() {
    check(|source, line| {
        let prints = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];
        if prints.iter().any(|print| line.contains(print)) {
            return Some("printing".to_owned());
        }
        // Standard input and output are also files, and logs go to standard error.
        let allowed = ["cli", "telemetry"].contains(&source.module())
            || ["files/source.rs", "files/destination.rs"].contains(&source.path.as_str());
        let streams = ["stdout()", "stderr()", "stdin()"];
        let used = streams.iter().any(|stream| line.contains(stream));
        (!allowed && used).then(|| "a standard stream".to_owned())
    });
}

#[test]
fn only_config_reads_the_environment() {
    check(|source, line| {
        let reads = line.contains("env::var") || line.contains("env::args");
        (source.path != "config/environment.rs" && reads)
            .then(|| "reading the environment".to_owned())
    });
}

#[test]
fn nothing_is_left_undone() {
    check(|_, line| {
        let marks = ["todo!(", "unimplemented!(", ".unwrap()"];
        marks.iter().find(|mark| line.contains(**mark)).map(|mark| format!("holds {mark}"))
    });
    for source in sources() {
        for mark in ["TODO", "FIXME", "XXX"] {
            assert!(!source.code.contains(mark), "src/{} holds {mark}", source.path);
        }
    }
}

#[test]
fn every_kernel_is_built_and_watched() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let build = fs::read_to_string(folder.join("build.rs")).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.contains(".cu") {
            assert!(
                build.contains(&format!("\"{name}\"")),
                "kernels/build.rs does not name {name}"
            );
        }
    }
}

#[test]
fn the_page_on_the_architecture_has_every_room_in_its_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, rooms) = page.split_once("## The rooms").unwrap();
    let (rooms, rest) = rooms.split_once("\n## ").unwrap();
    let named: Vec<&str> =
        rooms.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(named[0], "kernels/");
    assert_eq!(named[1..], ORDER);
    // Files that it sends a reader to are there.
    let files = rest.split('`').skip(1).step_by(2);
    for file in files.filter(|code| code.split_once(".rs").is_some_and(|(_, end)| end.is_empty())) {
        let is_there = |folder: &str| root.join(folder).join(file).is_file();
        let found =
            ["src", "", "src/pipeline", "src/embeddings"].iter().any(|folder| is_there(folder));
        assert!(found, "docs/architecture.md names {file}, which is nowhere");
    }
}
