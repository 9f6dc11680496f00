//! Days that are over: their rows go from the write-ahead log into one sealed file per school, and a leaf with the root
//! over them goes into the log. The same thread lets go of what is [due](super::retain), once a day, as long as the
//! [days went by](super::passage) that the clock says went by.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, BufReader},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::civil::Date;

use super::{
    Error,
    commit::Recorder,
    log::Disclosure,
    passage::unbelieved,
    record::{Leaf, LeafKind, Position},
    recover::Segment,
    retain::{Due, Retainer},
    rowfile::{self, Chunk},
    storage::{Source, Storage},
    wal::{self, End, Scanner, Step},
};
use crate::clock::{Clock, day_start_ms};

/// The name of the file that holds the rows of a school and day.
pub(super) fn row_file_name(brin: &str, day: Date) -> String {
    format!("rows/{brin}/{day}.rows")
}

/// What could not be done is tried again after so long.
const AGAIN: Duration = Duration::from_secs(3600);

/// What a sealer is told.
pub(super) enum Work {
    /// All segments whose day is over, and the day of the open one.
    Past { segments: Vec<Segment>, open: Date },
    /// Finish what is under way, and end.
    Stop,
    /// Something that must not happen beside any of this.
    Task(Box<dyn FnOnce(&mut State) + Send>),
}

