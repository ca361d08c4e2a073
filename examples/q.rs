use chunkflow::chunking::*;
use chunkflow::embeddings::*;
use chunkflow::pipeline::Document;
use std::ops::Range;
fn pk(r: &[usize], h: &[usize]) -> f64 {
    let n: usize = r.iter().sum();
    let mean = n as f64 / r.len() as f64 / 2.0;
    let k = (mean.round_ties_even() as usize).max(2);
    let lab = |m: &[usize]| { let mut v = vec![]; for (i, &l) in m.iter().enumerate() { v.extend(std::iter::repeat_n(i, l)); } v };
    let (a, b) = (lab(r), lab(h));
    if n <= k { return 0.0; }
    (0..n - k).filter(|&i| (a[i] == a[i + k]) != (b[i] == b[i + k])).count() as f64 / (n - k) as f64
}
fn wiki() -> Vec<(Vec<String>, Vec<usize>)> {
    let mut docs = vec![];
    let mut files: Vec<_> = std::fs::read_dir("/work/shared/data/wiki50").unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|x| x == "ref")).collect();
    files.sort();
    for f in files {
        let (mut units, mut segs, mut cur) = (vec![], vec![], 0);
        for line in std::fs::read_to_string(f).unwrap().lines() {
            if line.starts_with("=====") { if cur > 0 { segs.push(cur); cur = 0; } } else { units.push(line.to_owned()); cur += 1; }
        }
        if cur > 0 { segs.push(cur) }
        docs.push((units, segs));
    }
    docs
}
fn qmsum(split: &str) -> Vec<(Vec<String>, Vec<usize>)> {
    let mut docs = vec![];
    for d in ["Academic", "Committee", "Product"] {
        for line in std::fs::read_to_string(format!("/work/shared/data/qmsum/{d}.{split}.jsonl")).unwrap().lines() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            if v["spans_non_overlapping"] != true { continue; }
            let units: Vec<String> = v["turns"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect();
            let mut b: Vec<usize> = v["boundaries"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as usize).collect();
            b.retain(|&x| x > 0 && x < units.len()); b.sort(); b.dedup(); b.push(units.len());
            let mut p = 0; let segs = b.iter().map(|&e| { let l = e - p; p = e; l }).collect();
            docs.push((units, segs));
        }
    }
    docs
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let model = Model::load("all-MiniLM-L6-v2", &ModelOptions::default()).unwrap();
    let docs = match args[1].as_str() { "wiki" => wiki(), s => qmsum(s) };
    let enc: Encoding = if args[2] == "late" { Encoding::Late } else { Encoding::Isolated };
    let texts: Vec<(String, Vec<Range<usize>>, &Vec<usize>)> = docs.iter().map(|(u, s)| {
        let mut t = String::new(); let mut r = vec![];
        for x in u { let a = t.len(); t.push_str(x); t.push('\n'); r.push(a..t.len()); }
        (t, r, s)
    }).collect();
    let t0 = std::time::Instant::now();
    let read: Vec<Document> = texts.iter().map(|(t, r, _)| Document::with_units(&model, t, r, enc, &EmbedOptions::default()).unwrap()).collect();
    eprintln!("{} docs read in {:?}", read.len(), t0.elapsed());
    for arg in &args[3..] {
        let t0 = std::time::Instant::now();
        let (known, json) = arg.strip_prefix('K').map_or((false, arg.as_str()), |j| (true, j));
        let mut o: ChunkOptions = serde_json::from_str(json).unwrap();
        o.preset = o.preset.or(Some(Preset::Topics));
        let mut sum = 0.0; let mut segs = 0;
        for (d, (_, _, gold)) in read.iter().zip(&texts) {
            if known { o.segments = Some(Segments::Count(gold.len())); }
            let spec = o.resolve().unwrap();
            let c = d.cut(&model, &spec).unwrap();
            let mut p = 0; let h: Vec<usize> = c.ends.iter().map(|&e| { let l = e - p; p = e; l }).collect();
            sum += pk(gold, &h); segs += h.len();
        }
        println!("{:.2} segs {:.1} {:?} {arg}", 100.0 * sum / read.len() as f64, segs as f64 / read.len() as f64, t0.elapsed());
    }
}
