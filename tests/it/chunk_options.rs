//! A specification is the same whether it is typed, configured or requested, and what is wrong with
//! it is named.

use chunkflow::chunking::{ChunkOptions, ChunkSpec, Encoding, Method, Preset, Segments, UnitKind};
use chunkflow::embeddings::{Backend, EmbedOptions};
use chunkflow::pipeline;
use clap::{Parser, ValueEnum};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::process::{Place, tiny};
use crate::support::{self, ONE_BATCH};

fn parsed(choices: &Value) -> ChunkOptions {
    serde_json::from_value(choices.clone()).unwrap()
}

fn resolved(choices: &Value) -> ChunkSpec {
    parsed(choices).resolve().unwrap()
}

/// Arguments, and variables of the environment.
type Way = (Vec<String>, Vec<(String, String)>);

#[test]
fn every_preset_is_valid_and_what_it_resolves_to() {
    for preset in Preset::value_variants() {
        let options = ChunkOptions { preset: Some(*preset), ..ChunkOptions::default() };
        assert_eq!(options.resolve().unwrap(), preset.spec());
    }
    assert_eq!(ChunkOptions::default().resolve().unwrap(), Preset::Retrieval.spec());
}

#[test]
fn every_method_is_valid_in_every_preset() {
    for preset in Preset::value_variants() {
        for method in Method::value_variants() {
            let options = ChunkOptions {
                preset: Some(*preset),
                method: Some(*method),
                ..ChunkOptions::default()
            };
            let spec = options.resolve().unwrap();
            assert_eq!(spec.method, *method);
            let by_structure = *method == Method::Recursive;
            assert!(!by_structure || spec.units == UnitKind::Recursive);
        }
    }
}

#[test]
fn a_limit_alone_lowers_what_is_not_given() {
    for preset in ["retrieval", "topics", "fixed", "recursive"] {
        for max_tokens in [16, 40, 100, 5_000] {
            let spec = resolved(&json!({"preset": preset, "max_tokens": max_tokens}));
            assert_eq!(spec.max_tokens, max_tokens);
            assert!(spec.target_tokens <= max_tokens && spec.piece_tokens <= max_tokens);
        }
    }
    // What packing fills is as large as asked for.
    for method in ["fixed", "recursive"] {
        let spec = resolved(&json!({"method": method, "target_tokens": 100}));
        assert_eq!((spec.unit_tokens(2), spec.max_tokens), (98, 256));
        let spec = resolved(&json!({"method": method, "overlap_tokens": 50, "piece_tokens": 256}));
        assert_eq!(spec.unit_tokens(2), 204);
    }
    assert_eq!(resolved(&json!({"piece_tokens": 256})).unit_tokens(2), 254);
    // Packing fills up to the limit.
    assert_eq!(resolved(&json!({"preset": "fixed", "max_tokens": 5_000})).target_tokens, 5_000);
    assert_eq!(resolved(&json!({"method": "recursive", "max_tokens": 40})).target_tokens, 40);
}

