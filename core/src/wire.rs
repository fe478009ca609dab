//! Fields records: the one way in which structured values become bytes.
//!
//! A record is a sequence of fields `tag u8, length, bytes`. Tags never fall; a tag that repeats is
//! a list. The length is a varint: seven bits a byte, low ones first, in as few bytes as possible.
//! A reader ignores tags it does not know, so that later versions can add fields; what it does know
//! it checks. Whatever is absent is zero, empty or none. This room knows nothing of keys.

/// The most fields one record may have: what a full save record of 1 MiB can hold, rounded up.
pub const FIELDS_MAX: usize = 16_384;

/// The most bytes a length takes: three times seven bits are 2 MiB, twice the largest object.
const LENGTH_BYTES_MAX: usize = 3;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("the record ends inside field {0}")]
    Cut(u8),
    /// A tag is smaller than the one before it, or zero.
    #[error("field {0} is out of order")]
    Order(u8),
    /// More than [`FIELDS_MAX`] fields.
    #[error("the record has more than {FIELDS_MAX} fields")]
    TooMany,
    /// A field that has to be there is not.
    #[error("field {0} is missing")]
    Missing(u8),
    /// A field that may stand only once stands twice.
    #[error("field {0} is there twice")]
    Repeated(u8),
    /// A field of fixed or limited size has another one.
    #[error("field {tag} has {len} bytes")]
    Length {
        /// Which field.
        tag: u8,
        /// How long it is.
        len: usize,
    },
    /// A number or length that could be written in fewer bytes.
    #[error("field {0} is not written in its one form")]
    NotCanonical(u8),
    /// A text that is not UTF-8.
    #[error("field {0} is not UTF-8")]
    NotText(u8),
    /// A value that stands for nothing.
    #[error("field {0} has a value that means nothing")]
    Meaningless(u8),
}

/// Builds a record. Fields are written in ascending order of their tags.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    last: u8,
}

impl Writer {
    /// Starts an empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts an empty record with room for `capacity` bytes: secrets must not be left behind in
    /// memory by a buffer that grew.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), last: 0 }
    }

    /// Writes a field.
    ///
    /// # Panics
    /// When the tag is zero or smaller than the one before: a mistake of the caller's.
    pub fn bytes(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        assert!(tag > 0 && tag >= self.last, "fields are written in ascending order");
        self.last = tag;
        self.bytes.push(tag);
        push_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    /// Writes a field, if there is a value.
    pub fn optional(&mut self, tag: u8, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.bytes(tag, value),
            None => self,
        }
    }

    /// Writes a text, unless it is empty.
    pub fn text(&mut self, tag: u8, value: &str) -> &mut Self {
        self.optional(tag, (!value.is_empty()).then_some(value.as_bytes()))
    }

    /// Writes a number in as few bytes as possible, and nothing for zero.
    pub fn number(&mut self, tag: u8, value: u64) -> &mut Self {
        if value == 0 { self } else { self.present_number(tag, value) }
    }

    /// Writes `true` as one, and nothing for `false`.
    pub fn flag(&mut self, tag: u8, value: bool) -> &mut Self {
        self.number(tag, u64::from(value))
    }

    /// Writes a time in Unix milliseconds, if there is one.
    pub fn time(&mut self, tag: u8, value: Option<i64>) -> &mut Self {
        match value {
            Some(at_ms) => self.present_number(tag, zigzag(at_ms)),
            None => self,
        }
    }

    /// Returns how many bytes the record has so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the record.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn present_number(&mut self, tag: u8, value: u64) -> &mut Self {
        let len = (u64::BITS - value.leading_zeros()).div_ceil(8) as usize;
        self.bytes(tag, &value.to_le_bytes()[..len])
    }
}

