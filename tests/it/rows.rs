//! Files of rows, proofs and roll-ups: whatever the day, and whatever is done to it.

use std::{collections::HashMap, io::Cursor};

use jiff::civil::Date;
use proptest::{collection::vec, prelude::*};
use ring::hmac;
use sluis::disclosure::{
    Position, Row, RowOutcome, Subject,
    merkle::{Hash, leaf_hash, node_hash},
    rollup::{Month, RollUp, RollUpRow, Source, roll_up},
    rowfile::{Chunk, ExpectedBlock, Form, Handle, Located, RowFile, RowFileError, Sealed},
    seal_proof::{Completeness, SealProof},
};

const DAY: Date = Date::constant(2026, 10, 5);

/// Few persons, so that they recur.
fn handle() -> impl Strategy<Value = Handle> {
    (0..12_u8).prop_map(|person| {
        let mut handle = [person / 4; 16];
        handle[15] = person;
        handle
    })
}

fn row() -> impl Strategy<Value = Row> {
    (handle(), 0..4_u8, any::<(u64, u64, [u8; 16], bool, u32)>()).prop_map(|(handle, tag, other)| {
        let (released, withheld, mac, left, number) = other;
        Row {
            handle,
            tag: [tag; 8],
            released,
            withheld,
            mac,
            outcome: if left { RowOutcome::Released } else { RowOutcome::Withheld },
            kept_out: None,
            subject: Subject::Leerling,
            number,
        }
    })
}

fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
    let chunk = (1..1000_u64, any::<([u8; 32], bool)>(), vec(row(), 1..9));
    vec(chunk, 0..6).prop_map(|chunks| {
        let mut at = 0;
        let chunks = chunks.into_iter().map(|(gap, (salt, staff), mut rows)| {
            at += gap;
            if staff {
                rows.iter_mut().for_each(|row| row.subject = Subject::Leerkracht);
            }
            Chunk { position: Position(at), salt, rows }
        });
        chunks.collect()
    })
}

/// A day with at least one row, and the number of one of them.
fn chunks_and_row() -> impl Strategy<Value = (Vec<Chunk>, prop::sample::Index)> {
    (chunks().prop_filter("a row", |chunks| !chunks.is_empty()), any::<prop::sample::Index>())
}

fn sealed(chunks: &[Chunk]) -> (Vec<u8>, Sealed) {
    let mut bytes = Vec::new();
    let sealed = Sealed::build(&mut bytes, "99DE", DAY, chunks.iter().cloned()).unwrap();
    assert_eq!(sealed.bytes, bytes.len() as u64);
    (bytes, sealed)
}

fn open(bytes: &[u8]) -> RowFile<Cursor<&[u8]>> {
    RowFile::open(Cursor::new(bytes)).unwrap()
}

fn scan(chunks: &[Chunk]) -> Vec<Located> {
    let located = chunks.iter().flat_map(|Chunk { position, rows, .. }| {
        (0..).zip(rows).map(|(index, row)| Located { position: *position, index, row: row.clone() })
    });
    located.collect()
}

fn erased(bytes: &[u8], handle: &Handle) -> (Vec<u8>, u32) {
    let mut out = Vec::new();
    let count = open(bytes).erase(handle, &mut out).unwrap();
    (out, count)
}

/// The roots, made by the book: recursion, and nothing of the library but two hash functions.
mod by_the_book {
    use super::*;

    fn nonce(salt: &[u8], index: u32, label: &[u8]) -> Vec<u8> {
        let message = [&index.to_le_bytes(), label].concat();
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), &message).as_ref()[..16].to_vec()
    }

    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => ring::digest::digest(&ring::digest::SHA256, &[]).as_ref().try_into().unwrap(),
            [leaf] => *leaf,
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                node_hash(&root(&leaves[..split]), &root(&leaves[split..]))
            }
        }
    }

    fn inner_leaves(chunk: &Chunk) -> Vec<Hash> {
        let leaf = |(index, row): (u32, &Row)| {
            leaf_hash(&[&nonce(&chunk.salt, index, b"")[..], &row.to_bytes()].concat())
        };
        (0..).zip(&chunk.rows).map(leaf).collect()
    }

    pub(super) fn log(chunks: &[Chunk]) -> HashMap<Position, ExpectedBlock> {
        let leaf = |chunk: &Chunk| ExpectedBlock {
            inner_root: root(&inner_leaves(chunk)),
            rows: u32::try_from(chunk.rows.len()).unwrap(),
            released: chunk.rows.iter().fold(0, |union, row| union | row.released),
            withheld: chunk.rows.iter().fold(0, |union, row| union | row.withheld),
            subject: chunk.rows[0].subject,
        };
        chunks.iter().map(|chunk| (chunk.position, leaf(chunk))).collect()
    }

    pub(super) fn seal_root(chunks: &[Chunk]) -> Hash {
        let mut leaves = Vec::new();
        for chunk in chunks {
            for ((index, row), inner) in (0..).zip(&chunk.rows).zip(inner_leaves(chunk)) {
                let leaf =
                    leaf_hash(&[&nonce(&chunk.salt, index, b"seal")[..], &row.handle, &inner].concat());
                leaves.push((row.handle, chunk.position, index, leaf));
            }
        }
        leaves.sort();
        root(&leaves.into_iter().map(|(.., leaf)| leaf).collect::<Vec<_>>())
    }
}