#[test]
fn a_choice_out_of_range_is_named_with_what_is_allowed() {
    let cases: [(&str, Value, &str); 41] = [
        ("max_tokens", json!(0), "16 and more"),
        ("max_tokens", json!(15), "16 and more"),
        ("target_tokens", json!(0), "1 to 256 with max_tokens 256"),
        ("target_tokens", json!(257), "1 to 256 with max_tokens 256"),
        ("min_tokens", json!(129), "0 to 128 with max_tokens 256"),
        ("overlap_tokens", json!(129), "0 to 128 with max_tokens 256"),
        ("piece_tokens", json!(0), "1 to 256 with max_tokens 256"),
        ("piece_tokens", json!(257), "1 to 256 with max_tokens 256"),
        ("max_units", json!(0), "1 to "),
        ("max_units", json!(1_000_000), "1 to "),
        ("shuffles", json!(5), "6 to 100"),
        ("shuffles", json!(101), "6 to 100"),
        ("window", json!(0), "1 to 64"),
        ("window", json!(65), "1 to 64"),
        ("smoothing_width", json!(1), "3 to 101"),
        ("smoothing_width", json!(103), "3 to 101"),
        ("smoothing_width", json!(4), "odd numbers"),
        ("peak_distance", json!(0), "1 to 1000"),
        ("peak_distance", json!(1_001), "1 to 1000"),
        ("size_weight", json!(-0.1), "0 to 1000000"),
        ("size_weight", json!(1_000_001), "0 to 1000000"),
        ("break_bonus", json!(-0.1), "0 to 1000000"),
        ("break_bonus", json!(2e6), "0 to 1000000"),
        ("penalty", json!(-1), "0 to 1000000"),
        ("penalty", json!(2e6), "0 to 1000000"),
        ("false_cuts", json!(-0.1), "0 to 1"),
        ("false_cuts", json!(1.1), "0 to 1"),
        ("threshold_value", json!(-2e6), "-1000000 to 1000000"),
        ("threshold_value", json!(2e6), "-1000000 to 1000000"),
        ("segments", json!(0), "1 and more"),
        ("segments", json!("threshold"), "without the method window"),
        // With others.
        ("threshold_value", json!([-1, {"threshold": "percentile"}]), "0 to 100"),
        ("threshold_value", json!([101, {"threshold": "gradient"}]), "0 to 100"),
        ("target_tokens", json!([41, {"max_tokens": 40}]), "1 to 40 with max_tokens 40"),
        ("overlap_tokens", json!([21, {"max_tokens": 40}]), "0 to 20 with max_tokens 40"),
        ("segments", json!(["elbow", {"method": "window"}]), "a number, target and threshold"),
        ("segments", json!(["penalty", {"method": "window"}]), "a number, target and threshold"),
        ("segments", json!(["threshold", {"method": "fixed"}]), "none with the methods"),
        ("segments", json!(["penalty", {"method": "sentence"}]), "none with the methods"),
        ("overlap_tokens", json!([60, {"target_tokens": 60}]), "less than target_tokens 60"),
        ("smoothing_width", json!([3, {"smoothing": "savitzky-golay"}]), "5 to 101"),
    ];
    for (field, given, allowed) in cases {
        let (value, others) = match &given {
            Value::Array(both) => (both[0].clone(), both[1].clone()),
            value => (value.clone(), json!({})),
        };
        let mut choices = others;
        choices[field] = value;
        let error = parsed(&choices).resolve().unwrap_err();
        assert_eq!(error.field(), field, "{choices}");
        let text = error.to_string();
        let told = serde_json::from_value::<f64>(choices[field].clone())
            .map_or_else(|_| choices[field].as_str().unwrap().to_owned(), |x| x.to_string());
        let expected = format!("{field} is {told}, allowed are ");
        assert!(text.starts_with(&expected) && text.contains(allowed), "{text}");
    }
    for (field, value) in [("size_weight", f64::NAN), ("threshold_value", f64::INFINITY)] {
        let mut options = ChunkOptions::default();
        let place = match field {
            "size_weight" => &mut options.size_weight,
            _ => &mut options.threshold_value,
        };
        *place = Some(value);
        assert_eq!(options.resolve().unwrap_err().field(), field);
    }
}

#[test]
fn the_ends_of_every_range_are_allowed() {
    for choices in [
        json!({"max_tokens": 16, "target_tokens": 16, "piece_tokens": 16}),
        json!({"target_tokens": 1, "piece_tokens": 1, "max_units": 1, "shuffles": 6, "window": 1}),
        json!({"min_tokens": 128, "overlap_tokens": 128, "window": 64, "shuffles": 100}),
        json!({"smoothing_width": 3, "peak_distance": 1, "false_cuts": 0, "penalty": 0}),
        json!({"smoothing_width": 101, "peak_distance": 1_000, "false_cuts": 1, "penalty": 1e6}),
        json!({"size_weight": 1e6, "break_bonus": 1e6, "threshold_value": -1e6}),
        json!({"threshold": "percentile", "threshold_value": 100}),
        json!({"threshold": "gradient", "threshold_value": 0}),
        json!({"segments": 1}),
        json!({"seed": u64::MAX, "max_tokens": u32::MAX}),
    ] {
        let (options, spec) = (parsed(&choices), json!(resolved(&choices)));
        for (field, value) in choices.as_object().unwrap() {
            assert_eq!(spec[field].as_f64(), value.as_f64(), "{field} of {options:?}");
        }
    }
}