/// A record that was read: its fields in order.
#[derive(Debug, Clone)]
pub struct Fields<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Fields<'a> {
    /// Splits a record into its fields.
    ///
    /// # Errors
    /// Whatever breaks the form of a record; what the fields mean is checked when they are asked for.
    pub fn parse(mut bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut fields: Vec<(u8, &[u8])> = Vec::new();
        while let Some((&tag, rest)) = bytes.split_first() {
            let before = fields.last().map_or(1, |field| field.0);
            if tag < before {
                return Err(WireError::Order(tag));
            }
            if fields.len() == FIELDS_MAX {
                return Err(WireError::TooMany);
            }
            let (len, rest) = split_length(tag, rest)?;
            let (value, rest) = rest.split_at_checked(len).ok_or(WireError::Cut(tag))?;
            fields.push((tag, value));
            bytes = rest;
        }
        Ok(Self(fields))
    }

    /// Returns every value of a list.
    pub fn all(&self, tag: u8) -> impl Iterator<Item = &'a [u8]> {
        let start = self.0.partition_point(|field| field.0 < tag);
        self.0[start..].iter().take_while(move |field| field.0 == tag).map(|field| field.1)
    }

    /// Returns the value of a field that may stand once.
    ///
    /// # Errors
    /// [`WireError::Repeated`].
    pub fn bytes(&self, tag: u8) -> Result<Option<&'a [u8]>, WireError> {
        let mut values = self.all(tag);
        let value = values.next();
        if values.next().is_some() { Err(WireError::Repeated(tag)) } else { Ok(value) }
    }

    /// Returns the value of a field of exactly `N` bytes, if it is there.
    ///
    /// # Errors
    /// [`WireError::Length`], [`WireError::Repeated`].
    pub fn array<const N: usize>(&self, tag: u8) -> Result<Option<[u8; N]>, WireError> {
        let refuse = |value: &[u8]| WireError::Length { tag, len: value.len() };
        self.bytes(tag)?.map(|value| value.try_into().map_err(|_| refuse(value))).transpose()
    }

    /// Returns the value of a field of exactly `N` bytes that has to be there.
    ///
    /// # Errors
    /// As [`Fields::array`], and [`WireError::Missing`].
    pub fn required<const N: usize>(&self, tag: u8) -> Result<[u8; N], WireError> {
        self.array(tag)?.ok_or(WireError::Missing(tag))
    }

    /// Returns a text of at most `max` bytes, if it is there.
    ///
    /// # Errors
    /// [`WireError::Length`], [`WireError::NotText`], [`WireError::Repeated`].
    pub fn text(&self, tag: u8, max: usize) -> Result<Option<String>, WireError> {
        self.bytes(tag)?.map(|value| text(tag, value, max)).transpose()
    }

    /// Returns a number that fits its type; zero when it is absent.
    ///
    /// # Errors
    /// [`WireError::Length`], [`WireError::NotCanonical`], [`WireError::Repeated`].
    pub fn number<T: TryFrom<u64>>(&self, tag: u8) -> Result<T, WireError> {
        let value = self.present_number(tag)?.unwrap_or(0);
        T::try_from(value).map_err(|_| WireError::Meaningless(tag))
    }

    /// Returns whether a flag is set.
    ///
    /// # Errors
    /// As [`Fields::number`], and [`WireError::Meaningless`] for anything above one.
    pub fn flag(&self, tag: u8) -> Result<bool, WireError> {
        match self.number::<u64>(tag)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Meaningless(tag)),
        }
    }

    /// Returns a time in Unix milliseconds, if it is there.
    ///
    /// # Errors
    /// As [`Fields::number`].
    pub fn time(&self, tag: u8) -> Result<Option<i64>, WireError> {
        Ok(self.present_number(tag)?.map(unzigzag))
    }

    fn present_number(&self, tag: u8) -> Result<Option<u64>, WireError> {
        let Some(value) = self.bytes(tag)? else { return Ok(None) };
        if value.len() > size_of::<u64>() {
            return Err(WireError::Length { tag, len: value.len() });
        }
        if value.last() == Some(&0) {
            return Err(WireError::NotCanonical(tag));
        }
        let mut bytes = [0; size_of::<u64>()];
        bytes[..value.len()].copy_from_slice(value);
        Ok(Some(u64::from_le_bytes(bytes)))
    }
}

/// Reads `value`, found under `tag`, as a text of at most `max` bytes.
///
/// # Errors
/// [`WireError::Length`], [`WireError::NotText`].
pub fn text(tag: u8, value: &[u8], max: usize) -> Result<String, WireError> {
    if value.len() > max {
        return Err(WireError::Length { tag, len: value.len() });
    }
    let text = std::str::from_utf8(value).map_err(|_| WireError::NotText(tag))?;
    Ok(text.to_owned())
}

