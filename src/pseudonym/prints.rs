//! A set of fingerprints in as little memory as it can be searched quickly in.

/// A fingerprint. That of nothing marks a free slot, and is none itself.
pub(super) type Print = [u8; 5];

pub(super) const EMPTY: Print = [0; 5];

/// Fingerprints in order, each at the slot that its size points at or at the first free one after it: a search ends at
/// the first that is larger, and growing is one pass.
#[derive(Default)]
pub(super) struct Prints {
    slots: Vec<Print>,
    /// Slots that fingerprints point at; the others are for what is pushed off the end.
    homes: usize,
    used: usize,
}

/// The fingerprint as a number of forty bits.
fn size(print: Print) -> u64 {
    let [a, b, c, d, e] = print;
    u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
}

/// Which of so many homes a fingerprint has: the larger it is, the later.
fn home(print: Print, homes: usize) -> usize {
    usize::try_from((size(print) * homes as u64) >> 40).expect("it is less than the homes there are")
}

impl Prints {
    /// Where it is, or where it would be put.
    fn find(&self, print: Print) -> Result<usize, usize> {
        let mut at = home(print, self.homes);
        while let Some(&slot) = self.slots.get(at) {
            if slot == print {
                return Ok(at);
            }
            if slot == EMPTY || size(slot) > size(print) {
                break;
            }
            at += 1;
        }
        Err(at)
    }

    /// Whether it is there.
    pub(super) fn contains(&self, print: Print) -> bool {
        self.find(print).is_ok()
    }

    /// Adds one; false when it was there already.
    pub(super) fn insert(&mut self, print: Print) -> bool {
        loop {
            let Err(at) = self.find(print) else { return false };
            let free = self.slots[at..].iter().position(|&slot| slot == EMPTY);
            match free.filter(|_| self.used * 10 < self.homes * 9) {
                Some(free) => {
                    self.slots.copy_within(at..at + free, at + 1);
                    self.slots[at] = print;
                    self.used += 1;
                    return true;
                }
                None => self.grow(),
            }
        }
    }

    /// Memory it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Print>()
    }

    fn grow(&mut self) {
        let mut homes = self.homes;
        loop {
            // A document of a small school does not grow its tables over and over, one of a country keeps them full.
            homes = if homes < 256 { (homes * 2).max(16) } else { homes * 9 / 8 };
            if let Some(slots) = self.spread(homes) {
                (self.slots, self.homes) = (slots, homes);
                return;
            }
        }
    }

    /// The same fingerprints over more homes; nothing where they are pushed off the end.
    fn spread(&self, homes: usize) -> Option<Vec<Print>> {
        let mut slots = vec![EMPTY; homes + homes / 64 + 8];
        let mut next = 0;
        for &print in self.slots.iter().filter(|&&slot| slot != EMPTY) {
            let at = home(print, homes).max(next);
            *slots.get_mut(at)? = print;
            next = at + 1;
        }
        Some(slots)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// So many, of which no two are alike or follow one another in order.
    fn many(count: u64, spread: impl Fn(u64) -> u64) -> impl Iterator<Item = Print> {
        (1..=count).map(move |number| {
            let [a, b, c, d, e, ..] = spread(number).to_le_bytes();
            [a, b, c, d, e]
        })
    }

    #[test]
    fn what_went_in_is_there_and_nothing_else() {
        let scattered = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        // All want the last homes: what is pushed off the end makes the table grow.
        let last = |number: u64| (1 << 40) - number;
        // All want the same home, as far as the table goes.
        let first = |number: u64| number;
        let spreads: [&dyn Fn(u64) -> u64; 3] = [&scattered, &last, &first];
        for (spread, count) in spreads.into_iter().zip([20_000, 500, 500]) {
            let (mut prints, mut wanted) = (Prints::default(), BTreeSet::new());
            for print in many(count, spread) {
                assert!(!prints.contains(print));
                assert!(prints.insert(print) && !prints.insert(print));
                wanted.insert(size(print));
            }
            assert!(many(count, spread).all(|print| prints.contains(print)));
            assert!(
                many(2 * count, spread)
                    .skip(usize::try_from(count).expect("it is small"))
                    .all(|print| { !prints.contains(print) || wanted.contains(&size(print)) })
            );
            let kept: Vec<u64> =
                prints.slots.iter().filter(|&&slot| slot != EMPTY).map(|&slot| size(slot)).collect();
            assert!(kept.iter().eq(&wanted), "in order, each once");
        }
    }

    #[test]
    fn they_take_little_more_than_they_are_long() {
        let mut prints = Prints::default();
        let scattered = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        for print in many(20_000, scattered) {
            prints.insert(print);
        }
        assert!(prints.slots.len() < 20_000 * 13 / 10, "{}", prints.slots.len());
    }
}
