//! kill -9 under load, again and again: what a supplier received is on record, and the log opens and verifies.
//!
//! `SLUIS_CRASHES=100 cargo test --test it kill_after_kill` for the long form.

use std::{
    collections::HashMap,
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    thread,
};

use sluis::disclosure::{LeafKind, Position, Reader};

use crate::{
    home::Home,
    served::{ASK, FakeLas, Served, many_pupils, request, try_connect},
};

const CLIENTS: usize = 6;

/// Pupils that arrived whole, by transaction.
type Received = Arc<Mutex<HashMap<String, u64>>>;

/// Pulls feeds until the gateway is gone, and says each time that something arrived.
fn pull(home: &Home, port: u16, body: &str, received: &Received, arrived: &Sender<()>) {
    let head = format!(
        "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    while let Some(mut stream) = try_connect(home, port, Some("noordzee")) {
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            return;
        }
        let mut text = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    text.extend_from_slice(&buffer[..read]);
                    let _ = arrived.send(());
                }
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&text);
        let transaction = text.split("fsc-transaction-id: ").nth(1).and_then(|rest| rest.get(..36));
        if let Some(transaction) = transaction {
            let whole = text.matches("</leerling>").count() as u64;
            received.lock().unwrap().insert(transaction.to_owned(), whole);
        }
    }
}

#[test]
fn kill_after_kill_nothing_that_left_is_missing() {
    let rounds = std::env::var("SLUIS_CRASHES").map_or(4, |text| text.parse().unwrap());
    let home = Arc::new(Home::new());
    let las = FakeLas::answering(many_pupils());
    Served::configure(&home, &las, "");
    let body = request(&home, "leerlinggegevens_verzoek", ASK);
    let received = Received::default();
    for round in 0..rounds {
        let served = Served::spawn(home.sluis(&["serve"]));
        let (arrived, arrivals) = mpsc::channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (home, received, body) = (Arc::clone(&home), Arc::clone(&received), body.clone());
                let (port, arrived) = (served.gateway, arrived.clone());
                thread::spawn(move || pull(&home, port, &body, &received, &arrived))
            })
            .collect();
        // At another moment each time: in the middle of a chunk, of an answer, of a start.
        for _ in 0..round * 37 % 211 + 1 {
            arrivals.recv().unwrap();
        }
        served.kill();
        clients.into_iter().for_each(|client| client.join().unwrap());
        let verified = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
        assert!(
            verified.code == 0 || verified.err.contains("torn"),
            "round {round}: only the last write may be cut off: {}",
            verified.err
        );
    }
    // A start puts in order what the last kill left.
    Served::spawn(home.sluis(&["serve"])).stop();
    let verified = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    let mut on_record: HashMap<String, u64> = HashMap::new();
    let reader = Reader::open(&home.path("data")).unwrap();
    reader
        .leaves(Position(0), &mut |_, leaf| {
            if leaf.kind == LeafKind::Disclosure {
                let transaction = uuid::Uuid::from_bytes(leaf.transaction).to_string();
                *on_record.entry(transaction).or_default() += u64::from(leaf.rows);
            }
        })
        .unwrap();
    let received = received.lock().unwrap();
    assert!(received.values().sum::<u64>() > 0);
    for (transaction, pupils) in received.iter() {
        let recorded = on_record.get(transaction).copied().unwrap_or(0);
        assert!(recorded >= *pupils, "{pupils} pupils arrived, {recorded} are on record");
    }
}
