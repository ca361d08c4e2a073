//! Work planned and run at once, on the thread of the test.

use chunkflow::embeddings::{
    EmbedOptions, Embeddings, Error, Job, LoadedModel, Scores, SparseEmbeddings,
};

/// What a model gives, waited for.
pub(crate) trait RunNow {
    /// A job, and what its rows go into.
    fn plan(&self, texts: &[&str], options: &EmbedOptions) -> Result<(Job, Embeddings), Error>;
    fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error>;
    fn embed_tokens(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error>;
    fn embed_sparse(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
    ) -> Result<SparseEmbeddings, Error>;
    fn score(&self, pairs: &[(&str, &str)]) -> Result<Scores, Error>;
}

impl RunNow for LoadedModel {
    fn plan(&self, texts: &[&str], options: &EmbedOptions) -> Result<(Job, Embeddings), Error> {
        let planned = self.model().embed(texts, options)?;
        Ok((planned.job().clone(), planned.reader().clone()))
    }

    fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error> {
        self.model().embed(texts, options)?.run(self)
    }

    fn embed_tokens(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error> {
        self.model().embed_tokens(texts, options)?.run(self)
    }

    fn embed_sparse(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
    ) -> Result<SparseEmbeddings, Error> {
        self.model().embed_sparse(texts, options)?.run(self)
    }

    fn score(&self, pairs: &[(&str, &str)]) -> Result<Scores, Error> {
        self.model().score(pairs)?.run(self)
    }
}
