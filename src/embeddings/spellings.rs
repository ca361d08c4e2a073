//! The names that a tensor may have in a checkpoint, by transformers' own renamings on loading
//! (`conversion_mapping.py` and the prefix of a model's class).
//!
//! Invariant: whoever reads a tensor asks for it by the name that its family has in
//! [`encoder`](super::encoder); no other file knows that it may be spelt otherwise.

/// The norms of Google's BERTs, in any family and in heads.
const OLDER_PARTS: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

/// How the names of a family's tensors may differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spellings {
    /// Before every name: checkpoints of a model with a head carry the encoder under one.
    pub(super) prefixes: &'static [&'static str],
    /// Parts of a name, and what else they are called.
    pub(super) parts: &'static [(&'static str, &'static str)],
    /// Parts of the names of tensors that may stand in several, one above the other.
    pub(super) split: &'static [(&'static str, &'static [&'static str])],
}

impl Spellings {
    /// None but the older ones.
    pub(super) const PLAIN: Self = Self::prefixed(&[]);

    /// Those of a family whose names may have these prefixes.
    pub(super) const fn prefixed(prefixes: &'static [&'static str]) -> Self {
        Self { prefixes, parts: &[], split: &[] }
    }

    /// All that `name` may be called, itself first.
    pub(super) fn of(&self, name: &str) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        for (part, other) in self.parts.iter().chain(&OLDER_PARTS) {
            let renamed = names.iter().filter(|name| name.contains(part));
            let renamed: Vec<String> = renamed.map(|name| name.replace(part, other)).collect();
            names.extend(renamed);
        }
        let prefixed = self.prefixes.iter().flat_map(|prefix| {
            names.iter().map(move |name| format!("{prefix}{name}")).collect::<Vec<_>>()
        });
        let prefixed: Vec<String> = prefixed.collect();
        names.extend(prefixed);
        names
    }

    /// The tensors that `name` may stand in, first to last; `None` where it never stands in several.
    pub(super) fn pieces(&self, name: &str) -> Option<Vec<String>> {
        let (part, pieces) = self.split.iter().find(|(part, _)| name.contains(part))?;
        Some(pieces.iter().map(|piece| name.replace(part, piece)).collect())
    }
}
