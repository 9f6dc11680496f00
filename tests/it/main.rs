//! Sluis from outside: the library's public face, the real binary, real TLS, real files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod agreements; // templates, approval, the five rules
mod answers; // reports and evidence from a log of several days
mod canary; // planted values appear in nothing the process emits
mod certs; // a recipient is known by its name, OIN or thumbprint
mod commands; // init, check, minimise, preview, keys, log verify
mod crash; // kill -9 under load
mod documents; // golden documents, spellings, chunkings
mod drain; // rolling restarts under load, sockets that are handed over, hard stops
mod drift; // what a feed never held before is said once
mod endings; // suppliers that hang up or do not read, LASes that drip, disks that are full
mod epochs; // which keys were in force is on record, once
mod equality; // what leaves is what the agreement allows of what there is: all of it, and nothing else
#[cfg(target_arch = "x86_64")] // the tracer knows its registers
mod faults; // every step that can fail does so once, and nothing leaves after it
mod framing; // messages that two readers may take differently: none is taken
mod gateway; // the real binary, mutual TLS, a pupil administration that misbehaves
mod holds; // what differs too much waits for a decision
mod home; // a working directory to test in
mod index; // deliveries by supplier, field and day: what a walk over the leaves gives, sooner
mod limits; // each bound on what comes from outside, passed
mod log; // the disclosure log: tampering, crashes, group commit
mod memory; // neither a core dump nor the memory of a process at rest holds what was planted
mod mutations; // every key of configuration and agreements: misspelt, left out, with values that are none
mod notices; // who holds an older value is told, by what it knows the person by
mod oidc; // log-in by an identity provider: what the configuration may say, and which account is whose
mod planted; // numbers and a name that are planted, and a search for every form of them
mod properties; // whatever the agreement and the document: only what is named leaves
mod reload; // certificates, authorities and revocation lists change while it serves; what ends is said ahead
mod reports; // what reports count is what the log exports; a page is no more than a page
mod results; // results go to the school they are of, whole, or not at all
mod retention; // what falls due goes, what was asked to go goes, and the log still verifies
mod review; // the review app as strangers, colleagues of other schools and other programs meet it
mod rights; // who objects stays out, from the next person on
mod rows; // files of rows: sealed, found, proven, erased, rolled up
mod samples; // real messages against the official schemas, where those are present
mod schemas; // every published schema is loaded
mod served; // the gateway under test, a pupil administration that does as it is told, a client
mod standing; // a disk that fails at every step of a change
mod threats; // what docs/threats.md names is there
mod tlog; // checkpoints and tiles, read by code that is not ours
mod users; // accounts of the review app, by command and on record
mod vectors; // pseudonyms, tokens and handles
mod world; // a clock that can be put on any day
