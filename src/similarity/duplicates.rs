//! Clusters of rows that are alike.

use super::products::check_rows;
use super::{Device, Error, Rows};

/// Clusters of rows that are linked by scores of at least `least`: the connected components of two
/// rows or more. Members ascend, and clusters are in the order of their smallest member. Links are
/// not kept, so that memory does not grow with the squares of clusters.
///
/// # Errors
/// As [`threshold`](super::threshold()).
pub fn duplicates(
    device: &Device,
    rows: Rows<'_>,
    min_cosine: f32,
) -> Result<Vec<Vec<u32>>, Error> {
    check_rows(rows)?;
    let smallest = match device {
        Device::Cpu(exec) => exec.clusters(rows, min_cosine),
        Device::Cuda(device) => device.clusters(rows, min_cosine)?,
    };
    let mut clusters = vec![Vec::new(); rows.len()];
    for (row, smallest) in (0..).zip(smallest) {
        clusters[smallest as usize].push(row);
    }
    clusters.retain(|members| members.len() > 1);
    Ok(clusters)
}
