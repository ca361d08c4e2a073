//! Texts and vectors of a request's body, read straight into the form that they are used in.
//!
//! Invariant: what is wrong with them does not end the reading of the body, so that an error can
//! name its field; no more texts are kept than are allowed, and nothing that was sent is told back
//! at length.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::body::not_json;
use super::failure::{Failure, Kind};

/// The most dimensions of a vector; no model has a tenth of them.
const MAX_DIMENSIONS: usize = 65_536;
/// Characters of a wrong value that are told back.
const MAX_ECHO_CHARS: usize = 80;

/// What is wrong, in words that go behind the name of the field.
type Problem = String;

/// A field of JSON that is read once its limits are known.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Unread<'a>(#[serde(borrow)] &'a RawValue);

/// Texts or vectors.
#[derive(Debug, PartialEq)]
pub(super) enum List<'a> {
    /// At least one, none of them empty.
    Texts(Vec<Cow<'a, str>>),
    /// `[len, dim]`, finite.
    Vectors(Vec<f32>, usize),
}

impl<'a> Unread<'a> {
    /// Its JSON.
    pub(super) fn get(self) -> &'a str {
        self.0.get()
    }

    /// A text or a list of them, at most `max_texts`; an error names it as `field`.
    pub(super) fn texts(
        self,
        field: &'static str,
        max_texts: usize,
    ) -> Result<Vec<Cow<'a, str>>, Failure> {
        self.read(field, Allowed::Texts, max_texts).map(|list| match list {
            List::Texts(texts) => texts,
            List::Vectors(..) => Vec::new(),
        })
    }

    /// The same, or vectors of at least one value.
    pub(super) fn items(self, field: &'static str, max_texts: usize) -> Result<List<'a>, Failure> {
        self.read(field, Allowed::Vectors, max_texts)
    }

    fn read(
        self,
        field: &'static str,
        allowed: Allowed,
        max_texts: usize,
    ) -> Result<List<'a>, Failure> {
        let mut list = List::Texts(Vec::new());
        let mut beyond = 0;
        let whole = Whole { list: &mut list, allowed, max_texts, beyond: &mut beyond };
        let read = Read(whole).deserialize(&mut serde_json::Deserializer::from_str(self.0.get()));
        // Its form alone has been checked: a half of a surrogate pair, say, shows here.
        let read = read.map_err(|error| not_json(&format_args!("{field}: {error}")))?;
        if beyond > 0 {
            let texts = max_texts + beyond;
            let message = format!("`{field}` holds {texts} texts, at most {max_texts} are allowed");
            return Err(Failure {
                field: Some(field.into()),
                ..Failure::new(Kind::TooLarge, message)
            });
        }
        let checked = read.map_err(|problem| (Kind::Invalid, problem));
        checked.and_then(|()| list.checked()).map_err(|(kind, problem)| {
            let message = format!("`{field}`{problem}");
            Failure { field: Some(field.into()), ..Failure::new(kind, message) }
        })
    }
}

impl List<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Vectors(values, dim) => values.len() / dim,
        }
    }

    /// Its texts; none where it holds vectors.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts: &[Cow<'_, str>] = match self {
            Self::Texts(texts) => texts,
            Self::Vectors(..) => &[],
        };
        texts.iter().map(AsRef::as_ref)
    }

    fn checked(self) -> Result<Self, (Kind, Problem)> {
        let problem = match &self {
            Self::Texts(texts) if texts.is_empty() => " must not be an empty list".to_owned(),
            Self::Texts(texts) => match texts.iter().position(|text| text.is_empty()) {
                Some(at) => format!(" must not hold empty strings, number {at} is one"),
                None => return Ok(self),
            },
            Self::Vectors(..) => return Ok(self),
        };
        Err((Kind::Empty, problem))
    }
}

/// What a field may hold beside texts.
#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    Texts,
    Vectors,
}

impl Allowed {
    fn expected(self) -> &'static str {
        match self {
            Self::Texts => " must be a string or a list of strings",
            Self::Vectors => " must be a string, a list of strings or a list of vectors",
        }
    }

    /// Of lists that begin with a number, or with a list where no vectors may be.
    fn no_texts(self) -> Problem {
        match self {
            Self::Texts => " holds token ids, which are not this model's: send strings \
                            (LangChain: check_embedding_ctx_length=False)"
                .to_owned(),
            Self::Vectors => " is a list of numbers, expected a list of vectors".to_owned(),
        }
    }
}

