//! What is wrong with a value, in the words of a settings file.

use figment::error::{Actual, Kind};

/// What `kind` says, without the names of this program's types.
pub(super) fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let hint = match (actual, expected.as_str()) {
                (
                    Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) | Actual::Bool(_),
                    wanted,
                ) if is_text(wanted) => ": put it in quotes",
                _ => "",
            };
            format!("found {}, expected {}{hint}", found(actual), wanted(expected))
        }
        Kind::InvalidLength(length, expected) => {
            format!("found {length} values, expected {}", wanted(expected))
        }
        Kind::UnknownVariant(name, known) => {
            format!("`{name}` is unknown, expected one of {}", known.join(", "))
        }
        Kind::UnknownField(_, known) => {
            format!("unknown key, expected one of {}", known.join(", "))
        }
        Kind::MissingField(name) => format!("`{name}` is missing"),
        Kind::DuplicateField(name) => format!("`{name}` stands twice"),
        Kind::ISizeOutOfRange(value) => format!("{value} is out of range"),
        Kind::USizeOutOfRange(value) => format!("{value} is out of range"),
        Kind::Unsupported(actual) | Kind::UnsupportedKey(actual, _) => {
            format!("{} cannot be used here", found(actual))
        }
        Kind::Message(problem) => problem.clone(),
    }
}

/// Whether a setting is any text.
fn is_text(expected: &str) -> bool {
    matches!(expected, "a string" | "string" | "path string")
}

/// A value as its file shows it.
fn found(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(value) => format!("`{value}`"),
        Actual::Signed(value) => format!("`{value}`"),
        Actual::Float(value) => format!("`{value}`"),
        Actual::Char(value) => format!("`{value}`"),
        Actual::Str(value) => format!("`{value}`"),
        Actual::Unit | Actual::Option => "nothing".to_owned(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a mapping".to_owned(),
        _ => "a value of another kind".to_owned(),
    }
}

/// What serde expects, for people.
fn wanted(expected: &str) -> String {
    let known = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "string" => "a string",
        "path string" => "a path",
        _ if expected.starts_with("struct ") || expected == "map" || expected == "a map" => {
            "a mapping"
        }
        _ if expected.starts_with("enum ") || expected == "variant identifier" => "a name",
        other => other,
    };
    known.to_owned()
}
