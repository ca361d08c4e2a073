//! Clusters of rows that are alike.

use super::{Device, Error, Pairs, Rows, threshold};

/// Clusters of rows that are linked by scores of at least `least`: the connected components of two
/// rows or more. Members ascend, and clusters are in the order of their smallest member.
///
/// # Errors
/// As [`threshold`].
pub fn duplicates(device: &Device, rows: Rows<'_>, least: f32) -> Result<Vec<Vec<u32>>, Error> {
    let pairs = threshold(device, rows, rows, least, Pairs::Upper)?;
    let mut forest: Vec<u32> = (0..rows.len() as u32).collect();
    for pair in pairs {
        let (first, second) = (root(&mut forest, pair.first), root(&mut forest, pair.second));
        // The smaller one leads, so that a root is its cluster's smallest member.
        forest[first.max(second) as usize] = first.min(second);
    }
    let mut clusters = vec![Vec::new(); rows.len()];
    for row in 0..rows.len() as u32 {
        clusters[root(&mut forest, row) as usize].push(row);
    }
    clusters.retain(|members| members.len() > 1);
    Ok(clusters)
}

/// The root of a row's tree, whose paths are halved on the way (Tarjan and van Leeuwen 1984, doi
/// 10.1145/62.2160).
fn root(forest: &mut [u32], mut row: u32) -> u32 {
    while forest[row as usize] != row {
        let above = forest[forest[row as usize] as usize];
        forest[row as usize] = above;
        row = above;
    }
    row
}
