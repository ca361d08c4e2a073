//! Chunks partition their text, keep the token limit and carry the mean of their tokens' states.

use std::collections::HashSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chunkflow::chunking::{
    Chunk, ChunkOptions, ChunkSpec, Encoding, Method, Score, Segments, Smoothing, Threshold, Unit,
    UnitKind,
};
use chunkflow::compute::Span;
use chunkflow::embeddings::{Backend, EmbedOptions, Engine, Job, LoadedModel, Output};
use chunkflow::pipeline::{self, Document};
use rayon::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::documents::{chunk, keep, long_text, random_text, sized, small, small_folder, spec};
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, bits, max_difference};

/// Whatever must hold of the chunks of any text.
fn check_chunks(model: &LoadedModel, text: &str, spec: &ChunkSpec, chunks: &[Chunk]) {
    let mut last = 0..0;
    let mut end_char = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        let Range { start, end } = chunk.bytes;
        if spec.overlap_tokens == 0 {
            assert_eq!((start, chunk.chars.start), (last.end, end_char), "a gap or overlap");
        }
        assert!(start <= last.end, "a gap");
        assert!(index == 0 || start > last.start, "the one before is repeated whole");
        // Slicing fails between the bytes of a character.
        assert!(!text[last.end..end].is_empty(), "a chunk with nothing of its own");
        let own = &text[chunk.bytes.clone()];
        end_char += text[last.end..end].chars().count();
        assert_eq!(chunk.chars, end_char - own.chars().count()..end_char);
        last = start..end;

        let tokens = model.model().tokenizer().count(own).unwrap();
        assert_eq!(chunk.tokens, tokens, "{own:?}");
        let single = own.graphemes(true).count() == 1;
        assert!(tokens <= spec.max_tokens || single, "{tokens} tokens: {own:?}");

        let measured = spec.encoding == Encoding::Late || spec.method.is_semantic();
        assert_eq!(chunk.strength.is_some(), measured && index > 0);
        let strength = chunk.strength.unwrap_or(0.0);
        assert!((0.0..=2.0).contains(&strength), "{index} {strength}");
        assert_eq!(chunk.vector.len(), model.model().dimensions());
        let norm = support::widen(&chunk.vector).iter().map(|x| x * x).sum::<f64>().sqrt();
        // A NaN is not below the limit either.
        assert!((norm - 1.0).abs() < 1e-5, "length {norm} of {own:?}");
    }
    assert_eq!((last.end, end_char), (text.len(), text.chars().count()), "the end is missing");
}

/// No chunk repeats more than it may, nor less than whole units.
fn check_overlap(document: &Document<'_>, spec: &ChunkSpec, chunks: &[Chunk]) {
    for pair in chunks.windows(2) {
        let repeated = pair[1].bytes.start..pair[0].bytes.end;
        let inside = |unit: &&Unit| repeated.contains(&unit.bytes.start);
        let units: Vec<&Unit> = document.units().iter().filter(inside).collect();
        let tokens: usize = units.iter().map(|unit| unit.tokens.len()).sum();
        assert!(tokens <= spec.overlap_tokens, "{tokens} tokens are repeated");
        let bytes: usize = units.iter().map(|unit| unit.bytes.len()).sum();
        assert_eq!(bytes, repeated.len(), "a part of a unit is repeated");
    }
}

/// Between two characters that belong together is no place to cut.
fn check_graphemes(text: &str, chunks: &[Chunk]) {
    for chunk in chunks {
        let mut cursor = GraphemeCursor::new(chunk.bytes.end, text.len(), true);
        let near = &text[chunk.bytes.clone()];
        assert!(cursor.is_boundary(text, 0).unwrap(), "a grapheme is cut after {near:?}");
    }
}

