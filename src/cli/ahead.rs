//! Documents in blocks, read and planned on a thread of their own while earlier ones run.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use super::input::Documents;
use crate::files::Document;

/// Texts planned at a time, and their bytes: what is held in memory.
const BLOCK_TEXTS: usize = 1_024;
pub(super) const BLOCK_BYTES: usize = 2 << 20;

/// Documents in blocks of `BLOCK_TEXTS` or about so many bytes of text; none is empty.
pub(super) struct Blocks {
    documents: Documents,
    bytes: usize,
}

impl Blocks {
    pub(super) fn new(documents: Documents, bytes: usize) -> Self {
        Self { documents, bytes }
    }

    /// Plans each block while the one before runs, and runs them in order. After an error nobody
    /// waits for the reader: its input may have no end.
    pub(super) fn run_ahead<P: Send + 'static>(
        self,
        plan: impl Fn(&[Document]) -> anyhow::Result<P> + Send + 'static,
        mut run: impl FnMut(Vec<Document>, P) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (sender, planned) = mpsc::sync_channel(1);
        let reader = thread::Builder::new().name("chunkflow-reader".to_owned());
        let reader = reader.spawn(move || {
            for block in self {
                let planned = block.and_then(|block| {
                    let planned = plan(&block)?;
                    Ok((block, planned))
                });
                if sender.send(planned).is_err() {
                    break;
                }
            }
        })?;
        for block in planned {
            let (block, planned) = block?;
            run(block, planned)?;
        }
        // The reader has ended; had it panicked, the input would seem to end here.
        reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(())
    }
}

impl Iterator for Blocks {
    type Item = anyhow::Result<Vec<Document>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < BLOCK_TEXTS && bytes < self.bytes {
            match self.documents.next() {
                Some(Ok(document)) => {
                    bytes += document.text.len();
                    block.push(document);
                }
                Some(Err(error)) => return Some(Err(error.into())),
                None => break,
            }
        }
        (!block.is_empty()).then_some(Ok(block))
    }
}
