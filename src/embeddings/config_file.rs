//! Configuration files of models, field by field: every error names the field, its value and what is supported.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::compute::Activation;
use crate::models::{Error, Folder};

/// The largest value accepted for any size: far above every model, and small enough that products
/// of two do not overflow.
const MAX_SIZE: u64 = 1 << 24;
const SIZES: &str = "an integer from 1 to 16777216";
/// The most layers: the description of each is kept.
const MAX_LAYERS: usize = 1_024;

/// A JSON object from a model's folder, such as `config.json`.
pub(super) struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl ConfigFile {
    pub(super) fn read(folder: &Folder, file: &str) -> Result<Self, Error> {
        Ok(Self { path: folder.path(file), fields: folder.json(file)? })
    }

    /// The same, `None` where there is no such file.
    pub(super) fn optional(folder: &Folder, file: &str) -> Result<Option<Self>, Error> {
        folder.exists(file).then(|| Self::read(folder, file)).transpose()
    }

    /// A config without fields, of a file that need not be there.
    pub(super) fn empty(folder: &Folder, file: &str) -> Self {
        Self { path: folder.path(file), fields: Map::new() }
    }

    pub(super) fn into_fields(self) -> Map<String, Value> {
        self.fields
    }

    /// The fields as a `T`.
    pub(super) fn parse<T: DeserializeOwned>(self) -> Result<T, Error> {
        let Self { path, fields } = self;
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| Error::Malformed { path, problem: error.to_string() })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field)
    }

    /// Puts `fields` over those of the file.
    pub(super) fn overlay(&mut self, fields: &Map<String, Value>) {
        self.fields.extend(fields.iter().map(|(field, value)| (field.clone(), value.clone())));
    }

    /// Puts the fields of `other` over those of this file, but for those that `kept` has.
    pub(super) fn overlay_unless(&mut self, other: Self, kept: &Map<String, Value>) {
        let other = other.fields.into_iter();
        self.fields.extend(other.filter(|(field, _)| !kept.contains_key(field)));
    }

    /// Gives the field `from` the name `to`, unless that one holds something.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let is_empty = |value: &Value| match value {
            Value::Array(values) => values.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            value => value.is_null(),
        };
        if self.fields.get(to).is_none_or(is_empty)
            && let Some(value) = self.fields.remove(from)
        {
            self.fields.insert(to.to_owned(), value);
        }
    }

    pub(super) fn malformed(&self, problem: String) -> Error {
        Error::Malformed { path: self.path.clone(), problem }
    }

    /// The value of a field that is there and not null.
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.get(field)
    }

    /// The content of a token, which is a string or an object that has one.
    pub(super) fn token_content(&self, field: &str) -> Option<&str> {
        let value = self.get(field)?;
        value.get("content").unwrap_or(value).as_str()
    }

    /// A length in tokens, which files that mean "none" give as 1e30.
    pub(super) fn length(&self, field: &'static str) -> Result<Option<usize>, Error> {
        match self.get(field).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(length)) if length >= 0.0 => Ok(Some(length as usize)),
            Some(_) => Err(self.unsupported(field, "a length in tokens")),
        }
    }

    /// The value of `field`; null counts as absent.
    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// Whether `field` is there and null.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(Value::is_null)
    }

    pub(super) fn unsupported(&self, field: &'static str, supported: &str) -> Error {
        let value = self.get(field).map_or("missing".to_owned(), Value::to_string);
        let (path, supported) = (self.path.clone(), supported.to_owned());
        Error::Unsupported { path, field, value, supported }
    }

    /// An object within this config, as a config of its own; `None` where there is none.
    pub(super) fn object(&self, field: &'static str) -> Result<Option<Self>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(fields)) => {
                Ok(Some(Self { path: self.path.clone(), fields: fields.clone() }))
            }
            Some(_) => Err(self.unsupported(field, "an object")),
        }
    }

    pub(super) fn size(&self, field: &'static str) -> Result<usize, Error> {
        let value = self.get(field).and_then(Value::as_u64);
        match value.filter(|value| (1..=MAX_SIZE).contains(value)) {
            Some(value) => Ok(value as usize),
            None => Err(self.unsupported(field, SIZES)),
        }
    }

    /// The same, `default` where the field is absent.
    pub(super) fn size_or(&self, field: &'static str, default: usize) -> Result<usize, Error> {
        if self.has(field) { self.size(field) } else { Ok(default) }
    }

    /// A count that may be 0, such as that of token types.
    pub(super) fn count_or(&self, field: &'static str, default: usize) -> Result<usize, Error> {
        match self.get(field) {
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            _ => self.size_or(field, default),
        }
    }

    pub(super) fn layers(&self, field: &'static str) -> Result<usize, Error> {
        let layers = self.size(field)?;
        if layers > MAX_LAYERS {
            return Err(self.unsupported(field, "at most 1024 layers"));
        }
        Ok(layers)
    }

    pub(super) fn float_or(&self, field: &'static str, default: f32) -> Result<f32, Error> {
        let value = self.get(field).map_or(Some(f64::from(default)), Value::as_f64);
        match value.map(|value| value as f32).filter(|value| value.is_finite() && *value > 0.0) {
            Some(value) => Ok(value),
            None => Err(self.unsupported(field, "a number above 0")),
        }
    }

    pub(super) fn flag_or(&self, field: &'static str, default: bool) -> Result<bool, Error> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.unsupported(field, "true or false")),
        }
    }

    pub(super) fn text(&self, field: &'static str) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    /// The strings of a list, empty where it is absent.
    pub(super) fn list(&self, field: &'static str) -> Vec<&str> {
        let values = self.get(field).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Entries of an object or list, 0 where it is absent.
    pub(super) fn len(&self, field: &'static str) -> usize {
        match self.get(field) {
            Some(Value::Object(fields)) => fields.len(),
            Some(Value::Array(values)) => values.len(),
            _ => 0,
        }
    }

    /// Refuses a config whose `field` is present and not one of `supported`.
    pub(super) fn require(&self, field: &'static str, supported: &[Value]) -> Result<(), Error> {
        match self.get(field) {
            Some(value) if !supported.contains(value) => {
                let supported: Vec<String> = supported.iter().map(Value::to_string).collect();
                Err(self.unsupported(field, &supported.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// The same, and where it is absent.
    pub(super) fn require_present(
        &self,
        field: &'static str,
        supported: &[Value],
    ) -> Result<(), Error> {
        if self.has(field) {
            return self.require(field, supported);
        }
        let supported = supported.first().map(Value::to_string).unwrap_or_default();
        Err(self.unsupported(field, &supported))
    }

    /// The nonlinearity under `field`, `default` where there is none.
    pub(super) fn activation(
        &self,
        field: &'static str,
        default: Activation,
    ) -> Result<Activation, Error> {
        if self.get(field).is_none() {
            return Ok(default);
        }
        match self.text(field) {
            Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some("silu" | "swish") => Ok(Activation::Silu),
            _ => {
                Err(self.unsupported(field, "gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish"))
            }
        }
    }

    /// Columns of a head where the hidden state is divided among `heads`.
    pub(super) fn head_dim(
        &self,
        field: &'static str,
        hidden: usize,
        heads: usize,
    ) -> Result<usize, Error> {
        if heads <= hidden && hidden.is_multiple_of(heads) {
            Ok(hidden / heads)
        } else {
            Err(self.unsupported(field, &format!("a divisor of the hidden size {hidden}")))
        }
    }
}