#[test]
fn segments_are_a_number_or_the_name_of_a_rule() {
    for (given, expected, written) in [
        (json!(7), Segments::Count(7), json!(7)),
        (json!("7"), Segments::Count(7), json!(7)),
        (json!("target"), Segments::Target, json!("target")),
        (json!("penalty"), Segments::Penalty, json!("penalty")),
        (json!("calibrated"), Segments::Calibrated, json!("calibrated")),
        (json!("elbow"), Segments::Elbow, json!("elbow")),
        (json!("threshold"), Segments::Threshold, json!("threshold")),
    ] {
        let segments: Segments = serde_json::from_value(given).unwrap();
        assert_eq!((segments, json!(segments)), (expected, written));
        assert_eq!(segments.to_string().parse(), Ok(segments));
    }
    for wrong in [json!("Target"), json!(""), json!("-1"), json!(-1), json!(1.5)] {
        let error = serde_json::from_value::<Segments>(wrong.clone()).unwrap_err().to_string();
        let value = wrong.as_str().map_or_else(|| wrong.to_string(), str::to_owned);
        let names_all = error.contains(&format!("`{value}`")) && error.contains("number, target");
        assert!(names_all, "{error}");
    }
    assert!(serde_json::from_value::<Segments>(json!(null)).is_err());
    let told = "many".parse::<Segments>().unwrap_err();
    assert!(told.contains("`many`") && told.contains("elbow"), "{told}");
}

#[test]
fn what_is_not_given_suits_what_is() {
    let thresholds = [("percentile", 95.0), ("gradient", 95.0), ("deviation", 1.0), ("iqr", 1.5)];
    for (threshold, value) in thresholds {
        let spec = resolved(&json!({"method": "window", "threshold": threshold}));
        assert!((spec.threshold_value - value).abs() < 1e-12, "{threshold}");
    }
    let spec = resolved(&json!({"method": "window", "smoothing": "savitzky-golay"}));
    assert_eq!(spec.smoothing_width, 5);
}

/// All choices that there are, each given or not.
fn any_options() -> impl Strategy<Value = ChunkOptions> {
    let sizes = prop::collection::vec(prop::option::of(0_usize..100_000), 11);
    let weights = prop::collection::vec(prop::option::of(-1e9_f64..1e9), 5);
    let names = prop::collection::vec(prop::option::of(0_usize..1_000), 9);
    (sizes, weights, names, prop::option::of(any::<u64>())).prop_map(
        |(sizes, weights, names, seed)| {
            fn name<T: ValueEnum + Clone>(index: Option<usize>) -> Option<T> {
                let all = T::value_variants();
                index.map(|index| all[index % all.len()].clone())
            }
            let rules = ["target", "penalty", "calibrated", "elbow", "threshold"];
            let segments = names[8].map(|index| match rules.get(index % 7) {
                Some(rule) => rule.parse().unwrap(),
                None => Segments::Count(index),
            });
            ChunkOptions {
                preset: name(names[0]),
                method: name(names[1]),
                encoding: name(names[2]),
                max_tokens: sizes[0],
                min_tokens: sizes[1],
                target_tokens: sizes[2],
                overlap_tokens: sizes[3],
                size_weight: weights[0],
                break_bonus: weights[1],
                segments,
                units: name(names[3]),
                piece_tokens: sizes[4],
                max_units: sizes[5],
                penalty: weights[2],
                false_cuts: weights[3],
                shuffles: sizes[6],
                seed,
                window: sizes[7],
                score: name(names[4]),
                threshold: name(names[5]),
                threshold_value: weights[4],
                smoothing: name(names[6]),
                smoothing_width: sizes[8],
                peak_distance: sizes[9],
            }
        },
    )
}

/// The flags of `chunkflow chunk` that are choices.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    choices: ChunkOptions,
}

/// `choices` as a user types them.
fn flags(choices: &Value) -> Vec<String> {
    let given = choices.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let typed = given.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("--{}={value}", name.replace('_', "-"))
    });
    typed.collect()
}

proptest! {
    #[test]
    fn choices_survive_json_and_flags(options in any_options()) {
        let written = json!(options);
        prop_assert_eq!(parsed(&written), options);
        let typed = std::iter::once("chunk".to_owned()).chain(flags(&written));
        let typed = Flags::try_parse_from(typed).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(typed.choices, options);
    }

    #[test]
    fn what_is_given_goes_before_the_base(given in any_options(), base in any_options()) {
        let (over, given, base) = (json!(given.over(base)), json!(given), json!(base));
        for (field, value) in over.as_object().unwrap() {
            let nearest = if given[field].is_null() { &base[field] } else { &given[field] };
            prop_assert_eq!(value, nearest, "{}", field);
        }
        prop_assert_eq!(over.as_object().unwrap().len(), 24);
    }

    #[test]
    fn what_resolves_is_what_was_given(options in any_options()) {
        let Ok(spec) = options.resolve() else { return Ok(()) };
        let (given, spec) = (json!(options), json!(spec));
        for (field, value) in given.as_object().unwrap() {
            let free = value.is_null() || field == "preset";
            prop_assert!(free || &spec[field] == value, "{}", field);
        }
    }
}

