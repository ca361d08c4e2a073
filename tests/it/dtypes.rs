//! The narrower dtypes on the real model: how far from f32 they may be, and that they keep its
//! promises; and who decides which one runs.

use std::fs;

use chunkflow::compute::{Dtype, DtypeChoice, Isa};
use chunkflow::embeddings::{EmbedOptions, LoadedModel, ModelOptions};

use serde_json::Value;

use crate::process::{Place, check_fails, tiny};
use crate::support::run_now::RunNow;
use crate::support::{self, bits, widen};

fn real(dtype: DtypeChoice, isa: Isa) -> LoadedModel {
    let options = ModelOptions {
        places: support::places(),
        dtype: Some(dtype),
        isa,
        ..ModelOptions::default()
    };
    LoadedModel::load("all-MiniLM-L6-v2", &options).unwrap()
}

/// Mean and least cosine of unit vectors.
fn cosines(a: &[f32], b: &[f32]) -> (f64, f64) {
    let rows = a.chunks_exact(384).zip(b.chunks_exact(384));
    let dot = |(a, b): (&[f32], &[f32])| -> f64 {
        widen(a).iter().zip(widen(b)).map(|(x, y)| x * y).sum()
    };
    let cosines: Vec<f64> = rows.map(dot).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    (mean, cosines.into_iter().fold(1.0, f64::min))
}

#[test]
fn narrower_dtypes_stay_near_f32() {
    let golden = support::minilm();
    // Texts of some length: what a single rare token becomes says little of a dtype.
    let texts = golden.texts.iter().filter(|text| text.split(' ').count() > 8);
    let texts: Vec<&str> = texts.map(String::as_str).take(48).collect();
    assert_eq!(texts.len(), 48);
    let options = EmbedOptions::default();
    let exact = real(DtypeChoice::F32, Isa::detect()).embed(&texts, &options).unwrap().data;
    for isa in Isa::available() {
        for (dtype, mean, least) in
            [(DtypeChoice::Bf16, 0.999_9, 0.999_5), (DtypeChoice::Int8, 0.997, 0.99)]
        {
            let vectors = real(dtype, isa).embed(&texts, &options).unwrap().data;
            assert_ne!(bits(&vectors), bits(&exact), "{isa} {dtype:?} is f32");
            let seen = cosines(&vectors, &exact);
            assert!(seen.0 >= mean && seen.1 >= least, "{isa} {dtype:?}: {seen:?}");
        }
    }
}

#[test]
fn company_changes_no_bit_of_narrower_dtypes() {
    let golden = support::minilm();
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).take(40).collect();
    for isa in [Isa::detect(), Isa::available().next_back().unwrap()] {
        for dtype in [DtypeChoice::Bf16, DtypeChoice::Int8] {
            let model = real(dtype, isa);
            let embed = |texts: &[&str]| {
                let embeddings = model.embed(texts, &EmbedOptions::default()).unwrap();
                embeddings.rows().map(bits).collect::<Vec<_>>()
            };
            let together = embed(&texts);
            for (text, row) in texts.iter().zip(&together) {
                assert_eq!(&embed(&[text])[0], row, "{isa} {dtype:?} {text:?}");
            }
        }
    }
}

#[test]
fn auto_is_what_is_fast_and_nearly_exact() {
    for isa in Isa::available() {
        let expected = if isa.has_bf16_products() { Dtype::Bf16 } else { Dtype::F32 };
        assert_eq!(
            DtypeChoice::on_cpu(Some(DtypeChoice::Auto), isa).unwrap().dtype,
            expected,
            "{isa}"
        );
    }
    assert!(Isa::available().any(|isa| isa.name() == "scalar"));
}

/// A line of what `doctor` says.
fn line(word: &str, place: &Place, args: &[&str], variables: &[(&str, String)]) -> String {
    let ran = place.run_with(&[&["doctor"], args].concat(), variables);
    ran.text().lines().find(|line| line.starts_with(word)).unwrap().to_owned()
}

/// What `doctor` says of the device.
fn device(place: &Place, args: &[&str], variables: &[(&str, String)]) -> String {
    line("device", place, args, variables)
}

