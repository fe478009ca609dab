//! Choices that repeat for a seed.

/// A small generator (splitmix64): for choosing what happens, never for keys.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("smaller than a usize")
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Bytes as transcripts hold them, and as they should not: lines, glued lines, NULs, bad UTF-8.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(5) {
            match self.below(9) {
                0 => bytes.extend_from_slice(b"\r\n"),
                1 => bytes.extend_from_slice(b"\n\n\0\0"),
                2 => bytes.extend_from_slice(b"\xff\xfe\xed\xa0\x80"),
                3 => bytes.extend((0..self.below(3000)).map(|_| b'a').collect::<Vec<_>>()),
                4 => {
                    let count = self.below(200);
                    bytes.extend((0..count).map(|_| self.next().to_le_bytes()[0]));
                }
                _ => bytes.extend_from_slice(self.line().as_bytes()),
            }
        }
        if !self.one_in(4) {
            bytes.push(b'\n');
        }
        bytes
    }

    fn line(&mut self) -> String {
        let (id, text) = (self.next(), self.next());
        let end = if self.one_in(5) { "" } else { "\n" };
        format!(
            "{{\"type\":\"user\",\"uuid\":\"{id:016x}\",\"timestamp\":\"2026-01-02T03:04:05.678Z\",\"message\":{{\"role\":\"user\",\"content\":\"say {text:x}\"}}}}{end}"
        )
    }
}
