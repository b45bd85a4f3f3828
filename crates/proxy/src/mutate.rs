//! Seeded mutations of bytes, for the tests of what parses them.

/// The seeds of an ordinary run.
pub(crate) const SEEDS: [u64; 3] = [1, 20_260_804, 0xdead_beef];

/// Cases per seed; `PROXY_MUTATIONS` asks for another number.
pub(crate) fn cases() -> usize {
    std::env::var("PROXY_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// What tends to upset parsers of HTTP/1.
const UPSETTING: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"0\r\n\r\n",
    b"fffffffffffffffff",
    b"\r\n ",
    b"\x7f",
    b"\x80",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"close",
];

/// A small generator of random numbers (splitmix64): the same seed, the same cases.
pub(crate) struct Mutator(u64);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("less than a usize")
    }

    /// One of `corpus`, with one to four changes.
    pub(crate) fn mutate(&mut self, corpus: &[&[u8]]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(8)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..to)),
                2 => drop(bytes.splice(at..at, UPSETTING[self.below(UPSETTING.len())].to_vec())),
                3 => drop(bytes.splice(at..to, UPSETTING[self.below(UPSETTING.len())].to_vec())),
                4 => {
                    let copy = bytes[at..to].to_vec();
                    drop(bytes.splice(at..at, copy));
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}