/// Where a sentence ends within a grapheme, by the rules of Unicode, there is no cut.
#[test]
fn a_grapheme_across_the_end_of_a_sentence_stays_whole() {
    let half = "one two three four five six seven eight nine ten";
    for joint in ["!\u{1f3fd}", "\u{203c}\u{200d}\u{1f525}", "\u{2049}\u{fe0f}\u{200d}\u{1f469}"] {
        let text = format!("{half}{joint} {half}.");
        let chunks = chunk(small(), &text, &spec(16, 16));
        assert!(chunks.len() > 1);
        check_graphemes(&text, &chunks);
    }
}

const METHODS: [Method; 7] = [
    Method::Kcpd,
    Method::Cvs,
    Method::Cluster,
    Method::Window,
    Method::Fixed,
    Method::Recursive,
    Method::Sentence,
];
const ENCODINGS: [Encoding; 2] = [Encoding::Late, Encoding::Isolated];
const UNITS: [UnitKind; 2] = [UnitKind::Sentence, UnitKind::Recursive];

/// Every rule that goes with a method.
fn segments(method: Method, random: &mut SplitMix64) -> Option<Segments> {
    let count = Segments::Count(1 + random.below(12));
    let rules = [Segments::Calibrated, Segments::Elbow, Segments::Penalty, Segments::Penalty];
    match method {
        Method::Fixed | Method::Recursive | Method::Sentence => None,
        Method::Window => Some(random.choose(&[count, Segments::Target, Segments::Threshold])),
        _ => Some(random.choose(&[&[count, Segments::Target], &rules[..]].concat())),
    }
}

/// A text, and one of all combinations of method, encoding, overlap and units with choices that
/// are random.
fn random_case(seed: u64) -> (String, ChunkSpec) {
    let mut random = SplitMix64::new(seed);
    let text = random_text(&mut random);
    let mut place = seed as usize;
    let mut next = |count: usize| {
        let index = place % count;
        place /= count;
        index
    };
    let (method, encoding) = (METHODS[next(7)], ENCODINGS[next(2)]);
    let (overlaps, units) = (next(2) == 1, UNITS[next(2)]);
    let max_tokens = 16 + random.below(random.clone().choose(&[1, 10, 100]));
    let overlap = if overlaps { 1 + random.below(max_tokens / 2) } else { 0 };
    let thresholds = [(Threshold::Deviation, 0.5), (Threshold::Percentile, 60.0)];
    let (threshold, value) = random.choose(&thresholds);
    let options = ChunkOptions {
        method: Some(method),
        encoding: Some(encoding),
        overlap_tokens: Some(overlap),
        units: Some(units),
        min_tokens: Some(random.choose(&[0, 0, 8]).min(max_tokens / 2)),
        size_weight: Some(random.choose(&[0.0, 0.1, 1.0, 10.0])),
        break_bonus: Some(random.choose(&[0.0, 0.3])),
        segments: segments(method, &mut random),
        piece_tokens: random.choose(&[None, None, Some(5)]),
        max_units: Some(random.choose(&[64, 64, 3])),
        shuffles: Some(6),
        window: Some(1 + random.below(4)),
        score: Some(random.choose(&[Score::Depth, Score::Distance])),
        threshold: Some(threshold),
        threshold_value: Some(value),
        smoothing: Some(random.choose(&[Smoothing::None, Smoothing::SavitzkyGolay])),
        peak_distance: Some(1 + random.below(3)),
        ..sized(max_tokens, overlap + 1 + random.below(max_tokens - overlap))
    };
    (text, options.resolve().unwrap())
}

