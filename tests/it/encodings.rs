//! Where vectors come from: the token states of the document, window by window, or each unit and
//! chunk by itself.

use std::ops::Range;

use chunkflow::chunking::{ChunkOptions, ChunkSpec, Encoding, Method};
use chunkflow::compute::Span;
use chunkflow::embeddings::{
    Backend, EmbedOptions, Engine, Error, Job, LoadedModel, Model, Output, Packed, RowSink, Work,
};
use chunkflow::pipeline::{self, Chunked, Document};

use crate::documents::{WORDS, sized, small};
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, bits, golden, max_difference, naive};

const FAMILIES: [&str; 13] = [
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "distilbert",
    "mpnet",
    "nomic-bert",
    "jina-bert",
    "gte",
    "modernbert",
    "qwen3",
    "embeddinggemma",
    "../tiny",
];

fn family(name: &str) -> LoadedModel {
    support::load(&golden("families").join(name), Backend::Native, ONE_BATCH)
}

#[expect(clippy::large_types_passed_by_value, reason = "each caller makes its own")]
fn resolve(encoding: Encoding, choices: ChunkOptions) -> ChunkSpec {
    ChunkOptions { encoding: Some(encoding), ..choices }.resolve().unwrap()
}

fn chunked<'a>(
    model: &LoadedModel,
    text: &'a str,
    spec: &ChunkSpec,
    options: &EmbedOptions,
) -> Chunked<'a> {
    pipeline::chunk(model, text, spec, options).unwrap()
}

fn prompted(model: &LoadedModel, prompt: &str) -> EmbedOptions {
    EmbedOptions { prompt: model.model().prompt_text(prompt).unwrap(), ..EmbedOptions::default() }
}

/// `count` sentences of three to thirty words.
fn sentences(seed: u64, count: usize) -> String {
    let mut random = SplitMix64::new(seed);
    let mut text = String::new();
    for _ in 0..count {
        for _ in 0..3 + random.below(28) {
            text.extend([random.choose(&WORDS[..11]), " "]);
        }
        text.push_str(random.choose(&["ends. ", "ends! ", "ends?\n", "ends.\n\n"]));
    }
    text
}

// Each by itself.

#[test]
fn isolated_vectors_are_those_of_the_texts_alone() {
    let text = sentences(1, 30);
    let tiny = family("../tiny");
    for model in [small(), &tiny] {
        for (prompt, dimensions) in [("", None), ("a query: ", None), ("", Some(7))] {
            let options = EmbedOptions { dimensions, ..prompted(model, prompt) };
            // Without a prompt in the way, each chunk is within the model's length.
            let spec = resolve(Encoding::Isolated, sized(40, 30));
            let Chunked { chunks, document, .. } = chunked(model, &text, &spec, &options);
            let texts: Vec<&str> = chunks.iter().map(|chunk| &text[chunk.bytes.clone()]).collect();
            let expected = model.embed(&texts, &options).unwrap();
            assert!(chunks.len() > 10 && expected.truncated.iter().all(Option::is_none));
            for (chunk, expected) in chunks.iter().zip(expected.rows()) {
                assert_eq!(bits(&chunk.vector), bits(expected), "{prompt:?} {dimensions:?}");
            }
            let units = document.units().iter().map(|unit| &text[unit.bytes.clone()]);
            let whole = EmbedOptions { dimensions: None, ..options };
            let expected = model.embed(&units.collect::<Vec<&str>>(), &whole).unwrap();
            let rows = document.vectors().chunks_exact(model.model().dimensions());
            assert_eq!(rows.len(), expected.rows().len());
            for (row, expected) in rows.zip(expected.rows()) {
                // Of length one even where the model's are not.
                let expected = naive::normalize(&support::widen(expected));
                assert!(max_difference(row, &expected) < 1e-6);
            }
            assert_eq!(document.encoder_tokens(), expected.tokens.iter().sum::<usize>());
        }
    }
}

#[test]
fn without_a_method_that_asks_no_unit_is_encoded_alone() {
    let text = sentences(2, 20);
    for method in [Method::Fixed, Method::Recursive, Method::Sentence] {
        let choices = ChunkOptions { method: Some(method), ..sized(40, 30) };
        let spec = resolve(Encoding::Isolated, choices);
        let Chunked { chunks, cuts, document } =
            chunked(small(), &text, &spec, &EmbedOptions::default());
        assert_eq!((document.vectors().len(), document.encoder_tokens()), (0, 0));
        assert!(cuts.curve.is_empty() && cuts.band.is_empty());
        assert!(chunks.len() > 5 && chunks.iter().all(|chunk| chunk.strength.is_none()));
    }
}

// Windows of the document.

