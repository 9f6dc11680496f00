//! Each stage by itself: MiB of document per second, rows of the log per second.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::{
    convert::Infallible,
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use common::{
    Home,
    feed::{Encoding, Feed, Form},
};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    decode::{self, Limits, decode},
    delivery::{Asked, Delivery},
    disclosure::{Disclosure, LeafKind, Row, Subject},
    minimise::{CHUNK, Chunk, Minimiser, Outlet},
    standing::Ledger,
    token::Token,
};
use uuid::Uuid;

/// Exchanges that record at the same time.
const THREADS: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    documents(&mut criterion);
    log(&mut criterion);
    criterion.final_summary();
}

fn document(form: Form, encoding: Encoding) -> Vec<u8> {
    let mut document = Vec::new();
    Feed { form, encoding, pupils: 2_500 }.write(&mut document).unwrap();
    document
}

fn delivery(home: &Home) -> Delivery {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: Uuid::now_v7(),
        certificate: [0; 32],
    };
    Delivery::decide(&config, &Ledger::reading(&config.data), &asked, &clock).unwrap()
}

fn documents(criterion: &mut Criterion) {
    let home = Home::new();
    let delivery = delivery(&home);
    for (name, form, encoding) in [
        ("uwlr-utf8", Form::Uwlr, Encoding::Utf8),
        ("uwlr-utf16", Form::Uwlr, Encoding::Utf16),
        ("edexml-utf8", Form::Edexml, Encoding::Utf8),
    ] {
        let document = document(form, encoding);
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(document.len() as u64));
        group.bench_function("decode", |bencher| bencher.iter(|| only_decode(&document)));
        group.bench_function("decode, policy, pseudonym, encode", |bencher| {
            bencher.iter(|| minimise(&delivery, &document));
        });
        group.finish();
    }
}

fn only_decode(document: &[u8]) {
    let mut drop_it = |token: Token<'_>| {
        black_box(token);
        Ok::<_, Infallible>(())
    };
    decode(document, None, &Limits::default(), &mut drop_it).unwrap();
}

fn minimise(delivery: &Delivery, document: &[u8]) {
    let mut minimiser = Minimiser::new(delivery.scope(), Nowhere);
    let decoded: Result<(), decode::Error<_>> = decode(document, None, delivery.limits(), &mut minimiser);
    decoded.unwrap();
    minimiser.finish().unwrap();
    assert_eq!(minimiser.into_parts().0.released, 2_500);
}

/// Takes chunks and forgets them.
struct Nowhere;

impl Outlet for Nowhere {
    type Error = Infallible;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Infallible> {
        black_box(chunk.document);
        black_box(chunk.rows);
        Ok(())
    }
}

fn log(criterion: &mut Criterion) {
    let home = Home::new();
    let delivery = delivery(&home);
    let log = home.log();
    let rows: Vec<Row> = (0..).take(CHUNK).map(|number| Row::new(Subject::Leerling, number)).collect();
    let disclosure = || Disclosure { leaf: delivery.leaf(LeafKind::Disclosure), rows: rows.clone() };
    let record = |disclosure| log.record_blocking(disclosure, ()).map(drop).unwrap();

    let mut group = criterion.benchmark_group("log");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(CHUNK as u64));
    group.bench_function("a chunk", |bencher| {
        bencher.iter_batched(disclosure, record, BatchSize::PerIteration);
    });
    group.throughput(Throughput::Elements((THREADS * CHUNK) as u64));
    group.bench_function(format!("{THREADS} chunks at once"), |bencher| {
        bencher.iter_custom(|times| {
            let start = Barrier::new(THREADS + 1);
            thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            (0..times).for_each(|_| record(disclosure()));
                        })
                    })
                    .collect();
                start.wait();
                let began = Instant::now();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                began.elapsed()
            })
        });
    });
    group.finish();
    log.close();
}
