//! What a newcomer wants to see: a document cut where its topics change, and the chunks nearest
//! to a question. Run it with `make demo`.

use std::time::Instant;

use chunkflow::chunking::ChunkSpec;
use chunkflow::embeddings::{EmbedOptions, Engine, Model, ModelOptions};
use chunkflow::pipeline;

const DOCUMENT: &str = include_str!("../src/cli/sample.txt");
const QUERY: &str = "Why do we always see the same side of the moon?";

fn main() -> Result<(), chunkflow::Error> {
    let options = ModelOptions {
        models_dir: "models".into(),
        engine: Engine::Native,
        max_batch_tokens: 2048,
    };
    let model = Model::load("all-MiniLM-L6-v2", &options)?;
    println!("model   {}, {} dimensions", model.name(), model.dimensions());
    println!("device  {}", model.device());

    let spec = ChunkSpec { max_tokens: 160, target_tokens: 120, size_weight: 0.5 };
    let start = Instant::now();
    let chunks = pipeline::chunk(&model, DOCUMENT, &spec, None)?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens).sum();
    println!(
        "\n{} chunks of the sample document (strength: how far the topic moves)\n",
        chunks.len()
    );
    println!("  #  strength  tokens  bytes       begins");
    for (number, chunk) in chunks.iter().enumerate() {
        let strength = chunk.strength.map_or("-".to_owned(), |strength| format!("{strength:.2}"));
        let bytes = format!("{}..{}", chunk.bytes.start, chunk.bytes.end);
        let begins: String = DOCUMENT[chunk.bytes.clone()].chars().take(52).collect();
        println!("{number:>3}  {strength:>8}  {:>6}  {bytes:<10}  {begins}…", chunk.tokens);
    }

    let query = model.embed(&[QUERY], &EmbedOptions::default())?;
    let mut nearest: Vec<(f32, usize)> = chunks
        .iter()
        .enumerate()
        .map(|(number, chunk)| (dot(&query.data, &chunk.vector), number))
        .collect();
    nearest.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("\nnearest to “{QUERY}”\n");
    for (cosine, number) in nearest.into_iter().take(3) {
        let begins: String = DOCUMENT[chunks[number].bytes.clone()].chars().take(62).collect();
        println!("  {cosine:.3}  chunk {number}  {begins}…");
    }
    println!(
        "\n{tokens} tokens in {:.0} ms: {:.0} tokens/s",
        seconds * 1e3,
        tokens as f64 / seconds
    );
    Ok(())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
