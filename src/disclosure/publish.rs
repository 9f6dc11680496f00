//! From records to what others can verify: tiles, and a signed checkpoint in two places.

use std::{
    fs,
    io::{self, Read},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use super::{
    Error, Site,
    checkpoint::Checkpoint,
    commit::Poisons,
    merkle::Tree,
    record::Leaf,
    storage::{Storage, read_small, replace},
    tile::{TileReader, TileWriter},
    verify::PUBLIC_KEY,
};

/// Bytes of a checkpoint at most, as of c2sp.org/signed-note.
pub(super) const CHECKPOINT_BYTES: u64 = 64 * 1024;
/// Bytes of a tile or bundle at most: 256 entries of 65,535 bytes and their lengths.
const TILE_BYTES: u64 = 256 * (2 + 65_535);

/// Reads a tile or bundle whole.
pub(super) fn read_tile(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    read_small(storage, name, TILE_BYTES)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Puts leaves into tiles and signs checkpoints over them.
pub(super) struct Publisher {
    tiles: TileWriter,
    /// What stands in the second place, as far as we know.
    copy: Option<Vec<u8>>,
    checkpoint: Option<Checkpoint>,
    /// The public key, where another or none lies beside the checkpoint.
    key: Option<Vec<u8>>,
}

impl Publisher {
    /// Goes on after the last checkpoint, which is given too.
    pub(super) fn open(storage: &dyn Storage, site: &Site) -> Result<(Self, Option<Checkpoint>), Error> {
        let damaged = |file: &str| Error::Damaged { file: file.into(), offset: 0 };
        let verifiers: Vec<_> = site.earlier.iter().chain([site.signer.verifier()]).cloned().collect();
        let note = match read_small(storage, "checkpoint", CHECKPOINT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged("checkpoint")),
            read => read.map_err(Error::Open)?,
        };
        let last = match note {
            None => None,
            Some(note) => Some(Checkpoint::open(&note, &verifiers).map_err(|_| damaged("checkpoint"))?),
        };
        let key = format!("{}\n", site.signer.verifier()).into_bytes();
        let known = read_small(storage, PUBLIC_KEY, CHECKPOINT_BYTES).map_err(Error::Open)?;
        let key = (known.as_ref() != Some(&key)).then_some(key);
        let size = last.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let tiles =
            TileWriter::resume(size, size, |name| read_tile(storage, name)).map_err(|_| damaged("tile"))?;
        if last.as_ref().is_some_and(|checkpoint| tiles.tree().root() != checkpoint.root) {
            return Err(damaged("tile"));
        }
        let copy = read_copy(site).map_err(Error::Open)?;
        let checkpoint = match &copy {
            None => None,
            Some(note) => Some(Checkpoint::open(note, &verifiers).map_err(|_| Error::ForeignCopy)?),
        };
        Ok((Self { tiles, copy, checkpoint, key }, last))
    }

    /// The checkpoint in the second place, as it was when the log was opened.
    pub(super) fn copy(&self) -> Option<Checkpoint> {
        self.checkpoint.clone()
    }

    /// Leaves so far.
    pub(super) fn size(&self) -> u64 {
        self.tiles.size()
    }

    /// The tree as it was at a size that tiles reach.
    pub(super) fn tree_at(&self, storage: &dyn Storage, size: u64) -> Result<Tree, Error> {
        let missing = || Error::Damaged { file: "wal".into(), offset: 0 };
        if size > self.tiles.size() {
            return Err(missing());
        }
        let reader = TileReader::new(self.tiles.size(), |name: &str| read_tile(storage, name));
        Tree::restore(&reader, size).map_err(|_| Error::Damaged { file: "tile".into(), offset: 0 })
    }

    /// Adds a leaf.
    pub(super) fn push(&mut self, leaf: &[u8]) {
        self.tiles.push(leaf).expect("a leaf is shorter than 64 KiB");
    }

    /// Writes what is new of the tiles, then the checkpoint, first in the second place.
    ///
    /// In this order a checkpoint never speaks of what is not there; and where the crash comes between the two places,
    /// the write-ahead log reaches further than either.
    pub(super) fn publish(&mut self, storage: &dyn Storage, site: &Site, tree: &Tree) -> io::Result<()> {
        debug_assert_eq!(tree.size(), self.tiles.size());
        let tiles = self.tiles.checkpoint();
        storage.put(&tiles.files)?;
        let checkpoint = Checkpoint {
            origin: site.signer.verifier().name().to_owned(),
            size: tree.size(),
            root: tree.root(),
        };
        let note = checkpoint.sign(&[&site.signer]).map_err(io::Error::other)?.into_bytes();
        // Whoever changed it meanwhile goes on from the same log: one of the two must stop.
        if read_copy(site)? != self.copy {
            return Err(io::Error::other("the copy of the checkpoint was changed by another"));
        }
        if let Some(folder) = site.copy.parent() {
            fs::create_dir_all(folder)?;
        }
        replace(&site.copy, &note)?;
        // For whoever verifies the log later; keeping another copy of the key is up to them.
        let key = self.key.take().map(|key| (PUBLIC_KEY.to_owned(), key));
        let files: Vec<_> = key.into_iter().chain([("checkpoint".to_owned(), note.clone())]).collect();
        storage.put(&files)?;
        self.copy = Some(note);
        tiles.superseded.iter().try_for_each(|folder| storage.remove(folder))
    }
}

/// A publisher on a thread of its own. A checkpoint takes ten syncs and more, which no record should wait for.
pub(super) struct Publishing {
    /// None once it is to end.
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    /// Leaves it has not been handed yet.
    leaves: Vec<u8>,
    under_way: Option<mpsc::Receiver<io::Result<()>>>,
}

/// To put these leaves, which are on disk, into tiles, and to sign a checkpoint over the tree that ends with them.
struct Order {
    leaves: Vec<u8>,
    tree: Tree,
    done: mpsc::SyncSender<io::Result<()>>,
}

impl Publishing {
    /// Starts the thread. Once it fails the log takes no more records.
    pub(super) fn start(
        mut publisher: Publisher,
        storage: Arc<dyn Storage>,
        site: Site,
        poisons: Poisons,
    ) -> io::Result<Self> {
        let (orders, waiting) = mpsc::channel::<Order>();
        let thread = std::thread::Builder::new().name("disclosure-tiles".into()).spawn(move || {
            for Order { leaves, tree, done } in waiting {
                leaves.chunks_exact(Leaf::SIZE).for_each(|leaf| publisher.push(leaf));
                let published = publisher.publish(storage.as_ref(), &site, &tree);
                let failed = published.is_err();
                if failed {
                    poisons.poison();
                }
                // The writer may not wait for it.
                let _ = done.send(published);
                if failed {
                    return;
                }
            }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread), leaves: Vec::new(), under_way: None })
    }

    /// Keeps a leaf for the next checkpoint.
    pub(super) fn push(&mut self, leaf: &[u8; Leaf::SIZE]) {
        self.leaves.extend_from_slice(leaf);
    }

    /// Begins to publish what was pushed, which has to be on disk; waits for the checkpoint before to be done.
    pub(super) fn begin(&mut self, tree: &Tree) -> io::Result<()> {
        self.wait()?;
        let (done, under_way) = mpsc::sync_channel(1);
        let order = Order { leaves: std::mem::take(&mut self.leaves), tree: tree.clone(), done };
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(order).map_err(|_| gone())?;
        self.under_way = Some(under_way);
        Ok(())
    }

    /// Waits until what was begun is done.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.under_way.take().map_or(Ok(()), |done| done.recv().map_err(|_| gone())?)
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has poisoned the log; there is nothing left to tell anyone.
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that publishes checkpoints is gone")
}

