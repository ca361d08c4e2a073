//! Settings in layers, with the origin of every value. The only reader of the environment.
//!
//! Flags > `CHUNKFLOW__SECTION__KEY` > variables of Hugging Face's libraries > `--config FILE` > the profile of `CHUNKFLOW_ENV` >
//! `config/default.yaml`, which is embedded and holds every key. An unknown key or a bad value is
//! an error that names where it came from.

mod env_vars;
mod environment;
mod flag;
mod hub;
mod problem;
mod sections;
mod settings;
mod variables;
mod yaml;

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::value::Value;
use figment::{Figment, Metadata};
use garde::Validate;
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use self::env_vars::CHUNKFLOW_ENV;
use self::environment::variable;
pub use self::environment::{is_interactive, no_color, rust_log};
use self::flag::DEFAULT_ORIGIN;
pub use self::flag::Flag;
pub use self::hub::hub_options;
use self::problem::in_words;
use self::sections::DEFAULT;
pub use self::settings::{
    ComputeSettings, Config, EmbedSettings, HubSettings, LogFormat, LogSettings, ModelSettings,
    ServerSettings,
};
use self::yaml::Yaml;

/// Profiles that the binary carries; a file `config/NAME.yaml` beside it goes before them.
const PROFILES: [(&str, &str); 2] = [
    ("production", include_str!("../../config/production.yaml")),
    ("test", include_str!("../../config/test.yaml")),
];

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The profile does not exist.
    #[error(
        "{CHUNKFLOW_ENV} is `{0}`: neither config/{0}.yaml exists nor is it production or test"
    )]
    UnknownProfile(String),
    /// Keys or values are wrong; one line each.
    #[error("{0}")]
    Invalid(String),
}

/// One value of [`Config`] and where it came from.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Its place, such as `compute.threads`.
    pub key: String,
    /// As JSON.
    pub value: serde_json::Value,
    /// A file, variable or flag, or `default`.
    pub origin: String,
}

/// The layers before they are merged into a [`Config`].
pub struct Layers {
    figment: Figment,
    /// Those that are YAML.
    files: Vec<Yaml>,
}

