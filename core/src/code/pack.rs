//! How large a pack is when it is unfolded: read from its headers, before git reads anything of it.

use std::io::{self, BufRead, Read};

use flate2::bufread::ZlibDecoder;

/// How a pack begins: its name, its version, and how many objects it has.
const HEADER: usize = 12;
/// The types of objects that are differences to others: by where those are, and by their ids.
const DELTA_TO_PLACE: u8 = 6;
const DELTA_TO_ID: u8 = 7;
/// How many bytes an id has.
const ID: usize = 20;

/// Sums up what the objects of a pack have in bytes, differences applied. Stops above `limit`, before the
/// object that is too much is read.
///
/// # Errors
/// What the system says; `InvalidData` or `UnexpectedEof` when it is no pack.
pub fn unfolded(mut pack: impl BufRead, limit: u64) -> io::Result<u64> {
    let mut header = [0; HEADER];
    pack.read_exact(&mut header)?;
    let count = header.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let mut sum = 0_u64;
    for _ in 0..count {
        let (kind, size) = object(&mut pack)?;
        sum = sum.saturating_add(size);
        if sum > limit {
            return Ok(sum);
        }
        let mut data = ZlibDecoder::new(&mut pack).take(size.saturating_add(1));
        if matches!(kind, DELTA_TO_PLACE | DELTA_TO_ID) {
            number(&mut data, 0, 0)?;
            sum = sum.saturating_add(number(&mut data, 0, 0)?);
            if sum > limit {
                return Ok(sum);
            }
        }
        io::copy(&mut data, &mut io::sink())?;
        if data.limit() == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(sum)
}

/// Reads what stands before an object's bytes: its type, and how many there are.
fn object(pack: &mut impl BufRead) -> io::Result<(u8, u64)> {
    let first = byte(pack)?;
    let (kind, start) = (first >> 4 & 7, u64::from(first & 15));
    let size = if first & 128 == 0 { start } else { number(pack, start, 4)? };
    match kind {
        DELTA_TO_PLACE => while byte(pack)? & 128 != 0 {},
        DELTA_TO_ID => pack.read_exact(&mut [0; ID])?,
        _ => {}
    }
    Ok((kind, size))
}

/// Reads a number in groups of seven bits, the lowest first, above the bits that are known.
fn number(from: &mut impl Read, start: u64, mut shift: u32) -> io::Result<u64> {
    let mut value = start;
    loop {
        let byte = byte(from)?;
        let bits = u64::from(byte & 127);
        if shift >= u64::BITS || bits << shift >> shift != bits {
            return Err(io::ErrorKind::InvalidData.into());
        }
        value |= bits << shift;
        shift += 7;
        if byte & 128 == 0 {
            return Ok(value);
        }
    }
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufReader, Seek as _, Write as _};

    use super::*;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// An object as it stands in a pack; `between` is what a difference is to.
    fn packed(kind: u8, size: usize, between: &[u8], bytes: &[u8]) -> Vec<u8> {
        let (mut rest, mut all) = (size >> 4, vec![kind << 4 | (size & 15) as u8]);
        while rest > 0 {
            *all.last_mut().unwrap() |= 128;
            all.push((rest & 127) as u8);
            rest >>= 7;
        }
        [&all, between, &deflated(bytes)].concat()
    }

    fn pack(objects: &[Vec<u8>]) -> BufReader<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PACK\0\0\0\x02").unwrap();
        file.write_all(&(objects.len() as u32).to_be_bytes()).unwrap();
        file.write_all(&objects.concat()).unwrap();
        file.rewind().unwrap();
        BufReader::new(file)
    }

    #[test]
    fn objects_are_summed_up_and_differences_by_what_they_become() {
        let blob = packed(3, 1000, b"", &[7; 1000]);
        // Ten bytes of a difference from 1 000 to 100 000 bytes.
        let mut difference = vec![0xe8, 0x07, 0xa0, 0x8d, 0x06];
        difference.extend([1; 5]);
        let to_place = packed(6, 10, &[0x81, 0x05], &difference);
        let to_id = packed(7, 10, &[9; 20], &difference);
        let sum = |objects: &[Vec<u8>], limit| unfolded(pack(objects), limit).unwrap();
        assert_eq!(sum(&[], 10), 0);
        assert_eq!(sum(&[blob.clone(), blob.clone()], 1 << 20), 2000);
        assert_eq!(sum(&[blob, to_place, to_id], 1 << 20), 1000 + 2 * (10 + 100_000));
    }

    #[test]
    fn what_is_too_much_is_not_read() {
        let small = packed(3, 10, b"", &[0; 10]);
        let large = packed(3, 1 << 40, b"", b"and nothing of it is there");
        assert!(unfolded(pack(&[small, large]), 1 << 20).unwrap() > 1 << 20);
    }

    #[test]
    fn a_pack_that_is_none_is_refused() {
        let longer = packed(3, 10, b"", &[0; 11]);
        let mut cut = packed(3, 1000, b"", &[7; 1000]);
        cut.truncate(6);
        let endless = [vec![0xbf], vec![0xff; 20]].concat();
        for objects in [longer, cut, endless, b"rubbish".to_vec()] {
            assert!(unfolded(pack(&[objects]), 1 << 20).is_err());
        }
        let mut empty = tempfile::tempfile().unwrap();
        empty.write_all(b"PACK").unwrap();
        assert!(unfolded(BufReader::new(empty), 1 << 20).is_err());
    }
}