/// The token states of a document, each from the window where it is farthest from an edge.
struct States {
    /// The byte at which each token starts, and its state.
    tokens: Vec<(usize, Vec<f64>)>,
    windows: usize,
    /// Through the encoder.
    encoded: usize,
}

impl States {
    /// Equally long windows behind `prompt`, as few and as short as can cover the text where
    /// neighbours share a twelfth of the model's length.
    fn new(model: &LoadedModel, text: &str, prompt: &str) -> Self {
        let tokenizer = model.model().tokenizer();
        let encoded = tokenizer.encode(text).unwrap();
        let prompt = tokenizer.encode(prompt).unwrap().ids;
        let count = encoded.ids.len();
        let room = tokenizer.max_tokens() - tokenizer.special_tokens() - prompt.len();
        let covers = |seams: usize, length: usize| {
            length + seams * length.saturating_sub(room / 12) >= count
        };
        let seams = (0..=count).find(|&seams| covers(seams, room)).unwrap();
        let length = (0..=room).find(|&length| covers(seams, length)).unwrap();
        let windows: Vec<Range<usize>> = (0..=seams)
            .map(|index| (index * (count - length)).checked_div(seams).unwrap_or(0))
            .map(|start| start..start + length)
            .collect();
        let states: Vec<Vec<Vec<f64>>> = windows
            .iter()
            .map(|window| window_states(model, &prompt, &encoded.ids[window.clone()]))
            .collect();
        let state = |token: usize| {
            let margin = |window: &Range<usize>| {
                let inside = window.contains(&token);
                inside.then(|| (token - window.start).min(window.end - 1 - token))
            };
            // Of equally near ones the later.
            let best = (0..windows.len()).max_by_key(|&window| margin(&windows[window])).unwrap();
            states[best][token - windows[best].start].clone()
        };
        let tokens = encoded.offsets.iter().map(|offset| offset.start).zip((0..count).map(state));
        let around = tokenizer.special_tokens() + prompt.len();
        let encoded = windows.iter().map(|window| window.len() + around).sum();
        Self { tokens: tokens.collect(), windows: windows.len(), encoded }
    }

    /// The mean over the tokens that start in `bytes`, at length one.
    fn mean(&self, bytes: &Range<usize>) -> Vec<f64> {
        let own = self.tokens.iter().filter(|(start, _)| bytes.contains(start));
        let mut sum = vec![0.0; self.tokens[0].1.len()];
        for (_, state) in own {
            sum.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
        }
        naive::normalize(&sum)
    }
}

/// The states of `ids` behind `prompt`, as one sequence.
fn window_states(model: &LoadedModel, prompt: &[u32], ids: &[u32]) -> Vec<Vec<f64>> {
    let around = model.plan(&["a"], &EmbedOptions::default()).unwrap().0.packed.ids;
    let (first, last) = (around[0], *around.last().unwrap());
    let mut packed = Packed::default();
    packed.push([&[first], prompt, ids, &[last]].concat());
    let start = 1 + prompt.len() as u32;
    let spans =
        (start..start + ids.len() as u32).map(|start| Span { seq: 0, start, end: start + 1 });
    let job = Job { packed, spans: spans.collect(), output: Output::MeanStates };
    let states = model.encode(job).unwrap();
    states.chunks_exact(model.model().spec().hidden).map(support::widen).collect()
}

#[expect(clippy::large_types_passed_by_value, reason = "each caller makes its own")]
fn check_late(model: &LoadedModel, text: &str, prompt: &str, choices: ChunkOptions) {
    let spec = resolve(Encoding::Late, choices);
    let Chunked { chunks, document, .. } = chunked(model, text, &spec, &prompted(model, prompt));
    let states = States::new(model, text, prompt);
    assert!(states.windows > 5 && chunks.len() > 3);
    assert_eq!(document.encoder_tokens(), states.encoded);
    assert_eq!(document.tokens(), states.tokens.len() + 2);
    let check = |row: &[f32], bytes: &Range<usize>| {
        let difference = max_difference(row, &states.mean(bytes));
        assert!(difference < 1e-5, "{difference:e} of {:?}", &text[bytes.clone()]);
    };
    for chunk in &chunks {
        check(&chunk.vector, &chunk.bytes);
    }
    let rows = document.vectors().chunks_exact(model.model().dimensions());
    for (unit, row) in document.units().iter().zip(rows) {
        check(row, &unit.bytes);
    }
}

#[test]
fn late_vectors_are_means_over_states_far_from_the_edges_of_windows() {
    // Each chunk is several windows long, or a window several chunks.
    for (seed, max_tokens) in [(3, 200), (4, 40), (5, 64)] {
        let choices = sized(max_tokens, max_tokens);
        check_late(small(), &sentences(seed, 60), "", choices);
        let overlapping = ChunkOptions { overlap_tokens: Some(max_tokens / 3), ..choices };
        check_late(small(), &sentences(seed, 60), "", overlapping);
    }
    check_late(support::real(Backend::Native), &sentences(6, 130), "", sized(128, 100));
}

