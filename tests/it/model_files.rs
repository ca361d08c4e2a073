//! A wrong model is an error that names the file and the value; loading never panics.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use chunkflow::ErrorKind;
use chunkflow::embeddings::{Backend, EmbedOptions, Error, LoadedModel, ModelOptions};
use chunkflow::models::Places;
use safetensors::Dtype;
use serde_json::json;
use tempfile::TempDir;

use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, Stored};

/// The pieces of the real model's names, as users type them.
const NAMES: [&str; 3] = ["all-MiniLM-L6-v2", "minilm", "sentence-transformers/all-MiniLM-L6-v2"];
const REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2";
const WORDS: &str = "embeddings.word_embeddings.weight";

/// No file, however hostile, may hold loading up for longer.
const REFUSAL_S: f64 = 2.0;

fn load(model: &str, models_dir: &Path, engine: Backend) -> Result<LoadedModel, Error> {
    let places = Places { models_dir: models_dir.to_owned(), ..Places::default() };
    LoadedModel::load(
        model,
        &ModelOptions {
            places,
            backend: engine,
            max_batch_tokens: Some(ONE_BATCH),
            ..ModelOptions::default()
        },
    )
}

fn tiny() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("tiny"), folder.path());
    folder
}

/// Seconds that this thread has computed for, whatever else the machine does.
#[expect(unsafe_code, reason = "a call of the system's")]
fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes one time.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(told, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The tiny model after `change` must fail to load with an error of this kind that holds `parts`.
#[track_caller]
fn check_kind(change: impl FnOnce(&Path), kind: ErrorKind, parts: &[&str]) {
    let folder = tiny();
    change(folder.path());
    for engine in ENGINES {
        let before = thread_seconds();
        let loaded = load(folder.path().to_str().unwrap(), folder.path(), engine);
        let took = thread_seconds() - before;
        assert!(took < REFUSAL_S, "{engine:?}: {took:.2} s for {parts:?}");
        match loaded {
            Ok(_) => panic!("{engine:?}: loaded, though wrong: {parts:?}"),
            Err(error) => {
                let message = error.to_string();
                for part in parts {
                    assert!(message.contains(part), "{engine:?}: no {part:?} in {message:?}");
                }
                assert_eq!(chunkflow::Error::from(error).kind(), kind, "{message}");
            }
        }
    }
}

#[track_caller]
fn check(change: impl FnOnce(&Path), parts: &[&str]) {
    check_kind(change, ErrorKind::Model, parts);
}

/// A value of a JSON file, by its pointer, that must be refused with the file's name and `parts`.
#[track_caller]
fn check_json(file: &str, pointer: &str, value: serde_json::Value, parts: &[&str]) {
    let change = |folder: &Path| {
        support::edit_json(&folder.join(file), |json| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let parent = json.pointer_mut(parent).unwrap();
            match parent.as_array_mut() {
                Some(array) => array[key.parse::<usize>().unwrap()] = value,
                None => parent[key] = value,
            }
        });
    };
    check(change, &[&[file], parts].concat());
}

/// A changed tensor of the tiny model that must be refused with the file's and its name.
#[track_caller]
fn check_tensor(name: &str, change: impl FnOnce(&mut Stored), parts: &[&str]) {
    let change_it = |folder: &Path| {
        support::edit_tensors(&folder.join("model.safetensors"), |tensors| {
            change(tensors.get_mut(name).unwrap());
        });
    };
    check(change_it, &[&["model.safetensors", name], parts].concat());
}

#[test]
fn an_unchanged_copy_loads() {
    // Without this, every test below could pass by a fault of the copy.
    let folder = tiny();
    for engine in ENGINES {
        let model = load(folder.path().to_str().unwrap(), folder.path(), engine).unwrap();
        assert_eq!((model.model().dimensions(), model.model().tokenizer().max_tokens()), (24, 48));
    }
}

