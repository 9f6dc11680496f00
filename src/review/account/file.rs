//! The file of accounts: JSON, beside `sluis.toml` unless the configuration says otherwise, mode 0600. No file is no
//! accounts.
//!
//! A change is made under a lock, in a new file that takes the old one's place; a running process sees it at the next
//! look ([`Accounts::roll`]).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{AccountError, Roll};
use crate::{keys::check_private, problem::Problem};

/// Bytes of the file at most: thousands of accounts.
const LARGEST: u64 = 4 << 20;
/// How long another process may keep the lock, and how often is looked.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// Which file it was that was read: a change makes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), changed, length: metadata.len() }
    }
}

/// The file of accounts.
#[derive(Debug)]
pub struct Accounts {
    path: PathBuf,
    /// What was read last, and of which file; none: there was none.
    read: Mutex<Option<(Option<Stamp>, Arc<Roll>)>>,
}

impl Accounts {
    /// The file of this name, which need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be read.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the mend.
    pub fn check(&self) -> Result<(), Problem> {
        self.load().map(drop)
    }

    /// The accounts as they are now. Reads the file only when it is another than before.
    ///
    /// # Errors
    ///
    /// [`AccountError::File`]: then nobody is known.
    pub fn roll(&self) -> Result<Arc<Roll>, AccountError> {
        let stamp = fs::symlink_metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, roll)) = read.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(Arc::clone(roll));
        }
        // Where it cannot be read, what was read before holds no longer.
        *read = None;
        let (stamp, roll) = self.load().map_err(AccountError::File)?;
        let roll = Arc::new(roll);
        *read = Some((stamp, Arc::clone(&roll)));
        Ok(roll)
    }

    fn load(&self) -> Result<(Option<Stamp>, Roll), Problem> {
        let unreadable = |error: &io::Error| {
            Problem::new(&self.path, format!("cannot be read ({})", error.kind()), "restore the file")
        };
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, Roll::default())),
            Err(error) => return Err(unreadable(&error)),
            Ok(_) => check_private(&self.path)?,
        }
        let file = File::open(&self.path).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        let length = usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0);
        let mut text = Zeroizing::new(Vec::with_capacity(length + 1));
        file.take(LARGEST).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
        // The words of the error may quote the text.
        let roll: Option<Roll> = serde_json::from_slice(&text).ok();
        match roll.filter(|roll| roll.version == 1) {
            Some(roll) => Ok((Some(Stamp::of(&metadata)), roll)),
            None => {
                let mend = "put it back from your backup; `sluis users` makes and changes it";
                Err(Problem::new(&self.path, "is no file of accounts", mend))
            }
        }
    }

    /// Changes the accounts: on disk when this returns. `change` says no by an error, and then nothing is changed.
    /// Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// That of `change`, or why the file cannot be read or written.
    pub fn change<T, E: From<AccountError>>(
        &self,
        change: impl FnOnce(&mut Roll) -> Result<T, E>,
    ) -> Result<T, E> {
        let _alone = self.lock()?;
        let (_, mut roll) = self.load().map_err(AccountError::File)?;
        let done = change(&mut roll)?;
        self.write(&roll).map_err(|error| AccountError::Write(error.kind()))?;
        Ok(done)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Held until dropped: one changes the file at a time, in whatever process.
    fn lock(&self) -> Result<File, AccountError> {
        let failed = |error: io::Error| AccountError::Write(error.kind());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.beside(".lock")).map_err(failed)?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(AccountError::Locked),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    fn write(&self, roll: &Roll) -> io::Result<()> {
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(1024 * (roll.accounts.len() + 1)));
        serde_json::to_writer_pretty(&mut *text, roll)?;
        text.push(b'\n');
        let new = self.beside(".new");
        // What a crash has left.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use uuid::Uuid;

    use super::{
        super::{
            AccountCode, Passphrase, Permission, Role,
            tests::{WORDS, factors},
        },
        *,
    };

    fn accounts(dir: &tempfile::TempDir) -> Accounts {
        Accounts::new(dir.path().join("accounts.json"))
    }

    #[test]
    fn what_is_written_comes_back_and_a_change_shows_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, other) = (accounts(&dir), accounts(&dir));
        assert!(accounts.roll().unwrap().all().is_empty());
        let add = |roll: &mut Roll| {
            let added = roll.add("Jo de Vries", Role::Fg, vec!["99DE".into()], factors());
            added.map(|account| account.id)
        };
        let id = other.change(add).unwrap();
        let roll = accounts.roll().unwrap();
        let account = roll.named(" JO de vries ").unwrap();
        assert_eq!((account.id, account.code()), (id, AccountCode::of(id)));
        assert!(account.sees("99DE") && !account.sees("99DF"));
        assert!(account.may(Permission::Attest) && !account.may(Permission::Enter));
        let known = account.factors.as_ref().unwrap();
        assert!(known.passphrase.matches(&Passphrase::given(WORDS)));
        assert!(!known.passphrase.matches(&Passphrase::given("paard batterij nietje")));
        assert_eq!(fs::metadata(accounts.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Arc::ptr_eq(&roll, &accounts.roll().unwrap()), "read once");

        other.change(|roll| roll.remove(id)).unwrap();
        let roll = accounts.roll().unwrap();
        assert!(roll.find(id).is_none() && roll.named("Jo de Vries").is_none());
        let kept = roll.coded(AccountCode::of(id)).unwrap();
        assert!(kept.name == "Jo de Vries" && kept.factors.is_none() && !kept.may(Permission::Read));
        let again =
            accounts.change(|roll| roll.add("jo de vries", Role::Fg, Vec::new(), factors()).map(drop));
        assert!(matches!(again, Err(AccountError::WasTaken)));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_damaged_is_refused_without_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(&dir);
        accounts.change(|roll| roll.add("Anna", Role::Fg, Vec::new(), factors()).map(drop)).unwrap();
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let said = accounts.roll().unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o600)).unwrap();
        accounts.roll().unwrap();
        let text = fs::read_to_string(accounts.path()).unwrap();
        for wrong in [
            &text[..text.len() / 2],
            "[]",
            &text.replace("argon2id", "argon2i"),
            &text.replace("\"version\": 1", "\"version\": 2"),
        ] {
            let mut file = File::create(accounts.path()).unwrap();
            file.write_all(wrong.as_bytes()).unwrap();
            let said = accounts.roll().unwrap_err().to_string();
            assert!(said.contains("is no file of accounts") && !said.contains("Anna"), "{said}");
            assert!(accounts.change(|roll| roll.remove(Uuid::nil())).is_err());
        }
    }
}