fn verify(bytes: &[u8], chunks: &[Chunk]) -> Result<(), RowFileError> {
    let log = by_the_book::log(chunks);
    RowFile::open(Cursor::new(bytes))?.verify(&mut |position| log.get(&position).copied())
}

/// What a proof shows of a file that is in order: all rows there are, each under the root of its leaf.
fn check_proof(bytes: &[u8], chunks: &[Chunk], handle: &Handle) -> Completeness {
    let log = by_the_book::log(chunks);
    let mut file = open(bytes);
    let proof = SealProof::of(&mut file, handle).unwrap();
    let proof = SealProof::from_json(&proof.to_json()).unwrap();
    let proven = proof.verify(handle, &by_the_book::seal_root(chunks), file.len()).unwrap();
    let found = file.find(handle).unwrap();
    assert_eq!(proven.rows.len(), found.len());
    for (proven, found) in proven.rows.iter().zip(found) {
        let leaf = log[&found.position];
        assert_eq!((proven.inner_root, proven.count), (leaf.inner_root, leaf.rows));
        assert_eq!((proven.index, &proven.row), (found.index, &found.row));
    }
    proven.completeness
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_day_comes_back(chunks in chunks()) {
        let (bytes, sealed) = sealed(&chunks);
        prop_assert_eq!(sealed.root, by_the_book::seal_root(&chunks));
        verify(&bytes, &chunks).unwrap();
        let mut file = open(&bytes);
        let blocks = file.blocks().map(|block| {
            let block = block.unwrap();
            match block.form {
                Form::Salted { salt, rows } => Chunk { position: block.position, salt, rows },
                Form::Nonced(_) => panic!("nothing was erased"),
            }
        });
        prop_assert_eq!(blocks.collect::<Vec<_>>(), chunks.clone());
        prop_assert_eq!(file.rows().map(Result::unwrap).collect::<Vec<_>>(), scan(&chunks));
    }

    #[test]
    fn finding_is_scanning(chunks in chunks(), gone in vec(handle(), 0..3), handle in handle(), tag in 0..5_u8) {
        let bytes = gone.iter().fold(sealed(&chunks).0, |bytes, gone| erased(&bytes, gone).0);
        let mut file = open(&bytes);
        let mut left = scan(&chunks);
        left.retain(|located| !gone.contains(&located.row.handle));
        let tagged: Vec<_> = left.iter().filter(|located| located.row.tag == [tag; 8]).cloned().collect();
        prop_assert_eq!(file.find_tag(&[[tag; 8], [9; 8]]).unwrap(), tagged);
        left.retain(|located| located.row.handle == handle);
        prop_assert_eq!(file.find(&handle).unwrap(), left);
    }

    #[test]
    fn erasing_keeps_the_roots(chunks in chunks(), gone in vec(handle(), 0..4)) {
        let (mut bytes, sealed) = sealed(&chunks);
        let mut left = scan(&chunks);
        for gone in &gone {
            let (after, count) = erased(&bytes, gone);
            let before = left.len();
            left.retain(|located| located.row.handle != *gone);
            prop_assert_eq!(count as usize, before - left.len());
            bytes = after;
        }
        verify(&bytes, &chunks).unwrap();
        let mut file = open(&bytes);
        prop_assert_eq!(file.root(), sealed.root);
        prop_assert_eq!(file.rows().map(Result::unwrap).collect::<Vec<_>>(), left);
        for located in scan(&chunks).iter().filter(|located| gone.contains(&located.row.handle)) {
            let salt = chunks.iter().find(|chunk| chunk.position == located.position).unwrap().salt;
            prop_assert!(!bytes.windows(32).any(|window| window == salt));
        }
    }

    #[test]
    fn any_altered_bit_is_found(day in chunks(), gone in vec(handle(), 0..2), bits in vec(any::<prop::sample::Index>(), 40)) {
        let bytes = gone.iter().fold(sealed(&day).0, |bytes, gone| erased(&bytes, gone).0);
        for bit in bits {
            let bit = bit.index(bytes.len() * 8);
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify(&altered, &day).is_err(), "bit {}", bit);
        }
    }

    #[test]
    fn a_proof_shows_all_rows_or_none(chunks in chunks(), handle in handle()) {
        prop_assert_eq!(check_proof(&sealed(&chunks).0, &chunks, &handle), Completeness::All);
    }

    #[test]
    fn a_proof_counts_what_may_have_been_erased(chunks in chunks(), gone in vec(handle(), 0..4), handle in handle()) {
        let bytes = gone.iter().fold(sealed(&chunks).0, |bytes, gone| erased(&bytes, gone).0);
        // Between the handles around it that are left.
        let rows = scan(&chunks);
        let left = || rows.iter().map(|located| located.row.handle).filter(|left| !gone.contains(left));
        let before = left().filter(|left| *left < handle).max();
        let after = left().filter(|left| *left > handle).min();
        let hidden = rows.iter().map(|located| located.row.handle).filter(|hidden| {
            gone.contains(hidden) && before.is_none_or(|before| before < *hidden) && after.is_none_or(|after| *hidden < after)
        });
        let expected = match u32::try_from(hidden.count()).unwrap() {
            0 => Completeness::All,
            hidden => Completeness::AllButErased(hidden),
        };
        prop_assert_eq!(check_proof(&bytes, &chunks, &handle), expected);
    }

    #[test]
    fn an_altered_proof_is_refused((chunks, row) in chunks_and_row(), gone in vec(handle(), 0..2), bytes in vec((any::<prop::sample::Index>(), any::<u8>()), 60)) {
        let rows = scan(&chunks);
        let handle = row.get(&rows).row.handle;
        let file = gone.iter().fold(sealed(&chunks).0, |bytes, gone| erased(&bytes, gone).0);
        let log = by_the_book::log(&chunks);
        let root = by_the_book::seal_root(&chunks);
        let count = u32::try_from(rows.len()).unwrap();
        let text = SealProof::of(&mut open(&file), &handle).unwrap().to_json();
        let honest = SealProof::from_json(&text).unwrap().verify(&handle, &root, count).unwrap();
        for (at, value) in bytes {
            let mut altered = text.clone().into_bytes();
            let at = at.index(altered.len());
            // Half of the time something that looks the part.
            let value = if value < 128 { b"0123456789abcdef\"{}[], "[usize::from(value) % 23] } else { value };
            if std::mem::replace(&mut altered[at], value) == value {
                continue;
            }
            let Ok(Ok(proof)) = std::str::from_utf8(&altered).map(SealProof::from_json) else { continue };
            let Ok(proven) = proof.verify(&handle, &root, count) else { continue };
            // What a path leaves open, and the log answers: how many rows the leaf has.
            let in_log = proven.rows.iter().all(|row| {
                log.values().any(|leaf| (leaf.inner_root, leaf.rows) == (row.inner_root, row.count))
            });
            prop_assert!(!in_log, "byte {} of {}: {:?} {:?}", at, text, proven, honest);
        }
    }

    #[test]
    fn a_proof_is_for_one_person_and_one_day(one in chunks(), other in chunks(), handle in handle(), someone in handle()) {
        let (bytes, sealed) = sealed(&one);
        let mut file = open(&bytes);
        let proof = SealProof::of(&mut file, &handle).unwrap();
        let (root, rows) = (by_the_book::seal_root(&other), u32::try_from(scan(&other).len()).unwrap());
        if root != sealed.root {
            prop_assert!(proof.verify(&handle, &root, rows).is_err());
        }
        let there = |handle: &Handle| scan(&one).iter().any(|located| located.row.handle == *handle);
        if someone != handle && (there(&handle) || there(&someone)) {
            prop_assert!(proof.verify(&someone, &sealed.root, sealed.rows).is_err());
        }
    }

    #[test]
    fn a_month_is_the_same_in_one_go_and_in_parts(
        rows in vec((0..3_u8, 0..2_u8, 1..32_i8, row()), 0..60),
        cut in any::<prop::sample::Index>(),
        salt in any::<[u8; 32]>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let month = Month::of(DAY);
        let rows: Vec<_> = rows.into_iter().map(|(recipient, agreement, day, row)| {
            let day = Date::new(2026, 10, day).unwrap();
            (Source { recipient: [recipient; 12], agreement: [agreement; 7], inbound: false, day }, row)
        }).collect();
        let (first, second) = rows.split_at(cut.index(rows.len() + 1));
        let whole = RollUp::build("99DE", month, salt, roll_up(rows.clone())).unwrap();
        let parts = RollUp::build("99DE", month, [0; 32], roll_up(first.to_vec())).unwrap();
        let parts = parts.merge(salt, roll_up(second.to_vec())).unwrap();
        prop_assert_eq!(&parts, &whole);

        let mut bytes = Vec::new();
        whole.write(&mut bytes).unwrap();
        let read = RollUp::read(&bytes[..]).unwrap();
        read.verify().unwrap();
        prop_assert_eq!(&read, &whole);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(RollUp::read(&bytes[..]).is_err());

        prop_assert_eq!(whole.rows().iter().map(|row| row.count as usize).sum::<usize>(), rows.len());
        for handle in rows.iter().map(|(_, row)| row.handle) {
            let own: Vec<_> = rows.iter().filter(|(_, row)| row.handle == handle).collect();
            let found = whole.find(&handle);
            prop_assert_eq!(found.iter().map(|row| row.count as usize).sum::<usize>(), own.len());
            let union = |mask: fn(&Row) -> u64| own.iter().fold(0, |union, (_, row)| union | mask(row));
            let found_union = |mask: fn(&RollUpRow) -> u64| found.iter().fold(0, |union, row| union | mask(row));
            prop_assert_eq!(found_union(|row| row.released), union(|row| row.released));
            prop_assert_eq!(found_union(|row| row.withheld), union(|row| row.withheld));
            prop_assert_eq!(found.iter().map(|row| row.first).min(), own.iter().map(|(source, _)| source.day).min());
            prop_assert_eq!(found.iter().map(|row| row.last).max(), own.iter().map(|(source, _)| source.day).max());
        }
    }
}

