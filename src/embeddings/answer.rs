//! Texts planned into jobs, and what their rows become: vectors, token vectors, sparse vectors and
//! scores.

use serde::Serialize;

use super::Error;
use super::job::{Job, Output};
use super::model::Model;
use super::modules::HeadKind;
use super::options::Truncate;
use super::planned::{Planned, ReadRows};
use super::tokenize::{PackedTexts, Pair, Prompt};
use crate::compute::Span;

/// How texts are embedded.
#[derive(Debug, Clone, Default)]
pub struct EmbedOptions {
    /// Leading dimensions to keep, before normalisation; all where `None`.
    pub dimensions: Option<usize>,
    /// Whether vectors are brought to length one; as the model does where `None`.
    pub normalize: Option<bool>,
    /// Put before every text.
    pub prompt: Prompt,
    /// Which end of a too long text is dropped.
    pub truncate: Truncate,
}

/// Vectors of texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// Columns.
    pub dim: usize,
    /// `[texts + 1]` row at which each text starts, and the number of rows at the end: one row a
    /// text, or one for each of its tokens.
    pub cu_rows: Vec<usize>,
    /// `[rows, dim]` f32 row-major.
    pub data: Vec<f32>,
    /// `[texts]` tokens that were embedded, special tokens included.
    pub tokens: Vec<usize>,
    /// `[texts]` the length in tokens of each text that was cut: the whole one up to 16 KiB of text,
    /// else as far as it was read.
    pub truncated: Vec<Option<usize>>,
}

impl Embeddings {
    /// The vectors in order.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dim.max(1))
    }

    /// The rows of text `index`, `[rows, dim]`.
    ///
    /// # Panics
    /// When there is no such text.
    #[must_use]
    pub fn text_rows(&self, index: usize) -> &[f32] {
        &self.data[self.cu_rows[index] * self.dim..self.cu_rows[index + 1] * self.dim]
    }
}

/// Sparse vectors of texts: of every text the vocabulary entries whose weight is above 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseEmbeddings {
    /// Vocabulary entries.
    pub dim: usize,
    /// One a text, its entries by index.
    pub rows: Vec<Vec<SparseEntry>>,
    /// `[texts]` tokens that were embedded, special tokens included.
    pub tokens: Vec<usize>,
    /// `[texts]` the length in tokens of each text that was cut: the whole one up to 16 KiB of text,
    /// else as far as it was read.
    pub truncated: Vec<Option<usize>>,
}

/// A vocabulary entry and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SparseEntry {
    /// Token id.
    pub index: u32,
    /// Above 0.
    pub value: f32,
}

/// Scores of pairs of texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// Scores of a pair.
    pub labels: usize,
    /// `[pairs, labels]` f32 row-major.
    pub data: Vec<f32>,
    /// `[pairs]` tokens that were read, special tokens included.
    pub tokens: Vec<usize>,
    /// `[pairs]` the length in tokens of each pair that was cut: the whole one of texts up to 16 KiB,
    /// else as far as they were read.
    pub truncated: Vec<Option<usize>>,
}

impl ReadRows for Embeddings {
    type Answer = Self;

    fn row(&mut self, index: usize, values: &[f32]) {
        self.data[index * self.dim..][..self.dim].copy_from_slice(values);
    }

    fn answer(self) -> Self {
        self
    }
}

/// Makes sparse vectors of the largest logits, whose rows are as wide as the vocabulary: they are
/// never all in memory.
#[derive(Debug)]
pub struct SparseReader {
    embeddings: SparseEmbeddings,
    /// Whether `ln(1 + x)` is taken once more.
    twice: bool,
    /// How many entries of a vector are kept, the largest; all where `None`.
    max_entries: Option<usize>,
}

impl ReadRows for SparseReader {
    type Answer = SparseEmbeddings;

    fn row(&mut self, index: usize, values: &[f32]) {
        self.embeddings.rows[index] = sparse_row(values, self.twice, self.max_entries);
    }

    fn answer(self) -> SparseEmbeddings {
        self.embeddings
    }
}

impl SparseReader {
    /// `[texts]` as [`SparseEmbeddings::truncated`].
    #[must_use]
    pub fn truncated(&self) -> &[Option<usize>] {
        &self.embeddings.truncated
    }
}

/// Makes scores of a classifier's logits.
#[derive(Debug)]
pub struct ScoreReader {
    scores: Scores,
    /// Whether the logistic function is applied to them.
    sigmoid: bool,
}

impl ScoreReader {
    /// `[pairs]` as [`Scores::truncated`].
    #[must_use]
    pub fn truncated(&self) -> &[Option<usize>] {
        &self.scores.truncated
    }
}

impl ReadRows for ScoreReader {
    type Answer = Scores;

    fn row(&mut self, index: usize, values: &[f32]) {
        let row = &mut self.scores.data[index * self.scores.labels..][..self.scores.labels];
        for (score, &logit) in row.iter_mut().zip(values) {
            *score = if self.sigmoid { 1.0 / (1.0 + (-logit).exp()) } else { logit };
        }
    }

    fn answer(self) -> Scores {
        self.scores
    }
}

