//! What must hold of packed sequences and of the batches that they are planned into, checked by a
//! fuzz target and, over seeded inputs, by a test.

use chunkflow::embeddings::{Packed, plan_batches};

/// The first two bytes are the budget, and every other byte is the length of a sequence.
pub(crate) fn batches(input: &[u8]) {
    let [low, high, lengths @ ..] = input else { return };
    let budget = usize::from(u16::from_le_bytes([*low, *high]));
    let lengths: Vec<usize> = lengths.iter().map(|&length| usize::from(length)).collect();
    let sequences: Vec<Vec<(u32, u32)>> = lengths.iter().enumerate().map(sequence).collect();

    let mut packed = Packed::default();
    for (index, sequence) in sequences.iter().enumerate() {
        if index % 2 == 0 {
            packed.push_segments(sequence.iter().copied());
        } else {
            packed.push(sequence.iter().map(|&(id, _)| id));
        }
    }
    check(&packed, &(0..lengths.len()).collect::<Vec<_>>(), &sequences);

    let batches = plan_batches(&lengths, budget);
    let mut seen: Vec<usize> = batches.concat();
    assert!(seen.windows(2).all(|pair| lengths[pair[0]] >= lengths[pair[1]]), "not longest first");
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..lengths.len()), "not every sequence once");
    for batch in &batches {
        let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
        assert!(!batch.is_empty() && (tokens <= budget || batch.len() == 1), "{tokens} > {budget}");
        let mut own = Packed::default();
        for &index in batch {
            own.push_from(&packed, index);
        }
        check(&own, batch, &sequences);
    }
}

/// Token ids and segments that no two sequences share.
fn sequence((index, &length): (usize, &usize)) -> Vec<(u32, u32)> {
    // One of a single segment is pushed without them.
    let segment = |token: usize| u32::from(index % 2 == 0 && 2 * token >= length);
    (0..length).map(|token| ((index * 256 + token) as u32, segment(token))).collect()
}

/// `packed` holds the sequences `indices`, end to end.
fn check(packed: &Packed, indices: &[usize], sequences: &[Vec<(u32, u32)>]) {
    assert_eq!(packed.sequences(), indices.len());
    let tokens: Vec<(u32, u32)> =
        indices.iter().flat_map(|&index| sequences[index].clone()).collect();
    let ids_and_types = packed.ids.iter().copied().zip(packed.type_ids.iter().copied());
    assert!(ids_and_types.eq(tokens.iter().copied()));
    assert_eq!((packed.tokens(), packed.type_ids.len()), (tokens.len(), tokens.len()));
    assert!(packed.lengths().eq(indices.iter().map(|&index| sequences[index].len())));
    let positions = indices.iter().flat_map(|&index| 0..sequences[index].len() as u32);
    assert!(packed.positions.iter().copied().eq(positions));
    for (place, &index) in indices.iter().enumerate() {
        assert!(packed.sequence(place).iter().eq(sequences[index].iter().map(|(id, _)| id)));
    }
}
