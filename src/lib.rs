//! Sluis: the gateway between a school's pupil administration (LAS) and the suppliers of its learning materials.
//!
//! It lets through what the processing agreement names, puts keyed pseudonyms in place of every identifier, withholds
//! the rest, and has each disclosure on record before the first byte of it leaves.
//!
//! # The way of the data
//!
//! ```text
//!              1          2         3           4          5          6            7
//!  supplier → ingress                                                          → egress → supplier
//!                ↓                                                                 ↑
//!               LAS   →  decode  → policy  → pseudonym →  encode  → disclosure  ───┘
//!                        bytes →   Token →   who may      Record →  rows and leaf on
//!                        Token     Ruling    be known     bytes     disk: Recorded<T>
//! ```
//!
//! - [`exchange`] tells it on one screen, and is the only place that knows every stage. Stages 2 to 5 are synchronous
//!   and know neither network nor disk; [`minimise`] runs them over one document and cuts it into chunks of at most 256
//!   persons.
//! - What leaves passes one door: [`egress`] takes [`disclosure::Recorded`] and nothing else, and only the log makes one.
//!   Notices of art. 19 ([`standing`]) hold no more than what their recipient was given, and leave once it is on record that
//!   they are delivered.
//! - There is no exclude rule: a field without a line in the agreement is withheld ([`policy::Rulings`]), and what the
//!   field [`catalogue`] does not know has no [`token`] to be passed on with.
//! - Results travel the other way, from supplier to LAS: [`results`] puts the LAS's own keys back in.
//! - Numbers and keys of persons are types that cannot be printed ([`pseudonym::Bsn`], [`pseudonym::PupilKey`]).
//!
//! [`gateway`] answers `POST /uwlr` with all this, [`answers`] tells from the log what went where, [`register`] from the
//! agreements what may, [`report`] makes of both what people read, [`review`] shows it to those who answer for it and has
//! them decide, and [`cli`] holds the commands. Below the path stand what it asks of the world ([`clock`], [`keys`],
//! [`disclosure::storage`], [`las`]), the strict reader of all that comes over HTTP (`framing`), and the words the stages share
//! ([`token`], [`record`], [`party`]).
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | afnemer, recipient | who gets the data: a supplier, a hub, a government body |
//! | bewaartermijn | how long something is kept |
//! | BRIN, vestiging | four characters that name a school; two digits more name one of its locations |
//! | BSN, onderwijsnummer, PGN | citizen service number; its stand-in for pupils without one; either of the two |
//! | ECK iD | pseudonym of a pupil in the learning-materials chain: a URI with 128 hexadecimal digits |
//! | FG | data protection officer (GDPR art. 37) |
//! | LAS | pupil administration: ParnasSys, ESIS, Magister, Somtoday |
//! | leerling, leerkracht, groep | pupil, teacher, class |
//! | privacybijsluiter | annex to a processing agreement that lists the data a product gets |
//! | UWLR, EDEXML | the message and file standards in which pupils' data travel |
//! | verstrekking | disclosure |
#![forbid(unsafe_code)]

pub mod exchange;

pub mod ingress;

pub mod decode;

pub mod policy;

pub mod pseudonym;

pub mod encode;

pub mod disclosure;

pub mod egress;

pub mod minimise;
pub mod results;

pub mod answers;
pub mod bridge;
pub mod cli;
pub mod gateway;
pub mod las;
pub mod operations;
pub mod review;

pub mod catalogue;
pub mod clock;
pub mod config;
pub mod control;
pub mod delivery;
pub mod expiry;
pub mod fault;
mod framing;
pub mod keys;
pub mod metrics;
pub mod party;
pub mod plausibility;
pub mod problem;
pub mod problem_details;
pub mod record;
pub mod register;
pub mod report;
pub mod shutdown;
mod stack;
pub mod standing;
mod strict;
pub mod tls;
pub mod token;