/// Writes a number of seven bits a byte, low ones first.
pub fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn split_length(tag: u8, bytes: &[u8]) -> Result<(usize, &[u8]), WireError> {
    let mut len = 0;
    for (index, &byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let canonical = byte != 0 || index == 0;
            let rest = &bytes[index + 1..];
            return if canonical { Ok((len, rest)) } else { Err(WireError::NotCanonical(tag)) };
        }
    }
    Err(WireError::Cut(tag))
}

/// Times before 1970 must not take eight bytes each: the sign goes into the lowest bit.
fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_refused(bytes: &[u8], expected: &WireError) {
        assert_eq!(Fields::parse(bytes).unwrap_err(), *expected, "{bytes:02x?}");
    }

    #[test]
    fn a_record_that_breaks_the_form_is_refused_by_name() {
        check_refused(&[0, 0], &WireError::Order(0));
        check_refused(&[2, 0, 1, 0], &WireError::Order(1));
        check_refused(&[1], &WireError::Cut(1));
        check_refused(&[1, 3, 0, 0], &WireError::Cut(1));
        check_refused(&[1, 0x80, 0x00], &WireError::NotCanonical(1));
        check_refused(&[1, 0xff, 0xff, 0xff, 0x01], &WireError::Cut(1));
        check_refused(&[1, 0].repeat(FIELDS_MAX + 1), &WireError::TooMany);
    }

    #[test]
    fn a_field_that_is_not_what_it_should_be_is_refused_by_name() {
        let fields = Fields::parse(&[
            1, 2, 5, 0, 2, 1, 0xff, 3, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1, 2, 4, 1, 2,
        ])
        .unwrap();
        assert_eq!(fields.number::<u64>(1), Err(WireError::NotCanonical(1)));
        assert_eq!(fields.number::<u8>(2), Ok(255));
        assert_eq!(fields.text(2, 10), Err(WireError::NotText(2)));
        assert_eq!(fields.text(2, 0), Err(WireError::Length { tag: 2, len: 1 }));
        assert_eq!(fields.flag(2), Err(WireError::Meaningless(2)));
        assert_eq!(fields.number::<u64>(3), Err(WireError::Length { tag: 3, len: 9 }));
        assert_eq!(fields.array::<8>(3), Err(WireError::Length { tag: 3, len: 9 }));
        assert_eq!(fields.bytes(4), Err(WireError::Repeated(4)));
        assert_eq!(fields.required::<8>(5), Err(WireError::Missing(5)));
    }

    #[test]
    fn a_field_nobody_knows_is_passed_over() {
        let mut writer = Writer::new();
        writer.number(1, 7).bytes(99, b"later").text(200, "also later");
        let bytes = writer.finish();
        assert_eq!(Fields::parse(&bytes).unwrap().number::<u32>(1), Ok(7));
    }

    #[test]
    fn what_is_zero_or_empty_takes_no_room() {
        let mut writer = Writer::new();
        writer.number(1, 0).text(2, "").flag(3, false).time(4, None).optional(5, None);
        assert!(writer.is_empty());
    }

    proptest! {
        #[test]
        fn values_are_read_as_they_were_written(number: u64, at_ms: i64, flag: bool, text in ".{0,300}", list: Vec<Vec<u8>>) {
            let mut writer = Writer::new();
            writer.number(1, number).time(2, Some(at_ms)).flag(3, flag).text(4, &text);
            for item in &list {
                writer.bytes(5, item);
            }
            let bytes = writer.finish();
            let fields = Fields::parse(&bytes).unwrap();
            prop_assert_eq!(fields.number::<u64>(1), Ok(number));
            prop_assert_eq!(fields.time(2), Ok(Some(at_ms)));
            prop_assert_eq!(fields.flag(3), Ok(flag));
            prop_assert_eq!(fields.text(4, 4096).unwrap().unwrap_or_default(), text);
            prop_assert!(fields.all(5).eq(list.iter().map(Vec::as_slice)));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
            if let Ok(fields) = Fields::parse(&bytes) {
                for tag in 0..=255 {
                    let read = (fields.number::<u64>(tag), fields.time(tag), fields.text(tag, 64));
                    prop_assert!(fields.all(tag).count() > 0 || read.1 == Ok(None));
                }
            }
        }
    }
}