#[test]
fn every_window_begins_with_the_prompt_which_no_vector_holds() {
    let text = sentences(7, 50);
    let prompt = "the story of a dog: ";
    check_late(small(), &text, prompt, sized(64, 50));
    let spec = resolve(Encoding::Late, sized(64, 50));
    let [with, without] = [prompt, ""]
        .map(|prompt| chunked(small(), &text, &spec, &prompted(small(), prompt)).document);
    // It is seen, if not pooled.
    let difference = max_difference(with.vectors(), &support::widen(without.vectors()));
    assert!(difference > 1e-3, "{difference:e}");
}

#[test]
fn a_chunk_beyond_the_models_length_is_the_mean_over_its_windows() {
    // One sentence, and so one unit and one chunk.
    let text = "word ".repeat(250).trim_end().to_owned();
    let choices = ChunkOptions { piece_tokens: Some(300), ..sized(300, 300) };
    let spec = resolve(Encoding::Isolated, choices);
    for prompt in ["", "the cat: "] {
        let options = prompted(small(), prompt);
        let Chunked { chunks, document, .. } = chunked(small(), &text, &spec, &options);
        assert_eq!((chunks.len(), document.units().len()), (1, 1));
        let states = States::new(small(), &text, prompt);
        assert!(states.windows > 4);
        let expected = states.mean(&(0..text.len()));
        assert!(max_difference(&chunks[0].vector, &expected) < 1e-5);
        assert!(max_difference(document.vectors(), &expected) < 1e-5);
        assert_eq!(document.encoder_tokens(), states.encoded);
        let cut = small().embed(&[&text], &options).unwrap();
        assert!(cut.truncated[0].is_some() && max_difference(&cut.data, &expected) > 1e-4);
    }
}

#[test]
fn a_document_in_one_chunk_has_the_vector_that_embed_gives() {
    let tiny = family("../tiny");
    for model in [small(), &tiny, support::real(Backend::Native), support::real(Backend::Candle)] {
        for prompt in ["", "a query: "] {
            for text in ["star", "The cat sat. A dog ran.", " \n", "…"] {
                let options = prompted(model, prompt);
                let spec = resolve(Encoding::Late, sized(64, 64));
                let Chunked { chunks, .. } = chunked(model, text, &spec, &options);
                let expected = model.embed(&[text], &options).unwrap();
                assert_eq!(chunks.len(), 1);
                let difference = max_difference(&chunks[0].vector, &support::widen(&expected.data));
                assert!(difference < 1e-6, "{difference:e} of {text:?} after {prompt:?}");
            }
        }
    }
}

#[test]
fn a_long_document_passes_through_the_encoder_once() {
    let text = sentences(8, 400);
    let model = support::real(Backend::Native);
    let spec = ChunkOptions::default().resolve().unwrap();
    let document = Document::read(&**model, &text, &spec, &EmbedOptions::default()).unwrap();
    let tokens = model.model().tokenizer().count(&text).unwrap();
    assert_eq!(document.tokens(), tokens);
    let ratio = document.encoder_tokens() as f64 / tokens as f64;
    assert!(tokens > 5_000 && (1.0..1.12).contains(&ratio), "{ratio}");
}

// Units that are given.

fn with_units<'a>(
    model: &LoadedModel,
    text: &'a str,
    units: &[Range<usize>],
    encoding: Encoding,
) -> Document<'a> {
    Document::with_units(model, text, units, encoding, &EmbedOptions::default()).unwrap()
}

#[test]
fn given_units_have_the_vectors_of_the_same_units_that_are_found() {
    // Some tokenizers count the space before a word into its token, and so into the unit before.
    let text = "The cat sat on the mat. One dog would not sleep! Who could see the star?\n\n  \
        A new day began, naïve 😀 as ever.   The end of the story is here. ";
    for name in FAMILIES {
        let model = family(name);
        for encoding in [Encoding::Late, Encoding::Isolated] {
            let spec = resolve(encoding, ChunkOptions::default());
            let read = Document::read(&model, text, &spec, &EmbedOptions::default()).unwrap();
            let ranges: Vec<Range<usize>> =
                read.units().iter().map(|unit| unit.bytes.clone()).collect();
            assert!(ranges.len() > 3, "{name}");
            let given = with_units(&model, text, &ranges, encoding);
            for (given, read) in given.units().iter().zip(read.units()) {
                assert_eq!((&given.bytes, &given.tokens), (&read.bytes, &read.tokens), "{name}");
            }
            assert_eq!(bits(given.vectors()), bits(read.vectors()), "{name}");
            assert_eq!(given.encoder_tokens(), read.encoder_tokens());
        }
    }
}

