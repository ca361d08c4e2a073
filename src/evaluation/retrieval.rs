//! Retrieval with the chunks of a specification: documents are cut and embedded, questions
//! compared with all chunks exactly.

use rayon::prelude::*;

use super::comparison::CHUNK_TOKENS;
use super::datasets::{CorpusDocument, ExcerptCorpus, JudgedCorpus, JudgedQuery, RetrievalDataset};
use super::error::Error;
use super::metrics::retrieval::{
    Excerpt, ExcerptScores, hit, ndcg, ranked, recall, reciprocal_rank,
};
use crate::chunking::{ChunkSpec, Encoding, UnitKind};
use crate::embeddings::{EmbedOptions, Embeddings, Engine};
use crate::pipeline::Document;
use crate::records::Run;
use crate::similarity::{Device, Rows, UnitRows, pairwise};

/// Queries compared with all chunks at a time.
const BLOCK_QUERIES: usize = 64;
/// Documents of a ranked list that are read: for nDCG and MRR, and for recall, as BEIR does.
const RANKED: usize = 10;
const RECALLED: usize = 100;

/// What a vector is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Splitter {
    /// Each document, cut at the model's length.
    Whole,
    /// Its chunks.
    Spec(ChunkSpec),
}

/// How documents and questions are embedded.
#[derive(Debug, Clone, Default)]
pub struct RetrievalOptions {
    /// Documents and their chunks.
    pub documents: EmbedOptions,
    /// Questions.
    pub queries: EmbedOptions,
    /// Chunks retrieved for a question on excerpts.
    pub k: usize,
}

/// What is measured of a question on `dataset`, in order. Where documents are judged: nDCG and MRR of
/// the first 10 and recall of the first 100. Where excerpts are gold: what [`ExcerptScores`] says of
/// the `k` nearest chunks, and hit, MRR and nDCG of these, a chunk being relevant if it touches gold.
#[must_use]
pub fn retrieval_metrics(dataset: &RetrievalDataset, k: usize) -> Vec<String> {
    let names = match dataset {
        RetrievalDataset::Judged(_) => vec!["ndcg@10", "recall@100", "mrr@10"],
        RetrievalDataset::Excerpts(_) => {
            vec!["recall@k", "precision@k", "precision_omega", "iou@k", "hit@k", "mrr@k", "ndcg@k"]
        }
    };
    names.into_iter().map(|name| name.replace("@k", &format!("@{k}"))).collect()
}

