//! Each stage by itself: MiB of document per second, rows of the log per second.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use common::{
    feed::{Encoding, Feed, Form},
    stage::{Office, minimise, only_decode},
};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use sluis::{
    disclosure::{Disclosure, LeafKind, Row, Subject},
    minimise::CHUNK,
};

const PUPILS: usize = 2_500;
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
    Feed { form, encoding, pupils: PUPILS }.write(&mut document).unwrap();
    document
}

fn documents(criterion: &mut Criterion) {
    let delivery = Office::new().delivery();
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
            bencher.iter(|| minimise(&delivery, &document, PUPILS));
        });
        group.finish();
    }
}

fn log(criterion: &mut Criterion) {
    let office = Office::new();
    let (delivery, log) = (office.delivery(), office.home.log());
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
