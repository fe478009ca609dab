//! Values that are typed as text: lengths of time, and sizes.

use jiff::SignedDuration;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A length of time in milliseconds, typed like "30s", "5m" or "1h 30m".
#[derive(Debug, Clone, Copy)]
pub(super) struct Duration(pub(super) i64);

impl Duration {
    pub(super) fn text(self) -> String {
        format!("{:#}", SignedDuration::from_millis(self.0))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration like \"30s\" or \"5m\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        let refuse = || E::custom(format!("`{text}` is not a duration like \"30s\" or \"5m\""));
        let duration: SignedDuration = text.parse().map_err(|_| refuse())?;
        i64::try_from(duration.as_millis()).map(Duration).map_err(|_| refuse())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        Err(E::custom(format!("{number} has no unit: write \"{number}s\" for seconds")))
    }
}

/// A number of bytes, typed like "10 MiB" or "512 KiB".
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64);

/// The units of a size, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    pub(super) fn text(self) -> String {
        let fits = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
        format!("{} {name}", self.0 / unit)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().find(|c: char| !c.is_ascii_digit())?;
        let (number, name) = text.trim().split_at(digits);
        let (_, unit) = UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name.trim()))?;
        number.parse::<u64>().ok()?.checked_mul(*unit).map(Self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a size like \"10 MiB\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        Size::parse(text)
            .ok_or_else(|| E::custom(format!("`{text}` is not a size like \"10 MiB\"")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
        Err(E::custom(format!("{number} has no unit: write \"{number} B\" for bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_prints_as_it_is_read() {
        for text in ["10 MiB", "1 GiB", "1025 KiB", "7 B", "0 B"] {
            assert_eq!(Size::parse(text).unwrap().text(), text);
        }
        assert_eq!(Size::parse("10mib").unwrap().0, 10 << 20);
        for text in [
            "",
            "10",
            "MiB",
            "-1 B",
            "1.5 MiB",
            "99999999999999999999 B",
            "18446744073709551615 GiB",
        ] {
            assert!(Size::parse(text).is_none(), "{text}");
        }
    }
}