#[test]
fn an_unknown_name_is_answered_with_where_names_are_found() {
    let unknown = |name: &str| {
        let error = load(name, &support::models_dir(), Backend::Native).err().unwrap();
        let message = error.to_string();
        assert_eq!(chunkflow::Error::from(error).kind(), ErrorKind::NotFound);
        message
    };
    let message = unknown("no-such-model");
    assert!(message.contains("`no-such-model`") && message.contains("models list"), "{message}");
    assert!(!message.contains("did you mean"), "{message}");
    let message = unknown("all-minilm-l6-v2-");
    assert!(message.contains(&format!("did you mean `{}`", NAMES[0])), "{message}");
}

#[test]
fn a_known_model_that_is_not_here_says_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    for name in NAMES {
        let error = load(name, empty.path(), Backend::Native).err().unwrap();
        let message = error.to_string();
        let path = empty.path().join(REPOSITORY);
        for part in [name, "chunkflow models pull", path.to_str().unwrap()] {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert_eq!(chunkflow::Error::from(error).kind(), ErrorKind::NotFound);
    }
}

/// `copy` as a models folder that holds the real model, with one file rewritten.
fn real_with(copy: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let (from, to) = (support::real_folder(), copy.join(REPOSITORY));
    support::copy_folder(&from, &to);
    let mut bytes = fs::read(from.join(file)).unwrap();
    change(&mut bytes);
    fs::write(to.join(file), bytes).unwrap();
}

#[test]
fn one_flipped_bit_in_a_known_models_file_is_corruption() {
    // In the middle of the weights, of a number and of a table: the files stay well formed.
    for (file, expected) in [
        ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        real_with(copy.path(), file, |bytes| {
            let at = match file {
                "config.json" => bytes.windows(4).position(|part| part == b"1536").unwrap(),
                _ => bytes.len() / 2,
            };
            bytes[at] ^= 1;
        });
        let error = load(NAMES[1], copy.path(), Backend::Native).err().unwrap();
        let message = error.to_string();
        for part in [file, "corrupted", expected] {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }
}

#[test]
fn the_published_files_load_by_name() {
    let model = load(NAMES[1], &support::models_dir(), Backend::Native).unwrap();
    assert_eq!((model.model().name(), model.model().dimensions()), (NAMES[0], 384));
    assert_eq!(model.model().tokenizer().max_tokens(), 256);
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        check(|folder| fs::remove_file(folder.join(file)).unwrap(), &["cannot read", file]);
    }
}