/// Where a value goes. A wrong one is read to its end, and then a problem.
trait Place<'de>: Sized {
    fn text(self, text: Cow<'de, str>) -> Result<(), Problem> {
        self.other(&echo(&text))
    }

    fn number(self, number: &Number) -> Result<(), Problem> {
        self.other(&number.to_string())
    }

    fn list<A: SeqAccess<'de>>(self, mut rest: A) -> Result<Result<(), Problem>, A::Error> {
        drain(&mut rest)?;
        Ok(self.other("a list"))
    }

    /// A value that may not stand here, in words.
    fn other(self, found: &str) -> Result<(), Problem>;
}

/// The value of a field.
struct Whole<'a, 'de> {
    list: &'a mut List<'de>,
    allowed: Allowed,
    max_texts: usize,
    /// Texts beyond those, which are only counted.
    beyond: &'a mut usize,
}

impl<'de> Place<'de> for Whole<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> Result<(), Problem> {
        *self.list = List::Texts(vec![text]);
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<Result<(), Problem>, A::Error> {
        let Self { list, allowed, max_texts, beyond } = self;
        for index in 0.. {
            if index == max_texts && matches!(list, List::Texts(_)) {
                *beyond = drain(&mut items)?;
                break;
            }
            match items.next_element_seed(Read(Item { list, allowed, index }))? {
                None => break,
                Some(Ok(())) => {}
                Some(problem) => {
                    drain(&mut items)?;
                    return Ok(problem);
                }
            }
        }
        Ok(Ok(()))
    }

    fn other(self, found: &str) -> Result<(), Problem> {
        Err(format!("{}, found {found}", self.allowed.expected()))
    }
}

/// An item of a list; the first says what the others must be.
struct Item<'a, 'de> {
    list: &'a mut List<'de>,
    allowed: Allowed,
    index: usize,
}

impl<'de> Place<'de> for Item<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> Result<(), Problem> {
        match self.list {
            List::Texts(texts) => {
                texts.push(text);
                Ok(())
            }
            List::Vectors(..) => self.other(&echo(&text)),
        }
    }

    fn number(self, number: &Number) -> Result<(), Problem> {
        if self.index == 0 { Err(self.allowed.no_texts()) } else { self.other(&number.to_string()) }
    }

    fn list<A: SeqAccess<'de>>(self, mut row: A) -> Result<Result<(), Problem>, A::Error> {
        let Self { list, allowed, index } = self;
        if index == 0 && allowed == Allowed::Vectors {
            *list = List::Vectors(Vec::new(), 0);
        }
        if let List::Vectors(values, dim) = list {
            return vector(row, values, dim, index);
        }
        drain(&mut row)?;
        let wrong = Item { list, allowed, index };
        Ok(if index == 0 { Err(allowed.no_texts()) } else { wrong.other("a list") })
    }

    fn other(self, found: &str) -> Result<(), Problem> {
        let index = self.index;
        Err(match self.list {
            List::Texts(_) => {
                format!("{}, number {index} is {found}", self.allowed.expected())
            }
            List::Vectors(..) => format!(" holds vectors, number {index} is {found}"),
        })
    }
}

/// Appends a vector, whose length is `dim` once there is one.
fn vector<'de, A: SeqAccess<'de>>(
    mut row: A,
    values: &mut Vec<f32>,
    dim: &mut usize,
    index: usize,
) -> Result<Result<(), Problem>, A::Error> {
    let mut length = 0;
    while length < MAX_DIMENSIONS {
        match row.next_element_seed(Read(Component { values, index }))? {
            None => break,
            Some(Ok(())) => length += 1,
            Some(problem) => {
                drain(&mut row)?;
                return Ok(problem);
            }
        }
    }
    if length == MAX_DIMENSIONS {
        length += drain(&mut row)?;
    }
    if index == 0 {
        *dim = length;
    }
    let has = || format!(": vector {index} has {length} dimensions");
    Ok(if length > MAX_DIMENSIONS {
        Err(format!("{}, at most {MAX_DIMENSIONS} are allowed", has()))
    } else if length != *dim || length == 0 {
        Err(format!("{}, expected {}", has(), (*dim).max(1)))
    } else {
        Ok(())
    })
}

/// A value of vector `index`.
struct Component<'a> {
    values: &'a mut Vec<f32>,
    index: usize,
}

impl Place<'_> for Component<'_> {
    fn number(self, number: &Number) -> Result<(), Problem> {
        match number.as_f64().map(|number| number as f32).filter(|number| number.is_finite()) {
            Some(value) => {
                self.values.push(value);
                Ok(())
            }
            None => self.other(&number.to_string()),
        }
    }

