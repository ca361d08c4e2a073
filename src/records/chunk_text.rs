//! Chunks as text, for people: each is followed by a line that says what it is.
//!
//! Invariant: no line of a text looks like that line. One that would has a space put before it, as
//! has one that has spaces there already, so that the text can be had back: the chunk's length in
//! bytes tells whether its last line ended.

use std::io::{self, Write};

use crate::chunking::Chunk;

/// What the line after a chunk begins with, and no line of a chunk.
const SEPARATOR: &str = "---- chunk ";

/// Writes the chunks of `text`, whose first byte is `first` of its file, each with its separator.
pub(super) fn write_chunks(
    out: &mut dyn Write,
    document: &str,
    text: &str,
    first: usize,
    chunks: &[Chunk],
) -> io::Result<()> {
    // A name may hold line breaks; as a JSON string it is one line.
    let document = serde_json::to_string(document)?;
    for (index, chunk) in chunks.iter().enumerate() {
        for line in text[chunk.bytes.clone()].split_inclusive('\n') {
            if line.trim_start_matches(' ').starts_with(SEPARATOR) {
                out.write_all(b" ")?;
            }
            out.write_all(line.as_bytes())?;
            if !line.ends_with('\n') {
                out.write_all(b"\n")?;
            }
        }
        let (bytes, tokens) = (&chunk.bytes, chunk.tokens);
        let (start, end) = (first + bytes.start, first + bytes.end);
        write!(
            out,
            "{SEPARATOR}{index} of {document}, bytes {start}..{end}, {tokens} tokens ---- "
        )?;
        match chunks.get(index + 1).map(|next| next.strength) {
            Some(Some(strength)) => {
                writeln!(out, "cut, strength {strength:.3}")?;
            }
            Some(None) => writeln!(out, "cut")?,
            None => writeln!(out, "end")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chunks::Chunks;
    use super::SEPARATOR;
    use crate::chunking::Chunk;
    use crate::files::{Destination, RecordFormat};

    fn write(document: &str, pieces: &[String], strength: Option<f32>) -> String {
        let text = pieces.concat();
        let (mut start, mut chunks) = (0, Vec::new());
        for piece in pieces {
            let bytes = start..start + piece.len();
            let chars = text[..start].chars().count()..text[..bytes.end].chars().count();
            let strength = strength.filter(|_| start > 0);
            start = bytes.end;
            chunks.push(Chunk { bytes, chars, tokens: 3, strength, vector: Vec::new() });
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chunks.txt");
        let destination = Destination::file(&path, false).unwrap();
        let mut writer = Chunks::writer(RecordFormat::Text, destination, None).unwrap();
        let (document, chunks) = (Some(document), &chunks[..]);
        writer.write(&Chunks { document, text: &text, mark: "", chunks, vectors: false }).unwrap();
        writer.finish().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    /// The chunks' texts, from the output alone.
    fn read(output: &str) -> Vec<String> {
        let (mut texts, mut text) = (Vec::new(), String::new());
        for line in output.split_inclusive('\n') {
            if let Some(facts) = line.strip_prefix(SEPARATOR) {
                let range = facts.rsplit("bytes ").next().unwrap().split(',').next().unwrap();
                let (start, end) = range.split_once("..").unwrap();
                let length = end.parse::<usize>().unwrap() - start.parse::<usize>().unwrap();
                text.truncate(length);
                texts.push(std::mem::take(&mut text));
            } else {
                let stuffed = line.trim_start_matches(' ').starts_with(SEPARATOR);
                text.push_str(&line[usize::from(stuffed)..]);
            }
        }
        texts
    }

    #[test]
    fn a_separator_follows_each_chunk_and_names_it() {
        let pieces = ["One.\n".to_owned(), "Two, ".to_owned(), "three.".to_owned()];
        let expected = "One.\n\
            ---- chunk 0 of \"a\\nb\", bytes 0..5, 3 tokens ---- cut, strength 0.250\n\
            Two, \n\
            ---- chunk 1 of \"a\\nb\", bytes 5..10, 3 tokens ---- cut, strength 0.250\n\
            three.\n\
            ---- chunk 2 of \"a\\nb\", bytes 10..16, 3 tokens ---- end\n";
        assert_eq!(write("a\nb", &pieces, Some(0.25)), expected);
        let cut = "bytes 0..5, 3 tokens ---- cut\n";
        assert!(write("a", &pieces, None).contains(cut));
    }

    proptest! {
        #[test]
        fn any_text_can_be_had_back(
            pieces in prop::collection::vec("( |-|\n|\r|x|é|---- chunk |---- chunk 7 of){1,8}", 1..5),
        ) {
            prop_assert_eq!(read(&write("bytes 1..2, a", &pieces, None)), pieces);
        }
    }
}
