//! No two files of the library import one another, directly or through others: each room can be read
//! from its first file to its last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The encoder's files describe one thing and may refer to one another.
const APART: &str = "embeddings/encoder";

/// A file and the module that it is.
struct Module {
    file: PathBuf,
    /// What it names of other modules, from the root of the crate.
    imports: Vec<Import>,
}

/// A path that a file imports.
struct Import {
    path: Vec<String>,
    /// The name that it has in the file.
    name: String,
    /// Whether others may take it from here.
    is_public: bool,
}

/// By their paths, such as `compute::cpu::norm`.
fn modules() -> BTreeMap<Vec<String>, Module> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    collect(&root, &root, &mut modules);
    assert!(modules.len() > 100, "found only {} modules", modules.len());
    modules
}

fn collect(root: &Path, folder: &Path, modules: &mut BTreeMap<Vec<String>, Module>) {
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.is_dir() {
            collect(root, &file, modules);
            continue;
        }
        let relative = file.strip_prefix(root).unwrap().with_extension("");
        let mut path: Vec<String> =
            relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        match path.last().map(String::as_str) {
            // A feature that is off has little to import; `main` stands on everything.
            Some("disabled" | "main") => continue,
            Some("mod" | "enabled" | "lib") => drop(path.pop()),
            _ => {}
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let imports = imports(code, &path);
        modules.insert(path, Module { file: relative, imports });
    }
}

/// The `use` declarations of a file, each name by itself.
fn imports(code: &str, own: &[String]) -> Vec<Import> {
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
    let children: Vec<&str> = code.split("mod ").skip(1).filter_map(child).collect();
    let mut imports = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find("use ") {
        let before = &rest[..at];
        let declares = before.is_empty() || before.ends_with([' ', ')', ']']);
        let visibility = before.rsplit([';', '}', '{', ']']).next().unwrap_or_default();
        rest = &rest[at + 4..];
        let Some(end) = rest.find(';').filter(|_| declares) else { continue };
        for path in expand(rest[..end].trim()) {
            let (path, name) = match path.split_once(" as ") {
                Some((path, name)) => (path.trim().to_owned(), name.trim().to_owned()),
                None => (path.clone(), path.rsplit("::").next().unwrap_or_default().to_owned()),
            };
            let child = path.split("::").next().unwrap_or_default();
            let path = if children.contains(&child) { format!("self::{path}") } else { path };
            if let Some(path) = absolute(&path, own) {
                imports.push(Import { path, name, is_public: visibility.contains("pub") });
            }
        }
    }
    imports.extend(inline(&code, own, &children));
    imports
}

/// What is named by a path where it is used: `super::lane::work(..)`, or of a child `lane::work(..)`.
fn inline(code: &str, own: &[String], children: &[&str]) -> Vec<Import> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let statements = code.split(';').filter(|statement| !statement.contains("use "));
    let words = statements.flat_map(|statement| statement.split(|c| !is_part(c)));
    let paths = words.filter_map(|word| {
        let (first, _) = word.split_once("::")?;
        match first {
            "crate" | "super" | "self" => Some(word.to_owned()),
            first if children.contains(&first) => Some(format!("self::{word}")),
            _ => None,
        }
    });
    let import = |path: String| {
        let path = absolute(path.trim_end_matches(':'), own)?;
        Some(Import { path, name: String::new(), is_public: false })
    };
    paths.filter_map(import).collect()
}

/// The name that a declaration `mod name;` begins with.
fn child(rest: &str) -> Option<&str> {
    let (name, _) = rest.split_once(';')?;
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(name)
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`; `a::{self}` as `a`.
fn expand(path: &str) -> Vec<String> {
    let Some(open) = path.find('{') else { return vec![path.trim().to_owned()] };
    let (prefix, inside) = (&path[..open], &path[open + 1..path.rfind('}').unwrap_or(path.len())]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    let whole = |part: &str| match part {
        "self" => vec![prefix.trim_end_matches("::").to_owned()],
        part => expand(&format!("{prefix}{part}")),
    };
    parts.flat_map(whole).collect()
}

/// A path from the root of the crate; `None` for other crates.
fn absolute(path: &str, own: &[String]) -> Option<Vec<String>> {
    let mut parts = path.split("::").map(str::trim).peekable();
    let mut from = match parts.peek().copied()? {
        "crate" => Vec::new(),
        "self" | "super" => own.to_vec(),
        _ => return None,
    };
    for part in parts {
        match part {
            "crate" | "self" => {}
            "super" => drop(from.pop()),
            name => from.push(name.to_owned()),
        }
    }
    Some(from)
}

/// The file that a path leads to: where the name is defined, whatever hands it on.
fn definition(modules: &BTreeMap<Vec<String>, Module>, path: &[String]) -> Option<Vec<String>> {
    let length = (0..=path.len()).rev().find(|&length| modules.contains_key(&path[..length]))?;
    let module = &path[..length];
    let Some(name) = path.get(length) else { return Some(module.to_vec()) };
    let handed_on = modules[module].imports.iter().find(|import| import.name == *name);
    match handed_on {
        Some(import) if import.path != path => definition(modules, &import.path),
        _ => Some(module.to_vec()),
    }
}

/// Which files each file needs. What a file only hands on it does not need.
fn needs(modules: &BTreeMap<Vec<String>, Module>) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let mut needs = BTreeMap::new();
    for (path, module) in modules {
        let own = module.imports.iter().filter(|import| !import.is_public);
        let found = own.filter_map(|import| definition(modules, &import.path));
        needs.insert(path.clone(), found.filter(|target| target != path).collect());
    }
    needs
}

/// All that can be reached from `from`.
fn reach<'a>(
    needs: &'a BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    from: &'a [String],
) -> BTreeSet<&'a [String]> {
    let (mut seen, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(at) = pending.pop() {
        for next in needs.get(at).into_iter().flatten() {
            if seen.insert(next.as_slice()) {
                pending.push(next);
            }
        }
    }
    seen
}

#[test]
fn no_files_import_one_another() {
    let modules = modules();
    let needs = needs(&modules);
    let reached: BTreeMap<&[String], _> =
        needs.keys().map(|path| (path.as_slice(), reach(&needs, path))).collect();
    let mut circles = Vec::new();
    for (path, targets) in &needs {
        for target in targets {
            let file = |path: &[String]| modules[path].file.display().to_string();
            let (from, to) = (file(path), file(target));
            let are_apart = from.starts_with(APART) && to.starts_with(APART);
            if !are_apart && reached[target.as_slice()].contains(path.as_slice()) {
                circles.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(circles.is_empty(), "in circles:\n{}", circles.join("\n"));
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let code = "use super::{Error, job::{Job, Output as Wanted}};\npub use self::spec::Spec;\n\
                use std::fmt;\nuse crate::compute;\n// use super::nothing;\n";
    let own = ["embeddings".to_owned(), "model".to_owned()];
    let found: Vec<(String, String, bool)> = imports(code, &own)
        .into_iter()
        .map(|import| (import.path.join("::"), import.name, import.is_public))
        .collect();
    let expected = [
        ("embeddings::Error", "Error", false),
        ("embeddings::job::Job", "Job", false),
        ("embeddings::job::Output", "Wanted", false),
        ("embeddings::model::spec::Spec", "Spec", true),
        ("compute", "compute", false),
    ];
    let expected = expected.map(|(path, name, public)| (path.to_owned(), name.to_owned(), public));
    assert_eq!(found, expected);
}