#[test]
fn chunks_of_ten_thousand_random_texts_keep_every_promise() {
    // Loaded here: a thread of the pool that waited for another's loading could hold up both.
    let model = small();
    let counts: Vec<(usize, bool)> = (0..10_000_u64)
        .into_par_iter()
        .map(|seed| {
            let (text, spec) = random_case(seed);
            let checked = catch_unwind(AssertUnwindSafe(|| {
                let chunked =
                    pipeline::chunk(model, &text, &spec, &EmbedOptions::default()).unwrap();
                let chunks = chunked.chunks;
                check_chunks(model, &text, &spec, &chunks);
                check_overlap(&chunked.document, &spec, &chunks);
                check_graphemes(&text, &chunks);
                let overlaps = |pair: &[Chunk]| pair[1].bytes.start < pair[0].bytes.end;
                (chunks.len(), chunks.windows(2).any(overlaps))
            }));
            let Ok(counted) = checked else { panic!("seed {seed}: {text:?} {spec:?}") };
            counted
        })
        .collect();
    // The generator has to reach what it is for: no text, one chunk, many, and overlap.
    let different: HashSet<usize> = counts.iter().map(|&(count, _)| count.min(30)).collect();
    assert_eq!(different.len(), 31);
    assert!(counts.iter().filter(|&&(_, overlaps)| overlaps).count() > 2_000);
}

/// The content tokens of `text`, which is one window long: each one's first byte and hidden state.
fn token_states(model: &LoadedModel, text: &str) -> Vec<(usize, Vec<f32>)> {
    let (job, plan) = model.plan(&[text], &EmbedOptions::default()).unwrap();
    assert_eq!(plan.truncated, [None]);
    let content = 1..plan.tokens[0] as u32 - 1;
    let spans = content.map(|start| Span { seq: 0, start, end: start + 1 }).collect();
    let states = model.encode(Job { spans, output: Output::MeanStates, ..job }).unwrap();
    let starts = model.model().tokenizer().encode(text).unwrap().offsets;
    assert_eq!(states.len(), starts.len() * model.model().spec().hidden);
    let rows = states.chunks_exact(model.model().spec().hidden).map(<[f32]>::to_vec);
    starts.iter().map(|offset| offset.start).zip(rows).collect()
}

/// The mean of some states, at length 1.
fn unit_mean<'a>(states: impl Iterator<Item = &'a Vec<f32>>) -> Vec<f64> {
    let rows: Vec<&Vec<f32>> = states.collect();
    let columns = 0..rows[0].len();
    let mean = |column: usize| rows.iter().map(|row| f64::from(row[column])).sum::<f64>();
    let sums: Vec<f64> = columns.map(mean).collect();
    support::naive::normalize(&sums)
}

fn check_means(model: &LoadedModel, text: &str, spec: &ChunkSpec, expected_chunks: usize) {
    let chunks = chunk(model, text, spec);
    assert_eq!(chunks.len(), expected_chunks, "{text:?}");
    let states = token_states(model, text);
    for chunk in chunks {
        let own = states.iter().filter(|(start, _)| chunk.bytes.contains(start));
        let expected = unit_mean(own.map(|(_, state)| state));
        let difference = max_difference(&chunk.vector, &expected);
        assert!(difference < 1e-5, "{:?}: {difference:e}", &text[chunk.bytes]);
    }
}

#[test]
fn a_chunk_is_the_mean_of_its_tokens_in_the_whole_texts_context() {
    // Sentences of 10, 5, 10 and 5 tokens: with two special tokens none has room for its
    // neighbour in 16, and any two neighbours have in 20.
    let text = "The river rose to the road in the night. The bridge was gone! \
        Nobody in the village by the bridge had slept. Who would tell us?";
    for model in [small(), support::real(Backend::Native), support::real(Backend::Candle)] {
        check_means(model, text, &spec(16, 16), 4);
        check_means(model, text, &spec(20, 20), 2);
    }
}

