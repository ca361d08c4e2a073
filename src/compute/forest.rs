//! Rows that are linked, and the clusters that links make.
//!
//! Invariant: a root is the smallest row of its tree, so that clusters are the same in whatever
//! order links come.

/// A disjoint-set forest of rows.
pub(super) struct Forest {
    /// Of each row; a root's is itself.
    parents: Vec<u32>,
}

impl Forest {
    /// Of so many rows without links.
    pub(super) fn new(rows: usize) -> Self {
        Self { parents: (0..rows as u32).collect() }
    }

    /// Links two rows.
    pub(super) fn unite(&mut self, first: u32, second: u32) {
        // Where most rows are linked already, this is all that is done.
        if self.parents[first as usize] == self.parents[second as usize] {
            return;
        }
        let (first, second) = (self.root(first), self.root(second));
        self.parents[first.max(second) as usize] = first.min(second);
    }

    /// Of each row the smallest row that it is linked with, itself included.
    pub(super) fn into_roots(mut self) -> Vec<u32> {
        for row in 0..self.parents.len() {
            // No parent is larger, so that it has its root by now.
            self.parents[row] = self.parents[self.parents[row] as usize];
        }
        self.parents
    }

    /// The root of a row's tree, whose paths are halved on the way (Tarjan and van Leeuwen 1984,
    /// doi 10.1145/62.2160).
    fn root(&mut self, mut row: u32) -> u32 {
        while self.parents[row as usize] != row {
            let above = self.parents[self.parents[row as usize] as usize];
            self.parents[row as usize] = above;
            row = above;
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::Forest;

    #[test]
    fn clusters_are_the_same_in_any_order_of_links() {
        let mut links = vec![(7, 3), (1, 6), (3, 5), (6, 2), (5, 7), (8, 3)];
        for _ in 0..links.len() {
            links.rotate_left(1);
            for links in [links.clone(), links.iter().rev().map(|&(i, j)| (j, i)).collect()] {
                let mut forest = Forest::new(10);
                for (first, second) in links {
                    forest.unite(first, second);
                }
                assert_eq!(forest.into_roots(), [0, 1, 1, 3, 4, 3, 1, 3, 3, 9]);
            }
        }
    }
}