#[test]
fn given_units_may_be_without_tokens() {
    for text in ["  \n\n \u{3000} ", "word", "   word", "word   "] {
        let ranges: Vec<Range<usize>> =
            text.char_indices().map(|(at, c)| at..at + c.len_utf8()).collect();
        for encoding in [Encoding::Late, Encoding::Isolated] {
            let document = with_units(small(), text, &ranges, encoding);
            let rows = document.vectors().chunks_exact(small().model().dimensions());
            assert_eq!(rows.len(), ranges.len());
            for row in rows {
                let norm = support::widen(row).iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!((norm - 1.0).abs() < 1e-5, "{text:?} {encoding:?}: {norm}");
            }
        }
    }
}

#[test]
fn no_text_has_no_units() {
    for encoding in [Encoding::Late, Encoding::Isolated] {
        let document = with_units(small(), "", &[], encoding);
        assert!(document.units().is_empty() && document.vectors().is_empty());
        assert_eq!((document.tokens(), document.encoder_tokens()), (2, 0));
        let spec = resolve(encoding, ChunkOptions::default());
        let cuts = document.cut(small(), &spec).unwrap();
        assert!(cuts.ends.is_empty() && cuts.curve.is_empty());
    }
}

// What chunks repeat.

#[test]
fn chunks_repeat_as_many_whole_units_as_the_overlap_has_room_for() {
    // Ten tokens each.
    let text = "The river rose to the road in the night. ".repeat(12);
    let choices =
        ChunkOptions { overlap_tokens: Some(25), method: Some(Method::Sentence), ..sized(52, 52) };
    let sentence = text.len() / 12;
    for encoding in [Encoding::Late, Encoding::Isolated] {
        let spec = resolve(encoding, choices);
        let chunks = chunked(small(), &text, &spec, &EmbedOptions::default()).chunks;
        // Two and a half sentences are left free for what is repeated; two are. The first two
        // alone would be repeated whole.
        let places: Vec<Range<usize>> = chunks
            .iter()
            .map(|chunk| chunk.bytes.start / sentence..chunk.bytes.end / sentence)
            .collect();
        assert_eq!(places, [0..4, 2..6, 4..8, 6..10, 8..12]);
    }
}

#[test]
fn the_strength_of_an_overlapping_chunk_is_that_of_its_cut() {
    let text = sentences(9, 40);
    let choices = ChunkOptions { overlap_tokens: Some(30), ..sized(64, 40) };
    for encoding in [Encoding::Late, Encoding::Isolated] {
        let spec = resolve(encoding, choices);
        let Chunked { chunks, cuts, document } =
            chunked(small(), &text, &spec, &EmbedOptions::default());
        assert!(chunks.windows(2).any(|pair| pair[1].bytes.start < pair[0].bytes.end));
        assert_eq!(chunks[0].strength, None);
        for pair in chunks.windows(2) {
            let starts = document.units().iter().map(|unit| unit.bytes.start);
            let cut = starts.into_iter().position(|start| start == pair[0].bytes.end).unwrap();
            assert_eq!(pair[1].strength, Some(cuts.curve[cut - 1]));
        }
    }
}

/// A model whose documents are read in one visit, or in several.
struct Visits<'a> {
    model: &'a LoadedModel,
    is_one: bool,
}

impl Engine for Visits<'_> {
    fn model(&self) -> &Model {
        self.model.model()
    }

    fn is_one_batch(&self, _: &Job) -> bool {
        self.is_one
    }

    fn submit(&self, work: Work, sink: Box<dyn RowSink>) -> Result<(), Error> {
        assert_eq!(matches!(work, Work::Encode(_)), !self.is_one && is_of_tokens(&work));
        self.model.submit(work, sink)
    }
}

/// Whether it has sequences to encode.
fn is_of_tokens(work: &Work) -> bool {
    matches!(work, Work::Encode(_) | Work::Document { .. })
}

#[test]
fn a_document_read_in_one_visit_has_the_bits_of_one_read_in_several() {
    // In one window and in several, in one chunk and in several.
    for (seed, count) in [(11, 1), (12, 4), (13, 9), (14, 40)] {
        let text = sentences(seed, count);
        for choices in [sized(20, 20), sized(60, 50)] {
            let spec = resolve(Encoding::Late, choices);
            let [one, several] = [true, false].map(|is_one| {
                let engine = Visits { model: small(), is_one };
                pipeline::chunk(&engine, &text, &spec, &EmbedOptions::default()).unwrap()
            });
            assert_eq!(bits(one.document.vectors()), bits(several.document.vectors()));
            assert_eq!((one.chunks, one.cuts), (several.chunks, several.cuts));
        }
    }
}
