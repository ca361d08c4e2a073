//! The header of NumPy's `.npy` files, versions 1 to 3 (numpy.org, `numpy.lib.format`).

/// What every file starts with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of the longest header that is read; NumPy's own has a few hundred.
const MAX_BYTES: usize = 1 << 16;
/// Bytes before the values of a file that is written. A row count that is written last needs its
/// space from the start.
const WRITTEN_BYTES: usize = 128;

/// A value's type in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    I8,
    U8,
}

impl Element {
    const ALL: [Self; 5] = [Self::F64, Self::F32, Self::F16, Self::I8, Self::U8];

    /// NumPy's name of it, where its bytes are in little-endian order.
    fn descr(self) -> &'static str {
        match self {
            Self::F64 => "<f8",
            Self::F32 => "<f4",
            Self::F16 => "<f2",
            Self::I8 => "|i1",
            Self::U8 => "|u1",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }
}

/// What a header says of its array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    /// The first byte of a value is its highest.
    pub(super) big_endian: bool,
    /// Fortran's order: the values of a column are together.
    pub(super) by_column: bool,
    pub(super) shape: [usize; 2],
}

impl Header {
    /// Of rows of `element`, as they lie in memory where the machine is little-endian.
    pub(super) fn of_rows(element: Element, shape: [usize; 2]) -> Self {
        Self { element, big_endian: false, by_column: false, shape }
    }

    /// The header that `file` starts with, and where its values start.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn parse(file: &[u8]) -> Result<(Self, usize), String> {
        let rest = file.strip_prefix(MAGIC).ok_or("is no .npy file")?;
        let (length, start) = match *rest {
            [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), 10),
            [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
            [version @ (0 | 4..), ..] => {
                return Err(format!("has format version {version}, known are 1 to 3"));
            }
            _ => return Err("ends within its header".to_owned()),
        };
        if length > MAX_BYTES {
            return Err(format!("has a header of {length} bytes, limit {MAX_BYTES}"));
        }
        let text = file.get(start..start + length).ok_or("ends within its header")?;
        let text = std::str::from_utf8(text).map_err(|_| "has a header that is no text")?;
        Ok((Self::from_text(text)?, start + length))
    }

    /// From a Python dictionary, such as
    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn from_text(text: &str) -> Result<Self, String> {
        let mut rest = Text(text);
        let malformed = || format!("has a header that is no dictionary: {}", text.trim_end());
        let [mut descr, mut order, mut shape] = [None; 3];
        rest.take("{").ok_or_else(malformed)?;
        while rest.take("}").is_none() {
            let key = rest.string().ok_or_else(malformed)?;
            rest.take(":").ok_or_else(malformed)?;
            let place = match key {
                "descr" => &mut descr,
                "fortran_order" => &mut order,
                "shape" => &mut shape,
                _ => return Err(format!("has a header with the unknown key {key}")),
            };
            if place.replace(rest.value().ok_or_else(malformed)?).is_some() {
                return Err(format!("has a header with {key} twice"));
            }
            if rest.take(",").is_none() && !rest.0.trim_start().starts_with('}') {
                return Err(malformed());
            }
        }
        let missing = |key: &str| format!("has a header without {key}");
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let by_column = match order.ok_or_else(|| missing("fortran_order"))? {
            "False" => false,
            "True" => true,
            other => return Err(format!("has fortran_order {other}, True or False is needed")),
        };
        let (element, big_endian) = element(descr)?;
        let shape = dimensions(shape.ok_or_else(|| missing("shape"))?)?;
        Ok(Self { element, big_endian, by_column, shape })
    }

    /// What a file of format version 1.0 starts with, always of the same length.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (descr, [rows, columns]) = (self.descr(), self.shape);
        let order = if self.by_column { "True" } else { "False" };
        let dict = format!(
            "{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({rows}, {columns}), }}"
        );
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        let length = WRITTEN_BYTES - MAGIC.len() - 4;
        bytes.extend((length as u16).to_le_bytes());
        bytes.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
        bytes
    }

    /// NumPy's name of the type of its values.
    pub(super) fn descr(&self) -> String {
        let little = self.element.descr();
        if self.big_endian { little.replace('<', ">") } else { little.to_owned() }
    }

    /// Bytes of all values, if there can be so many.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.shape[0].checked_mul(self.shape[1])?.checked_mul(self.element.bytes())
    }
}

/// A value's type by NumPy's name of it, and whether its bytes are in big-endian order.
fn element(descr: &str) -> Result<(Element, bool), String> {
    let name = descr.trim_matches(['\'', '"']);
    let big_endian = name.starts_with('>');
    let little = name.replacen('>', "<", 1);
    let known = Element::ALL.into_iter().find(|element| element.descr() == little);
    known.map(|element| (element, big_endian)).ok_or_else(|| {
        let known = Element::ALL.map(Element::descr).join(", ");
        format!("has dtype {descr}, known are {known}, and those with > for <")
    })
}

/// From a Python tuple.
fn dimensions(tuple: &str) -> Result<[usize; 2], String> {
    let refused = || format!("has shape {tuple}, (rows, columns) is needed");
    let inner = tuple.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(refused)?.trim();
    let (rows, columns) =
        inner.strip_suffix(',').unwrap_or(inner).split_once(',').ok_or_else(refused)?;
    // Python 2 wrote long integers so.
    let number = |text: &str| text.trim().trim_end_matches('L').parse().map_err(|_| refused());
    Ok([number(rows)?, number(columns)?])
}

/// What is left of a header to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Goes past `token`, if it comes next.
    fn take(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    /// Goes past a string in quotes and gives what is within.
    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (string, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(string)
    }

    /// Goes past a string, a tuple or a name and gives it as it is written.
    fn value(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let end = match text.chars().next()? {
            '\'' | '"' => {
                self.string()?;
                text.len() - self.0.len()
            }
            '(' => text.find(')')? + 1,
            _ => text.find(|c: char| !c.is_alphanumeric())?,
        };
        self.0 = &text[end..];
        Some(&text[..end])
    }
}