    fn other(self, found: &str) -> Result<(), Problem> {
        let index = self.index;
        Err(format!(": vector {index} holds {found}, expected a number in the range of f32"))
    }
}

/// Reads the rest of a list and counts it.
fn drain<'de, A: SeqAccess<'de>>(rest: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while rest.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// A string as it may be told back.
fn echo(text: &str) -> String {
    let end = text.char_indices().nth(MAX_ECHO_CHARS).map_or(text.len(), |(at, _)| at);
    let more = if end < text.len() { ".." } else { "" };
    format!("{:?}{more}", &text[..end])
}

/// Hands a value of JSON to its place.
struct Read<P>(P);

impl<'de, P: Place<'de>> DeserializeSeed<'de> for Read<P> {
    type Value = Result<(), Problem>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, P: Place<'de>> Visitor<'de> for Read<P> {
    type Value = Result<(), Problem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(self.0.text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.0.number(&number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.0.number(&number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(match Number::from_f64(number) {
            Some(number) => self.0.number(&number),
            None => self.0.other(&number.to_string()),
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.0.other(&value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(self.0.other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        self.0.list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.0.other("an object"))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::failure::{Failure, Kind};
    use super::{List, Unread};

    fn items(json: &str) -> Result<List<'_>, String> {
        let unread: Unread<'_> = serde_json::from_str(json).unwrap();
        unread.items("", usize::MAX).map_err(|failure| failure.message.replacen("``", "", 1))
    }

    #[test]
    fn texts_and_vectors_are_read_as_they_stand() {
        let texts = |texts: &[&'static str]| List::Texts(texts.iter().map(|&x| x.into()).collect());
        assert_eq!(items(r#""a\n""#), Ok(texts(&["a\n"])));
        assert_eq!(items(r#"["a", "b"]"#), Ok(texts(&["a", "b"])));
        let vectors = List::Vectors(vec![1.0, -2.0, 0.1, 1e9], 2);
        assert_eq!(items("[[1, -2], [0.1, 1e9]]"), Ok(vectors));
        let widest = format!("[[0{}]]", ",0".repeat(65_535));
        assert_eq!(items(&widest), Ok(List::Vectors(vec![0.0; 65_536], 65_536)));
    }

    #[test]
    fn the_rest_of_the_body_is_read_after_a_wrong_value() {
        for wrong in ["[[1, [2, 3], 4], [5]]", "[\"a\", {\"b\": [1]}, 2]", "{\"a\": [[]]}", "7"] {
            let json = format!("[{wrong}, \"b\"]");
            let (read, after): (Unread<'_>, Unread<'_>) = serde_json::from_str(&json).unwrap();
            assert!(read.items("a", 9).is_err());
            assert_eq!(after.texts("b", 9).unwrap(), ["b"]);
        }
        assert!(serde_json::from_str::<Unread<'_>>("[[1, 2").is_err());
    }

    #[test]
    fn texts_beyond_the_limit_are_counted_and_texts_without_escapes_are_not_copied() {
        let texts = |json: &'static str, limit| {
            let unread: Unread<'_> = serde_json::from_str(json).unwrap();
            unread.texts("input", limit)
        };
        let whole = texts(r#"["a", "b\n"]"#, 2).unwrap();
        assert!(matches!(whole[..], [Cow::Borrowed("a"), Cow::Owned(_)]));
        let Failure { kind, message, field, .. } = texts(r#"["a", "b", 7, [{}]]"#, 2).unwrap_err();
        assert_eq!((kind, field.as_deref()), (Kind::TooLarge, Some("input")));
        assert_eq!(message, "`input` holds 4 texts, at most 2 are allowed");
        let lone = texts(r#"["\ud800"]"#, 1).unwrap_err();
        assert_eq!(lone.kind, Kind::Malformed);
        assert!(lone.message.starts_with("Failed to parse the request body as JSON: input: "));
    }

    #[test]
    fn what_is_told_back_is_short() {
        let long = "é".repeat(10_000);
        let problem = items(&format!("[[1], \"{long}\"]")).unwrap_err();
        let echoed = "é".repeat(80);
        assert_eq!(problem, format!(" holds vectors, number 1 is \"{echoed}\".."));
        let many = format!("[[{}]]", vec!["0"; 2_000_000].join(","));
        let problem = ": vector 0 has 2000000 dimensions, at most 65536 are allowed";
        assert_eq!(items(&many), Err(problem.to_owned()));
    }
}
