//! Clusters of rows that are alike.

use crate::files::{Field, Kind, Records, Value};

/// Rows that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its number, from 0.
    pub cluster: usize,
    /// In the order of the corpus.
    pub members: Vec<Member>,
}

/// A row of a [`Cluster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Position in the corpus, from 0.
    pub index: u64,
    /// Its id where the corpus has one.
    pub id: Option<String>,
}

/// Clusters in their order.
#[derive(Debug, Clone, Copy)]
pub struct Clusters<'a>(pub &'a [Cluster]);

impl Clusters<'_> {
    /// What is written of each, in order; `size` is its number of members.
    pub const FIELDS: [Field; 3] = [
        Field::new("cluster", Kind::Integer),
        Field::new("size", Kind::Integer),
        Field::new("members", Kind::List),
    ];
}

impl Records for Clusters<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::FIELDS.to_vec()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Cluster { cluster, members } = &self.0[index];
        values.extend([
            Value::Integer(*cluster as u64),
            Value::Integer(members.len() as u64),
            Value::Records(members),
        ]);
    }
}

impl Records for Vec<Member> {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("index", Kind::Integer), Field::new("id", Kind::Text).optional()]
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Member { index, id } = &self[index];
        values.extend([Value::Integer(*index), Value::text(id.as_deref())]);
    }
}
