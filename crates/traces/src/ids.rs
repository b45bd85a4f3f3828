//! Ids of switches and their spans, derived from what a switch is: whoever was held by one can name it
//! without having been told.

use crate::span::Place;

/// What a switch, or a move that was called off, is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// By the epoch that it led to.
    Epoch(u64),
    /// By its incident: it led to none.
    Incident(u64),
}

/// The whole of a switch of `service` at this `host`.
pub(crate) fn switch(host: &str, service: &str, which: Which) -> Place {
    let (kind, number) = match which {
        Which::Epoch(epoch) => (0, epoch),
        Which::Incident(incident) => (1, incident),
    };
    let number = number.to_be_bytes();
    // No name holds a byte 0, so nothing else is written the same way.
    let parts = [host.as_bytes(), &[0], service.as_bytes(), &[0, kind], &number];
    let trace = never_zero(hash(&parts).to_be_bytes());
    Place { trace, span: part(&trace, 0) }
}

/// A part of a switch, by its number; 0 is the whole.
pub(crate) fn part(trace: &[u8; 16], number: u64) -> [u8; 8] {
    let mixed = hash(&[trace, &number.to_be_bytes()]).to_be_bytes();
    let [a, b, c, d, e, f, g, h, ..] = mixed;
    never_zero([a, b, c, d, e, f, g, h])
}

/// FNV-1a of 128 bits, mixed once more: samplers look at some of the bits only. No cryptography: who
/// can choose the name of a service can write to the collector anyway.
fn hash(parts: &[&[u8]]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    let bytes = parts.iter().flat_map(|part| part.iter());
    let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    let mixed = (hash ^ (hash >> 67)).wrapping_mul(PRIME << 24 | 0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 61)
}

/// All zeros means none.
fn never_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_switch_has_the_same_ids_and_no_other_has() {
        let epoch = Which::Epoch(1_795_746_000_123);
        assert_eq!(switch("h", "web", epoch), switch("h", "web", epoch));
        let mut traces = BTreeSet::new();
        let mut spans = BTreeSet::new();
        let mut count = 0;
        for (host, service) in [("h", "web"), ("h", "we"), ("hw", "eb"), ("g", "web"), ("", "hweb")]
        {
            for number in 0..200 {
                for which in [Which::Epoch(number), Which::Incident(number)] {
                    let Place { trace, span } = switch(host, service, which);
                    assert!(trace != [0; 16] && span != [0; 8]);
                    traces.insert(trace);
                    spans.extend((0..10).map(|number| part(&trace, number)));
                    assert!(spans.contains(&span), "part 0 is the whole");
                    count += 1;
                }
            }
        }
        assert_eq!((traces.len(), spans.len()), (count, 10 * count));
        assert_eq!(never_zero([0, 0]), [0, 1]);
    }
}
