//! Mapped files hold the rows that NumPy wrote; others are refused in words.

use std::fs;
use std::path::{Path, PathBuf};

use chunkflow::files::{Columns, Error, MappedRows, VectorFile};
use chunkflow::similarity::{Device, RowFormat, pairwise, scan};
use tempfile::TempDir;

use super::{FORMATS, Stored};
use crate::support;

/// A file as `numpy.save` writes it: `length` bytes of header, `dict` padded with spaces.
fn array(version: u8, dict: &str, data: &[u8]) -> Vec<u8> {
    let start = if version == 1 { 10 } else { 12 };
    let length = (start + dict.len() + 1).next_multiple_of(64) - start;
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    if version == 1 {
        file.extend((length as u16).to_le_bytes());
    } else {
        file.extend((length as u32).to_le_bytes());
    }
    file.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
    file.extend(data);
    file
}

fn dict(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

fn write(folder: &TempDir, file: &[u8]) -> PathBuf {
    let path = folder.path().join("rows.npy");
    fs::write(&path, file).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    match MappedRows::open(path) {
        Ok(_) => panic!("accepted"),
        Err(error) => {
            let (words, name) = (error.to_string(), format!("{}: ", path.display()));
            words.strip_prefix(&name).expect("the error names its file").to_owned()
        }
    }
}

#[test]
fn files_hold_the_rows_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let mut stored = Stored::random(format, 1, 50, 24);
        stored.int8.1 = vec![1.0 / 127.0; 50];
        let (descr, columns, data): (_, _, Vec<u8>) = match format {
            RowFormat::F32 => {
                ("<f4", 24, stored.f32.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            RowFormat::F16 => {
                ("<f2", 24, stored.f16.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            // NumPy has no such type.
            RowFormat::Bf16 => continue,
            RowFormat::Int8 => ("|i1", 24, stored.int8.0.iter().map(|&x| x as u8).collect()),
            RowFormat::Binary => ("|u1", 3, stored.bits.clone()),
        };
        for version in [1, 2, 3] {
            let header = dict(descr, &format!("(50, {columns})"));
            let path = write(&folder, &array(version, &header, &data));
            let mapped = MappedRows::open(&path).unwrap();
            let rows = mapped.rows().unwrap();
            assert_eq!((rows.format(), rows.len(), rows.dim()), (format, 50, 24));
            let found =
                |rows| scan(&Device::default(), stored.rows().slice(0..3), rows, 50).unwrap();
            assert_eq!(found(rows), found(stored.rows()), "{format}");
        }
    }
}

/// The rows of a file of `tests/golden/files.py`, of length one: those of floating point, and their
/// cosines in any format.
fn golden(name: &str) -> (Vec<u32>, Vec<u32>) {
    let columns = Columns { vectors: "", id: "", text: "" };
    let file = VectorFile::open(&support::golden("files").join(name), columns, None).unwrap();
    let unit = file.unit_rows().unwrap();
    let rows = unit.rows().unwrap();
    assert_eq!((rows.len(), rows.dim()), (7, file.dim()));
    let mut scores = vec![0.0; 49];
    pairwise(&Device::default(), rows, rows, &mut scores).unwrap();
    let mut floats = Vec::new();
    for block in file.blocks().unwrap() {
        floats.extend(block.unwrap().1.floats().map(support::bits).unwrap_or_default());
    }
    assert_eq!(floats, unit.floats().map(support::bits).unwrap_or_default());
    (floats, scores.iter().map(|x| x.to_bits()).collect())
}

#[test]
fn every_order_of_bytes_and_values_holds_the_same_rows() {
    let expected = golden("rows-f4.npy");
    for name in ["f8", "big-f8", "f4", "big-f4", "f2", "big-f2"] {
        for order in ["", "-by-column"] {
            let name = format!("rows-{name}{order}.npy");
            assert_eq!(golden(&name), expected, "{name}");
        }
    }
    for name in ["i1", "u1"] {
        let expected = golden(&format!("rows-{name}.npy"));
        assert_eq!(golden(&format!("rows-{name}-by-column.npy")), expected, "{name}");
    }
    // Rounded as NumPy rounds them.
    let expected = golden("rows-f4-fine.npy");
    for name in ["rows-f8-fine.npy", "rows-f8-fine-by-column.npy"] {
        assert_eq!(golden(name), expected, "{name}");
    }
}

#[test]
fn headers_are_read_as_python_would() {
    let folder = tempfile::tempdir().unwrap();
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }",
        "{'descr':'<f4','fortran_order':False,'shape':(2,1)}",
        "  { \"shape\" : ( 2 , 1 , ) , \"descr\" : \"<f4\" , \"fortran_order\" : False }  ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }",
    ] {
        let path = write(&folder, &array(1, header, &[0; 8]));
        let mapped = MappedRows::open(&path).unwrap();
        assert_eq!((mapped.rows().unwrap().len(), mapped.rows().unwrap().dim()), (2, 1));
    }
    let path = write(&folder, &array(1, &dict("<f4", "(0, 7)"), &[]));
    assert!(MappedRows::open(&path).unwrap().rows().unwrap().is_empty());
}

#[test]
fn other_files_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let whole = array(1, &dict("<f4", "(2, 3)"), &[0; 24]);
    let of = |header: &str| array(1, header, &[0; 24]);
    let cases: [(Vec<u8>, &str); 22] = [
        (b"PAR1 and more".to_vec(), "is no .npy file"),
        (whole[..9].to_vec(), "ends within its header"),
        (whole[..40].to_vec(), "ends within its header"),
        (whole[..whole.len() - 1].to_vec(), "has 23 bytes of values, which are not [2, 3] of <f4"),
        ([&whole[..], &[0]].concat(), "has 25 bytes of values, which are not [2, 3] of <f4"),
        (array(4, &dict("<f4", "(2, 3)"), &[0; 24]), "has format version 4, known are 1 to 3"),
        (
            of(&dict("<i8", "(1, 3)")),
            "has dtype '<i8', known are <f8, <f4, <f2, |i1, |u1, and those with > for <",
        ),
        (
            of(&dict(">c8", "(1, 3)")),
            "has dtype '>c8', known are <f8, <f4, <f2, |i1, |u1, and those with > for <",
        ),
        (of(&dict(">f8", "(2, 3)")), "has 24 bytes of values, which are not [2, 3] of >f8"),
        (of(&dict("<f4", "(6,)")), "has shape (6,), (rows, columns) is needed"),
        (of(&dict("<f4", "()")), "has shape (), (rows, columns) is needed"),
        (of(&dict("<f4", "(1, 2, 3)")), "has shape (1, 2, 3), (rows, columns) is needed"),
        (of(&dict("<f4", "(-2, -3)")), "has shape (-2, -3), (rows, columns) is needed"),
        (
            of(&dict("<f4", "(4611686018427387904, 8)")),
            "has 24 bytes of values, which are not [4611686018427387904, 8] of <f4",
        ),
        (array(1, &dict("<f4", "(6, 0)"), &[]), "has 6 rows of 0 columns, at least 1 is needed"),
        (
            array(1, &dict("|i1", "(1, 70000)"), &vec![0; 70_000]),
            "rows of int8 have 70000 columns, at most 65793 are compared",
        ),
        (
            array(1, &dict("|u1", "(0, 4611686018427387904)"), &[]),
            "has rows of 4611686018427387904 bytes, their bits are too many",
        ),
        (
            of("{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3), }"),
            "has fortran_order 1, True or False is needed",
        ),
        (of("{'descr': '<f4', 'shape': (2, 3), }"), "has a header without fortran_order"),
        (
            of("{'descr': '<f4', 'descr': '<f4', 'shape': (2, 3), }"),
            "has a header with descr twice",
        ),
        (
            of("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3), }"),
            "has a header that is no dictionary: {'descr': [('x', '<f4')], 'fortran_order': False, \
             'shape': (2, 3), }",
        ),
        (
            of("{'descr': '<f4' 'x': 1"),
            "has a header that is no dictionary: {'descr': '<f4' 'x': 1",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&write(&folder, &file)), expected);
    }
    let mut unaligned = b"\x93NUMPY\x01\x00".to_vec();
    let header = dict("<f4", "(1, 1)") + " ";
    unaligned.extend((header.len() as u16).to_le_bytes());
    unaligned.extend(header.bytes());
    assert_ne!(unaligned.len() % 4, 0);
    let start = unaligned.len();
    unaligned.extend([0; 4]);
    let expected = format!("has values from byte {start} on, which is not aligned for them");
    assert_eq!(refusal(&write(&folder, &unaligned)), expected);
    let absent = MappedRows::open(&folder.path().join("absent.npy"));
    assert!(matches!(absent, Err(Error::Read { .. })));
}
