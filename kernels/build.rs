//! With the feature `cuda`: compiles every kernel into one fat binary, and makes the library
//! through which the CUDA libraries are opened at the first call. Else nothing.
#![expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by the environment")]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compute capabilities that machine code is made for: what each runs is also run by later minor
/// versions of it.
const CAPABILITIES: &str = "75,80,86,89,90,100,120";
/// What other devices translate when the kernels are loaded.
const PTX_CAPABILITY: &str = "80";
/// Libraries of CUDA, by the prefix of their entry points: the longest that fits.
const LIBRARIES: [&str; 5] = ["cublasLt", "cublas", "curand", "nvrtc", "cu"];
/// What is compiled, and watched for changes: a folder would be watched with all that is in it.
const KERNELS: [&str; 11] = [
    "activate.cu",
    "attention.cu",
    "convert.cu",
    "embed_norm.cu",
    "gram.cu",
    "norm.cu",
    "pool.cu",
    "rotary.cu",
    "similarity.cu",
    "span_max.cu",
    "sum_runs.cu",
];
/// What it includes.
const HEADERS: [&str; 7] = [
    "attention.cuh",
    "attention_f32.cuh",
    "attention_mma.cuh",
    "best.cuh",
    "ptx.cuh",
    "tiles.cuh",
    "values.cuh",
];
/// An archive without members.
const EMPTY_ARCHIVE: &str = "!<arch>\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=kernels/build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    if env::var("CARGO_CFG_TARGET_ARCH")? != "x86_64" {
        return Err("the feature `cuda` is for x86-64".into());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    compile_kernels(&out)?;
    build_lazy(&out)
}

/// One translation unit of all kernels, so that one image holds them.
fn compile_kernels(out: &Path) -> Result<(), Box<dyn Error>> {
    for variable in ["CUDA_HOME", "NVCC", "CHUNKFLOW_CUDA_CAPABILITIES"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let folder = env::current_dir()?.join("kernels");
    let (mut unit, mut contents) = (String::new(), DefaultHasher::new());
    for file in KERNELS.iter().chain(&HEADERS) {
        println!("cargo:rerun-if-changed=kernels/{file}");
        fs::read(folder.join(file))?.hash(&mut contents);
    }
    for kernel in KERNELS {
        writeln!(unit, "#include \"{kernel}\"")?;
    }
    let source = out.join("kernels.cu");
    fs::write(&source, &unit)?;
    let capabilities = env::var("CHUNKFLOW_CUDA_CAPABILITIES");
    let capabilities = capabilities.unwrap_or_else(|_| CAPABILITIES.to_owned());
    let image = out.join("kernels.fatbin");
    let mut command = Command::new(nvcc());
    command.args(["-fatbin", "-O3", "-std=c++17", "--compress-mode=size", "--threads=0"]).arg("-I");
    command.arg(&folder).arg("-o").arg(&image).arg(&source);
    for capability in capabilities.split(',') {
        command.arg(format!("-gencode=arch=compute_{capability},code=sm_{capability}"));
    }
    command.arg(format!("-gencode=arch=compute_{PTX_CAPABILITY},code=compute_{PTX_CAPABILITY}"));
    format!("{command:?}").hash(&mut contents);
    let (stamp, made_from) = (out.join("kernels.stamp"), contents.finish().to_string());
    if image.exists() && fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == made_from) {
        return Ok(());
    }
    run(command)?;
    Ok(fs::write(stamp, made_from)?)
}

fn nvcc() -> PathBuf {
    let home = env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("bin/nvcc"));
    env::var_os("NVCC").map(PathBuf::from).or(home).unwrap_or_else(|| "nvcc".into())
}

fn run(mut command: Command) -> Result<(), Box<dyn Error>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        format!("the feature `cuda` needs `{program}`: {error}; try `make build-cuda`")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{program}: {}", String::from_utf8_lossy(&text)).into())
}

/// A trampoline for every entry point that the bindings name, in place of the libraries that they
/// are linked with: `libcuda.a` has them all, the others are empty.
fn build_lazy(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=kernels/lazy");
    let (mut code, mut slots) = (String::new(), String::new());
    let mut table = String::new();
    let symbols = fs::read_to_string("kernels/lazy/symbols.txt")?;
    for (index, symbol) in symbols.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let library = LIBRARIES.iter().position(|prefix| symbol.starts_with(prefix));
        let library = library.ok_or_else(|| format!("`{symbol}` is of no known library"))?;
        writeln!(code, "    LAZY_ENTRY {symbol}, {index}")?;
        writeln!(slots, "    .quad lazy_first_{symbol}")?;
        writeln!(table, "    {{\"{symbol}\", {library}}},")?;
    }
    fs::write(out.join("lazy_entries.inc"), code)?;
    fs::write(out.join("lazy_slots.inc"), slots)?;
    fs::write(out.join("lazy_table.inc"), table)?;
    let mut objects = Vec::new();
    for source in ["entry.S", "open.c"] {
        let object = out.join(source).with_extension("o");
        let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-c", "-O2", "-fPIC", "-I"]).arg(out).arg("-o").arg(&object);
        compiler.arg(Path::new("kernels/lazy").join(source));
        run(compiler)?;
        objects.push(object);
    }
    let library = out.join("libcuda.a");
    // An archive is extended where it stands.
    if library.exists() {
        fs::remove_file(&library)?;
    }
    let mut archive = Command::new("ar");
    archive.arg("crs").arg(&library).args(&objects);
    run(archive)?;
    for name in ["cublas", "cublasLt", "curand", "nvrtc"] {
        fs::write(out.join(format!("lib{name}.a")), EMPTY_ARCHIVE)?;
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    Ok(())
}
