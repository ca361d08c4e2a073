//! Specifications to try, from a file: each choice may be a list, and all combinations are meant.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::error::Error;
use crate::chunking::{ChunkOptions, ChunkSpec};
use crate::files::read_text;

/// The choices of a specification, by name.
type Choices = BTreeMap<String, Value>;

/// Reads the specifications in the file `path`: a list in YAML or JSON, each entry the choices of a
/// specification over `base`. A choice that is a list stands for one specification for each of its
/// values. A specification is called what [`name_of`] says of the entry's choices, or its `name`
/// followed by the choices that are lists of several values.
///
/// # Errors
/// When the file is no such list, a choice is unknown or out of range, a list is empty, or a name
/// stands twice.
pub fn read_specs(path: &Path, base: &ChunkOptions) -> Result<Vec<(String, ChunkSpec)>, Error> {
    let text = read_text(path)?;
    let fail = |problem: String| Error::Data { place: path.display().to_string(), problem };
    let entries: Vec<Choices> = serde_saphyr::from_str(&text)
        .map_err(|error| fail(format!("not a list of choices: {}", error.without_snippet())))?;
    let mut specs: Vec<(String, ChunkSpec)> = Vec::new();
    for (entry, number) in entries.into_iter().zip(1..) {
        let named = named(entry).map_err(|problem| fail(format!("entry {number}: {problem}")))?;
        for (name, options) in named {
            let spec = options.over(*base).resolve();
            let spec = spec.map_err(|error| fail(format!("entry {number} ({name}): {error}")))?;
            if specs.iter().any(|(other, _)| *other == name) {
                return Err(fail(format!("entry {number}: `{name}` stands twice")));
            }
            specs.push((name, spec));
        }
    }
    if specs.is_empty() {
        return Err(fail("no specification".to_owned()));
    }
    Ok(specs)
}

/// What an entry stands for, with names.
fn named(mut entry: Choices) -> Result<Vec<(String, ChunkOptions)>, String> {
    let given = match entry.remove("name") {
        Some(Value::String(name)) => Some(name),
        Some(other) => return Err(format!("the name {other} is no text")),
        None => None,
    };
    let several = |value: &Value| value.as_array().is_some_and(|values| values.len() > 1);
    let varied = entry.iter().filter(|(_, value)| several(value));
    let varied: Vec<String> = varied.map(|(choice, _)| choice.clone()).collect();
    let named = combinations(entry)?.into_iter().map(|choices| {
        let options = serde_json::from_value(choices.into_iter().collect());
        let options: ChunkOptions = options.map_err(|error| error.to_string())?;
        let Some(given) = &given else { return Ok((name_of(&options), options)) };
        // What tells the entry's specifications apart.
        let words = words(&options).into_iter().filter(|(choice, _)| varied.contains(choice));
        let name = words.fold(given.clone(), |name, (_, word)| name + " " + &word);
        Ok((name, options))
    });
    named.collect()
}

/// One entry for each combination of the values of lists, the alphabetically first varying slowest.
fn combinations(entry: Choices) -> Result<Vec<Choices>, String> {
    let mut all = vec![Choices::new()];
    for (choice, value) in entry {
        let values = match value {
            // It would stand for no specification, and the entry would vanish.
            Value::Array(values) if values.is_empty() => {
                return Err(format!("`{choice}` is an empty list"));
            }
            Value::Array(values) => values,
            value => vec![value],
        };
        let extended = all.iter().flat_map(|entry| {
            values.iter().map(|value| {
                let mut entry = entry.clone();
                entry.insert(choice.clone(), value.clone());
                entry
            })
        });
        all = extended.collect();
    }
    Ok(all)
}

/// What a specification is called that nobody named: its choices in the order of their names, each
/// as `choice=value`, or `default` where there is none.
#[must_use]
pub fn name_of(options: &ChunkOptions) -> String {
    let words: Vec<String> = words(options).into_iter().map(|(_, word)| word).collect();
    if words.is_empty() { "default".to_owned() } else { words.join(" ") }
}

/// Each choice that is given, and it with its value.
fn words(options: &ChunkOptions) -> Vec<(String, String)> {
    let choices = serde_json::to_value(options).unwrap_or_default();
    let given = choices.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let words = given.map(|(choice, value)| match value {
        Value::String(word) => (choice.clone(), format!("{choice}={word}")),
        other => (choice.clone(), format!("{choice}={other}")),
    });
    let mut words: Vec<(String, String)> = words.collect();
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::read_specs;
    use crate::chunking::{ChunkOptions, ChunkSpec, Method, Preset, Segments};

    fn read(text: &str) -> Result<Vec<(String, ChunkSpec)>, String> {
        let base = ChunkOptions { window: Some(5), ..ChunkOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("specs.yaml");
        std::fs::write(&path, text).unwrap();
        read_specs(&path, &base).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_combined_over_the_base() {
        let text = "- preset: topics\n  penalty: [0.1, 0.2]\n  segments: [penalty, 3]\n- name: mine\n  window: 3\n";
        let found = read(text).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), 5);
        assert!(names.contains(&"penalty=0.2 preset=topics segments=3"), "{names:?}");
        assert_eq!(names[4], "mine");
        let spec = |name: &str| found.iter().find(|(other, _)| other == name).unwrap().1;
        let topics = spec("penalty=0.2 preset=topics segments=3");
        assert_eq!((topics.method, topics.segments), (Method::Kcpd, Segments::Count(3)));
        assert_eq!((topics.window, spec("mine").window), (5, 3));
        assert_eq!(spec("mine").method, Preset::Retrieval.spec().method);
        let json = read(r#"[{"method": ["cvs", "kcpd"]}, {}]"#).unwrap();
        assert_eq!(
            json.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["method=cvs", "method=kcpd", "default"]
        );
    }

    #[test]
    fn lists_tell_the_specifications_of_a_name_apart() {
        let text = "- {name: mine, method: cvs, size_weight: [0.5, 1, 2], encoding: [late]}\n\
                    - {name: two, window: [3, 4], preset: [fixed, topics]}\n";
        let found = read(text).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "mine size_weight=0.5",
                "mine size_weight=1.0",
                "mine size_weight=2.0",
                "two preset=fixed window=3",
                "two preset=fixed window=4",
                "two preset=topics window=3",
                "two preset=topics window=4",
            ]
        );
        assert!((found[2].1.size_weight - 2.0).abs() < 1e-12);
    }

    #[test]
    fn problems_name_file_and_entry() {
        for (text, part) in [
            ("- penalty: 1\n- penality: 1\n", "specs.yaml: entry 2: unknown field `penality`"),
            ("- max_tokens: 3\n", "specs.yaml: entry 1 (max_tokens=3): max_tokens is 3"),
            ("- window: 3\n- window: [2, 3]\n", "entry 2: `window=3` stands twice"),
            ("- {name: a, window: [3, 3]}\n", "entry 1: `a window=3` stands twice"),
            ("- window: 3\n- window: []\n", "entry 2: `window` is an empty list"),
            ("window: 3\n", "specs.yaml: not a list"),
            ("[]", "no specification"),
            ("- name: 3\n", "entry 1: the name 3"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }
}