fn read_copy(site: &Site) -> io::Result<Option<Vec<u8>>> {
    match fs::File::open(&site.copy) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) => {
            let mut note = Vec::new();
            file.take(CHECKPOINT_BYTES).read_to_end(&mut note)?;
            Ok(Some(note))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use zeroize::Zeroizing;

    use super::*;
    use crate::disclosure::{
        LeafKind, Retention, merkle,
        note::Signer,
        storage::{
            DirStorage,
            testing::{Call, Watched},
        },
    };

    /// A second place that hangs must not go unnoticed for longer than a checkpoint may take to come.
    #[test]
    fn one_checkpoint_is_waited_for_by_the_next_and_by_nothing_before() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            directory: dir.path().join("data"),
            copy: dir.path().join("copy"),
            signer: Signer::new("sluis.example/log", Zeroizing::new([7; 32])).unwrap(),
            earlier: Vec::new(),
            retention: Retention::default(),
        };
        let ((begins, begun), (go_on, on)) = (mpsc::channel(), mpsc::channel::<()>());
        let on = Mutex::new(on);
        let storage: Arc<dyn Storage> =
            Arc::new(Watched::new(DirStorage::open(&site.directory).unwrap(), move |call, name| {
                if (call, name) == (Call::Put, "checkpoint") {
                    begins.send(()).unwrap();
                    on.lock().unwrap().recv().unwrap();
                }
            }));
        let (publisher, _) = Publisher::open(storage.as_ref(), &site).unwrap();
        let mut publishing =
            Publishing::start(publisher, Arc::clone(&storage), site, Poisons::default()).unwrap();
        let mut tree = Tree::default();
        let mut push = |publishing: &mut Publishing| {
            let leaf = crate::disclosure::Leaf::new(LeafKind::Outcome).to_bytes();
            tree.push(merkle::leaf_hash(&leaf));
            publishing.push(&leaf);
            tree.clone()
        };
        let first = push(&mut publishing);
        publishing.begin(&first).unwrap();
        begun.recv().unwrap();
        let second = push(&mut publishing);
        let (ends, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                publishing.begin(&second).unwrap();
                ends.send(()).unwrap();
                publishing.wait().unwrap();
            });
            assert!(ended.recv_timeout(Duration::from_millis(200)).is_err(), "the first is not done");
            assert!(begun.try_recv().is_err(), "and the second not begun");
            go_on.send(()).unwrap();
            ended.recv().unwrap();
            begun.recv().unwrap();
            go_on.send(()).unwrap();
        });
        let note = read_small(storage.as_ref(), "checkpoint", CHECKPOINT_BYTES).unwrap().unwrap();
        assert_eq!(String::from_utf8(note).unwrap().lines().nth(1), Some("2"));
    }
}