/// A thread that seals days. Dropped, it finishes the one it is at.
pub(super) struct Sealer {
    work: mpsc::Sender<Work>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sealer {
    /// Starts it. `sealed` are the schools and days that have a seal.
    pub(super) fn start(
        retainer: Retainer,
        work: mpsc::Sender<Work>,
        waiting: mpsc::Receiver<Work>,
        sealed: HashSet<([u8; 4], Date)>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let stop = Arc::clone(&retainer.stop);
        let mut state = State {
            storage: Arc::clone(&retainer.storage),
            recorder: retainer.recorder.clone(),
            sealed,
            done: HashSet::new(),
            past: Vec::new(),
            open: Date::MIN,
            retainer,
            clock,
            lived: BTreeSet::new(),
            retained: None,
            gone: Due::default(),
        };
        let thread = std::thread::Builder::new().name("disclosure-seal".into()).spawn(move || {
            // However often it is asked something in between.
            let mut due = Instant::now() + AGAIN;
            loop {
                match waiting.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(Work::Past { segments, open }) => (state.past, state.open) = (segments, open),
                    Ok(Work::Task(task)) => {
                        task(&mut state);
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
                due = Instant::now() + AGAIN;
                state.lived.insert(state.clock.today());
                if let Err(error) = state.seal() {
                    // The rows are safe in the write-ahead log; nothing is lost by trying again.
                    tracing::warn!(reason = %error, "a day that is over could not be sealed");
                }
                if let Err(error) = state.retain_daily() {
                    tracing::warn!(reason = %error, "what is due could not all be erased");
                }
            }
        })?;
        Ok(Self { work, stop, thread: Some(thread) })
    }

    /// Has its thread do something when it is at nothing else, and waits for that.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = mpsc::channel();
        let task = Box::new(move |state: &mut State| drop(answer.send(task(state))));
        self.work.send(Work::Task(task)).map_err(|_| Error::Poisoned)?;
        answered.recv().map_err(|_| Error::Poisoned)?
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.work.send(Work::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) struct State {
    storage: Arc<dyn Storage>,
    recorder: Recorder,
    sealed: HashSet<([u8; 4], Date)>,
    /// Segments the writer was told it may remove.
    done: HashSet<String>,
    /// All segments whose day is over.
    past: Vec<Segment>,
    /// The day of the open segment. It may be long ago: nothing has been written since.
    open: Date,
    pub(super) retainer: Retainer,
    clock: Arc<dyn Clock>,
    /// Days on which this thread was awake.
    lived: BTreeSet<Date>,
    /// The day on which all that was due was let go of, or stayed because the clock is not believed.
    retained: Option<Date>,
    /// What was let go of since the log was opened.
    gone: Due,
}

/// Where the rows of a leaf stand.
struct Place {
    segment: usize,
    offset: u64,
    position: u64,
}

/// The places of each school's rows, by BRIN.
type Schools = BTreeMap<[u8; 4], Vec<Place>>;

impl State {
    /// Lets go of what is due, and says all that went since the log was opened.
    pub(super) fn retain(&mut self) -> Result<Due, Error> {
        let today = self.clock.today();
        let left = self.past.iter().filter(|segment| !self.done.contains(&segment.name));
        let unsealed = left.filter_map(|segment| segment.day).min();
        let unsealed = unsealed.map_or(self.open, |day| day.min(self.open));
        self.retainer.retain(today, unsealed, &mut self.gone)?;
        self.retained = Some(today);
        Ok(self.gone.clone())
    }

    fn retain_daily(&mut self) -> Result<(), Error> {
        let today = self.clock.today();
        if self.retained == Some(today) {
            return Ok(());
        }
        if let Some(last) = self.unbelieved()? {
            self.retained = Some(today);
            tracing::warn!(
                %last, %today,
                "nothing was recorded for more than a hundred days, or the clock is wrong: nothing is erased before it \
                 has gone on for a week; set the clock, or have `sluis log retain` erase what is due"
            );
            return Ok(());
        }
        self.retain().map(drop)
    }

    /// The last day before a silence that is too long to be believed yet.
    pub(super) fn unbelieved(&self) -> Result<Option<Date>, Error> {
        let mut days = self.retainer.days_with_rows()?;
        days.extend(self.past.iter().filter_map(|segment| segment.day));
        days.extend(&self.lived);
        days.insert(self.open);
        Ok(unbelieved(&days, self.clock.today()))
    }

    fn seal(&mut self) -> Result<(), Error> {
        let mut days: BTreeMap<Date, Vec<String>> = BTreeMap::new();
        for segment in &self.past {
            if let Some(day) = segment.day.filter(|_| !self.done.contains(&segment.name)) {
                days.entry(day).or_default().push(segment.name.clone());
            }
        }
        for (day, segments) in days {
            self.seal_day(day, &segments)?;
        }
        Ok(())
    }

    fn seal_day(&mut self, day: Date, segments: &[String]) -> Result<(), Error> {
        let (schools, mut pending) = self.survey(segments)?;
        for (brin, places) in schools {
            if !self.sealed.contains(&(brin, day)) {
                self.seal_school(brin, day, segments, &places)?;
                self.sealed.insert((brin, day));
            }
        }
        // A delivery that is under way must still be found at the next start.
        if !pending.is_empty() {
            for name in self.storage.list("wal").map_err(Error::Open)? {
                let name = format!("wal/{name}");
                if segments.last().is_some_and(|last| name > *last) {
                    self.scan(&name, &mut |leaf, _, _| {
                        if leaf.kind == LeafKind::Outcome {
                            pending.remove(&leaf.span_id);
                        }
                    })?;
                }
            }
        }
        if pending.is_empty() {
            self.recorder.sealed(segments.to_vec())?;
            self.done.extend(segments.iter().cloned());
        }
        Ok(())
    }

    /// Where the rows of each school stand, and the deliveries without outcome.
    fn survey(&self, segments: &[String]) -> Result<(Schools, HashSet<[u8; 8]>), Error> {
        let mut schools = Schools::new();
        let mut pending = HashSet::new();
        for (segment, name) in segments.iter().enumerate() {
            self.scan(name, &mut |leaf, position, offset| {
                if leaf.kind == LeafKind::Disclosure {
                    pending.insert(leaf.span_id);
                    if leaf.rows > 0 {
                        schools.entry(leaf.brin()).or_default().push(Place { segment, offset, position });
                    }
                } else if leaf.kind == LeafKind::Outcome {
                    pending.remove(&leaf.span_id);
                }
            })?;
        }
        Ok((schools, pending))
    }

    /// Shows each leaf of a segment with its position and offset, as far as it is whole.
    fn scan(&self, name: &str, show: &mut dyn FnMut(&Leaf, u64, u64)) -> Result<(), Error> {
        let damaged = |offset| Error::Damaged { file: name.into(), offset };
        let open = || Ok(BufReader::with_capacity(256 * 1024, self.storage.open(name)?));
        let Ok((first, link)) = Scanner::beginning(&mut open().map_err(Error::Open)?).map_err(Error::Open)?
        else {
            return Err(damaged(0));
        };
        // Only the links are held against it here; the root of the tree was when the log was opened.
        let mut end = End::at(first, link);
        let Ok(mut scanner) = Scanner::open(open().map_err(Error::Open)?, &end).map_err(Error::Open)? else {
            return Err(damaged(0));
        };
        loop {
            let position = end.next().0;
            match scanner.step(&mut end).map_err(Error::Open)? {
                Step::Frame(frame) => show(&frame.leaf, position, frame.start),
                Step::End | Step::Damaged(wal::Damage::Torn, _) => return Ok(()),
                Step::Damaged(_, at) => return Err(damaged(at)),
            }
        }
    }

    fn seal_school(
        &self,
        brin: [u8; 4],
        day: Date,
        segments: &[String],
        places: &[Place],
    ) -> Result<(), Error> {
        let brin_text =
            std::str::from_utf8(&brin).map_err(|_| Error::Open(io::ErrorKind::InvalidData.into()))?;
        let mut built = None;
        let fill = &mut |out: &mut dyn io::Write| {
            let mut sealing = rowfile::Sealer::new(out, brin_text, day).map_err(io::Error::other)?;
            let mut source: Option<(usize, Box<dyn Source>)> = None;
            for place in places {
                if source.as_ref().is_none_or(|(open, _)| *open != place.segment) {
                    source = Some((place.segment, self.storage.open(&segments[place.segment])?));
                }
                let (_, file) = source.as_mut().expect("it was just opened");
                let (salt, rows) = wal::block_at(file, place.offset)?.ok_or(io::ErrorKind::InvalidData)?;
                let position = Position(place.position);
                sealing.push(Chunk { position, salt, rows }).map_err(io::Error::other)?;
            }
            built = Some(sealing.finish().map_err(io::Error::other)?);
            Ok(())
        };
        let name = row_file_name(brin_text, day);
        self.storage.write(&name, fill).map_err(|error| Error::Write(error.kind()))?;
        let built = built.expect("written without error, so built");
        let mut leaf = Leaf::new(LeafKind::DaySeal);
        leaf.controller[..4].copy_from_slice(&brin);
        leaf.start_ms = day_start_ms(day);
        leaf.rows = built.rows;
        leaf.inner_root = built.root;
        leaf.status = 1;
        self.recorder.record_blocking(Disclosure { leaf, rows: Vec::new() }).map(|_| ())
    }
}