#[test]
fn a_day_of_one_row() {
    let mut row = Row::new(Subject::Leerling, 0);
    row.handle = [7; 16];
    let chunks = [Chunk { position: Position(0), salt: [1; 32], rows: vec![row] }];
    let (bytes, _) = sealed(&chunks);
    verify(&bytes, &chunks).unwrap();
    for handle in [6, 7, 8] {
        assert_eq!(check_proof(&bytes, &chunks, &[handle; 16]), Completeness::All);
    }
    let (bytes, _) = erased(&bytes, &[7; 16]);
    verify(&bytes, &chunks).unwrap();
    assert_eq!(check_proof(&bytes, &chunks, &[6; 16]), Completeness::AllButErased(1));
}

/// As many chunks as it takes, of 256 rows and then fewer; 500 persons.
fn large(rows: u32) -> Vec<Chunk> {
    let rows: Vec<_> = (0..rows)
        .map(|number| {
            let mut row = Row::new(Subject::Leerling, number);
            row.handle = leaf_hash(&(number * 7919 % 500).to_le_bytes())[..16].try_into().unwrap();
            row
        })
        .collect();
    let chunks = (0..).zip(rows.chunks(256));
    chunks
        .map(|(position, rows)| Chunk { position: Position(position), salt: [9; 32], rows: rows.to_vec() })
        .collect()
}

#[test]
fn from_65_536_rows_on_the_order_takes_four_bytes() {
    for (rows, width) in [(65_535, 2), (65_536, 4), (65_792, 4)] {
        let chunks = large(rows);
        let (bytes, sealed) = sealed(&chunks);
        let blocks = chunks.len() as u64;
        assert_eq!(sealed.bytes, 24 + 68 * blocks + u64::from(rows) * (64 + width) + 52);
        let mut file = open(&bytes);
        let all = scan(&chunks);
        let handle = all[0].row.handle;
        let own: Vec<_> = all.into_iter().filter(|located| located.row.handle == handle).collect();
        assert_eq!(file.find(&handle).unwrap(), own);
        if rows == 65_536 {
            verify(&bytes, &chunks).unwrap();
        }
    }
}