impl Model {
    /// Plans vectors of `texts`, one row each, in their order.
    ///
    /// # Errors
    /// When the dimensions are not the model's or a text cannot be tokenised.
    pub fn embed(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
    ) -> Result<Planned<Embeddings>, Error> {
        let dimensions = self.check_dimensions(options.dimensions)?;
        let PackedTexts { packed, spans, truncated } =
            self.tokenizer().pack(texts, &options.prompt, options.truncate)?;
        let embeddings = Embeddings {
            dim: dimensions,
            cu_rows: (0..=spans.len()).collect(),
            data: vec![0.0; spans.len() * dimensions],
            tokens: packed.lengths().collect(),
            truncated,
        };
        let output = Output::Embeddings { dimensions, normalize: options.normalize };
        Ok(Planned::new(Job { packed, spans, output }, embeddings))
    }

    /// Plans the last hidden state of every token, special tokens included: `[tokens, H]` of each
    /// text, as sentence-transformers' `token_embeddings`. `options.dimensions` does not apply.
    ///
    /// # Errors
    /// When a text cannot be tokenised.
    pub fn embed_tokens(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
    ) -> Result<Planned<Embeddings>, Error> {
        let PackedTexts { packed, truncated, .. } =
            self.tokenizer().pack(texts, &options.prompt, options.truncate)?;
        let tokens: Vec<usize> = packed.lengths().collect();
        let spans = (0_u32..).zip(&tokens).flat_map(|(seq, &tokens)| {
            (0..tokens as u32).map(move |start| Span { seq, start, end: start + 1 })
        });
        let spans: Vec<Span> = spans.collect();
        let cu_rows = packed.cu_seqlens.iter().map(|&row| row as usize).collect();
        let dim = self.spec().hidden;
        let data = vec![0.0; spans.len() * dim];
        let embeddings = Embeddings { dim, cu_rows, data, tokens, truncated };
        Ok(Planned::new(Job { packed, spans, output: Output::MeanStates }, embeddings))
    }

    /// Plans sparse vectors of `texts`: of every vocabulary entry `ln(1 + max(0, logit))`, its
    /// largest logit over the text's tokens (SPLADE, arXiv 2109.10086), as sentence-transformers'
    /// `SparseEncoder`. `options.dimensions` does not apply.
    ///
    /// # Errors
    /// When the model has no masked-LM head or a text cannot be tokenised.
    pub fn embed_sparse(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
    ) -> Result<Planned<SparseReader>, Error> {
        let HeadKind::MaskedLm { twice, max_entries } = self.head() else {
            return Err(self.wrong_kind(Output::MaxLogits));
        };
        let PackedTexts { packed, spans, truncated } =
            self.tokenizer().pack(texts, &options.prompt, options.truncate)?;
        let embeddings = SparseEmbeddings {
            dim: self.spec().vocabulary,
            rows: vec![Vec::new(); spans.len()],
            tokens: packed.lengths().collect(),
            truncated,
        };
        let reader = SparseReader { embeddings, twice, max_entries };
        Ok(Planned::new(Job { packed, spans, output: Output::MaxLogits }, reader))
    }

    /// Plans scores of `pairs`, such as a query and a document, through the model's own
    /// activation, as sentence-transformers' `CrossEncoder.predict`. Where a pair is too long, the
    /// longer text is cut first, at its end.
    ///
    /// # Errors
    /// When the model is no classifier or a text cannot be tokenised.
    pub fn score(&self, pairs: &[(&str, &str)]) -> Result<Planned<ScoreReader>, Error> {
        let pairs: Vec<Pair<'_>> =
            pairs.iter().map(|(first, second)| Pair::of(first, second)).collect();
        let HeadKind::Classifier { sigmoid, .. } = self.head() else {
            return Err(self.wrong_kind(Output::Scores));
        };
        self.classify(&pairs, sigmoid)
    }

    /// Plans the classifier's logits of `pairs`, whatever its own activation.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    pub fn logits(&self, pairs: &[Pair<'_>]) -> Result<Planned<ScoreReader>, Error> {
        self.classify(pairs, false)
    }

    fn classify(&self, pairs: &[Pair<'_>], sigmoid: bool) -> Result<Planned<ScoreReader>, Error> {
        let HeadKind::Classifier { labels, .. } = self.head() else {
            return Err(self.wrong_kind(Output::Scores));
        };
        let types = self.spec().embedding.token_types;
        let PackedTexts { packed, spans, truncated } = self.tokenizer().pack_pairs(pairs, types)?;
        let scores = Scores {
            labels,
            data: vec![0.0; spans.len() * labels],
            tokens: packed.lengths().collect(),
            truncated,
        };
        Ok(Planned::new(
            Job { packed, spans, output: Output::Scores },
            ScoreReader { scores, sigmoid },
        ))
    }
}

/// The entries above 0 by index; of more than `max_entries` the largest, and of equal ones the
/// first.
fn sparse_row(logits: &[f32], twice: bool, max_entries: Option<usize>) -> Vec<SparseEntry> {
    let weight = |logit: f32| {
        let weight = logit.max(0.0).ln_1p();
        if twice { weight.ln_1p() } else { weight }
    };
    let entries =
        (0..).zip(logits).map(|(index, &logit)| SparseEntry { index, value: weight(logit) });
    let mut entries: Vec<SparseEntry> = entries.filter(|entry| entry.value > 0.0).collect();
    if let Some(limit) = max_entries.filter(|&limit| limit < entries.len()) {
        entries.sort_by(|a, b| b.value.total_cmp(&a.value));
        entries.truncate(limit);
        entries.sort_by_key(|entry| entry.index);
    }
    entries
}