#[test]
fn strength_is_how_far_three_sentences_turn_from_the_three_before() {
    let sentences =
        ["The river rose to the road in the night. ", "Nobody in the old village had slept. "];
    let text = sentences.concat().repeat(4) + "In the end the mayor came by boat.";
    for model in [small(), support::real(Backend::Native)] {
        // One sentence a chunk, so that chunks' vectors are those of the sentences.
        let chunks = chunk(model, &text, &spec(16, 16));
        assert_eq!(chunks.len(), 9);
        let sum = |range: Range<usize>| -> Vec<f64> {
            let column = |c: usize| chunks[range.clone()].iter().map(move |chunk| chunk.vector[c]);
            (0..model.model().dimensions()).map(|c| column(c).map(f64::from).sum()).collect()
        };
        for (gap, first) in chunks.iter().enumerate().skip(1) {
            let before = support::naive::normalize(&sum(gap.saturating_sub(3)..gap));
            let after = support::naive::normalize(&sum(gap..9.min(gap + 3)));
            let cosine: f64 = before.iter().zip(after).map(|(x, y)| x * y).sum();
            let strength = f64::from(first.strength.unwrap());
            assert!((strength - (1.0 - cosine)).abs() < 1e-5, "gap {gap}: {strength} {cosine}");
        }
    }
}

#[test]
fn dimensions_cut_the_vector_before_it_is_normalised() {
    let text = "One. Two. Three.";
    let whole = chunk(small(), text, &spec(32, 16));
    let cut = pipeline::chunk(small(), text, &spec(32, 16), &keep(5)).unwrap().chunks;
    for (whole, cut) in whole.iter().zip(&cut) {
        let expected = support::naive::normalize(&support::widen(&whole.vector[..5]));
        assert!(max_difference(&cut.vector, &expected) < 1e-6);
    }
    assert_eq!(whole.len(), cut.len());
}

/// A copy of the tiny model, whose files may be changed.
fn tiny() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("tiny"), folder.path());
    folder
}

#[test]
fn a_chunk_of_a_whole_text_is_the_texts_vector_where_the_model_cuts_vectors() {
    let folder = tiny();
    let path = |file: &str| folder.path().join(file);
    support::edit_json(&path("config_sentence_transformers.json"), |settings| {
        settings["truncate_dim"] = json!(10);
    });
    let text = "The cat sat on the mat.";
    for normalized in [true, false] {
        if !normalized {
            support::edit_json(&path("modules.json"), |modules| {
                modules.as_array_mut().unwrap().retain(|module| module["path"] != "3_Normalize");
            });
        }
        for engine in ENGINES {
            let model = support::load(folder.path(), engine, support::ONE_BATCH);
            assert_eq!(model.model().dimensions(), 10);
            for dimensions in [10, 9, 4, 1] {
                let options = keep(dimensions);
                let expected = support::widen(&model.embed(&[text], &options).unwrap().data);
                let chunks = pipeline::chunk(&model, text, &spec(40, 30), &options).unwrap().chunks;
                assert_eq!(chunks.len(), 1);
                let difference = max_difference(&chunks[0].vector, &expected);
                assert!(difference < 1e-6, "{engine:?} {normalized} {dimensions}: {difference}");
                let length = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
                // The settings cut what has its length, a caller before it gets it.
                let is_one = (length - 1.0).abs() < 1e-6;
                assert_eq!(is_one, normalized && dimensions < 10, "{dimensions}: {length}");
            }
        }
    }
}

#[test]
fn a_blank_text_behind_a_prompt_that_is_not_pooled_has_the_vector_of_embed() {
    let folder = tiny();
    let path = |file: &str| folder.path().join(file);
    support::edit_json(&path("1_Pooling/config.json"), |pooling| {
        pooling["include_prompt"] = json!(false);
    });
    for has_special in [true, false] {
        if !has_special {
            // No token stands behind the prompt then.
            support::edit_json(&path("tokenizer.json"), |file| {
                file["post_processor"] = json!(null);
            });
            support::edit_json(&path("tokenizer_config.json"), |config| {
                config["tokenizer_class"] = json!("PreTrainedTokenizerFast");
            });
        }
        let model = support::load(folder.path(), Backend::Native, support::ONE_BATCH);
        assert_eq!(model.model().tokenizer().special_tokens() > 0, has_special);
        let prompt = model.model().prompt(Some("query")).unwrap();
        let options = EmbedOptions { prompt, ..EmbedOptions::default() };
        for text in [" ", "\n\n\t  \u{3000}", "\r\n"] {
            let expected = model.embed(&[text], &options).unwrap().data;
            let chunks = pipeline::chunk(&model, text, &spec(40, 30), &options).unwrap().chunks;
            assert_eq!((chunks.len(), chunks[0].bytes.clone()), (1, 0..text.len()));
            let difference = max_difference(&chunks[0].vector, &support::widen(&expected));
            assert!(difference < 1e-6, "{has_special} {text:?}: {difference}");
        }
    }
}