#[test]
fn unknown_choices_and_names_are_refused() {
    for wrong in [
        json!({"overlap": 3}),
        json!({"method": "KCPD"}),
        json!({"encoding": "both"}),
        json!({"preset": "default"}),
        json!({"smoothing": "savitzkygolay"}),
        json!({"max_tokens": 1.5}),
        json!({"max_tokens": "40"}),
    ] {
        assert!(serde_json::from_value::<ChunkOptions>(wrong.clone()).is_err(), "{wrong}");
    }
    // The words that a user sees.
    let spec = resolved(&json!({"smoothing": "savitzky-golay", "encoding": "isolated"}));
    assert_eq!(spec.encoding, Encoding::Isolated);
    assert_eq!(json!(spec)["smoothing"], "savitzky-golay");
}

const BOOK: &str = "The cat sat on the mat. It was a good day, naïve 😀 or not.\r\n\r\n\
    Fire and water do not go with each other! Who would write a book on the moon? \
    One bird did. The second was a dog.\n\n\nThe price is 3.14; the city sleeps.  ";

#[test]
fn flags_files_variables_and_requests_are_the_same_specification() {
    let book = BOOK.repeat(4);
    let model = support::load(tiny().as_ref(), Backend::Native, ONE_BATCH);
    for choices in [
        json!({"max_tokens": 48, "target_tokens": 40, "segments": 6, "size_weight": 0.25}),
        json!({"preset": "topics", "max_tokens": 60, "segments": "elbow", "method": "cvs"}),
        json!({
            "method": "window", "encoding": "isolated", "max_tokens": 48, "overlap_tokens": 12,
            "smoothing": "savitzky-golay", "threshold": "percentile", "threshold_value": 62.5
        }),
        json!({"preset": "recursive", "max_tokens": 30, "piece_tokens": 20}),
    ] {
        let spec = resolved(&choices);
        let expected = pipeline::chunk(&model, &book, &spec, &EmbedOptions::default()).unwrap();
        let expected: Vec<&str> =
            expected.chunks.iter().map(|chunk| &book[chunk.bytes.clone()]).collect();
        assert!(expected.len() > 3, "{choices}");

        let place = Place::with("book.txt", &book);
        let chunk = ["chunk", "book.txt", "--model", &tiny()].map(str::to_owned);
        let file = json!({"chunk": choices}).to_string();
        place.write("own.yaml", file);
        let values = choices.as_object().unwrap().iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("CHUNKFLOW__CHUNK__{}", name.to_uppercase()), value)
        });
        let ways: [Way; 3] = [
            (flags(&choices), Vec::new()),
            (vec!["--config=own.yaml".to_owned()], Vec::new()),
            (Vec::new(), values.collect()),
        ];
        for (arguments, variables) in ways {
            let arguments: Vec<&str> = chunk.iter().chain(&arguments).map(String::as_str).collect();
            let mut command = place.command(&arguments);
            let output = command.envs(variables.iter().cloned()).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let found: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let found: Vec<&str> =
                found.iter().map(|chunk| chunk["text"].as_str().unwrap()).collect();
            assert_eq!(found, expected, "{arguments:?} {variables:?} {:?}", output.stderr);
        }
    }
}

#[test]
fn settings_show_each_choice_with_its_origin() {
    let place = Place::with("own.yaml", "chunk: {segments: 12, method: kcpd}");
    let mut command = place.command(&["config", "show", "--json", "--config", "own.yaml"]);
    let variables = [("CHUNKFLOW__CHUNK__METHOD", "window"), ("CHUNKFLOW__CHUNK__SEED", "3")];
    let output = command.envs(variables).output().unwrap();
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let chunk = |name: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == format!("chunk.{name}"));
        setting.map(|setting| (setting["value"].clone(), setting["origin"].clone()))
    };
    assert_eq!(chunk("segments"), Some((json!(12), json!("own.yaml"))));
    assert_eq!(chunk("method"), Some((json!("window"), json!("CHUNKFLOW__CHUNK__METHOD"))));
    assert_eq!(chunk("seed"), Some((json!(3), json!("CHUNKFLOW__CHUNK__SEED"))));
    assert_eq!(chunk("window"), Some((json!(null), json!("default"))));
    // Every choice that there is.
    for field in json!(ChunkOptions::default()).as_object().unwrap().keys() {
        assert!(chunk(field).is_some(), "{field}");
    }
}