/// Scores each of `splitters` on `dataset`: [`retrieval_metrics`] of each question, and the tokens of
/// each chunk.
///
/// A document is as near to a question as its nearest chunk, by cosine; of equally near chunks the
/// first is nearer, of documents that with the greater id. A judged question does not find the
/// document with its own id.
///
/// Specifications with the same encoding, kind of units and limit of a unit share one reading of
/// each document, with units that fit the least `max_tokens` of them. `done` is told the bytes and
/// the encoder's tokens of each document.
///
/// # Errors
/// When the dimensions are not the model's, or the device or queue fails.
pub fn evaluate_retrieval(
    engine: &dyn Engine,
    name: &str,
    dataset: &RetrievalDataset,
    splitters: &[(String, Splitter)],
    options: &RetrievalOptions,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Run>, Error> {
    let documents = match dataset {
        RetrievalDataset::Judged(corpus) => &corpus.documents,
        RetrievalDataset::Excerpts(corpus) => &corpus.documents,
    };
    let pools = pools(engine, documents, splitters, &options.documents, done)?;
    let questions: Vec<&str> = match dataset {
        RetrievalDataset::Judged(corpus) => {
            corpus.queries.iter().map(|q| q.text.as_str()).collect()
        }
        RetrievalDataset::Excerpts(corpus) => {
            corpus.questions.iter().map(|q| q.text.as_str()).collect()
        }
    };
    let queries = embed(engine, &questions, &options.queries)?;
    let metrics = retrieval_metrics(dataset, options.k);
    let mut runs = Vec::new();
    for ((splitter, _), pool) in splitters.iter().zip(pools) {
        let mut run = Run::new(splitter, name);
        let Pool { chunks, tokens, vectors } = pool;
        match dataset {
            RetrievalDataset::Judged(corpus) => {
                score_judged(corpus, &chunks, vectors, &queries, &metrics, &mut run)?;
            }
            RetrievalDataset::Excerpts(corpus) => {
                let asked = (options.k, &metrics[..]);
                score_excerpts(corpus, &chunks, vectors, &queries, asked, &mut run)?;
            }
        }
        for (chunk, tokens) in chunks.iter().zip(tokens) {
            let id = &documents[chunk.document].id;
            run.add(&format!("{id}:{}", chunk.chars.start), [(CHUNK_TOKENS, tokens as f64)]);
        }
        runs.push(run);
    }
    Ok(runs)
}

/// All chunks of a corpus.
#[derive(Default)]
struct Pool {
    chunks: Vec<Excerpt>,
    /// Of each, special tokens included.
    tokens: Vec<usize>,
    /// `[chunks, dim]` f32 row-major.
    vectors: Vec<f32>,
}

/// The pool of each splitter.
fn pools(
    engine: &dyn Engine,
    documents: &[CorpusDocument],
    splitters: &[(String, Splitter)],
    options: &EmbedOptions,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Pool>, Error> {
    let mut pools: Vec<Pool> = splitters.iter().map(|_| Pool::default()).collect();
    let whole = splitters.iter().position(|(_, splitter)| *splitter == Splitter::Whole);
    if let Some(whole) = whole {
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let embedded = embed(engine, &texts, options)?;
        for (document, text) in texts.iter().enumerate() {
            pools[whole].chunks.push(Excerpt { document, chars: 0..text.chars().count() });
            done(text.len(), embedded.tokens[document]);
        }
        (pools[whole].tokens, pools[whole].vectors) = (embedded.tokens, embedded.data);
    }
    let readings = readings(splitters, engine.model().tokenizer().special_tokens());
    if readings.is_empty() {
        return Ok(pools);
    }
    for (index, document) in documents.iter().enumerate() {
        let mut tokens = 0;
        for reading in &readings {
            let read = Document::read(engine, &document.text, &reading.spec, options)?;
            tokens += read.encoder_tokens();
            for &(splitter, spec) in &reading.members {
                let cuts = read.cut(engine, &spec)?;
                let pool = &mut pools[splitter];
                for chunk in read.chunks(engine, &cuts, &spec, options)? {
                    pool.chunks.push(Excerpt { document: index, chars: chunk.chars });
                    pool.tokens.push(chunk.tokens);
                    pool.vectors.extend(chunk.vector);
                }
            }
        }
        done(document.text.len(), tokens);
    }
    Ok(pools)
}

/// One reading of a document, and the specifications that it serves.
struct Reading {
    spec: ChunkSpec,
    /// By the index of their splitters.
    members: Vec<(usize, ChunkSpec)>,
}

/// The fewest readings that serve all specifications.
fn readings(splitters: &[(String, Splitter)], special_tokens: usize) -> Vec<Reading> {
    let key = |spec: &ChunkSpec| -> (Encoding, UnitKind, usize) {
        (spec.encoding, spec.units, spec.unit_tokens(special_tokens))
    };
    let mut readings: Vec<Reading> = Vec::new();
    for (index, (_, splitter)) in splitters.iter().enumerate() {
        let Splitter::Spec(spec) = *splitter else { continue };
        let known = readings.iter_mut().find(|reading| key(&reading.spec) == key(&spec));
        let Some(reading) = known else {
            readings.push(Reading { spec, members: vec![(index, spec)] });
            continue;
        };
        reading.members.push((index, spec));
        let method = if spec.method.is_semantic() { spec.method } else { reading.spec.method };
        // Every unit fits the least limit, and vectors are there if one method reads them.
        let max_tokens = reading.spec.max_tokens.min(spec.max_tokens);
        reading.spec = ChunkSpec { method, max_tokens, ..reading.spec };
    }
    readings
}

/// The vectors of texts; says how many were cut.
fn embed(engine: &dyn Engine, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error> {
    let embedded = engine.model().embed(texts, options)?.run(engine)?;
    let truncated = embedded.truncated.iter().flatten().count();
    if truncated > 0 {
        let max_tokens = engine.model().tokenizer().max_tokens();
        tracing::warn!(truncated, texts = texts.len(), max_tokens, "long texts were cut");
    }
    Ok(embedded)
}

/// For each query what `rank` makes of the nearness of all groups, told with the query's number: row
/// `r` belongs to `groups[r]`, which is as near as its nearest row. A group without rows is as near
/// as negative infinity.
fn rankings(
    vectors: Vec<f32>,
    groups: &[usize],
    queries: &Embeddings,
    rank: impl Fn(usize, &mut [f32]) -> Vec<usize> + Sync,
) -> Result<Vec<Vec<usize>>, Error> {
    let rows = groups.len();
    if rows == 0 {
        // Nothing is found, and no question goes without a score.
        return Ok(vec![Vec::new(); queries.tokens.len()]);
    }
    let (device, dim) = (Device::default(), queries.dim);
    let all = UnitRows::from_f32(vectors, dim)?;
    let count = groups.iter().max().map_or(0, |last| last + 1);
    let mut rankings = Vec::new();
    for block in queries.data.chunks(BLOCK_QUERIES * dim) {
        let block = UnitRows::new(Rows::f32(block, dim)?);
        let block = block.rows()?;
        let mut scores = vec![0.0; block.len() * rows];
        pairwise(&device, block, all.rows()?, &mut scores)?;
        let first = rankings.len();
        let ranked = scores.par_chunks(rows).enumerate().map(|(query, scores)| {
            let mut nearest = vec![f32::NEG_INFINITY; count];
            for (&group, &score) in groups.iter().zip(scores) {
                nearest[group] = nearest[group].max(score);
            }
            rank(first + query, &mut nearest)
        });
        rankings.extend(ranked.collect::<Vec<Vec<usize>>>());
    }
    Ok(rankings)
}

fn score_judged(
    corpus: &JudgedCorpus,
    chunks: &[Excerpt],
    vectors: Vec<f32>,
    queries: &Embeddings,
    metrics: &[String],
    run: &mut Run,
) -> Result<(), Error> {
    let groups: Vec<usize> = chunks.iter().map(|chunk| chunk.document).collect();
    let rankings = rankings(vectors, &groups, queries, |query, nearest| {
        rank_documents(&corpus.documents, &corpus.queries[query], nearest)
    })?;
    for (query, ranked) in corpus.queries.iter().zip(rankings) {
        run.add(&query.id, metrics.iter().map(String::as_str).zip(judged_scores(query, &ranked)));
    }
    Ok(())
}

/// The documents that are read of a ranked list for `query`, from how near each is to it, as BEIR and
/// `trec_eval` take them: the one with the query's own id is left out, and of equally near ones that
/// with the greater id is nearer. `nearest` may be shorter than `documents`.
#[must_use]
pub fn rank_documents(
    documents: &[CorpusDocument],
    query: &JudgedQuery,
    nearest: &mut [f32],
) -> Vec<usize> {
    for (document, score) in documents.iter().zip(nearest.iter_mut()) {
        if document.id == query.id {
            *score = f32::NEG_INFINITY;
        }
    }
    ranked(nearest, RECALLED, |a, b| documents[b].id.cmp(&documents[a].id))
}

/// nDCG and MRR of the first 10 and recall of the first 100 of a ranked list, in the order of
/// [`retrieval_metrics`]: what `trec_eval` gives.
#[must_use]
pub fn judged_scores(query: &JudgedQuery, ranked: &[usize]) -> [f64; 3] {
    let gain = |document: &usize| {
        let judged = query.judged.iter().find(|(judged, _)| judged == document);
        judged.map_or(0.0, |&(_, gain)| gain)
    };
    let gains: Vec<f64> = ranked.iter().map(gain).collect();
    let judged: Vec<f64> = query.gains().collect();
    let relevant = judged.iter().filter(|&&gain| gain > 0.0).count();
    [
        ndcg(&gains, &judged, RANKED),
        recall(&gains, relevant, RECALLED),
        reciprocal_rank(&gains, RANKED),
    ]
}

fn score_excerpts(
    corpus: &ExcerptCorpus,
    chunks: &[Excerpt],
    vectors: Vec<f32>,
    queries: &Embeddings,
    (k, metrics): (usize, &[String]),
    run: &mut Run,
) -> Result<(), Error> {
    let groups: Vec<usize> = (0..chunks.len()).collect();
    let rankings =
        rankings(vectors, &groups, queries, |_, nearest| ranked(nearest, k, |a, b| a.cmp(&b)))?;
    for (question, ranked) in corpus.questions.iter().zip(rankings) {
        let retrieved: Vec<&Excerpt> = ranked.iter().map(|&chunk| &chunks[chunk]).collect();
        let scores = ExcerptScores::of(&question.gold, &retrieved, chunks);
        let gain = |chunk: &Excerpt| {
            if question.gold.iter().any(|gold| gold.touches(chunk)) { 1.0 } else { 0.0 }
        };
        let gains: Vec<f64> = retrieved.iter().map(|chunk| gain(chunk)).collect();
        let judged: Vec<f64> = chunks.iter().map(gain).collect();
        let values = [
            scores.recall,
            scores.precision,
            scores.precision_omega,
            scores.iou,
            hit(&gains, k),
            reciprocal_rank(&gains, k),
            ndcg(&gains, &judged, k),
        ];
        run.add(&question.id, metrics.iter().map(String::as_str).zip(values));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Embeddings, Splitter, ranked, readings};
    use crate::chunking::{ChunkOptions, Encoding, Method};

    fn spec(options: &ChunkOptions) -> (String, Splitter) {
        (String::new(), Splitter::Spec(options.resolve().unwrap()))
    }

    /// Two, along the axes.
    fn queries() -> Embeddings {
        let data = vec![3.0, 0.0, 0.0, 1.0];
        Embeddings { data, dim: 2, tokens: vec![3; 2], ..Embeddings::default() }
    }

    fn rankings(
        vectors: Vec<f32>,
        groups: &[usize],
        queries: &Embeddings,
        k: usize,
    ) -> Result<Vec<Vec<usize>>, super::Error> {
        super::rankings(vectors, groups, queries, |_, nearest| ranked(nearest, k, |a, b| a.cmp(&b)))
    }

    #[test]
    fn what_has_no_row_is_not_found() {
        let vectors = vec![0.0, 1.0, -1.0, 0.0];
        assert_eq!(rankings(vectors, &[0, 2], &queries(), 9).unwrap(), [[0, 2], [0, 2]]);
        // Every question is asked, also of nothing.
        let nothing = rankings(Vec::new(), &[], &queries(), 9).unwrap();
        assert_eq!(nothing, [Vec::<usize>::new(), Vec::new()]);
    }

    #[test]
    fn groups_are_ranked_by_their_nearest_row() {
        let vectors = vec![0.6, 0.8, 0.0, 1.0, 0.8, 0.6, 0.0, 1.0];
        let queries = queries();
        let documents = rankings(vectors.clone(), &[0, 0, 1, 2], &queries, 2).unwrap();
        // Documents 0 and 2 are equally near to the second.
        assert_eq!(documents, [[1, 0], [0, 2]]);
        let chunks = rankings(vectors, &[0, 1, 2, 3], &queries, 9).unwrap();
        assert_eq!(chunks, [[2, 0, 1, 3], [1, 3, 0, 2]]);
    }

    #[test]
    fn one_reading_serves_all_that_agree_on_units() {
        let options = ChunkOptions::default();
        let splitters = [
            spec(&ChunkOptions { method: Some(Method::Sentence), ..options }),
            (String::new(), Splitter::Whole),
            spec(&ChunkOptions { max_tokens: Some(200), ..options }),
            spec(&ChunkOptions { max_tokens: Some(400), size_weight: Some(2.0), ..options }),
            spec(&ChunkOptions { max_tokens: Some(64), ..options }),
            spec(&ChunkOptions { encoding: Some(Encoding::Isolated), ..options }),
            spec(&ChunkOptions { method: Some(Method::Recursive), ..options }),
        ];
        let readings = readings(&splitters, 2);
        let members: Vec<Vec<usize>> = readings
            .iter()
            .map(|reading| reading.members.iter().map(|(index, _)| *index).collect())
            .collect();
        assert_eq!(members, [vec![0, 2, 3], vec![4], vec![5], vec![6]]);
        assert_eq!(readings[0].spec.max_tokens, 200);
        assert!(readings[0].spec.method.is_semantic());
    }
}
