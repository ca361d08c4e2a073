//! Packed batches and their planning. Pure: sequences in, lists of indices out.

/// Sequences packed end to end, without padding. `T` is the number of tokens in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// `[T]` vocabulary indices, special tokens included.
    pub ids: Vec<u32>,
    /// `[T]` segment indices.
    pub type_ids: Vec<u32>,
    /// `[T]` position of each token in its sequence.
    pub positions: Vec<u32>,
    /// `[n + 1]` row at which each sequence starts, and `T` at the end.
    pub cu_seqlens: Vec<u32>,
}

impl Default for Packed {
    fn default() -> Self {
        Self { ids: Vec::new(), type_ids: Vec::new(), positions: Vec::new(), cu_seqlens: vec![0] }
    }
}

impl Packed {
    /// Number of sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.cu_seqlens.len() - 1
    }

    /// Number of tokens in all.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.cu_seqlens.windows(2).map(|ends| (ends[1] - ends[0]) as usize)
    }

    /// Tokens of sequence `index`.
    ///
    /// # Panics
    /// When there is no such sequence.
    #[must_use]
    pub fn length(&self, index: usize) -> usize {
        (self.cu_seqlens[index + 1] - self.cu_seqlens[index]) as usize
    }

    /// The token ids of sequence `index`.
    ///
    /// # Panics
    /// When there is no such sequence.
    #[must_use]
    pub fn sequence(&self, index: usize) -> &[u32] {
        &self.ids[self.cu_seqlens[index] as usize..self.cu_seqlens[index + 1] as usize]
    }

    /// Appends a sequence of one segment.
    pub fn push(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.ids.extend(ids);
        self.type_ids.resize(self.ids.len(), 0);
        self.end_sequence();
    }

    /// Appends a sequence of tokens and their segments.
    pub fn push_segments(&mut self, tokens: impl IntoIterator<Item = (u32, u32)>) {
        for (id, type_id) in tokens {
            self.ids.push(id);
            self.type_ids.push(type_id);
        }
        self.end_sequence();
    }

    /// Appends sequence `index` of `other`.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn push_from(&mut self, other: &Self, index: usize) {
        let rows = other.cu_seqlens[index] as usize..other.cu_seqlens[index + 1] as usize;
        self.ids.extend_from_slice(&other.ids[rows.clone()]);
        self.type_ids.extend_from_slice(&other.type_ids[rows]);
        self.end_sequence();
    }

    fn end_sequence(&mut self) {
        let (start, end) = (self.positions.len(), self.ids.len());
        self.positions.extend(0..(end - start) as u32);
        self.cu_seqlens.push(end as u32);
    }
}

/// Groups sequences into batches of at most `max_batch_tokens` tokens, longest first, so that a
/// batch holds sequences of similar length. A longer sequence is a batch of its own. Returns
/// indices into `lengths`; every index occurs once, and the caller restores the order by them.
#[must_use]
pub fn plan_batches(lengths: &[usize], max_batch_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0_usize;
    for index in order {
        let length = lengths[index];
        match batches.last_mut() {
            Some(batch) if tokens.saturating_add(length) <= max_batch_tokens => {
                batch.push(index);
                tokens += length;
            }
            _ => {
                batches.push(vec![index]);
                tokens = length;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::plan_batches;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sequence_once_within_the_budget_and_longest_first(
            lengths in prop::collection::vec(0_usize..300, 0..200),
            budget in 1_usize..600,
        ) {
            let batches = plan_batches(&lengths, budget);
            let flat: Vec<usize> = batches.iter().flatten().copied().collect();
            let mut sorted = flat.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert!(flat.windows(2).all(|pair| lengths[pair[0]] >= lengths[pair[1]]));
            for batch in &batches {
                let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
                prop_assert!(batch.len() == 1 || tokens <= budget);
            }
            // No two neighbours could have been one batch's start and the last one's end.
            for pair in batches.windows(2) {
                let tokens: usize = pair[0].iter().map(|&index| lengths[index]).sum();
                prop_assert!(tokens + lengths[pair[1][0]] > budget);
            }
        }
    }
}