#[test]
fn a_long_text_has_the_same_chunks_whatever_the_batches_and_threads() {
    let text = long_text();
    let spec = spec(48, 40);
    let expected = chunk(small(), &text, &spec);
    assert!(small().model().tokenizer().count(&text).unwrap() > 17_000 && expected.len() > 300);
    check_chunks(small(), &text, &spec, &expected);
    for (budget, threads) in [(1, 2), (100, 1), (1_000, 3)] {
        let model = support::load(small_folder(), Backend::Native, budget);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let chunks = pool.install(|| chunk(&model, &text, &spec));
        check_same(&chunks, &expected, &format!("{budget} tokens a batch, {threads} threads"));
    }
}

/// Equal to the last bit.
#[track_caller]
fn check_same(chunks: &[Chunk], expected: &[Chunk], what: &str) {
    assert!(chunks == expected, "{what}");
    let same = |(a, b): (&Chunk, &Chunk)| bits(&a.vector) == bits(&b.vector);
    assert!(chunks.iter().zip(expected).all(same), "{what}");
}

#[test]
fn documents_have_the_same_chunks_in_any_order_batches_and_threads() {
    let mut random = SplitMix64::new(12);
    let mut texts: Vec<String> = (0..5).map(|_| random_text(&mut random)).collect();
    texts.push(long_text()[..6_000].to_owned());
    let others = [(1, 2), (100, 1), (3_000, 3)].map(|(budget, threads)| {
        let model = support::load(small_folder(), Backend::Native, budget);
        (model, rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
    });
    for method in METHODS {
        for encoding in ENCODINGS {
            let segments = match method {
                Method::Fixed | Method::Recursive | Method::Sentence => None,
                Method::Window => Some(Segments::Target),
                _ => Some(Segments::Calibrated),
            };
            let choices = ChunkOptions {
                method: Some(method),
                encoding: Some(encoding),
                segments,
                overlap_tokens: Some(10),
                ..sized(48, 40)
            };
            let spec = choices.resolve().unwrap();
            let chunks = |model| texts.iter().map(move |text| chunk(model, text, &spec));
            let expected: Vec<Vec<Chunk>> = chunks(small()).collect();
            for (model, pool) in &others {
                let found: Vec<Vec<Chunk>> = pool.install(|| chunks(model).rev().collect());
                for (found, expected) in found.iter().rev().zip(&expected) {
                    check_same(found, expected, &format!("{method:?} {encoding:?}"));
                }
            }
        }
    }
}

/// The real model's tokens have no case, so that nothing but the sentences could differ.
#[test]
fn a_text_that_lost_its_capitals_has_the_same_chunks() {
    let text = include_str!("../../src/cli/sample.txt");
    let lower = text.to_lowercase();
    assert!(text.len() == lower.len() && text != lower);
    let model = support::real(Backend::Native);
    for options in [
        ChunkOptions::default(),
        sized(64, 40),
        sized(16, 16),
        ChunkOptions { method: Some(Method::Sentence), ..sized(64, 40) },
        ChunkOptions { method: Some(Method::Recursive), ..sized(64, 40) },
    ] {
        let spec = options.resolve().unwrap();
        let expected = chunk(model, text, &spec);
        assert!(expected.len() > 3);
        check_same(&chunk(model, &lower, &spec), &expected, &format!("{options:?}"));
    }
}

#[test]
fn an_empty_text_has_no_chunks() {
    for engine in ENGINES {
        assert_eq!(chunk(support::real(engine), "", &spec(16, 16)), []);
    }
}

#[test]
fn a_text_without_tokens_is_one_chunk() {
    for text in [" ", "\n\n\t  \u{3000}", "\0\u{1}\u{2}", "\u{200b}", "\r\n\r\n \u{85}\u{2028} "] {
        let chunks = chunk(small(), text, &spec(16, 16));
        assert_eq!(chunks.len(), 1, "{text:?}");
        check_chunks(small(), text, &spec(16, 16), &chunks);
        assert_eq!(chunks[0].tokens, 2);
    }
}

#[test]
fn a_specification_out_of_range_is_named() {
    let weight = |size_weight| ChunkOptions { size_weight: Some(size_weight), ..sized(32, 16) };
    for (options, expected) in [
        (sized(15, 15), "max_tokens is 15, allowed are 16 and more"),
        (sized(0, 0), "max_tokens is 0, allowed are 16 and more"),
        (sized(32, 0), "target_tokens is 0, allowed are 1 to 32 with max_tokens 32"),
        (sized(32, 33), "target_tokens is 33, allowed are 1 to 32 with max_tokens 32"),
        (weight(-0.5), "size_weight is -0.5, allowed are 0 to 1000000"),
        (weight(f64::NAN), "size_weight is NaN, allowed are 0 to 1000000"),
        (weight(f64::INFINITY), "size_weight is inf, allowed are 0 to 1000000"),
    ] {
        let error = chunkflow::Error::from(options.resolve().unwrap_err());
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), chunkflow::ErrorKind::Input);
    }
    // An empty text is no way around the check.
    for (dimensions, text) in [(0, "One. Two."), (33, "One. Two."), (0, ""), (33, "")] {
        let refused = pipeline::chunk(small(), text, &spec(32, 16), &keep(dimensions));
        let Err(error) = refused else { panic!("{dimensions} dimensions of {text:?}") };
        assert_eq!(
            error.to_string(),
            format!("dimensions is {dimensions}, this model allows 1 to 32")
        );
        assert_eq!(chunkflow::Error::from(error).kind(), chunkflow::ErrorKind::Input);
    }
}