impl Layers {
    /// Collects the layers. Reads files and the environment.
    ///
    /// # Errors
    /// When a file cannot be read or the profile is unknown.
    pub fn collect(file: Option<&Path>, flags: &[Flag]) -> Result<Self, Error> {
        let defaults = Figment::from(&Yaml::new(DEFAULT_ORIGIN, DEFAULT));
        let mut figment = defaults.clone();
        let profile = variable(CHUNKFLOW_ENV).map(|profile| read_profile(&profile)).transpose()?;
        let file = file.map(read_yaml).transpose()?;
        let files: Vec<Yaml> = profile.into_iter().chain(file).collect();
        for file in &files {
            figment = figment.merge(file);
        }
        for flag in hub::aliases().iter().chain(&variables::settings(&defaults)).chain(flags) {
            figment = figment.merge(flag);
        }
        // Named by no layer, the cache is where the libraries find it.
        let cache = figment.find_value("hub.cache");
        if cache.is_ok_and(|cache| matches!(cache, Value::Empty(..)))
            && let Some(cache) = hub::default_cache()
        {
            figment = figment.merge(&cache);
        }
        Ok(Self { figment, files })
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// When keys are unknown or values bad, all of them at once.
    pub fn config(&self) -> Result<Config, Error> {
        let config: Config = self.figment.extract().map_err(|errors| {
            let lines: Vec<String> =
                errors.into_iter().map(|error| self.describe(&error)).collect();
            Error::Invalid(lines.join("\n"))
        })?;
        let mut problems = Vec::new();
        if let Err(problem) = telemetry_filter(&config.log.level) {
            problems.push(("log.level".to_owned(), problem));
        }
        if let Err(report) = config.validate() {
            problems
                .extend(report.iter().map(|(path, error)| (path.to_string(), error.to_string())));
        }
        if let Err(error) = config.chunk.resolve() {
            problems.push((format!("chunk.{}", error.field()), error.to_string()));
        }
        if problems.is_empty() {
            return Ok(config);
        }
        let lines = problems.iter().map(|(key, problem)| self.told(key, problem));
        Err(Error::Invalid(lines.collect::<Vec<_>>().join("\n")))
    }

    /// What is wrong with the value of `key`, such as `server.host`, with where it came from.
    #[must_use]
    pub fn refuse(&self, key: &str, problem: &str) -> Error {
        Error::Invalid(self.told(key, problem))
    }

    /// Every value of `config` with its origin, in the order of the sections.
    ///
    /// # Errors
    /// When the settings cannot be written as JSON.
    pub fn settings(&self, config: &Config) -> Result<Vec<Setting>, Error> {
        let value = serde_json::to_value(config).map_err(|e| Error::Invalid(e.to_string()))?;
        let mut settings = Vec::new();
        for (section, values) in value.as_object().into_iter().flatten() {
            for (key, value) in values.as_object().into_iter().flatten() {
                let key = format!("{section}.{key}");
                let origin = self.origin(&key);
                settings.push(Setting { key, value: value.clone(), origin });
            }
        }
        Ok(settings)
    }

    fn describe(&self, error: &figment::Error) -> String {
        let mut path = error.path.clone();
        if let Kind::UnknownField(field, _) = &error.kind
            && path.last() != Some(field)
        {
            path.push(field.clone());
        }
        let (key, problem) = (path.join("."), in_words(&error.kind));
        match &error.metadata {
            _ if key.is_empty() => problem,
            Some(metadata) => format!("{key}: {problem} (from {})", self.place(metadata, &key)),
            None => self.told(&key, &problem),
        }
    }

    fn told(&self, key: &str, problem: &str) -> String {
        let place = match self.figment.find_metadata(key) {
            Some(metadata) => self.place(metadata, key),
            None => DEFAULT_ORIGIN.to_owned(),
        };
        format!("{key}: {problem} (from {place})")
    }

    /// Where a layer has `key`: a flag or variable, or a file and its line.
    fn place(&self, metadata: &Metadata, key: &str) -> String {
        let file = self.files.iter().find(|file| file.name == metadata.name);
        match file.and_then(|file| file.line(key)) {
            Some(line) => format!("{}:{line}", metadata.name),
            None => metadata.name.to_string(),
        }
    }

    fn origin(&self, key: &str) -> String {
        let metadata = self.figment.find_metadata(key);
        metadata.map_or(DEFAULT_ORIGIN, |metadata| &metadata.name).to_owned()
    }
}

/// `level` as a filter, `auto` excepted, which depends on the command.
fn telemetry_filter(level: &str) -> Result<(), String> {
    let problem = if level.contains(['=', ',', '[']) {
        EnvFilter::builder().parse(level).err().map(|error| error.to_string())
    } else {
        // As a filter, a misspelt level would be a module's name.
        let known = level == "auto" || level.parse::<LevelFilter>().is_ok();
        (!known).then(|| "levels are off, error, warn, info, debug, trace".to_owned())
    };
    problem.map_or(Ok(()), |problem| Err(format!("`{level}` is no level or filter: {problem}")))
}

fn read_profile(profile: &str) -> Result<Yaml, Error> {
    let name_like = profile.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let path = Path::new("config").join(format!("{profile}.yaml"));
    if name_like && path.is_file() {
        return read_yaml(&path);
    }
    match PROFILES.iter().find(|(name, _)| *name == profile) {
        Some((name, text)) => Ok(Yaml::new(format!("profile {name}"), *text)),
        None => Err(Error::UnknownProfile(profile.to_owned())),
    }
}

fn read_yaml(path: &Path) -> Result<Yaml, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(Yaml::new(path.display().to_string(), text))
}
