//! A sample that others can draw again.

use std::{collections::BinaryHeap, io};

use ring::digest;

use super::{DeliveryIndex, Entry, Filter, entry::Raw};
use crate::disclosure::Position;

impl DeliveryIndex {
    /// A sample without replacement, each delivery or refusal as likely as any other, in order of position.
    ///
    /// The rank of an entry is SHA-256(seed ‖ position of its first leaf, as eight bytes, highest first). Of all entries
    /// the filter takes, the sample is the `count` with the lowest ranks, ranks being compared byte by byte from the
    /// first; all of them, where there are no more. So whoever has the seed and the leaves can draw it again, and whoever
    /// draws the seed after the deliveries were recorded cannot choose what is in it. What is recorded later changes
    /// the sample of days that are not over, and of no other; filters by how deliveries ended take others once one has.
    ///
    /// Memory is that of the sample. Looks at all of the filter's days.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sample(&self, filter: &Filter, seed: &[u8; 32], count: usize) -> io::Result<Vec<Entry>> {
        let mut lowest: BinaryHeap<([u8; 32], [u8; Entry::SIZE])> = BinaryHeap::new();
        self.each(filter, &mut |entry| {
            let rank = rank(seed, Position(entry.first()));
            if lowest.len() < count {
                lowest.push((rank, *entry.0));
            } else if let Some(mut highest) = lowest.peek_mut()
                && rank < highest.0
            {
                *highest = (rank, *entry.0);
            }
        })?;
        let mut sample: Vec<Entry> = lowest.into_iter().map(|(_, bytes)| Raw(&bytes).entry()).collect();
        sample.sort_by_key(|entry| entry.first);
        Ok(sample)
    }
}

fn rank(seed: &[u8; 32], first: Position) -> [u8; 32] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(seed);
    bytes[32..].copy_from_slice(&first.0.to_be_bytes());
    let hash = digest::digest(&digest::SHA256, &bytes);
    hash.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}