#[test]
fn doctor_says_which_dtype_runs_and_why() {
    let place = Place::new();
    let model = tiny();
    for (flags, chosen) in [
        (&["--device", "cpu"][..], "f32: the default of processors"),
        (&["--device", "cpu", "--dtype", "int8"], "int8: as the settings"),
        (&["--device", "cpu", "--dtype", "auto"], ": `auto`: this processor"),
    ] {
        let dtype = line("dtype", &place, &[&["--model", &model], flags].concat(), &[]);
        assert!(dtype.contains(chosen), "{dtype}");
    }
}

#[test]
fn the_setting_goes_before_the_registry_and_f32_is_the_default() {
    let place = Place::new();
    let folder = place.path("models/tester/tiny");
    support::copy_folder(&support::golden("tiny"), &folder);
    let spec = "[[model]]\nname = \"t\"\nrepository = \"tester/tiny\"\ndtype = \"int8\"\n";
    place.write("models.toml", spec);
    let registry = vec![("CHUNKFLOW__MODEL__REGISTRY", "models.toml".to_owned())];
    let runs = |args: &[&str], dtype: &str| {
        let device = device(&place, args, &registry);
        assert!(device.contains(&format!("cpu, {dtype},")), "{args:?}: {device}");
    };
    runs(&["--model", "t"], "int8");
    runs(&["--model", "t", "--dtype", "f32"], "f32");
    runs(&["--model", "t", "--dtype", "bf16"], "bf16");
    runs(&["--model", &tiny()], "f32");
    let mut variables = registry.clone();
    variables.push(("CHUNKFLOW__COMPUTE__DTYPE", "int8".to_owned()));
    assert!(device(&place, &["--model", &tiny()], &variables).contains("cpu, int8,"));
    fs::write(place.path("models.toml"), spec.replace("int8", "int4")).unwrap();
    let ran = place.run_with(&["doctor", "--model", "t"], &registry);
    assert!(ran.code != Some(0) && ran.stderr.contains("int4"), "{}", ran.stderr);
    // Files that lack a module give other vectors than the published ones.
    place.write("models.toml", spec.replace("dtype = \"int8\"", "dimensions = 99"));
    let ran = place.run_with(&["doctor", "--model", "t"], &registry);
    check_fails(&ran, 65, &["vectors of 24, the registry says 99"]);
}

#[test]
fn a_lower_instruction_set_can_be_forced() {
    let place = Place::new();
    for isa in Isa::available() {
        let variables = [("CHUNKFLOW__COMPUTE__ISA", isa.name().to_owned())];
        let device = device(&place, &["--model", &tiny()], &variables);
        assert!(device.ends_with(&format!(", {isa}")), "{device}");
    }
    let variables = [("CHUNKFLOW__COMPUTE__ISA", "sse9".to_owned())];
    let ran = place.run_with(&["doctor", "--model", &tiny()], &variables);
    check_fails(&ran, 78, &["CHUNKFLOW__COMPUTE__ISA", "sse9", "scalar"]);
}

#[test]
fn verify_holds_each_dtype_to_its_own_limit() {
    let (place, models) = (Place::new(), support::models_dir());
    for (dtype, finding) in
        [("f32", "largest difference"), ("bf16", "least cosine"), ("int8", "least cosine")]
    {
        let args = ["doctor", "--verify", "--dtype", dtype, "--models-dir"];
        let ran = place.run(&[&args[..], &[models.to_str().unwrap()]].concat());
        assert!(ran.text().contains(&format!("verify     ok: {finding}")), "{}", ran.text());
    }
}

#[test]
fn bench_names_dtype_and_instruction_set() {
    let place = Place::with("texts.txt", "One text.\nAnd another one.\n");
    let args = ["bench", "--json", "--repeat", "1", "--dtype", "int8", "--input", "texts.txt"];
    let ran = place.tiny(&args);
    let report: Value = serde_json::from_slice(ran.output()).unwrap();
    let device = report["device"].as_str().unwrap();
    assert!(device.contains("int8") && device.contains(Isa::detect().name()), "{device}");
}