const COOKING: &str = "Chop the onions and fry them gently in butter. Add the garlic and stir \
    until it smells sweet. Pour in the stock and let the soup simmer for an hour. Season it with \
    salt, pepper and fresh thyme. Roast the carrots in the oven until they are brown. Serve the \
    soup hot with crusty bread. ";
const ASTRONOMY: &str = "A telescope gathers the faint light of distant galaxies. Stars form where \
    clouds of gas collapse under gravity. Jupiter is the largest planet of the solar system. \
    Astronomers measure the redshift of a quasar's spectrum. A neutron star remains after a \
    supernova. The orbit of a comet carries it far beyond Neptune. ";

/// Byte and strength of every cut.
fn cuts(chunks: &[Chunk]) -> Vec<(usize, f32)> {
    chunks[1..].iter().map(|chunk| (chunk.bytes.start, chunk.strength.unwrap())).collect()
}

fn check_topics(engine: Backend, first: &str, second: &str) {
    let model = support::real(engine);
    let text = format!("{first}{second}");
    let all = model.model().tokenizer().count(&text).unwrap();
    // All but one token fit, so that one cut is forced and its place is free.
    let one = cuts(&chunk(model, &text, &spec(all - 1, all - 1)));
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(one[0].0, first.len(), "{engine:?}");
    // Many cuts: the topics' change is one of them, and the strongest.
    let many = cuts(&chunk(model, &text, &spec(40, 30)));
    assert!(many.len() >= 3, "{many:?}");
    let strongest = many.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(strongest.0, first.len(), "{engine:?} {many:?}");
}

#[test]
fn two_topics_are_cut_where_they_meet() {
    for engine in ENGINES {
        check_topics(engine, COOKING, ASTRONOMY);
        check_topics(engine, ASTRONOMY, COOKING);
    }
}