#[test]
fn a_cut_or_garbled_checkpoint_is_no_safetensors_file() {
    let rewrite = |change: fn(&mut Vec<u8>)| {
        let change_file = |folder: &Path| {
            let path = folder.join("model.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        };
        check(change_file, &["model.safetensors", "not a safetensors file"]);
    };
    rewrite(|bytes| bytes.truncate(bytes.len() - 1));
    rewrite(|bytes| bytes.truncate(1_000));
    rewrite(|bytes| bytes.truncate(7));
    rewrite(Vec::clear);
    rewrite(|bytes| bytes[..8].copy_from_slice(&(1_u64 << 63).to_le_bytes()));
    rewrite(|bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()));
    rewrite(|bytes| bytes[8] = b'[');
}

/// A safetensors file with this header and `bytes` of data.
fn write_safetensors(path: &Path, header: &str, bytes: usize) {
    let length = (header.len() as u64).to_le_bytes();
    let data = vec![0; bytes];
    fs::write(path, [&length[..], header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn headers_that_ask_for_too_much_or_lie_are_refused() {
    let refuse = |header: &str, bytes: usize, parts: &[&str]| {
        let change = |folder: &Path| {
            write_safetensors(&folder.join("model.safetensors"), header, bytes);
        };
        check(change, &[&["model.safetensors"], parts].concat());
    };
    let tensor = |start: usize, end: usize| json!({"dtype": "F32", "shape": [1], "data_offsets": [start, end]});
    let header = |tensors: &[serde_json::Value]| {
        let named = tensors.iter().enumerate().map(|(i, tensor)| (i.to_string(), tensor.clone()));
        serde_json::Value::Object(named.collect()).to_string()
    };
    let many: Vec<_> = (0..100_000).map(|i| tensor(4 * i, 4 * i + 4)).collect();
    refuse(&header(&many), 400_000, &["100000 tensors", "32768"]);
    let long = format!("{{\"__metadata__\": {{\"x\": \"{}\"}}}}", " ".repeat(17 << 20));
    refuse(&long, 0, &["header of", "limit 16777216"]);
    let [overlap, gap] = [[tensor(0, 4), tensor(2, 6)], [tensor(0, 4), tensor(8, 12)]];
    refuse(&header(&overlap), 6, &["not a safetensors file"]);
    refuse(&header(&gap), 12, &["not a safetensors file"]);
    refuse(&header(&[tensor(4, 0)]), 4, &["not a safetensors file"]);
    refuse(&header(&[tensor(0, usize::MAX)]), 4, &["not a safetensors file"]);
    let shape = json!({"dtype": "F32", "shape": [u64::MAX, 8], "data_offsets": [0, 4]});
    refuse(&header(&[shape]), 4, &["not a safetensors file"]);
    let dtype = json!({"dtype": "F31", "shape": [1], "data_offsets": [0, 4]});
    refuse(&header(&[dtype]), 4, &["not a safetensors file"]);
    let deep = "[".repeat(1 << 20);
    refuse(&deep, 0, &["not a safetensors file"]);
}

#[test]
fn a_hostile_tokenizer_is_a_typed_error() {
    let write = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |folder: &Path| fs::write(folder.join("tokenizer.json"), bytes).unwrap()
    };
    let words: Vec<String> = (0..2_500_000).map(|i| format!("\"w{i:09}\":{i}")).collect();
    let model = format!(
        "{{\"type\":\"WordPiece\",\"unk_token\":\"w000000000\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{{{}}}}}",
        words.join(",")
    );
    let vocabulary = format!("{{\"version\":\"1.0\",\"added_tokens\":[],\"model\":{model}}}");
    assert!(vocabulary.len() > 50_000_000);
    check(write(vocabulary.as_bytes()), &["tokenizer.json", "has 2500000 entries"]);
    check(write(&vec![b' '; 65 << 20]), &["tokenizer.json", "limit 67108864"]);
    check(write("[".repeat(1 << 20).as_bytes()), &["tokenizer.json"]);
}

#[test]
fn module_paths_that_lead_out_of_the_folder_are_refused() {
    for path in ["../1_Pooling", "/etc", "1_Pooling/../../x", "1_Pooling/", "./1_Pooling", "a\\b"] {
        let change = |folder: &Path| {
            support::edit_json(&folder.join("modules.json"), |json| json[1]["path"] = json!(path));
        };
        check_kind(change, ErrorKind::Input, &["does not stand below its folder"]);
    }
}

#[test]
fn a_missing_tensor_is_named() {
    for name in [WORDS, "encoder.layer.1.attention.self.key.bias", "embeddings.LayerNorm.weight"] {
        let remove = |folder: &Path| {
            support::edit_tensors(&folder.join("model.safetensors"), |tensors| {
                tensors.remove(name).unwrap();
            });
        };
        check(remove, &["model.safetensors", name, "is missing"]);
    }
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both() {
    let transposed = |tensor: &mut Stored| tensor.shape.reverse();
    check_tensor(WORDS, transposed, &["[32, 288]", "[288, 32]"]);
    let flat = |tensor: &mut Stored| tensor.shape = vec![32 * 64];
    check_tensor("encoder.layer.0.output.dense.weight", flat, &["[2048]", "[32, 64]"]);
}

#[test]
fn a_tensor_of_another_type_is_named_with_it() {
    let integers = |tensor: &mut Stored| {
        tensor.data = vec![0; tensor.data.len() * 2];
        tensor.dtype = Dtype::I64;
    };
    check_tensor("embeddings.LayerNorm.bias", integers, &["I64", "F32, F16, BF16"]);
}

#[test]
fn a_weight_that_is_not_finite_is_named_with_its_index() {
    let put = |index: usize, value: f32| {
        move |tensor: &mut Stored| {
            tensor.data[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
        }
    };
    check_tensor(WORDS, put(7, f32::NAN), &["NaN", "element 7"]);
    check_tensor(WORDS, put(288 * 32 - 1, f32::INFINITY), &["inf", "element 9215"]);
    let bias = "encoder.layer.1.output.LayerNorm.bias";
    check_tensor(bias, put(0, f32::NEG_INFINITY), &["-inf", "element 0"]);
    let half = |tensor: &mut Stored| {
        tensor.data = [0x00, 0x3c, 0x00, 0x7c].repeat(16);
        tensor.dtype = Dtype::F16;
    };
    check_tensor(bias, half, &["inf", "element 1"]);
}

#[test]
fn pickled_weights_are_refused() {
    for file in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let rename = |folder: &Path| {
            fs::rename(folder.join("model.safetensors"), folder.join(file)).unwrap();
        };
        check(rename, &[file, "pickled", "safetensors"]);
    }
}

#[test]
fn a_config_that_cannot_be_run_is_named() {
    let refuse = |pointer: &str, value, parts: &[&str]| {
        check_json("config.json", pointer, value, parts);
    };
    refuse("/model_type", json!("gpt2"), &["model_type is \"gpt2\"", "supported: bert"]);
    refuse("/hidden_act", json!("quick_gelu"), &["quick_gelu", "supported: gelu"]);
    refuse("/position_embedding_type", json!("relative_key"), &["relative_key", "absolute"]);
    refuse("/hidden_size", json!(0), &["hidden_size is 0"]);
    refuse("/num_attention_heads", json!(5), &["num_attention_heads is 5", "hidden size 32"]);
    refuse("/num_attention_heads", json!(0), &["num_attention_heads is 0"]);
    refuse("/vocab_size", json!(u64::MAX), &["vocab_size is 18446744073709551615"]);
    refuse("/intermediate_size", json!(1 << 25), &["intermediate_size is 33554432"]);
    refuse("/hidden_size", json!(-32), &["-32"]);
    refuse("/hidden_size", json!("32"), &["\"32\""]);
    refuse("/layer_norm_eps", json!("tiny"), &["\"tiny\""]);
}

#[test]
fn sizes_beyond_the_checkpoint_fail_before_they_cost_memory() {
    // Either file may be named: the config that asks, or one of the checkpoints that has less.
    let refuse = |key: &str, value: u64, parts: &[&str]| {
        let change = |folder: &Path| {
            support::edit_json(&folder.join("config.json"), |json| json[key] = json!(value));
        };
        check(change, parts);
    };
    refuse("num_hidden_layers", 1_000_000_000, &["num_hidden_layers is 1000000000"]);
    // The largest that is accepted as a number, which no checkpoint here holds.
    refuse("num_hidden_layers", 1 << 24, &["num_hidden_layers is 16777216", "at most 1024"]);
    refuse("num_hidden_layers", 1024, &["encoder.layer.2.attention.self.query.weight"]);
    refuse("intermediate_size", 1 << 24, &["[16777216, 32]", "[64, 32]"]);
    refuse("hidden_size", 1 << 24, &["16777216", "32"]);
    refuse("max_position_embeddings", 1 << 24, &["[16777216, 32]", "[64, 32]"]);
}

#[test]
fn json_that_is_none_is_named() {
    for file in [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    ] {
        for garbage in ["", "{", "[1, 2", "\"text\"", "\u{feff}{}", "{\"a\": \u{1}}"] {
            check(|folder| fs::write(folder.join(file), garbage).unwrap(), &[file]);
        }
    }
}

#[test]
fn modules_that_cannot_be_run_are_named() {
    let file = "modules.json";
    let unknown = json!("sentence_transformers.models.LSTM");
    check_json(file, "/1/type", unknown, &["models.LSTM", "Transformer, Pooling"]);
    let keep = |paths: &'static [&str], parts: &[&str]| {
        let change = |folder: &Path| {
            support::edit_json(&folder.join(file), |modules| {
                let modules = modules.as_array_mut().unwrap();
                modules.retain(|module| paths.contains(&module["path"].as_str().unwrap()));
            });
        };
        check(change, &[&[file], parts].concat());
    };
    keep(&[], &["0 long"]);
    keep(&[""], &["1 long"]);
    keep(&["", "3_Normalize"], &["modules.normalize.Normalize", "3_Normalize"]);
    keep(&["1_Pooling", "3_Normalize"], &["modules.pooling.Pooling", "1_Pooling"]);
    let moved = |folder: &Path| {
        support::edit_json(&folder.join(file), |json| json[0]["path"] = json!("0_Transformer"));
    };
    check(moved, &["cannot read", "0_Transformer/config.json"]);
}

#[test]
fn poolings_that_cannot_be_run_are_named() {
    let pooling = |value: serde_json::Value, parts: &[&str]| {
        let file = "1_Pooling/config.json";
        let change = |folder: &Path| fs::write(folder.join(file), value.to_string()).unwrap();
        check(change, &[&[file], parts].concat());
    };
    let modes = "mean, cls, lasttoken, max, mean_sqrt_len_tokens, weightedmean";
    pooling(json!({"pooling_mode": "median"}), &["pooling_mode is \"median\"", modes]);
    pooling(json!({"pooling_mode": ["mean", "none"]}), &["[\"mean\",\"none\"]", modes]);
    pooling(json!({"pooling_mode": []}), &["pooling_mode is []", modes]);
    pooling(json!({"pooling_mode_max_tokens": 1}), &["pooling_mode_max_tokens is 1"]);
    pooling(json!({"pooling_mode_median_tokens": true}), &["pooling_mode_median_tokens is true"]);
}

#[test]
fn dense_layers_that_cannot_be_run_are_named() {
    let file = "2_Dense/config.json";
    let selu = json!("torch.nn.modules.activation.SELU");
    check_json(file, "/activation_function", selu, &["activation.SELU", "Identity, Tanh, GELU"]);
    check_json(file, "/use_residual", json!(true), &["use_residual is true"]);
    let weights = |key: &str, value: u64, parts: &[&str]| {
        let change = |folder: &Path| {
            support::edit_json(&folder.join(file), |json| json[key] = json!(value));
        };
        check(change, &[&["2_Dense"], parts].concat());
    };
    weights("out_features", 25, &["[24, 32]", "[25, 32]"]);
    weights("out_features", 1 << 24, &["[24, 32]"]);
    weights("out_features", 1 << 40, &["out_features is 1099511627776"]);
}

/// Both the Dense config and its checkpoint, so that only the model around them tells.
fn resize_dense(folder: &Path, input: usize, output: usize) {
    support::edit_json(&folder.join("2_Dense/config.json"), |json| {
        json["in_features"] = json!(input);
        json["out_features"] = json!(output);
    });
    support::edit_tensors(&folder.join("2_Dense/model.safetensors"), |tensors| {
        let mut put = |name: &str, shape: Vec<usize>| {
            let data = vec![0; 4 * shape.iter().product::<usize>()];
            tensors.insert(name.to_owned(), Stored { dtype: Dtype::F32, shape, data });
        };
        put("linear.weight", vec![output, input]);
        put("linear.bias", vec![output]);
    });
}

#[test]
fn a_dense_layer_that_does_not_follow_the_encoder_is_refused() {
    check(|folder| resize_dense(folder, 16, 24), &["2_Dense", "16", "32"]);
}

#[test]
fn a_dense_layer_without_outputs_is_refused() {
    check(|folder| resize_dense(folder, 32, 0), &["2_Dense", "out_features"]);
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let value = json!(288);
    let parts = ["has 289 entries", "vocab_size is 288"];
    check_json("tokenizer.json", "/model/vocab/zzz", value, &parts);
    let parts = ["token ids up to 999", "vocab_size is 288"];
    check_json("tokenizer.json", "/model/vocab/the", json!(999), &parts);
}

#[test]
fn a_length_without_room_for_text_is_refused() {
    let change = |folder: &Path| {
        let file = folder.join("sentence_bert_config.json");
        support::edit_json(&file, |json| json["max_seq_length"] = json!(2));
    };
    check(change, &["tokenizer.json", "all 2 tokens"]);
}

#[test]
fn the_longest_sequence_is_never_above_the_position_table() {
    let folder = tiny();
    let file = folder.path().join("sentence_bert_config.json");
    support::edit_json(&file, |json| json["max_seq_length"] = json!(1_000));
    let model = support::load(folder.path(), Backend::Native, ONE_BATCH);
    assert_eq!(model.model().tokenizer().max_tokens(), 64);
    let text = "the cat ".repeat(100);
    assert_eq!(model.embed(&[&text], &EmbedOptions::default()).unwrap().tokens, [64]);
}

fn check_input<T>(result: Result<T, Error>, expected: &str) {
    let error = result.err().expect(expected);
    assert_eq!(error.to_string(), expected);
    assert_eq!(chunkflow::Error::from(error).kind(), ErrorKind::Input);
}

#[test]
fn prompts_and_dimensions_that_a_model_lacks_are_named_with_what_it_has() {
    let tiny = support::load(&support::golden("tiny"), Backend::Native, ONE_BATCH);
    check_input(
        tiny.model().prompt(Some("qury")),
        "unknown prompt `qury`, this model has: passage, query",
    );
    let long = "the cat ".repeat(30);
    check_input(
        tiny.model().prompt_text(&long),
        "prompt has 60 tokens, the model takes 48 with the text",
    );
    let real = support::real(Backend::Native);
    check_input(real.model().prompt(Some("query")), "unknown prompt `query`, this model has: none");
    for dimensions in [0, 385, usize::MAX] {
        let options = EmbedOptions { dimensions: Some(dimensions), ..EmbedOptions::default() };
        let message = format!("dimensions is {dimensions}, this model allows 1 to 384");
        check_input(real.embed(&["a"], &options), &message);
        check_input(real.plan(&[], &options), &message);
    }
}

/// Loads the tiny model with one byte of `file` changed, many times over, and embeds with what
/// loads. Whether that succeeds is not the question; a panic fails.
fn check_mutations(file: &str, cases: u64, limit: usize) {
    let folder = tiny();
    let path = folder.path().join(file);
    let original = fs::read(&path).unwrap();
    for seed in 0..cases {
        let mut random = SplitMix64::new(seed);
        let mut bytes = original.clone();
        let at = random.below(bytes.len().min(limit));
        let byte = match random.below(4) {
            0 => random.below(256) as u8,
            1 => bytes[at] ^ (1 << random.below(8)),
            _ => random.choose(b"0123456789-.e\"{}[],:"),
        };
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
        let outcome = catch_unwind(|| {
            let model = load(folder.path().to_str().unwrap(), folder.path(), Backend::Native)?;
            let texts = ["The cat sat.", "", "search for: caf\u{e9} \u{1f600}"];
            model.embed(&texts, &EmbedOptions::default())
        });
        assert!(outcome.is_ok(), "byte {at} of {file} set to {byte}: loading panicked");
    }
}

#[test]
fn no_changed_byte_of_a_json_file_makes_loading_panic() {
    check_mutations("config.json", 300, usize::MAX);
    check_mutations("modules.json", 300, usize::MAX);
    check_mutations("1_Pooling/config.json", 100, usize::MAX);
    check_mutations("2_Dense/config.json", 200, usize::MAX);
    check_mutations("tokenizer.json", 500, usize::MAX);
}

#[test]
fn no_changed_byte_of_a_checkpoints_header_makes_loading_panic() {
    check_mutations("model.safetensors", 400, 4_000);
    check_mutations("2_Dense/model.safetensors", 200, 200);
}
